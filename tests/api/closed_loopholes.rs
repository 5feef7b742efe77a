//! Former loopholes that created credits or kept them beyond their end, each with the correct behaviour.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";

async fn plan(world: &World, org: &Org, plan: &str) {
    let path = format!("/admin/v1/organisations/{}/subscription", org.id);
    world.put(&path, world.operator(), &json!({ "plan": plan })).await.data();
}

async fn refund(world: &World, org: &Org, transaction: &Value, more: Value) -> ApiAnswer {
    let mut body = json!({ "transactionId": transaction, "reason": "technical_failure" });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    world.post("/api/v3/credits/refund", &org.key, &unique(), &body).await
}

async fn go_to(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

async fn buckets(world: &World, org: &Org) -> [u64; 3] {
    let balance = world.balance(&org.key).await;
    ["subscriptionCredits", "purchasedCredits", "bonusCredits"].map(|name| balance[name].as_u64().unwrap())
}

async fn is_sound(world: &World, org: &Org) {
    world.settle().await;
    let audit = world.get("/api/v3/credits/audit?limit=100", &org.key).await.data();
    assert_eq!(audit["problems"], json!([]), "{audit}");
}

/// Once, 10^12 credits captured on an unlimited plan and refunded a month later became bonus credits without an
/// end.
#[tokio::test]
async fn an_unlimited_plan_mints_nothing() {
    for months in ["2024-01-20T00:00:00Z", "2024-02-01T00:00:10Z"] {
        for debit in ["capture", "consume", "batch", "hold"] {
            let world = World::at(NOW).await;
            let org = world.open(100).await;
            plan(&world, &org, "enterprise").await;
            let body = json!({ "operation": "deepfake.video", "quantity": 1_000_000 });
            let hold = json!({ "amount": 1_000_000_000_000_u64, "expiresInSeconds": 2_000_000 });
            let made = match debit {
                "consume" => world.consume(&org.key, "d", &body).await.created(),
                "batch" => {
                    let items = json!({ "items": [body, body] });
                    let made =
                        world.post("/api/v3/credits/consume/batch", &org.key, "d", &items).await.created();
                    made["results"][1]["transaction"].clone()
                }
                _ => world.post("/api/v3/credits/holds", &org.key, "d", &hold).await.created(),
            };
            let path =
                |act: &str| format!("/api/v3/credits/holds/{}/{act}", made["holdId"].as_str().unwrap());
            let captured = match debit {
                "capture" => Some(world.post(&path("capture"), &org.key, "c", &json!({})).await.created()),
                _ => None,
            };
            plan(&world, &org, "professional").await;
            go_to(&world, months).await;
            let before = buckets(&world, &org).await;
            if debit == "hold" {
                world.post(&path("release"), &org.key, "r", &json!({})).await.created();
            } else {
                let transaction =
                    captured.as_ref().map_or(&made["transactionId"], |hold| &hold["transactionIds"][1]);
                refund(&world, &org, transaction, json!({})).await.created();
            }
            assert_eq!(buckets(&world, &org).await, before, "{debit}, {months}");
            assert_eq!(world.balance(&org.key).await["heldCredits"], json!(0));
            is_sound(&world, &org).await;
        }
    }
}

/// An unlimited plan has a monthly safety limit, which two debits cannot exceed together and an operator may raise.
#[tokio::test]
async fn an_unlimited_plan_has_a_safety_bound() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    plan(&world, &org, "enterprise").await;
    let hold = json!({ "amount": 1_000_000_000_000_u64 });
    for _ in 0..1_000 {
        let made = world.post("/api/v3/credits/holds", &org.key, &unique(), &hold).await.created();
        assert_eq!(made["sources"][0]["lotId"], json!("unlimited_2024-01"));
    }
    let debit = json!({ "operation": "verification.standard" });
    let refused = world.consume(&org.key, "over", &debit).await;
    assert_eq!(refused.failure(), "403 PLAN_LIMIT_REACHED");
    assert_eq!(refused.body["error"]["details"]["limit"], json!(1_000_000_000_000_000_u64));
    let path = format!("/admin/v1/organisations/{}/plan-limit", org.id);
    let raised = world.put(&path, world.operator(), &json!({ "limit": 1_000_000_000_000_001_u64 })).await;
    assert_eq!(raised.data()["limit"], json!(1_000_000_000_000_001_u64));
    let both =
        tokio::join!(world.consume(&org.key, "over", &debit), world.consume(&org.key, "over-too", &debit),);
    let mut answer = [both.0.status, both.1.status];
    answer.sort_unstable();
    assert_eq!(answer, [201, 403]);
    for limit in [5, 999_999_999_999_999_u64, 4_000_000_000_000_001] {
        let refused = world.put(&path, world.operator(), &json!({ "limit": limit })).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{limit}");
    }
}

/// Once, sixteen refunds of one credit of an old debit filled all lots of the account.
#[tokio::test]
async fn refunds_take_no_places() {
    let world = World::at(NOW).await;
    let org = world.open(40).await;
    let debit = json!({ "operation": "verification.standard", "quantity": 30 });
    let made = world.consume(&org.key, "old", &debit).await.created();
    go_to(&world, "2024-02-01T00:00:10Z").await;
    for _ in 0..16 {
        refund(&world, &org, &made["transactionId"], json!({ "amount": 1 })).await.created();
    }
    let balance = world.balance(&org.key).await;
    assert_eq!(balance["bonusCredits"], json!(16));
    assert_eq!(balance["expiring"].as_array().unwrap().len(), 1, "{balance}");
    assert_eq!(balance["expiring"][0]["expiresAt"], json!("2024-03-03T00:00:10Z"));
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 5, "service": "api" })).await;
    go_to(&world, "2024-03-03T00:00:20Z").await;
    assert_eq!(world.balance(&org.key).await["bonusCredits"], json!(5));
    is_sound(&world, &org).await;
}

/// A released hold of one of sixteen promotions keeps the service and the end of its credits.
#[tokio::test]
async fn a_release_keeps_the_terms_of_a_promotion() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let grant = |day: u64| {
        json!({ "source": "bonus", "amount": 10, "service": "smartcheck",
                "expiresAt": format!("2024-04-{day:02}T00:00:00Z") })
    };
    world.grant(&org.id, &grant(5)).await;
    let hold = json!({ "operation": "verification.standard", "quantity": 10, "service": "smartcheck" });
    let held = world.post("/api/v3/credits/holds", &org.key, "h", &hold).await.created();
    for day in 6..22 {
        world.grant(&org.id, &grant(day)).await;
    }
    let path = format!("/api/v3/credits/holds/{}/release", held["holdId"].as_str().unwrap());
    world.post(&path, &org.key, "r", &json!({})).await.created();
    let first = &world.balance(&org.key).await["expiring"][0];
    assert_eq!((&first["amount"], &first["expiresAt"]), (&json!(20), &json!("2024-04-05T00:00:00Z")));
    let plain = world.consume(&org.key, "p", &json!({ "operation": "verification.standard" })).await;
    assert_eq!(plain.failure(), "402 INSUFFICIENT_CREDITS");
    is_sound(&world, &org).await;
}

/// An operator's correction survives plan changes.
#[tokio::test]
async fn a_correction_survives_changes_of_plan() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    plan(&world, &org, "professional").await;
    let path = format!("/admin/v1/organisations/{}/adjustments", org.id);
    for (amount, left) in [(-900, 4_100), (50, 4_150)] {
        let body = json!({ "amount": amount, "source": "subscription", "reason": "A wrong invoice" });
        world.post(&path, world.operator(), &unique(), &body).await.created();
        assert_eq!(buckets(&world, &org).await[0], left);
        plan(&world, &org, "enterprise").await;
        plan(&world, &org, "professional").await;
        assert_eq!(buckets(&world, &org).await[0], left);
    }
    go_to(&world, "2024-02-01T00:00:10Z").await;
    assert_eq!(buckets(&world, &org).await[0], 5_000);
    is_sound(&world, &org).await;
}

async fn buy(world: &World, org: &Org) -> Value {
    let body = json!({ "package": "starter", "paymentMethod": "card_xyz123" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created()
}

async fn dispute(world: &World, purchase: &Value, action: &str) {
    let path = format!("/_local/payments/{}/dispute", purchase["transactionId"].as_str().unwrap());
    world.post_plain(&path, &json!({ "action": action })).await.data();
    world.settle().await;
}

/// Credits that are available, in dispute, held and owed.
async fn buckets_and_debt(world: &World, org: &Org) -> [u64; 4] {
    let balance = world.balance(&org.key).await;
    let number = |name: &str| balance[name].as_u64().unwrap();
    let owed = balance.pointer("/postPaid/outstanding").and_then(Value::as_u64).unwrap_or(0);
    [number("available"), number("disputedCredits"), number("heldCredits"), owed]
}

/// Credits that return to a disputed purchase stay reserved while the dispute is open, and lower the debt once it
/// is lost.
#[tokio::test]
async fn credits_that_return_to_a_disputed_purchase_are_not_spendable() {
    let quantity = |count: u64| json!({ "operation": "verification.standard", "quantity": count });
    for (outcome, back_before, expected) in [
        ("open", true, [0, 450, 0, 0]),
        ("won", true, [450, 0, 0, 0]),
        ("lost", true, [0, 0, 0, 50]),
        ("won", false, [450, 0, 0, 0]),
        ("lost", false, [0, 0, 0, 50]),
    ] {
        let world = World::at(NOW).await;
        let org = world.open(0).await;
        let bought = buy(&world, &org).await;
        let debit = world.consume(&org.key, "d", &quantity(60)).await.created();
        let kept = world.consume(&org.key, "kept", &quantity(50)).await.created();
        assert_eq!(kept["amount"], json!(50));
        let held = world.post("/api/v3/credits/holds", &org.key, "h", &quantity(40)).await.created();
        dispute(&world, &bought, "open").await;
        assert_eq!(buckets_and_debt(&world, &org).await, [0, 350, 40, 0]);
        let release = async || {
            let path = format!("/api/v3/credits/holds/{}/release", held["holdId"].as_str().unwrap());
            world.post(&path, &org.key, "r", &json!({})).await.created();
            refund(&world, &org, &debit["transactionId"], json!({ "amount": 20 })).await.created();
            refund(&world, &org, &debit["transactionId"], json!({ "amount": 40 })).await.created();
        };
        if back_before {
            release().await;
            assert_eq!(buckets_and_debt(&world, &org).await, [0, 450, 0, 0]);
        }
        if outcome != "open" {
            dispute(&world, &bought, if outcome == "won" { "win" } else { "lose" }).await;
        }
        if !back_before {
            release().await;
        }
        assert_eq!(buckets_and_debt(&world, &org).await, expected, "{outcome}, back before: {back_before}");
        is_sound(&world, &org).await;
    }
}

/// A debt never remains beside purchased credits that could settle it.
#[tokio::test]
async fn a_debt_is_settled_by_whatever_could() {
    let all = json!({ "operation": "verification.standard", "quantity": 500 });
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let first = buy(&world, &org).await;
    world.consume(&org.key, "all", &all).await.created();
    buy(&world, &org).await;
    dispute(&world, &first, "open").await;
    dispute(&world, &first, "lose").await;
    assert_eq!(buckets_and_debt(&world, &org).await, [0, 0, 0, 0]);
    is_sound(&world, &org).await;
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let bought = buy(&world, &org).await;
    dispute(&world, &bought, "open").await;
    let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
    world.put(&path, world.operator(), &json!({ "limit": 200 })).await.data();
    world
        .consume(&org.key, "owed", &json!({ "operation": "verification.standard", "quantity": 200 }))
        .await
        .created();
    assert_eq!(buckets_and_debt(&world, &org).await, [0, 500, 0, 200]);
    dispute(&world, &bought, "win").await;
    assert_eq!(buckets_and_debt(&world, &org).await, [300, 0, 0, 0]);
    world
        .consume(&org.key, "more", &json!({ "operation": "verification.standard", "quantity": 400 }))
        .await
        .created();
    let path = format!("/admin/v1/organisations/{}/adjustments", org.id);
    let body = json!({ "amount": 130, "source": "purchased", "reason": "A bank transfer" });
    world.post(&path, world.operator(), "a", &body).await.created();
    assert_eq!(buckets_and_debt(&world, &org).await, [30, 0, 0, 0]);
    is_sound(&world, &org).await;
}
