//! The API serves exactly what the seed documents show.

use serde_json::{Value, json};
use tests::{World, line_of};

/// The seed's balance: a negotiated allowance of 400 of which 150 are used, 100 purchased, 50 bonus.
#[tokio::test]
async fn the_demo_organisation_has_the_seeds_balance() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let answer = world.get("/api/v3/credits/balance", world.key()).await;
    let shown = json!({
        "subscriptionCredits": 250,
        "purchasedCredits": 100,
        "bonusCredits": 50,
        "usedCredits": 150,
        "available": 400,
        "nextRenewal": "2024-02-01T00:00:00Z"
    });
    assert_eq!(answer.body["success"], json!(true));
    let data = answer.data();
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&data[field], value, "{field}");
    }
    assert_eq!(answer.body["meta"]["timestamp"], json!("2024-01-15T10:30:00Z"));
    assert_eq!(data["plan"], json!("professional"));
    assert_eq!(data["asOf"], json!({ "sequence": 17, "timestamp": "2024-01-15T10:30:00Z" }));
    assert_eq!(
        (&data["unlimited"], &data["heldCredits"], &data["postPaid"]),
        (&json!(false), &json!(0), &Value::Null)
    );
}

/// The seed's 402, on an organisation without credits.
#[tokio::test]
async fn a_debit_without_credits_is_refused_in_the_seeds_words() {
    let world = World::demo().await;
    let org = world.open(0).await;
    let answer = world.consume(&org.key, "k1", &json!({ "operation": "verification.enhanced" })).await;
    assert_eq!(answer.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(answer.body["error"]["message"], json!("Not enough credits to perform this operation"));
    assert_eq!(answer.body["error"]["details"]["required"], json!(2));
    assert_eq!(answer.body["error"]["details"]["available"], json!(0));
}

/// A debit of 2 with 1 left changes nothing.
#[tokio::test]
async fn a_refusal_changes_nothing() {
    let world = World::demo().await;
    let org = world.open(1).await;
    let (before, lines) = (world.balance(&org.key).await, world.transactions(&org.key, "").await);
    let body = json!({ "operation": "verification.enhanced" });
    let answer = world.consume(&org.key, "k1", &body).await;
    assert_eq!(answer.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(answer.body["error"]["details"]["available"], json!(1));
    let after = world.balance(&org.key).await;
    assert_eq!((&before["available"], &before["usedCredits"]), (&after["available"], &after["usedCredits"]));
    assert_eq!(before["asOf"]["sequence"], after["asOf"]["sequence"]);
    assert_eq!(world.transactions(&org.key, "").await, lines);
    // A 402 does not use up the key: once there are credits, the same request succeeds.
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 5 })).await;
    let answer = world.consume(&org.key, "k1", &body).await;
    assert_eq!(answer.created()["balanceAfter"], json!(4));
    assert_eq!(answer.header("idempotent-replayed"), None);
}

/// The seed's list: a debit of 2 for a verification, and a purchase of 500.
#[tokio::test]
async fn transactions_have_the_seeds_fields() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let body = json!({ "operation": "verification.enhanced", "resourceId": "verif_xyz789" });
    world.consume(world.key(), "k1", &body).await.created();
    let lines = world.transactions(world.key(), "limit=50").await;
    let debit = &lines[0];
    assert!(debit["transactionId"].as_str().unwrap().starts_with("txn_"));
    let shown = json!({ "type": "DEBIT", "amount": 2, "operation": "verification.enhanced",
        "resourceId": "verif_xyz789", "timestamp": "2024-01-15T10:30:00Z" });
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&debit[field], value, "{field}");
    }
    assert_eq!(debit["sources"], json!([{ "source": "subscription", "lotId": "sub_2024-01", "amount": 2 }]));
    assert_eq!((&debit["balanceAfter"], &debit["sequence"]), (&json!(398), &json!(18)));
    assert_eq!((&debit["category"], &debit["status"]), (&json!("usage"), &json!("approved")));
    assert_eq!((&debit["quantity"], &debit["priceVersion"]), (&json!(1), &json!(1)));
    let purchase = lines.iter().find(|line| line["operation"] == json!("credit.purchase")).unwrap();
    let shown = json!({ "type": "CREDIT", "amount": 100, "timestamp": "2024-01-15T10:30:00Z", "category": "purchase" });
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&purchase[field], value, "{field}");
    }
    let path = format!("/api/v3/credits/transactions/{}", debit["transactionId"].as_str().unwrap());
    let receipt = world.get(&path, world.key()).await.data();
    assert_eq!(&line_of(&receipt), debit);
    assert_eq!((&receipt["unitPrice"], &receipt["balanceBefore"]), (&json!(2), &json!(400)));
    assert_eq!((&receipt["balance"]["available"], &receipt["refundable"]), (&json!(398), &json!(2)));
    assert!(receipt["keyId"].as_str().unwrap().starts_with("key_"));
    assert!(receipt["requestId"].as_str().unwrap().starts_with("req_"));
}

/// The seed's whole price table, each operation charged once.
#[tokio::test]
async fn every_operation_costs_what_the_seed_says() {
    let world = World::demo().await;
    let org = world.open(1_000).await;
    for (operation, price) in [
        ("verification.document", 1),
        ("verification.standard", 1),
        ("verification.enhanced", 2),
        ("verification.biometric", 3),
        ("aml.sanctions", 1),
        ("aml.pep", 2),
        ("aml.adverse_media", 3),
        ("aml.basic", 1),
        ("aml.enhanced", 2),
        ("aml.monitoring", 1),
        ("deepfake.image", 2),
        ("deepfake.video", 5),
        ("deepfake.audio", 3),
        ("deepfake.document", 4),
        ("kyt.wallet", 2),
        ("kyt.monitoring", 1),
        ("export.pdf", 1),
        ("export.excel", 1),
        ("applicants.import", 0),
        ("api.get", 0),
        ("webhook.delivery", 0),
    ] {
        for quantity in [1, 3] {
            let name = format!("{operation}/{quantity}");
            let charged = world
                .consume(&org.key, &name, &json!({ "operation": operation, "quantity": quantity }))
                .await;
            assert_eq!(charged.created()["amount"], json!(price * quantity), "{name}");
        }
    }
}

/// Every balance field that a caller reads equals what the last debit announced.
#[tokio::test]
async fn the_answer_of_a_debit_carries_the_balance_after_it() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(3).await;
    world
        .grant(&org.id, &json!({ "source": "bonus", "amount": 9, "expiresAt": "2024-03-01T00:00:00+01:00" }))
        .await;
    let charged = world.consume(&org.key, "k1", &json!({ "operation": "deepfake.video" })).await.created();
    assert_eq!(charged["balance"], world.balance(&org.key).await);
    assert_eq!(charged["balance"]["expiring"][0]["expiresAt"], json!("2024-02-29T23:00:00Z"));
    assert_eq!(charged["balance"]["expiring"][0]["amount"], json!(7));
    assert_eq!(charged["balance"]["subscriptionCredits"], json!(0));
}

/// Subscription credits end at the instant the month ends, whether or not the renewal was written (contract, rule
/// 2).
#[tokio::test]
async fn the_first_request_of_a_month_renews_it() {
    let world = World::at("2024-01-31T23:59:58Z").await;
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": 1 })).await.data();
    assert_eq!(world.balance(world.key()).await["available"], json!(400));
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": 1 })).await.data();
    let response = world.balance(world.key()).await;
    assert_eq!((&response["subscriptionCredits"], &response["usedCredits"]), (&json!(400), &json!(0)));
    assert_eq!(response["nextRenewal"], json!("2024-03-01T00:00:00Z"));
    let charged = world.consume(world.key(), "k1", &json!({ "operation": "aml.pep" })).await.created();
    assert_eq!((&charged["balanceAfter"], &charged["sequence"]), (&json!(548), &json!(19)));
    let renewal = &world.transactions(world.key(), "").await[1];
    assert_eq!(renewal["operation"], json!("credit.renewal"));
    assert_eq!((&renewal["amount"], &renewal["expired"]), (&json!(400), &json!(250)));
    assert_eq!(renewal["timestamp"], json!("2024-02-01T00:00:00Z"));
}

/// Expired credits are reported; the rest adds up, and their lots are free again.
#[tokio::test]
async fn expired_credits_are_reported() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(0).await;
    for day in 1..=16 {
        let end = format!("2024-03-{day:02}T00:00:00Z");
        world.grant(&org.id, &json!({ "source": "bonus", "amount": day, "expiresAt": end })).await;
    }
    let path = format!("/admin/v1/organisations/{}/grants", org.id);
    let full = world.post(&path, world.operator(), "full", &json!({ "source": "bonus", "amount": 1 })).await;
    assert_eq!(full.failure(), "409 CONFLICT");
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 500 })).await;
    world.post_plain("/_local/clock", &json!({ "now": "2024-03-10T12:00:00Z" })).await.data();
    assert_eq!(world.balance(&org.key).await["bonusCredits"], json!((11..=16).sum::<u64>()));
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 1 })).await;
    let lines = world.transactions(&org.key, "limit=100").await;
    let expired: Vec<_> = lines.iter().filter(|line| line["operation"] == json!("credit.expiry")).collect();
    assert_eq!(expired.len(), 10);
    assert_eq!(
        (&expired[0]["amount"], &expired[0]["timestamp"]),
        (&json!(10), &json!("2024-03-10T00:00:00Z"))
    );
    assert_eq!(
        (&expired[0]["type"], &world.balance(&org.key).await["usedCredits"]),
        (&json!("DEBIT"), &json!(0))
    );
    let sum = lines.iter().fold(0, |sum, line| {
        let amount = line["amount"].as_i64().unwrap();
        if line["type"] == json!("CREDIT") { sum + amount } else { sum - amount }
    });
    assert_eq!(world.balance(&org.key).await["available"], json!(sum));
}

/// Many purchases of packs merge into a few lots, and no credit is lost.
#[tokio::test]
async fn many_purchases_take_no_more_than_a_few_places() {
    let world = World::demo().await;
    let org = world.open(0).await;
    for _ in 0..20 {
        world.grant(&org.id, &json!({ "source": "purchased", "amount": 500 })).await;
    }
    let granted = world.grant(&org.id, &json!({ "source": "bonus", "amount": 50 })).await;
    assert_eq!(granted["balance"]["available"], json!(10_050));
}
