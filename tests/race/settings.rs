//! Settings that are changed simultaneously, late, or based on an older version.

use std::sync::Arc;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, send, unique};
use tokio::task::JoinSet;

const RECHARGE: &str = "/api/v3/credits/auto-recharge";
const ALERTS: &str = "/api/v3/credits/alerts";

async fn world(allowance: u64) -> (World, Org) {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(allowance).await;
    (world, org)
}

/// The configuration of the seed document.
fn seed(threshold: u64) -> Value {
    json!({ "enabled": true, "threshold": threshold, "amount": 500, "paymentMethod": "card_xyz123" })
}

async fn spend(world: &World, org: &Org, amount: u64) {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    world.consume(&org.key, &unique(), &body).await.created();
    world.settle().await;
}

/// Switching auto-recharge off where it was never on is no error and stores nothing.
#[tokio::test]
async fn switching_off_unset_auto_recharge_is_no_error() {
    let (world, org) = world(5).await;
    let before = world.get(RECHARGE, &org.key).await.data();
    for body in [json!({ "enabled": false }), json!({})] {
        assert_eq!(world.put(RECHARGE, &org.key, &body).await.data(), before, "{body}");
    }
    assert_eq!(world.get(RECHARGE, &org.key).await.data(), before);
    assert_eq!(
        world.put(RECHARGE, &org.key, &json!({ "enabled": true })).await.failure(),
        "400 VALIDATION_ERROR"
    );
}

/// Simultaneous changes of settings all succeed.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_settings_are_all_stored() {
    let (world, org) = world(5).await;
    let world = Arc::new(world);
    let bodies = |number: u64| {
        let recharge = seed(number);
        let alerts = json!({ "lowBalanceThreshold": number, "expiryNoticeDays": number });
        [(RECHARGE, recharge), (ALERTS, alerts)]
    };
    for round in 0..2_u64 {
        let mut tasks = JoinSet::new();
        for (path, body) in (1..=40).flat_map(|number| bodies(round * 40 + number)) {
            let (world, key) = (world.clone(), org.key.clone());
            tasks.spawn(async move { (path, world.put(path, &key, &body).await) });
        }
        for (path, answer) in tasks.join_all().await {
            assert_eq!(answer.status, 200, "{path}: {answer:?}");
        }
    }
}

async fn put_if(world: &World, (path, key): (&str, &str), tag: &str, body: &Value) -> ApiAnswer {
    send(world.request(Method::PUT, path, key).header("If-Match", tag).json(body)).await
}

/// A conditional change applies to the version that was read, and not to one that another request has written
/// since.
#[tokio::test]
async fn settings_are_changed_at_the_version_that_was_read() {
    let (world, org) = world(105).await;
    for (path, on, off) in [
        (RECHARGE, seed(100), json!({ "enabled": false })),
        (ALERTS, json!({ "lowBalanceThreshold": 7 }), json!({ "lowBalanceThreshold": 100 })),
    ] {
        let read = world.get(path, &org.key).await;
        let first = read.header("etag").unwrap().to_owned();
        assert!(first.starts_with('"'), "a strong tag: {first}");
        let set = put_if(&world, (path, &org.key), &first, &on).await;
        let second = set.header("etag").unwrap().to_owned();
        set.data();
        assert_ne!(first, second);
        let read = world.get(path, &org.key).await;
        assert_eq!(read.header("etag"), Some(second.as_str()));
        // The setting has its old value again, but it has changed: the delayed first request is refused.
        let list = format!("\"other\", {second}");
        let third = put_if(&world, (path, &org.key), &list, &off).await;
        let third = third.header("etag").unwrap().to_owned();
        for stale in [&first, &second, "\"other\"", &format!("W/{third}"), "other", ""] {
            let refused = put_if(&world, (path, &org.key), stale, &on).await;
            assert_eq!(refused.failure(), "412 PRECONDITION_FAILED", "{path} {stale}");
        }
        for (field, value) in off.as_object().unwrap() {
            assert_eq!(&world.get(path, &org.key).await.data()[field], value, "{path} is as it was");
        }
        put_if(&world, (path, &org.key), &third, &on).await.data();
        put_if(&world, (path, &org.key), "*", &off).await.data();
    }
}

/// Of simultaneous changes that are based on one version, one succeeds.
#[tokio::test(flavor = "multi_thread")]
async fn of_changes_based_on_one_version_one_succeeds() {
    let (world, org) = world(500).await;
    let world = Arc::new(world);
    for path in [RECHARGE, ALERTS] {
        let tag = world.get(path, &org.key).await.header("etag").unwrap().to_owned();
        let mut tasks = JoinSet::new();
        for number in 1..=16_u64 {
            let (world, key, tag) = (world.clone(), org.key.clone(), tag.clone());
            tasks.spawn(async move {
                let body = match path {
                    RECHARGE => seed(number),
                    _ => json!({ "lowBalanceThreshold": number }),
                };
                put_if(&world, (path, &key), &tag, &body).await.status
            });
        }
        let mut statuses = tasks.join_all().await;
        statuses.sort_unstable();
        assert_eq!(statuses, [vec![200], vec![412; 15]].concat(), "{path}");
    }
}

/// Auto-recharge's own progress does not make its owner's next change stale; that it switches itself off does.
#[tokio::test]
async fn only_settings_change_the_tag() {
    let (world, org) = world(105).await;
    world.put(RECHARGE, &org.key, &seed(100)).await.data();
    let tag = async || world.get(RECHARGE, &org.key).await.header("etag").unwrap().to_owned();
    let before = tag().await;
    spend(&world, &org, 10).await;
    assert_eq!(world.balance(&org.key).await["available"], json!(595));
    assert_eq!(tag().await, before);
    world.put(RECHARGE, &org.key, &json!({ "paymentMethod": "card_declined" })).await.data();
    let before = tag().await;
    spend(&world, &org, 500).await;
    world.pass(8 * 3600).await;
    world.settle().await;
    assert_eq!(world.get(RECHARGE, &org.key).await.data()["enabled"], json!(false));
    assert_ne!(tag().await, before);
}
