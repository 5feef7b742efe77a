//! The limits of auto-recharge: one payment for each crossing, within limits that the owner has set.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const PATH: &str = "/api/v3/credits/auto-recharge";

async fn world(allowance: u64) -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(allowance).await;
    (world, org)
}

fn seed() -> Value {
    json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" })
}

/// The seed's settings with some fields changed.
fn seed_with(fields: &Value) -> Value {
    let mut body = seed();
    body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    body
}

async fn set(world: &World, org: &Org, body: &Value) -> ApiAnswer {
    let answer = world.put(PATH, &org.key, body).await;
    world.settle().await;
    answer
}

async fn state(world: &World, org: &Org) -> Value {
    world.get(PATH, &org.key).await.data()["state"].clone()
}

/// Status and reason.
async fn status(world: &World, org: &Org) -> (Value, Value) {
    let state = state(world, org).await;
    (state["status"].clone(), state["reason"].clone())
}

async fn spend(world: &World, org: &Org, amount: u64) {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    world.consume(&org.key, &unique(), &body).await.created();
    world.settle().await;
}

async fn pass(world: &World, seconds: u64) {
    world.pass(seconds).await;
    world.settle().await;
}

/// The start and amount of each charge of an organisation, oldest first.
async fn charges(world: &World, org: &Org) -> Vec<(String, u64)> {
    let all = world.get("/_local/payments", "").await.data();
    let ours =
        all.as_array().unwrap().iter().rev().filter(|charge| charge["organisationId"] == json!(org.id));
    let line = |charge: &Value| {
        (charge["createdAt"].as_str().unwrap().to_owned(), charge["amount"].as_u64().unwrap())
    };
    ours.map(line).collect()
}

async fn prices(world: &World, org: &Org) -> Vec<u64> {
    charges(world, org).await.into_iter().map(|(_, price)| price).collect()
}

async fn reported(world: &World, org: &Org, name: &str) -> Vec<Value> {
    let mut events = world.events(&org.key).await;
    events.iter().for_each(tests::assert_event);
    events.retain(|event| event["event"] == json!(name));
    events.iter().map(|event| event["data"].clone()).collect()
}

async fn set_package(world: &World, package: &str, body: &Value) {
    world.put(&format!("/admin/v1/packages/{package}"), world.operator(), body).await.data();
}

async fn buy(world: &World, org: &Org, amount: u64) -> Value {
    let body = json!({ "amount": amount, "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created()
}

#[tokio::test]
async fn settings_that_one_payment_cannot_satisfy_are_refused() {
    let (world, org) = world(5).await;
    let huge = 1_000_000_000_000_u64;
    for (fields, field, words) in [
        // £1,000.00 a month buy at most 12,500 credits in packs of 500.
        (json!({ "threshold": huge }), "threshold", "must be at most 12500"),
        (json!({ "threshold": 12_501 }), "threshold", "must be at most 12500"),
        (json!({ "threshold": 12_501 }), "threshold", "GBP 1000.00"),
        (
            json!({ "threshold": 1_001, "monthlySpendLimit": { "amount": 10_000, "currency": "GBP" } }),
            "threshold",
            "must be at most 1000",
        ),
        (json!({ "threshold": 1_001, "monthlyLimit": 1_400 }), "threshold", "must be at most 1000"),
        // The debt that may be paid has to fit into the same payment.
        (json!({ "threshold": 12_500, "debtLimit": 1 }), "threshold", "must be at most 12499"),
        (json!({ "threshold": 0, "debtLimit": 12_501 }), "debtLimit", "must be at most 12500"),
        (json!({ "monthlySpendLimit": { "amount": 4_899, "currency": "GBP" } }), "amount", "GBP 49.00"),
        (
            json!({ "threshold": huge, "monthlySpendLimit": { "amount": 99_999_999, "currency": "GBP" } }),
            "threshold",
            "must be at most 12531000",
        ),
        (
            json!({ "monthlySpendLimit": { "amount": 10_000, "currency": "EUR" } }),
            "monthlySpendLimit.currency",
            "must be GBP",
        ),
    ] {
        let refused = set(&world, &org, &seed_with(&fields)).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{fields}");
        let problem = &refused.body["error"]["details"]["fields"][field];
        assert!(problem.as_str().is_some_and(|problem| problem.contains(words)), "{fields}: {refused:?}");
    }
    assert_eq!(prices(&world, &org).await, Vec::<u64>::new());
    set(&world, &org, &seed_with(&json!({ "threshold": 12_500 }))).await.data();
    assert_eq!(prices(&world, &org).await, [99_750]);
}

#[tokio::test]
async fn the_monthly_limit_has_a_default_that_the_owner_can_raise() {
    let (world, org) = world(5).await;
    let told_back = set(&world, &org, &seed()).await.data();
    for (field, value) in seed().as_object().unwrap() {
        assert_eq!(&told_back[field], value, "{field}");
    }
    let money = |amount: u64| json!({ "amount": amount, "currency": "GBP" });
    assert_eq!(told_back["monthlySpendLimit"], money(100_000));
    assert_eq!(world.get(PATH, &org.key).await.data()["state"]["spentThisMonth"], money(4_900));
    let limited = json!({ "monthlySpendLimit": money(10_000) });
    assert_eq!(set(&world, &org, &limited).await.data()["monthlySpendLimit"], money(10_000));
    pass(&world, 3600).await;
    spend(&world, &org, 500).await;
    assert_eq!(prices(&world, &org).await, [4_900, 4_900]);
    spend(&world, &org, 500).await;
    assert_eq!(prices(&world, &org).await, [4_900, 4_900]);
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("monthly_spend_limit")));
    let paused = reported(&world, &org, "auto_recharge.paused").await;
    assert_eq!(
        (&paused[0]["reason"], &paused[0]["until"]),
        (&json!("monthly_spend_limit"), &json!("2024-02-01T00:00:00Z"))
    );
    set(&world, &org, &json!({ "monthlySpendLimit": money(15_000) })).await.data();
    assert_eq!(prices(&world, &org).await, [4_900, 4_900, 4_900]);
    assert_eq!(
        set(&world, &org, &json!({ "monthlySpendLimit": null })).await.data()["monthlySpendLimit"],
        money(100_000)
    );
    spend(&world, &org, 500).await;
    assert_eq!(state(&world, &org).await["spentThisMonth"], money(19_600));
}

/// If the price exceeds the limit of a payment, nothing is charged, not even in part.
#[tokio::test]
async fn a_higher_price_is_not_paid_in_parts() {
    let (world, org) = world(3_000).await;
    set(&world, &org, &seed_with(&json!({ "threshold": 2_000 }))).await.data();
    for (package, credits) in [("starter", 500), ("growth", 1_000), ("professional", 5_000)] {
        set_package(&world, package, &json!({ "price": { "amount": credits * 60, "currency": "GBP" } }))
            .await;
    }
    spend(&world, &org, 2_900).await;
    assert_eq!(prices(&world, &org).await, Vec::<u64>::new());
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("payment_limit")));
    let paused = reported(&world, &org, "auto_recharge.paused").await;
    assert_eq!((&paused[0]["until"], &paused[0]["enabled"]), (&json!("2024-01-15T11:30:00Z"), &json!(true)));
    pass(&world, 5 * 3600).await;
    assert_eq!(prices(&world, &org).await, Vec::<u64>::new());
    assert_eq!(reported(&world, &org, "auto_recharge.paused").await.len(), 1);
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 5_000 })).await;
    world.settle().await;
    assert_eq!(status(&world, &org).await.0, json!("ready"));
}

#[tokio::test]
async fn a_threshold_far_away_is_one_payment() {
    let (world, org) = world(5).await;
    let limit = json!({ "amount": 99_999_999, "currency": "GBP" });
    let path = format!("/admin/v1/organisations/{}/spending-limit", org.id);
    world.put(&path, world.operator(), &json!({ "perDay": limit })).await.data();
    let body = seed_with(&json!({ "threshold": 1_000_000, "monthlySpendLimit": limit }));
    set(&world, &org, &body).await.data();
    pass(&world, 2 * 3600).await;
    assert_eq!(prices(&world, &org).await, [7_980_000]);
}

#[tokio::test]
async fn a_missing_package_is_not_a_failed_payment() {
    let (world, org) = world(200).await;
    set(&world, &org, &seed()).await.data();
    for package in ["starter", "growth", "professional"] {
        set_package(&world, package, &json!({ "withdrawn": true })).await;
    }
    spend(&world, &org, 150).await;
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("not_on_sale")));
    assert_eq!(state(&world, &org).await["failures"], json!(0));
    pass(&world, 24 * 3600).await;
    let told_back = world.get(PATH, &org.key).await.data();
    assert_eq!((&told_back["enabled"], &told_back["state"]["failures"]), (&json!(true), &json!(0)));
    assert_eq!(reported(&world, &org, "auto_recharge.failed").await, Vec::<Value>::new());
    set_package(&world, "starter", &json!({ "withdrawn": false })).await;
    pass(&world, 3600).await;
    assert_eq!(prices(&world, &org).await, [4_900]);
}

/// Grants, debits and reads neither shorten nor lengthen the wait after a failed payment.
#[tokio::test]
async fn a_failed_payment_is_tried_again_after_exactly_an_hour() {
    let (world, org) = world(105).await;
    set(&world, &org, &seed_with(&json!({ "paymentMethod": "card_declined" }))).await.data();
    spend(&world, &org, 10).await;
    assert_eq!(charges(&world, &org).await.len(), 1);
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 50 })).await;
    pass(&world, 600).await;
    spend(&world, &org, 50).await;
    pass(&world, 300).await;
    let told_back = state(&world, &org).await;
    assert_eq!(
        (&told_back["status"], &told_back["nextAttempt"]),
        (&json!("paused"), &json!("2024-01-15T11:30:00Z"))
    );
    pass(&world, 8 * 3600).await;
    let times: Vec<_> = charges(&world, &org).await.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [NOW, "2024-01-15T11:30:00Z", "2024-01-15T17:30:00Z"]);
}

/// A successful purchase by the customer resets the count of failures.
#[tokio::test]
async fn a_purchase_by_the_customer_resets_the_failures() {
    let (world, org) = world(105).await;
    set(&world, &org, &seed_with(&json!({ "paymentMethod": "card_declined" }))).await.data();
    spend(&world, &org, 10).await;
    pass(&world, 3600).await;
    assert_eq!(state(&world, &org).await["failures"], json!(2));
    buy(&world, &org, 2).await;
    world.settle().await;
    assert_eq!(state(&world, &org).await["failures"], json!(0));
    // Six hours after the second failure; then again one hour and six hours later, as after a first failure.
    pass(&world, 14 * 3600).await;
    let times: Vec<_> =
        charges(&world, &org).await.into_iter().filter(|(_, price)| *price == 4_900).collect();
    let times: Vec<_> = times.into_iter().map(|(at, _)| at).collect();
    let expected =
        [NOW, "2024-01-15T11:30:00Z", "2024-01-15T17:30:00Z", "2024-01-15T18:30:00Z", "2024-01-16T00:30:00Z"];
    assert_eq!(times, expected);
    assert_eq!(world.get(PATH, &org.key).await.data()["enabled"], json!(false));
}

/// The event of a failed payment names a transaction that the owner can read.
#[tokio::test]
async fn a_failure_names_an_existing_transaction() {
    let (world, org) = world(5).await;
    set(&world, &org, &seed_with(&json!({ "paymentMethod": "card_declined" }))).await.data();
    pass(&world, 24 * 3600).await;
    let failed = reported(&world, &org, "auto_recharge.failed").await;
    assert_eq!(failed.len(), 3);
    for failure in failed {
        let path = format!("/api/v3/credits/transactions/{}", failure["transactionId"].as_str().unwrap());
        assert_eq!(world.get(&path, &org.key).await.data()["status"], json!("failed"));
    }
}

/// After a dispute nothing is charged until the owner enables auto-recharge again.
#[tokio::test]
async fn a_dispute_pauses_auto_recharge_until_it_is_enabled_again() {
    let (world, org) = world(5).await;
    set(&world, &org, &seed()).await.data();
    spend(&world, &org, 300).await;
    let charge =
        world.get("/_local/payments", "").await.data()[0]["transactionId"].as_str().unwrap().to_owned();
    let path = format!("/_local/payments/{charge}/dispute");
    world.post_plain(&path, &json!({ "action": "open" })).await.data();
    world.settle().await;
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("disputed")));
    pass(&world, 40 * 24 * 3600).await;
    world.post_plain(&path, &json!({ "action": "lose" })).await.data();
    world.settle().await;
    pass(&world, 2 * 3600).await;
    assert_eq!(prices(&world, &org).await, [4_900], "the card is charged once");
    let told_back = world.get(PATH, &org.key).await.data();
    assert_eq!((&told_back["enabled"], &told_back["state"]["nextAttempt"]), (&json!(true), &Value::Null));
    let paused = reported(&world, &org, "auto_recharge.paused").await;
    assert_eq!(paused.len(), 1, "{paused:?}");
    assert_eq!((&paused[0]["reason"], &paused[0]["until"]), (&json!("disputed"), &Value::Null));
    // The credits of the lost payment that were spent are owed, and not charged again unless the owner asks for it.
    set(&world, &org, &json!({ "paymentMethod": "card_other" })).await.data();
    assert!(world.balance(&org.key).await["postPaid"]["outstanding"].as_u64() > Some(0));
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("debt")));
    assert_eq!(prices(&world, &org).await, [4_900]);
}

/// A dispute of a purchase by the customer pauses auto-recharge too, even if it is about less than the price of one
/// credit.
#[tokio::test]
async fn a_dispute_of_a_purchase_by_the_customer_pauses_auto_recharge() {
    for open in [json!({ "action": "open" }), json!({ "action": "open", "amount": 5 })] {
        let (world, org) = world(100).await;
        set(&world, &org, &seed()).await.data();
        let bought = buy(&world, &org, 500).await["transactionId"].as_str().unwrap().to_owned();
        world.post_plain(&format!("/_local/payments/{bought}/dispute"), &open).await.data();
        world.settle().await;
        spend(&world, &org, 50).await;
        assert_eq!(status(&world, &org).await, (json!("paused"), json!("disputed")), "{open}");
        assert_eq!(charges(&world, &org).await.len(), 1);
    }
}

/// A refund takes its credits back, and auto-recharge does not charge the card for them again.
#[tokio::test]
async fn a_refund_pauses_auto_recharge_until_it_is_enabled_again() {
    for (refund, spent) in [(json!({}), 10), (json!({ "amount": 5 }), 500)] {
        let (world, org) = world(100).await;
        set(&world, &org, &seed()).await.data();
        let bought = buy(&world, &org, 500).await;
        spend(&world, &org, 50).await;
        let path = format!("/_local/payments/{}/refund", bought["transactionId"].as_str().unwrap());
        world.post_plain(&path, &refund).await.data();
        world.settle().await;
        pass(&world, 2 * 3600).await;
        assert_eq!(charges(&world, &org).await.len(), 1, "{refund}");
        assert_eq!(status(&world, &org).await, (json!("paused"), json!("refunded")), "{refund}");
        let [paused] = reported(&world, &org, "auto_recharge.paused").await.try_into().unwrap();
        assert_eq!((&paused["reason"], &paused["until"]), (&json!("refunded"), &Value::Null));
        set(&world, &org, &seed()).await.data();
        spend(&world, &org, spent).await;
        assert_eq!(charges(&world, &org).await.len(), 2, "enabled again, it charges");
    }
}

/// The daily limit belongs to the organisation, so it is no failure of auto-recharge: it waits for the next day and
/// emits one event.
#[tokio::test]
async fn auto_recharge_waits_when_the_daily_limit_is_reached() {
    let (world, org) = world(105).await;
    let path = format!("/admin/v1/organisations/{}/spending-limit", org.id);
    let limit = json!({ "perDay": { "amount": 4_899, "currency": "GBP" } });
    world.put(&path, world.operator(), &limit).await.data();
    set(&world, &org, &seed()).await.data();
    spend(&world, &org, 10).await;
    pass(&world, 3 * 3600).await;
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("daily_spend_limit")));
    pass(&world, 24 * 3600).await;
    let paused = reported(&world, &org, "auto_recharge.paused").await;
    assert_eq!(paused.len(), 1, "{paused:?}");
    assert_eq!(paused[0]["until"], json!("2024-01-16T00:00:00Z"));
    let limit = json!({ "perDay": { "amount": 4_900, "currency": "GBP" } });
    world.put(&path, world.operator(), &limit).await.data();
    pass(&world, 12 * 3600).await;
    assert_eq!(prices(&world, &org).await, [4_900]);
}

async fn owe(world: &World, org: &Org, credits: u64) {
    let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
    world.put(&path, world.operator(), &json!({ "limit": 1_000_000 })).await.data();
    spend(world, org, credits).await;
}

/// A post-paid debt of a million credits is not charged unless the owner allows it.
#[tokio::test]
async fn debt_is_not_charged_unless_the_owner_allows_it() {
    let (world, org) = world(0).await;
    owe(&world, &org, 1_000_000).await;
    set(&world, &org, &seed()).await.data();
    pass(&world, 3600).await;
    assert_eq!(prices(&world, &org).await, Vec::<u64>::new());
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("debt")));
    assert_eq!(reported(&world, &org, "auto_recharge.paused").await[0]["reason"], json!("debt"));
}

#[tokio::test]
async fn debt_is_charged_up_to_a_limit_of_its_own() {
    let (world, org) = world(0).await;
    owe(&world, &org, 600).await;
    let told_back = set(&world, &org, &seed_with(&json!({ "debtLimit": 599 }))).await.data();
    assert_eq!(told_back["debtLimit"], json!(599));
    assert_eq!(prices(&world, &org).await, Vec::<u64>::new());
    set(&world, &org, &json!({ "debtLimit": 600 })).await.data();
    assert_eq!(prices(&world, &org).await, [8_900], "700 are two packs, in one payment");
    let balance = world.balance(&org.key).await;
    assert_eq!((&balance["spendable"], &balance["postPaid"]["outstanding"]), (&json!(400), &json!(0)));
    owe(&world, &org, 400 + 601).await;
    assert_eq!(status(&world, &org).await, (json!("paused"), json!("debt")));
    buy(&world, &org, 601).await;
    world.settle().await;
    assert_eq!(charges(&world, &org).await.len(), 3);
    assert_eq!(status(&world, &org).await.0, json!("ready"));
}
