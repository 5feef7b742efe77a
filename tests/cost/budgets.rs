//! What budgets cost: one write for each that counts a debit, nothing for the others.

use serde_json::{Value, json};
use tests::{Org, World, unique};

const BUDGETS: &str = "/api/v3/credits/budgets";

async fn budget(world: &World, org: &Org, scope: &str, id: Value, limit: u64) {
    let body = json!({ "scope": scope, "id": id, "limit": limit, "period": "month", "alertAt": [] });
    world.post(BUDGETS, &org.key, &unique(), &body).await.created();
}

/// The write and read units of ten debits of Jo for Acme, in a process that is warm.
async fn ten_debits(world: &World, org: &Org, expected: u16) -> (Value, Value) {
    let body = json!({ "operation": "aml.basic", "memberId": "jo", "customerId": "acme" });
    for _ in 0..2 {
        assert_eq!(world.consume(&org.key, &unique(), &body).await.status, expected);
    }
    world.settle().await;
    world.delete("/_local/capacity", "").await.data();
    for _ in 0..10 {
        assert_eq!(world.consume(&org.key, &unique(), &body).await.status, expected);
    }
    let used =
        world.get("/_local/capacity", "").await.data()["routes"]["POST /api/v3/credits/consume"].clone();
    (used["writeUnits"].clone(), used["readUnits"].clone())
}

#[tokio::test]
async fn each_budget_that_counts_a_debit_costs_one_write() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10_000).await;
    assert_eq!(ten_debits(&world, &org, 201).await, (json!(30.0), json!(0.0)));
    for (before, after, scope, id) in [
        (30.0, 40.0, "organisation", Value::Null),
        (40.0, 50.0, "member", json!("jo")),
        (50.0, 60.0, "customer", json!("acme")),
        (60.0, 70.0, "operation", json!("aml.basic")),
    ] {
        // A budget of another part at the same level costs nothing.
        if id.is_string() && scope != "operation" {
            budget(&world, &org, scope, json!("other"), 1).await;
            assert_eq!(ten_debits(&world, &org, 201).await, (json!(before), json!(0.0)), "{scope}");
        }
        budget(&world, &org, scope, id, 1_000).await;
        let (written, read) = ten_debits(&world, &org, 201).await;
        assert_eq!((written.as_f64(), read), (Some(after), json!(0.0)), "{scope}");
    }
    // A budget that is used up refuses without a write.
    budget(&world, &org, "member", json!("jo"), 0).await;
    let (written, read) = ten_debits(&world, &org, 403).await;
    assert_eq!(written, json!(0.0));
    assert!(read.as_f64().unwrap() <= 60.0, "{read}");
}
