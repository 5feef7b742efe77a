//! Refunds of payments take their credits back, over HTTP: by the provider or an operator, in parts or in full, and
//! with disputes of a part.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";

async fn world() -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    (world, org)
}

/// Buys 500 credits for £49; returns the purchase's id.
async fn buy(world: &World, org: &Org) -> String {
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created();
    bought["transactionId"].as_str().unwrap().to_owned()
}

async fn spend(world: &World, org: &Org, amount: u64) {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    world.consume(&org.key, &unique(), &body).await.created();
}

/// The payment provider refunds on its own, and its events are processed.
async fn refund_at_provider(world: &World, purchase: &str, body: &Value) -> ApiAnswer {
    let answer = world.post_plain(&format!("/_local/payments/{purchase}/refund"), body).await;
    world.settle().await;
    answer
}

async fn dispute(world: &World, purchase: &str, body: &Value) {
    world.post_plain(&format!("/_local/payments/{purchase}/dispute"), body).await.data();
    world.settle().await;
}

/// An operator's refund, repeated while the provider's event is booking it.
async fn refund(world: &World, org: &Org, purchase: &str, name: &str, body: &Value) -> ApiAnswer {
    let path = format!("/admin/v1/organisations/{}/purchases/{purchase}/refund", org.id);
    let answer = world.post(&path, world.operator(), name, body).await;
    if answer.status != 202 {
        return answer;
    }
    world.settle().await;
    world.post(&path, world.operator(), name, body).await
}

/// Purchased credits left, and credits owed.
async fn left_and_owed(world: &World, org: &Org) -> (u64, u64) {
    let balance = world.balance(&org.key).await;
    let owed = balance["postPaid"]["outstanding"].as_u64().unwrap_or(0);
    (balance["purchasedCredits"].as_u64().unwrap(), owed)
}

async fn refunded_there(world: &World, purchase: &str) -> u64 {
    let all = world.get("/_local/payments", "").await.data();
    let all = all.as_array().unwrap();
    let charge = all.iter().find(|charge| charge["transactionId"] == purchase).unwrap();
    charge["amountRefunded"].as_u64().unwrap()
}

async fn rows(world: &World, org: &Org, operation: &str) -> usize {
    world.transactions(&org.key, &format!("operation={operation}")).await.len()
}

/// Credits spent before, refunds of £49 in pence, and the credits left and owed at the end.
#[tokio::test]
async fn a_refund_made_at_the_provider_takes_the_credits() {
    for (spent, refunds, expected) in [
        (0, vec![json!({})], (0, 0)),
        (0, vec![json!({ "amount": 2450 })], (250, 0)),
        (0, vec![json!({ "amount": 1 }), json!({ "amount": 1000 }), json!({ "amount": 1449 })], (250, 0)),
        (0, vec![json!({ "amount": 1633 }), json!({ "amount": 1633 }), json!({})], (0, 0)),
        (400, vec![json!({ "amount": 2450 })], (0, 150)),
        (400, vec![json!({ "amount": 980 }), json!({})], (0, 400)),
        (500, vec![json!({})], (0, 500)),
    ] {
        let (world, org) = world().await;
        let purchase = buy(&world, &org).await;
        if spent > 0 {
            spend(&world, &org, spent).await;
        }
        for body in &refunds {
            refund_at_provider(&world, &purchase, body).await.data();
        }
        assert_eq!(left_and_owed(&world, &org).await, expected, "{spent} {refunds:?}");
        let before = rows(&world, &org, "credit.payment_refund").await;
        if refunded_there(&world, &purchase).await == 4900 {
            refund_at_provider(&world, &purchase, &json!({})).await.data();
        }
        world.pass(3 * 24 * 3600).await;
        assert_eq!(left_and_owed(&world, &org).await, expected, "{spent} {refunds:?}, days later");
        assert_eq!(rows(&world, &org, "credit.payment_refund").await, before);
    }
}

#[tokio::test]
async fn more_than_is_left_is_not_refunded() {
    let (world, org) = world().await;
    let purchase = buy(&world, &org).await;
    for wrong in [json!({ "amount": 4901 }), json!({ "amount": 0 })] {
        assert_eq!(refund_at_provider(&world, &purchase, &wrong).await.failure(), "409 CONFLICT", "{wrong}");
    }
    assert_eq!(
        refund_at_provider(&world, &purchase, &json!({ "sum": 1 })).await.failure(),
        "400 VALIDATION_ERROR"
    );
    assert_eq!(left_and_owed(&world, &org).await, (500, 0));
}

#[tokio::test]
async fn a_debt_from_a_refund_is_settled_by_the_next_purchase() {
    let (world, org) = world().await;
    let purchase = buy(&world, &org).await;
    spend(&world, &org, 450).await;
    refund_at_provider(&world, &purchase, &json!({ "amount": 980 })).await.data();
    assert_eq!(left_and_owed(&world, &org).await, (0, 50));
    buy(&world, &org).await;
    assert_eq!(left_and_owed(&world, &org).await, (450, 0));
    refund_at_provider(&world, &purchase, &json!({})).await.data();
    assert_eq!(left_and_owed(&world, &org).await, (50, 0));
}

/// The disputed part in pence, the refunds before and after, the dispute's end, and the credits left and owed.
#[tokio::test]
async fn disputes_of_a_part_go_with_refunds() {
    for (before, disputed, end, after, open, expected) in [
        (0, 2450, "lose", 0, (250, 0), (250, 0)),
        (0, 2450, "win", 0, (250, 0), (500, 0)),
        (980, 2450, "lose", 1470, (150, 0), (0, 0)),
        (980, 2450, "win", 3920, (150, 0), (0, 0)),
        // A part that is smaller than the price of a credit is added to later refunds.
        (0, 9, "lose", 4891, (500, 0), (0, 0)),
        (0, 9, "win", 4900, (500, 0), (0, 0)),
    ] {
        let (world, org) = world().await;
        let purchase = buy(&world, &org).await;
        if before > 0 {
            refund_at_provider(&world, &purchase, &json!({ "amount": before })).await.data();
        }
        dispute(&world, &purchase, &json!({ "action": "open", "amount": disputed })).await;
        assert_eq!(left_and_owed(&world, &org).await, open, "{before} {disputed}");
        assert_eq!(
            refund_at_provider(&world, &purchase, &json!({ "amount": 1 })).await.failure(),
            "409 CONFLICT"
        );
        dispute(&world, &purchase, &json!({ "action": end })).await;
        if after > 0 {
            refund_at_provider(&world, &purchase, &json!({ "amount": after })).await.data();
        }
        assert_eq!(left_and_owed(&world, &org).await, expected, "{before} {disputed} {end} {after}");
    }
}

#[tokio::test]
async fn an_operator_refunds_money_and_credits_together() {
    let (world, org) = world().await;
    let purchase = buy(&world, &org).await;
    spend(&world, &org, 100).await;
    let body = json!({ "amount": 2450, "reason": "Ordered twice" });
    let made = refund(&world, &org, &purchase, "r1", &body).await.created();
    for (field, expected) in [
        ("transactionId", json!(purchase)),
        ("status", json!("refunded")),
        ("amount", json!({ "amount": 2450, "currency": "GBP" })),
        ("totalRefunded", json!(2450)),
        ("creditsTaken", json!(250)),
    ] {
        assert_eq!(made[field], expected, "{field}");
    }
    assert_eq!(made["balance"]["purchasedCredits"], json!(150));
    let again = refund(&world, &org, &purchase, "r1", &body).await;
    assert_eq!((again.status, again.header("idempotent-replayed")), (201, Some("true")));
    assert_eq!(again.data()["refundId"], made["refundId"]);
    let other = refund(&world, &org, &purchase, "r1", &json!({ "reason": "Ordered twice" })).await;
    assert_eq!(other.failure(), "422 IDEMPOTENCY_KEY_REUSED");
    world.settle().await;
    assert_eq!(
        (left_and_owed(&world, &org).await, refunded_there(&world, &purchase).await),
        ((150, 0), 2450)
    );
    let line = &world.transactions(&org.key, "operation=credit.payment_refund").await[0];
    for (field, expected) in [
        ("type", json!("DEBIT")),
        ("amount", json!(250)),
        ("resourceId", json!(purchase)),
        ("description", json!("Ordered twice")),
        ("transactionId", made["refundTransactionId"].clone()),
    ] {
        assert_eq!(line[field], expected, "{field}");
    }
    assert!(line["superAdmin"].as_str().is_some_and(|key| key.starts_with("key_")));
    let too_much = refund(&world, &org, &purchase, "r2", &json!({ "amount": 2451, "reason": "x" })).await;
    assert_eq!(too_much.failure(), "422 REFUND_NOT_ELIGIBLE");
    let refundable = &too_much.body["error"]["details"]["refundable"];
    assert_eq!(refundable, &json!({ "amount": 2450, "currency": "GBP" }));
    let rest = refund(&world, &org, &purchase, "r3", &json!({ "reason": "Goodwill" })).await.created();
    assert_eq!((&rest["amount"]["amount"], &rest["creditsTaken"]), (&json!(2450), &json!(500)));
    assert_eq!(
        (left_and_owed(&world, &org).await, refunded_there(&world, &purchase).await),
        ((0, 100), 4900)
    );
    let nothing = refund(&world, &org, &purchase, "r4", &json!({ "reason": "x" })).await;
    assert_eq!(nothing.failure(), "409 ALREADY_REFUNDED");
}

/// After a lost dispute of less than a credit's price, the operator can refund the rest of the money.
#[tokio::test]
async fn an_operator_refunds_the_rest_after_a_small_dispute() {
    let (world, org) = world().await;
    let purchase = buy(&world, &org).await;
    for action in [json!({ "action": "open", "amount": 4 }), json!({ "action": "lose" })] {
        dispute(&world, &purchase, &action).await;
    }
    let rest = refund(&world, &org, &purchase, "r1", &json!({ "reason": "Goodwill" })).await.created();
    assert_eq!((&rest["amount"]["amount"], left_and_owed(&world, &org).await), (&json!(4896), (0, 0)));
    assert_eq!(rows(&world, &org, "credit.dispute").await, 1);
}

#[tokio::test]
async fn an_impossible_refund_of_an_operator_says_why() {
    let (world, org) = world().await;
    let purchase = buy(&world, &org).await;
    let path = format!("/admin/v1/organisations/{}/purchases/{purchase}/refund", org.id);
    let body = json!({ "reason": "x" });
    assert_eq!(world.post(&path, &org.key, "k", &body).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    for (body, expected) in [
        (json!({}), "400 VALIDATION_ERROR"),
        (json!({ "reason": "" }), "400 VALIDATION_ERROR"),
        (json!({ "reason": "x", "amount": 0 }), "400 VALIDATION_ERROR"),
        (json!({ "reason": "x", "amount": -1 }), "400 VALIDATION_ERROR"),
        (json!({ "reason": "x", "amount": 1.5 }), "400 VALIDATION_ERROR"),
        (json!({ "reason": "x", "credits": 1 }), "400 VALIDATION_ERROR"),
        (json!({ "reason": "x", "mode": "test" }), "404 NOT_FOUND"),
    ] {
        assert_eq!(refund(&world, &org, &purchase, "k", &body).await.failure(), expected, "{body}");
    }
    let other = world.open(0).await;
    assert_eq!(refund(&world, &other, &purchase, "k", &body).await.failure(), "404 NOT_FOUND");
    assert_eq!(refund(&world, &org, "txn_1", "k", &body).await.failure(), "404 NOT_FOUND");
    let declined = json!({ "package": "starter", "paymentMethod": "card_declined" });
    let declined = world.post("/api/v3/credits/purchase", &org.key, &unique(), &declined).await;
    let declined = declined.body["error"]["details"]["transactionId"].as_str().unwrap().to_owned();
    assert_eq!(refund(&world, &org, &declined, "k2", &body).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    dispute(&world, &purchase, &json!({ "action": "open", "amount": 100 })).await;
    assert_eq!(refund(&world, &org, &purchase, "k3", &body).await.failure(), "422 REFUND_NOT_ELIGIBLE");
    dispute(&world, &purchase, &json!({ "action": "win" })).await;
    refund(&world, &org, &purchase, "k3", &body).await.created();
    assert_eq!(left_and_owed(&world, &org).await, (0, 0));
}

#[tokio::test]
async fn a_refund_emits_an_event() {
    let (world, org) = world().await;
    let purchase = buy(&world, &org).await;
    refund_at_provider(&world, &purchase, &json!({ "amount": 2450 })).await.data();
    let events = world.events(&org.key).await;
    let reported: Vec<_> = events.iter().filter(|event| event["event"] == "purchase.refunded").collect();
    assert_eq!(reported.len(), 1, "{events:?}");
    tests::assert_event(reported[0]);
    let data = &reported[0]["data"];
    assert_eq!((&data["purchaseId"], &data["amount"]), (&json!(purchase), &json!(250)));
}
