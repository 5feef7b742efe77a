//! What credits cost that come back, and subscription credits of a month with several plans.

use serde_json::{Value, json};
use tests::{EVERY_SCOPE, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";

/// Buys credits, and returns what they cost.
async fn buy(world: &World, org: &Org, amount: u64) -> u64 {
    let body = json!({ "amount": amount, "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created();
    bought["price"]["amount"].as_u64().unwrap()
}

async fn lots(world: &World, org: &Org) -> Vec<Value> {
    world.get("/api/v3/credits/lots", &org.key).await.data().as_array().unwrap().clone()
}

async fn cost(world: &World, org: &Org) -> Value {
    world.get("/api/v3/credits/usage?measure=cost", &org.key).await.data()
}

/// Credits of two purchases at different prices come back together, after their lots are gone and there is no room for
/// them: they keep what each of them cost.
#[tokio::test]
async fn credits_of_several_lots_come_back_with_what_they_cost() {
    for is_hold in [true, false] {
        let world = World::at(NOW).await;
        let org = world.open(0).await;
        let paid = buy(&world, &org, 100).await + buy(&world, &org, 2_000).await;
        let path = if is_hold { "/api/v3/credits/holds" } else { "/api/v3/credits/consume" };
        let body = json!({ "operation": "verification.standard", "quantity": 2_100 });
        let taken = world.post(path, &org.key, &unique(), &body).await.created();
        let mut others = 0;
        for _ in 0..4 {
            others += buy(&world, &org, 1_000).await;
        }
        if is_hold {
            let release = format!("{path}/{}/release", taken["holdId"].as_str().unwrap());
            world.post(&release, &org.key, &unique(), &json!({})).await.data();
        } else {
            let refund = json!({ "transactionId": taken["transactionId"], "reason": "technical_failure" });
            world.post("/api/v3/credits/refund", &org.key, &unique(), &refund).await.created();
        }
        world.settle().await;
        let lots = lots(&world, &org).await;
        let back = lots.iter().find(|lot| lot["remaining"] == json!(2_100)).unwrap();
        assert_eq!(back["price"]["amount"], json!(paid), "{back}");
        let rest = json!({ "operation": "verification.standard", "quantity": 6_100 });
        world.consume(&org.key, &unique(), &rest).await.created();
        world.settle().await;
        assert_eq!(cost(&world, &org).await["total"]["total"], json!(paid + others));
    }
}

async fn open(world: &World, plan: &str) -> Org {
    let body = json!({ "name": "Two plans", "plan": plan });
    let id = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    let id = id["organisationId"].as_str().unwrap().to_owned();
    let path = format!("/admin/v1/organisations/{id}/keys");
    // The smaller plan has no API access.
    let scopes = [EVERY_SCOPE.as_slice(), &["dashboard"]].concat();
    let body = json!({ "mode": "live", "scopes": scopes });
    let key = world.post(&path, world.operator(), &unique(), &body).await.created();
    Org { id, key: key["key"].as_str().unwrap().to_owned() }
}

/// In a month with two plans, subscription credits cost what the dearer plan lists, also if it was taken later.
#[tokio::test]
async fn the_dearest_plan_of_a_month_is_its_list_price() {
    for (first, second) in [("basic", "professional"), ("professional", "basic")] {
        let world = World::at(NOW).await;
        let org = open(&world, first).await;
        let spend = json!({ "operation": "verification.standard", "quantity": 500 });
        world.consume(&org.key, &unique(), &spend).await.created();
        let path = format!("/admin/v1/organisations/{}/subscription", org.id);
        world.put(&path, world.operator(), &json!({ "plan": second })).await.data();
        world.consume(&org.key, &unique(), &json!({ "operation": "verification.standard" })).await.created();
        world.settle().await;
        let cost = cost(&world, &org).await;
        assert_eq!(cost["cost"]["unpricedCredits"], json!(0));
        // £299 for 5,000 credits.
        assert_eq!(cost["total"]["total"], json!(501 * 29_900 / 5_000), "{first}, then {second}");
    }
}
