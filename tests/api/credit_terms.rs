//! Credit terms: credits on account, freezes, adjustments, disputes.

use reqwest::Method;
use scrip_http::{Clock, SystemClock};
use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, send, unique};

const NOW: &str = "2024-01-15T10:30:00Z";

async fn operate(world: &World, org: &Org, what: &str) -> ApiAnswer {
    let path = format!("/admin/v1/organisations/{}/{what}", org.id);
    world.post(&path, world.operator(), &unique(), &json!({ "reason": "Fraud" })).await
}

async fn world(allowance: u64) -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(allowance).await;
    (world, org)
}

async fn spend(world: &World, org: &Org, amount: u64) -> ApiAnswer {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    world.consume(&org.key, &unique(), &body).await
}

async fn limit(world: &World, org: &Org, limit: u64) -> Value {
    let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
    send(world.request(Method::PUT, &path, world.operator()).json(&json!({ "limit": limit }))).await.data()
}

async fn adjust(world: &World, org: &Org, body: &Value) -> ApiAnswer {
    world
        .post(&format!("/admin/v1/organisations/{}/adjustments", org.id), world.operator(), &unique(), body)
        .await
}

async fn buy(world: &World, org: &Org, amount: u64) -> Value {
    let body = json!({ "amount": amount, "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created()
}

async fn dispute(world: &World, bought: &Value, action: &str) {
    let path = format!("/_local/payments/{}/dispute", bought["transactionId"].as_str().unwrap());
    world.post_plain(&path, &json!({ "action": action })).await.data();
    world.settle().await;
}

/// Rule 9, from the first credit on account to the purchase that settles it.
#[tokio::test]
async fn credits_are_spent_on_account_and_settled_first() {
    let (world, org) = world(5).await;
    assert_eq!(world.balance(&org.key).await["postPaid"], Value::Null);
    assert_eq!(spend(&world, &org, 6).await.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(limit(&world, &org, 10).await["postPaid"], json!({ "limit": 10, "outstanding": 0 }));
    let charged = spend(&world, &org, 8).await.created();
    assert_eq!(charged["status"], json!("postPaid"));
    let sources = charged["sources"].as_array().unwrap();
    assert_eq!(sources[1], json!({ "source": "postPaid", "lotId": "post_paid", "amount": 3 }));
    assert_eq!(charged["balance"]["postPaid"], json!({ "limit": 10, "outstanding": 3 }));
    assert_eq!((&charged["balanceAfter"], &charged["balance"]["usedCredits"]), (&json!(0), &json!(8)));
    let refused = spend(&world, &org, 8).await;
    assert_eq!(refused.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(refused.body["error"]["details"]["available"], json!(7));
    spend(&world, &org, 7).await.created();
    assert_eq!(world.balance(&org.key).await["postPaid"]["outstanding"], json!(10));
    let bought = buy(&world, &org, 4).await;
    assert_eq!(
        (&bought["balance"]["available"], &bought["balance"]["postPaid"]["outstanding"]),
        (&json!(0), &json!(6))
    );
    let bought = buy(&world, &org, 9).await;
    assert_eq!(
        (&bought["balance"]["available"], &bought["balance"]["postPaid"]["outstanding"]),
        (&json!(3), &json!(0))
    );
    limit(&world, &org, 0).await;
    assert_eq!(world.balance(&org.key).await["postPaid"], Value::Null);
    assert_eq!(spend(&world, &org, 4).await.failure(), "402 INSUFFICIENT_CREDITS");
}

#[tokio::test]
async fn an_operator_settles_and_lowers_the_limit() {
    let (world, org) = world(0).await;
    limit(&world, &org, 10).await;
    spend(&world, &org, 9).await.created();
    limit(&world, &org, 5).await;
    assert_eq!(spend(&world, &org, 1).await.failure(), "402 INSUFFICIENT_CREDITS");
    let settled =
        adjust(&world, &org, &json!({ "amount": 6, "source": "postPaid", "reason": "Paid by bank" })).await;
    assert_eq!(settled.created()["balance"]["postPaid"], json!({ "limit": 5, "outstanding": 3 }));
    let more =
        adjust(&world, &org, &json!({ "amount": 4, "source": "postPaid", "reason": "Paid by bank" })).await;
    assert_eq!(more.failure(), "400 VALIDATION_ERROR");
    spend(&world, &org, 2).await.created();
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 6 })).await;
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["available"], &balance["postPaid"]["outstanding"]), (&json!(1), &json!(0)));
    let refused = world
        .post(
            &format!("/admin/v1/organisations/{}/grants", org.id),
            world.operator(),
            &unique(),
            &json!({ "source": "postPaid", "amount": 6 }),
        )
        .await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
}

#[tokio::test]
async fn adjustments_say_who_and_why() {
    let (world, org) = world(5).await;
    let up = adjust(&world, &org, &json!({ "amount": 7, "reason": "Goodwill" })).await.created();
    for (field, expected) in [
        ("type", json!("CREDIT")),
        ("operation", json!("credit.adjustment")),
        ("amount", json!(7)),
        ("description", json!("Goodwill")),
        ("balanceAfter", json!(12)),
    ] {
        assert_eq!(up[field], expected, "{field}");
    }
    assert!(up["superAdmin"].as_str().is_some_and(|key| key.starts_with("key_")));
    let down = adjust(&world, &org, &json!({ "amount": -8, "reason": "Charged too little" })).await.created();
    assert_eq!(
        (&down["type"], &down["amount"], &down["balance"]["usedCredits"]),
        (&json!("DEBIT"), &json!(8), &json!(0))
    );
    for (body, expected) in [
        (json!({ "amount": -5, "reason": "x" }), "402 INSUFFICIENT_CREDITS"),
        (json!({ "amount": -1, "source": "purchased", "reason": "x" }), "402 INSUFFICIENT_CREDITS"),
        (json!({ "amount": 0, "reason": "x" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 1.5, "reason": "x" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": -1_000_000_000_001_i64, "reason": "x" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": i64::MIN, "reason": "x" }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 5 }), "400 VALIDATION_ERROR"),
        (json!({ "amount": 5, "reason": "" }), "400 VALIDATION_ERROR"),
    ] {
        assert_eq!(adjust(&world, &org, &body).await.failure(), expected, "{body}");
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(4));
    let path = format!("/admin/v1/organisations/{}/adjustments", org.id);
    let body = json!({ "amount": 1, "reason": "x" });
    assert_eq!(world.post(&path, &org.key, "k", &body).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let unknown = "/admin/v1/organisations/org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA/adjustments";
    assert_eq!(world.post(unknown, world.operator(), "k", &body).await.failure(), "404 NOT_FOUND");
}

#[tokio::test]
async fn a_frozen_organisation_cannot_spend_or_buy() {
    let (world, org) = world(5).await;
    assert_eq!(operate(&world, &org, "freeze").await.data()["frozen"], json!(true));
    let rows = world.transactions(&org.key, "").await.len();
    assert_eq!(operate(&world, &org, "freeze").await.data()["frozen"], json!(true));
    assert_eq!(world.transactions(&org.key, "").await.len(), rows, "a repeat changes nothing");
    assert_eq!(spend(&world, &org, 1).await.failure(), "403 ORGANISATION_FROZEN");
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let refused = world.post("/api/v3/credits/purchase", &org.key, "p", &body).await;
    assert_eq!(refused.failure(), "403 ORGANISATION_FROZEN");
    assert_eq!(world.balance(&org.key).await["available"], json!(5));
    let line = &world.transactions(&org.key, "").await[0];
    assert_eq!((&line["operation"], &line["description"]), (&json!("account.freeze"), &json!("Fraud")));
    operate(&world, &org, "unfreeze").await.data();
    spend(&world, &org, 1).await.created();
    world.post("/api/v3/credits/purchase", &org.key, "p", &body).await.created();
}

/// Rule 10, with the events in order.
#[tokio::test]
async fn a_dispute_sets_aside_and_gives_or_takes() {
    let (world, org) = world(0).await;
    let won = buy(&world, &org, 100).await;
    spend(&world, &org, 30).await.created();
    dispute(&world, &won, "open").await;
    assert_eq!(world.balance(&org.key).await["available"], json!(0));
    assert_eq!(spend(&world, &org, 1).await.failure(), "402 INSUFFICIENT_CREDITS");
    let line = &world.transactions(&org.key, "").await[0];
    assert_eq!(
        (&line["operation"], &line["amount"], &line["resourceId"]),
        (&json!("credit.dispute"), &json!(70), &won["transactionId"])
    );
    dispute(&world, &won, "win").await;
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["available"], &balance["postPaid"]), (&json!(70), &Value::Null));
    let lost = buy(&world, &org, 50).await;
    spend(&world, &org, 90).await.created();
    dispute(&world, &lost, "open").await;
    dispute(&world, &lost, "open").await;
    dispute(&world, &lost, "lose").await;
    dispute(&world, &lost, "lose").await;
    let balance = world.balance(&org.key).await;
    assert_eq!(
        (&balance["available"], &balance["postPaid"]),
        (&json!(0), &json!({ "limit": 0, "outstanding": 20 }))
    );
    let next = buy(&world, &org, 25).await;
    assert_eq!((&next["balance"]["available"], &next["balance"]["postPaid"]), (&json!(5), &Value::Null));
    let operations: Vec<_> =
        world.transactions(&org.key, "").await.iter().map(|line| line["operation"].clone()).collect();
    let answer =
        operations.iter().filter(|operation| operation.as_str().unwrap().starts_with("credit.dispute"));
    assert_eq!(answer.count(), 4, "{operations:?}");
}

/// A forged event is refused before anything is done.
#[tokio::test]
async fn a_forged_event_changes_nothing() {
    let (world, org) = world(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_authentication" });
    let pending = world.post("/api/v3/credits/purchase", &org.key, "p", &body).await.data();
    let event = json!({ "id": "evt_1", "type": "payment_intent.succeeded", "data": { "object": {
        "id": "pi_1", "object": "payment_intent", "amount": 4900, "currency": "gbp", "status": "succeeded",
        "metadata": { "account": format!("{}#live", org.id), "transaction": pending["transactionId"] },
    } } });
    let path = "/api/v3/payments/events";
    let now = Clock::now(&SystemClock).timestamp();
    for signature in ["", "nonsense", &format!("t={now},v1={}", "0".repeat(64)), &format!("t={now}")] {
        let request =
            world.request(Method::POST, path, "").header("Stripe-Signature", signature).json(&event);
        assert_eq!(send(request).await.failure(), "400 VALIDATION_ERROR", "{signature}");
    }
    let twice = world
        .request(Method::POST, path, "")
        .header("Stripe-Signature", "t=1")
        .header("Stripe-Signature", "t=1");
    assert_eq!(send(twice.json(&event)).await.failure(), "400 VALIDATION_ERROR");
    let huge =
        world.request(Method::POST, path, "").header("Stripe-Signature", "t=1").body(vec![b' '; 300 * 1024]);
    assert_eq!(send(huge).await.failure(), "413 PAYLOAD_TOO_LARGE");
    world.settle().await;
    assert_eq!(world.balance(&org.key).await["available"], json!(0));
}
