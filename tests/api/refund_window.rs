//! The time limit of refunds.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

async fn refund(world: &World, org: &Org, debit: &Value) -> ApiAnswer {
    let body = json!({ "transactionId": debit["transactionId"], "reason": "technical_failure", "amount": 1 });
    world.post("/api/v3/credits/refund", &org.key, &unique(), &body).await
}

async fn go_to(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

/// Callers may refund for 31 days, to the second; operators at any time.
#[tokio::test]
async fn a_callers_refund_window_is_31_days() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let consume = json!({ "operation": "verification.biometric" });
    let paid = world.consume(&org.key, &unique(), &consume).await.created();
    let hold = world.post("/api/v3/credits/holds", &org.key, &unique(), &consume).await.created();
    let path = format!("/api/v3/credits/holds/{}/capture", hold["holdId"].as_str().unwrap());
    let captured = world.post(&path, &org.key, &unique(), &json!({})).await.created();
    let captured = json!({ "transactionId": captured["transactionIds"][1] });
    go_to(&world, "2024-02-15T10:29:59Z").await;
    let first = json!({ "transactionId": paid["transactionId"], "reason": "technical_failure", "amount": 1 });
    let made = world.post("/api/v3/credits/refund", &org.key, "in-time", &first).await.created();
    refund(&world, &org, &captured).await.created();
    go_to(&world, "2024-02-15T10:30:00Z").await;
    for debit in [&paid, &captured] {
        let late = refund(&world, &org, debit).await;
        assert_eq!(late.failure(), "422 REFUND_NOT_ELIGIBLE");
        let words = late.body["error"]["message"].as_str().unwrap();
        assert!(words.contains("31 days") && words.contains("operator"), "{words}");
    }
    let again = world.post("/api/v3/credits/refund", &org.key, "in-time", &first).await;
    assert_eq!((again.header("idempotent-replayed"), again.created()), (Some("true"), made));
    go_to(&world, "2025-02-15T10:30:00Z").await;
    let path = format!("/admin/v1/organisations/{}/refunds", org.id);
    let body = json!({ "transactionId": paid["transactionId"], "reason": "poor_quality_document", "note": "Goodwill" });
    let answer = world.post(&path, world.operator(), &unique(), &body).await.created();
    assert_eq!(answer["amount"], json!(2));
}
