//! Balances at a past time: `GET /api/v3/credits/balance?at=`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use serde_json::{Value, json};
use tests::{Org, World, unique};

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn at(world: &World, key: &str, at: &str) -> Value {
    world.get(&format!("/api/v3/credits/balance?at={at}"), key).await.data()
}

async fn clock(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

/// A balance without its sequence number, because the end of a lot gets its number when it is booked.
fn without_sequence(balance: &Value) -> Value {
    let mut reported = balance.clone();
    reported["asOf"] = Value::Null;
    reported
}

/// A history with renewals, expiring lots and a plan change: the balance at any past time, recorded or between,
/// equals what the API answered then.
#[tokio::test]
async fn a_past_balance_equals_what_was_answered_then() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let mut seen: BTreeMap<String, Value> = BTreeMap::new();
    let spend = async |quantity: u64| {
        let body = json!({ "operation": "verification.standard", "quantity": quantity });
        world.consume(&org.key, &unique(), &body).await.created();
    };
    let steps = [
        ("2024-01-16T00:00:00Z", "spend"),
        ("2024-01-20T00:00:00Z", "grant"),
        ("2024-01-20T00:00:01Z", "purchase"),
        ("2024-01-31T23:59:59Z", "spend"),
        ("2024-02-01T00:00:00Z", "look"),
        ("2024-02-01T00:00:01Z", "spend"),
        ("2024-02-09T23:59:58Z", "spend"),
        ("2024-02-09T23:59:59Z", "look"),
        ("2024-02-10T00:00:05Z", "spend"),
        ("2024-02-10T00:00:59Z", "look"),
        ("2024-02-10T00:02:00Z", "spend"),
        ("2024-03-05T00:00:00Z", "plan"),
        ("2024-05-20T00:00:00Z", "look"),
        ("2024-05-21T00:00:00Z", "spend"),
    ];
    for (now, step) in steps {
        clock(&world, now).await;
        match step {
            "spend" => spend(7).await,
            "grant" => {
                for service in
                    [Value::Null, json!("smartcheck"), json!("api"), json!("biometric"), Value::Null]
                {
                    let gift = json!({ "source": "bonus", "amount": 11, "service": service,
                        "expiresAt": "2024-02-09T23:59:59Z" });
                    world.grant(&org.id, &gift).await;
                }
            }
            "purchase" => drop(world.grant(&org.id, &json!({ "source": "purchased", "amount": 50 })).await),
            "plan" => drop(
                world.put("/api/v3/subscription", &org.key, &json!({ "plan": "enterprise" })).await.data(),
            ),
            _ => (),
        }
        seen.insert(now.to_owned(), without_sequence(&world.balance(&org.key).await));
    }
    for (now, balance) in &seen {
        assert_eq!(&without_sequence(&at(&world, &org.key, now).await), balance, "{now}");
    }
    for (between, available, plan) in [
        ("2024-01-15T10:30:00Z", 100, "professional"),
        ("2024-01-19T23:59:59Z", 93, "professional"),
        ("2024-01-31T23:59:58Z", 198, "professional"),
        ("2024-02-09T23:59:57Z", 198, "professional"),
        ("2024-03-04T23:59:59Z", 150, "professional"),
        ("2024-04-02T00:00:00Z", 50, "enterprise"),
    ] {
        let balance = at(&world, &org.key, between).await;
        assert_eq!((&balance["available"], &balance["plan"]), (&json!(available), &json!(plan)), "{between}");
        assert_eq!(balance["asOf"]["timestamp"], json!(between));
    }
}

/// The balance at a time by the rows of the ledger: the last row before the first later one.
fn by_the_lines(lines: &[Value], now: &str) -> (u64, u64) {
    let before = lines.iter().take_while(|line| line["timestamp"].as_str().unwrap() <= now);
    let last = before.last().unwrap();
    (last["balanceAfter"].as_u64().unwrap(), last["sequence"].as_u64().unwrap())
}

/// Sixteen clients make debits while the clock advances: the balance at each second equals the sum of the rows.
#[tokio::test(flavor = "multi_thread")]
async fn the_balance_at_every_instant_is_the_sum_of_the_rows() {
    let world = Arc::new(World::at("2024-01-31T23:59:50Z").await);
    let org = world.open(100_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let reported = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..16)
        .map(|client: u64| {
            let (world, key, stop, reported) =
                (world.clone(), org.key.clone(), stop.clone(), reported.clone());
            tokio::spawn(async move {
                let mut number = 0;
                while !stop.load(Ordering::Relaxed) {
                    number += 1;
                    let body = json!({ "operation": "verification.standard", "quantity": client / 4 + 1 });
                    world.consume(&key, &format!("{client}-{number}"), &body).await.created();
                    reported.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(std::time::Duration::from_millis(60)).await;
                }
            })
        })
        .collect();
    let start: DateTime<Utc> = "2024-01-31T23:59:50Z".parse().unwrap();
    for second in 1..=12 {
        // More answers than clients: at least one was requested in this second.
        let enough = reported.load(Ordering::Relaxed) + 17;
        while reported.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        clock(&world, &text(start + Duration::seconds(second))).await;
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    clock(&world, "2024-02-01T00:05:00Z").await;
    let mut lines = world.transactions(&org.key, "limit=100").await;
    lines.reverse();
    let mut instants = std::collections::BTreeSet::new();
    for second in 0..40 {
        let now = text(start + Duration::seconds(second));
        let balance = at(&world, &org.key, &now).await;
        let (available, sequence) = by_the_lines(&lines, &now);
        assert_eq!(
            (&balance["available"], &balance["asOf"]["sequence"]),
            (&json!(available), &json!(sequence)),
            "{now}"
        );
        instants.insert(sequence);
    }
    assert!(instants.len() >= 4, "the clock advanced during the debits: {instants:?}");
}

async fn reads(world: &World, org: &Org, now: &str) -> u64 {
    world.delete("/_local/capacity", "").await.data();
    at(world, &org.key, now).await;
    let reported = world.get("/_local/capacity", "").await.data();
    reported["routes"]["GET /api/v3/credits/balance"]["requests"].as_u64().unwrap()
}

/// A past balance takes a few reads, however long the ledger is.
#[tokio::test]
async fn a_past_balance_takes_a_few_reads() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(5_000).await;
    let body = json!({ "operation": "verification.standard" });
    for number in 0..700 {
        if number % 100 == 0 {
            world.post_plain("/_local/clock", &json!({ "advanceSeconds": 60 })).await.data();
        }
        world.consume(&org.key, &unique(), &body).await.created();
    }
    clock(&world, "2024-03-20T00:00:00Z").await;
    world.balance(&org.key).await;
    for now in [
        "2024-01-15T10:30:00Z",
        "2024-01-15T10:33:30Z",
        "2024-01-15T10:37:00Z",
        "2024-02-20T00:00:00Z",
        "2024-03-20T00:00:00Z",
    ] {
        let reads = reads(&world, &org, now).await;
        assert!((1..=5).contains(&reads), "{now} took {reads} reads");
    }
    assert_eq!(at(&world, &org.key, "2024-01-15T10:33:30Z").await["available"], json!(4_700));
}

#[tokio::test]
async fn only_the_organisations_lifetime_can_be_asked_for() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    for wrong in [
        "2024-01-15T10:30:01Z",
        "2024-01-15T10:29:59Z",
        "1999-01-01T00:00:00Z",
        "yesterday",
        "",
        "2024-01-15",
        "2024-01-15T10:30:00+01:00",
    ] {
        let answer = world.get(&format!("/api/v3/credits/balance?at={wrong}"), &org.key).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{wrong}");
        assert!(answer.body["error"]["details"]["fields"]["at"].is_string(), "{answer:?}");
    }
    assert_eq!(at(&world, &org.key, "2024-01-15T11:30:00%2B01:00").await["available"], json!(10));
    let answer = world.get("/api/v3/credits/balance?as=2024-01-15T10:30:00Z", &org.key).await;
    assert_eq!(answer.failure(), "400 VALIDATION_ERROR");
}

/// In the minute between a lot's end and its booking, the rows still add up: its credits are not available, but
/// still in the ledger.
#[tokio::test]
async fn rows_add_up_before_an_expiry_is_booked() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    world
        .grant(&org.id, &json!({ "source": "bonus", "amount": 50, "expiresAt": "2024-01-31T23:59:30Z" }))
        .await;
    let spend = async |operation: &str| {
        let body = json!({ "operation": operation });
        world.consume(&org.key, &unique(), &body).await.created()
    };
    for (now, operation, available) in [
        ("2024-01-31T23:59:29Z", "verification.standard", 149),
        ("2024-01-31T23:59:30Z", "verification.standard", 98),
        ("2024-01-31T23:59:59Z", "api.get", 98),
        ("2024-02-01T00:00:00Z", "verification.standard", 99),
        ("2024-02-01T00:00:31Z", "verification.standard", 98),
    ] {
        clock(&world, now).await;
        assert_eq!(spend(operation).await["balance"]["available"], json!(available), "{now}");
    }
    let mut lines = world.transactions(&org.key, "").await;
    lines.reverse();
    let mut sum = 0;
    for line in &lines {
        let (amount, expired) = (line["amount"].as_i64().unwrap(), line["expired"].as_i64().unwrap_or(0));
        sum += if line["type"] == json!("DEBIT") { -amount } else { amount - expired };
        assert_eq!(line["balanceAfter"], json!(sum), "{line}");
    }
    for (now, available) in [
        ("2024-01-31T23:59:29Z", 149),
        ("2024-01-31T23:59:30Z", 98),
        ("2024-01-31T23:59:59Z", 98),
        ("2024-02-01T00:00:00Z", 99),
    ] {
        assert_eq!(at(&world, &org.key, now).await["available"], json!(available), "{now}");
    }
}
