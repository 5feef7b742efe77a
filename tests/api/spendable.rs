//! Thresholds follow spendable credits: credits of one service do not hide an empty account.

use serde_json::{Value, json};
use tests::{Org, World, unique};

const NOW: &str = "2024-01-15T10:00:00Z";
const ALERTS: &str = "/api/v3/credits/alerts";
const RECHARGE: &str = "/api/v3/credits/auto-recharge";

/// 110 credits for any debit, and 500 only for smartcheck.
async fn scoped() -> (World, Org) {
    let world = World::at(NOW).await;
    let org = world.open(110).await;
    let gift = json!({ "source": "bonus", "amount": 500, "service": "smartcheck" });
    world.grant(&org.id, &gift).await;
    world.settle().await;
    (world, org)
}

async fn spend(world: &World, org: &Org, amount: u64, service: Option<&str>) {
    let mut body = json!({ "operation": "verification.standard", "quantity": amount });
    if let Some(service) = service {
        body["service"] = json!(service);
    }
    world.consume(&org.key, &unique(), &body).await.created();
    world.settle().await;
}

async fn levels(world: &World, org: &Org) -> (Value, Value) {
    let balance = world.balance(&org.key).await;
    (balance["available"].clone(), balance["spendable"].clone())
}

/// The data of an organisation's events with these names, in order.
async fn events_named(world: &World, org: &Org, names: &[&str]) -> Vec<(String, Value)> {
    let mut events = world.events(&org.key).await;
    events.iter().for_each(tests::assert_event);
    events.retain(|event| names.contains(&event["event"].as_str().unwrap()));
    let line = |event: &Value| (event["event"].as_str().unwrap().to_owned(), event["data"].clone());
    events.iter().map(line).collect()
}

#[tokio::test]
async fn available_is_the_sum_and_spendable_excludes_credits_of_services() {
    let (world, org) = scoped().await;
    assert_eq!(levels(&world, &org).await, (json!(610), json!(110)));
    spend(&world, &org, 10, Some("smartcheck")).await;
    assert_eq!(levels(&world, &org).await, (json!(600), json!(100)), "the allowance pays first");
    spend(&world, &org, 100, None).await;
    assert_eq!(levels(&world, &org).await, (json!(500), json!(0)));
    let body = json!({ "operation": "verification.standard", "service": "smartcheck" });
    let charged = world.consume(&org.key, &unique(), &body).await.created();
    assert_eq!(
        (&charged["balance"]["available"], &charged["balance"]["spendable"]),
        (&json!(499), &json!(0))
    );
    let refused = world.consume(&org.key, &unique(), &json!({ "operation": "verification.standard" })).await;
    assert_eq!(refused.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(refused.body["error"]["details"]["available"], json!(0));
    let past = world.get(&format!("/api/v3/credits/balance?at={NOW}"), &org.key).await.data();
    assert_eq!((&past["available"], &past["spendable"]), (&json!(499), &json!(0)));
}

/// Ended credits are not spendable, and credits of one service never were.
#[tokio::test]
async fn ended_credits_are_not_spendable() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    for (amount, service) in [(100, Some("smartcheck")), (7, None)] {
        let mut gift = json!({ "source": "bonus", "amount": amount, "expiresAt": "2024-01-20T00:00:00Z" });
        if let Some(service) = service {
            gift["service"] = json!(service);
        }
        world.grant(&org.id, &gift).await;
    }
    assert_eq!(levels(&world, &org).await, (json!(117), json!(17)));
    world.pass(6 * 24 * 3600).await;
    assert_eq!(levels(&world, &org).await, (json!(10), json!(10)));
    let past = world.get("/api/v3/credits/balance?at=2024-01-19T00:00:00Z", &org.key).await.data();
    assert_eq!((&past["available"], &past["spendable"]), (&json!(117), &json!(17)));
    let past = world.get("/api/v3/credits/balance?at=2024-01-20T00:00:00Z", &org.key).await.data();
    assert_eq!((&past["available"], &past["spendable"]), (&json!(10), &json!(10)));
}

#[tokio::test]
async fn auto_recharge_buys_although_scoped_credits_are_left() {
    let (world, org) = scoped().await;
    let seed = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123" });
    world.put(RECHARGE, &org.key, &seed).await.data();
    for _ in 0..11 {
        spend(&world, &org, 10, None).await;
    }
    assert_eq!(levels(&world, &org).await, (json!(1_000), json!(500)));
    assert_eq!(world.transactions(&org.key, "operation=credit.purchase").await.len(), 1);
}

/// The threshold of a service counts its own credits, and is not crossed while they last.
#[tokio::test]
async fn auto_recharge_may_follow_a_service() {
    let (world, org) = scoped().await;
    let seed = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_xyz123",
        "service": "smartcheck" });
    let answer = world.put(RECHARGE, &org.key, &seed).await.data();
    assert_eq!(answer["service"], json!("smartcheck"));
    spend(&world, &org, 110, None).await;
    assert_eq!(levels(&world, &org).await, (json!(500), json!(0)));
    spend(&world, &org, 400, Some("smartcheck")).await;
    assert_eq!(levels(&world, &org).await, (json!(100), json!(0)));
    spend(&world, &org, 1, Some("smartcheck")).await;
    assert_eq!(levels(&world, &org).await, (json!(599), json!(500)));
    let answer = world.put(RECHARGE, &org.key, &json!({ "service": null })).await.data();
    assert_eq!(answer["service"], Value::Null);
}

#[tokio::test]
async fn alerts_follow_spendable_credits() {
    let (world, org) = scoped().await;
    spend(&world, &org, 11, None).await;
    spend(&world, &org, 99, None).await;
    let gift = json!({ "source": "bonus", "amount": 1_000, "service": "smartcheck" });
    world.grant(&org.id, &gift).await;
    world.settle().await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 101 })).await;
    world.settle().await;
    let names = ["credits.low_balance", "credits.depleted", "credits.recovered"];
    let level = |balance: u64, threshold: u64, message: &str| json!({ "currentBalance": balance, "threshold": threshold, "message": message });
    let expected = [
        ("credits.low_balance", level(99, 100, "Your credit balance is running low")),
        ("credits.depleted", level(0, 0, "Your credits are used up")),
        ("credits.recovered", level(101, 100, "Your credit balance has recovered")),
    ];
    let expected = expected.map(|(name, data)| (name.to_owned(), data));
    assert_eq!(events_named(&world, &org, &names).await, expected);
}

#[tokio::test]
async fn a_threshold_of_a_service_follows_its_spendable_credits() {
    let (world, org) = scoped().await;
    let set = json!({ "lowBalanceThreshold": 0,
        "serviceThresholds": [{ "service": "smartcheck", "threshold": 400 }, { "service": "api", "threshold": 50 }] });
    let told_back = world.put(ALERTS, &org.key, &set).await.data();
    let expected =
        json!([{ "service": "smartcheck", "threshold": 400 }, { "service": "api", "threshold": 50 }]);
    assert_eq!((&told_back["serviceThresholds"], &told_back["lowBalanceThreshold"]), (&expected, &json!(0)));
    let told_back = world.put(ALERTS, &org.key, &json!({ "lowBalanceThreshold": 5 })).await.data();
    assert_eq!(
        (&told_back["serviceThresholds"], &told_back["lowBalanceThresholds"]),
        (&expected, &json!([5]))
    );
    spend(&world, &org, 70, None).await;
    let names = ["credits.low_balance", "credits.recovered"];
    let low = |service: &str, balance: u64, threshold: u64| {
        let message = format!("Your credits for {service} are running low");
        let data = json!({ "currentBalance": balance, "threshold": threshold, "service": service, "message": message });
        ("credits.low_balance".to_owned(), data)
    };
    assert_eq!(events_named(&world, &org, &names).await, [low("api", 40, 50)]);
    spend(&world, &org, 141, Some("smartcheck")).await;
    let events = events_named(&world, &org, &names).await;
    assert_eq!(
        events[1..],
        [
            (
                "credits.low_balance".to_owned(),
                json!({ "currentBalance": 0, "threshold": 5, "message": "Your credit balance is running low" })
            ),
            low("smartcheck", 399, 400),
        ]
    );
    let gift = json!({ "source": "bonus", "amount": 2, "service": "smartcheck" });
    world.grant(&org.id, &gift).await;
    world.settle().await;
    let recovered = json!({ "currentBalance": 401, "threshold": 400, "service": "smartcheck",
        "message": "Your credits for smartcheck have recovered" });
    assert_eq!(events_named(&world, &org, &names).await[3..], [("credits.recovered".to_owned(), recovered)]);
}

#[tokio::test]
async fn thresholds_of_services_that_do_not_read_are_refused() {
    let world = World::at(NOW).await;
    let many: Vec<_> = (1..=11).map(|number| json!({ "service": "api", "threshold": number })).collect();
    for (body, field) in [
        (
            json!({ "serviceThresholds": [{ "service": "smart", "threshold": 1 }] }),
            "serviceThresholds[0].service",
        ),
        (json!({ "serviceThresholds": [{ "service": "api" }] }), "serviceThresholds[0].threshold"),
        (
            json!({ "serviceThresholds": [{ "service": "api", "threshold": 0 }] }),
            "serviceThresholds[0].threshold",
        ),
        (json!({ "serviceThresholds": many }), "serviceThresholds"),
    ] {
        let refused = world.put(ALERTS, world.key(), &body).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{body}: {refused:?}");
    }
}

/// An unlimited plan is never low and never recovers.
#[tokio::test]
async fn an_unlimited_plan_reports_no_recovery() {
    let world = World::at(NOW).await;
    let org = world.open(110).await;
    spend(&world, &org, 20, None).await;
    let path = "/api/v3/subscription";
    world.put(path, &org.key, &json!({ "plan": "enterprise" })).await.data();
    world.settle().await;
    let names = ["credits.low_balance", "credits.recovered", "credits.depleted"];
    let events = events_named(&world, &org, &names).await;
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(events[0].0, "credits.low_balance");
}
