//! What usage cost: by the plan of the month of its credits, in the organisation's currency.

use serde_json::{Value, json};
use tests::{Org, World, unique};

async fn cost(world: &World, key: &str, range: &str) -> Value {
    world.settle().await;
    world.get(&format!("/api/v3/credits/usage?measure=cost&{range}"), key).await.data()
}

async fn spend(world: &World, org: &Org, quantity: u64) {
    let body = json!({ "operation": "verification.standard", "quantity": quantity });
    world.consume(&org.key, &unique(), &body).await.created();
}

/// Credits cost what the dearest plan of their month cost when it was taken, whatever it costs later and whichever plan
/// follows in another month.
#[tokio::test]
async fn credits_cost_what_the_plan_of_their_month_cost() {
    let january = "from=2024-01-01T00:00:00Z&to=2024-02-01T00:00:00Z";
    let february = "from=2024-02-01T00:00:00Z&to=2024-03-01T00:00:00Z";
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    spend(&world, &org, 50).await;
    // £299 for 5,000 credits.
    assert_eq!(cost(&world, &org.key, january).await["total"]["total"], json!(299));
    world.pass(3_600).await;
    let dearer = json!({ "price": { "amount": 50_000, "currency": "GBP" } });
    world.put("/admin/v1/plans/professional", world.operator(), &dearer).await.data();
    world.pass(3_600).await;
    assert_eq!(cost(&world, &org.key, january).await["total"]["total"], json!(299));
    let scale = json!({
        "name": "Scale", "price": { "amount": 60_000, "currency": "GBP" }, "allowance": 5_000, "apiAccess": true,
        "maxUsers": 10
    });
    world.put("/admin/v1/plans/scale", world.operator(), &scale).await.data();
    world.pass(120).await;
    let path = format!("/admin/v1/organisations/{}/subscription", org.id);
    world.put(&path, world.operator(), &json!({ "plan": "scale" })).await.data();
    // £600 for 5,000 credits.
    assert_eq!(cost(&world, &org.key, january).await["total"]["total"], json!(600));
    world.pass(20 * 86_400).await;
    let cheaper = json!({ "price": { "amount": 1_000, "currency": "GBP" } });
    world.put("/admin/v1/plans/scale", world.operator(), &cheaper).await.data();
    world.pass(120).await;
    spend(&world, &org, 10).await;
    let known = json!({ "currency": "GBP", "includesListPrices": true, "unpricedCredits": 0 });
    for (range, total) in [(january, 600), (february, 120)] {
        let found = cost(&world, &org.key, range).await;
        assert_eq!((&found["total"]["total"], &found["cost"]), (&json!(total), &known), "{range}");
    }
}

/// A plan is priced in one currency. An organisation that pays in another has no known price for its allowance.
#[tokio::test]
async fn a_price_in_another_currency_is_not_known() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let body = json!({ "name": "Dollars", "plan": "professional", "allowance": 100, "currency": "USD" });
    let opened = world.post("/admin/v1/organisations", world.operator(), "open", &body).await.created();
    let id = opened["organisationId"].as_str().unwrap().to_owned();
    let scopes = json!({ "mode": "live", "scopes": ["credits:read", "credits:consume"] });
    let path = format!("/admin/v1/organisations/{id}/keys");
    let issued = world.post(&path, world.operator(), "key", &scopes).await.created();
    let org = Org { id, key: issued["key"].as_str().unwrap().to_owned() };
    spend(&world, &org, 7).await;
    let found = cost(&world, &org.key, "groupBy=operation").await;
    assert_eq!(found["total"]["total"], json!(0));
    assert_eq!(
        found["cost"],
        json!({ "currency": "USD", "includesListPrices": false, "unpricedCredits": 7 })
    );
}
