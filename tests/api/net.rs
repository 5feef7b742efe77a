//! `net`: the change of the balance by a row, where it differs from the row's amount.

use serde_json::{Value, json};
use tests::{World, unique};

/// Compares every row with the balances before and after it.
async fn check(world: &World, key: &str) -> Vec<Value> {
    let mut lines = world.transactions(key, "limit=100").await;
    lines.reverse();
    let mut before = 0;
    for line in &lines {
        let after = line["balanceAfter"].as_i64().unwrap();
        let amount = line["amount"].as_i64().unwrap();
        let signed = if line["type"] == json!("DEBIT") { -amount } else { amount };
        let net = line["net"].as_i64();
        assert_eq!(after - before, net.unwrap_or(signed), "{line}");
        assert_ne!(net, Some(signed), "`net` equals the amount: {line}");
        before = after;
    }
    lines
}

fn nets(lines: &[Value], operation: &str) -> Vec<Option<i64>> {
    lines
        .iter()
        .filter(|line| line["operation"] == json!(operation))
        .map(|line| line["net"].as_i64())
        .collect()
}

#[tokio::test]
async fn every_row_says_what_moved() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 50 })).await;
    let debit = async |name: &str, quantity: u64| {
        world
            .consume(&org.key, name, &json!({ "operation": "aml.basic", "quantity": quantity }))
            .await
            .created()
    };
    debit("k1", 30).await;
    let hold = json!({ "operation": "aml.basic", "quantity": 20, "expiresInSeconds": 2_600_000 });
    let hold = world.post("/api/v3/credits/holds", &org.key, "h1", &hold).await.created();
    let hold = format!("/api/v3/credits/holds/{}", hold["holdId"].as_str().unwrap());
    world.post(&format!("{hold}/capture"), &org.key, "c1", &json!({ "amount": 5 })).await.data();
    let items =
        json!({ "items": [{ "operation": "aml.basic" }, { "operation": "aml.pep" }], "mode": "partial" });
    world.post("/api/v3/credits/consume/batch", &org.key, "b1", &items).await.created();
    // When the month ends, its remaining credits expire, and so do those that the hold returns to it.
    world.pass(17 * 86_400).await;
    world.balance(&org.key).await;
    world.post(&format!("{hold}/release"), &org.key, "r1", &json!({})).await.data();
    let lines = check(&world, &org.key).await;
    assert_eq!(nets(&lines, "credit.renewal"), [None, Some(100 - 47)]);
    assert_eq!(nets(&lines, "credit.release"), [Some(0)]);
    assert_eq!(nets(&lines, "aml.pep"), [None]);
}

#[tokio::test]
async fn an_unlimited_plan_and_credits_on_account_move_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
    world.put(&path, world.operator(), &json!({ "limit": 100 })).await.data();
    let spend = json!({ "operation": "aml.basic", "quantity": 15 });
    world.consume(&org.key, "k1", &spend).await.created();
    world.consume(&org.key, "k2", &json!({ "operation": "aml.basic", "quantity": 2 })).await.created();
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 50 })).await;
    let lines = check(&world, &org.key).await;
    assert_eq!(nets(&lines, "aml.basic"), [Some(-10), Some(0)]);
    assert_eq!(nets(&lines, "credit.grant"), [Some(43)]);

    let body = json!({ "name": "Unlimited", "plan": "enterprise" });
    let id = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    let path = format!("/admin/v1/organisations/{}/keys", id["organisationId"].as_str().unwrap());
    let key = world.post(&path, world.operator(), &unique(), &json!({ "mode": "live" })).await.created();
    let key = key["key"].as_str().unwrap();
    world.consume(key, "k1", &spend).await.created();
    let lines = check(&world, key).await;
    assert_eq!(nets(&lines, "aml.basic"), [Some(0)]);
}

/// A receipt has `net` too, and its balances add up.
#[tokio::test]
async fn a_receipt_adds_up() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    world.pass(17 * 86_400).await;
    world.balance(&org.key).await;
    for line in world.transactions(&org.key, "").await {
        let id = line["transactionId"].as_str().unwrap();
        let one = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        let moved = one["balanceAfter"].as_i64().unwrap() - one["balanceBefore"].as_i64().unwrap();
        assert_eq!(one["net"], line["net"]);
        assert_eq!(moved, line["net"].as_i64().unwrap_or(line["amount"].as_i64().unwrap()), "{one}");
    }
}
