//! The passing of time: every account is renewed once a month, lots expire, and owners get their events.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use chrono::{DateTime, Duration, SecondsFormat, Utc};
use domain::Period;
use serde_json::{Value, json};
use tests::{World, unique};

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

async fn clock(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

async fn renewals(world: &World, key: &str) -> Vec<String> {
    let lines = world.transactions(key, "operation=credit.renewal&limit=100").await;
    let mut times: Vec<_> = lines.iter().map(|line| line["timestamp"].as_str().unwrap().to_owned()).collect();
    times.reverse();
    times
}

/// Fourteen months in steps of a second to seventy days: one renewal a month, in order, also for accounts that no
/// request read.
#[tokio::test]
async fn fourteen_months_bring_fourteen_renewals() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let idle = world.open(100).await;
    let busy = world.open(100).await;
    let days = |days: i64| days * 86_400;
    let mut now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    for step in [
        1,
        59,
        3_600,
        days(16),
        48_539,
        1,
        days(1),
        days(29),
        days(70),
        days(31),
        days(70),
        days(70),
        days(45),
    ] {
        now += Duration::seconds(step);
        world.post_plain("/_local/clock", &json!({ "advanceSeconds": step })).await.data();
        let reported = world.get("/_local/clock", "").await.data();
        assert_eq!(reported["now"], json!(text(now)));
        let body = json!({ "operation": "verification.standard", "quantity": 3 });
        world.consume(&busy.key, &unique(), &body).await.created();
    }
    clock(&world, "2025-03-01T00:00:00Z").await;
    let mut months = vec!["2024-01-01T00:00:00Z".to_owned()];
    let mut month = Period::try_from("2024-02".to_owned()).unwrap();
    while months.len() < 15 {
        months.push(text(month.start()));
        month = month.next();
    }
    assert_eq!(renewals(&world, &busy.key).await, months);
    // The schedule renewed the account that nothing had read: its rows exist before the first request.
    assert_eq!(renewals(&world, &idle.key).await, months);
    for line in world.transactions(&idle.key, "operation=credit.renewal").await.iter().rev().skip(1) {
        assert_eq!(
            (&line["amount"], &line["expired"], &line["balanceAfter"]),
            (&json!(100), &json!(100), &json!(100))
        );
    }
}

/// Sixty-four clients make debits while the month ends: every debit belongs to one month, and both months' sums are
/// exact.
#[tokio::test(flavor = "multi_thread")]
async fn debits_across_midnight_belong_to_one_month_each() {
    let world = Arc::new(World::at("2024-01-31T23:59:59Z").await);
    let org = world.open(100_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let reported = Arc::new(AtomicUsize::new(0));
    let clients: Vec<_> = (0..64)
        .map(|client| {
            let (world, key, stop, reported) =
                (world.clone(), org.key.clone(), stop.clone(), reported.clone());
            tokio::spawn(async move {
                let mut answers = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let body = json!({ "operation": "verification.standard" });
                    let name = format!("{client}-{}", answers.len());
                    answers.push(world.consume(&key, &name, &body).await);
                    reported.fetch_add(1, Ordering::Relaxed);
                    tokio::time::sleep(std::time::Duration::from_millis(150)).await;
                }
                answers
            })
        })
        .collect();
    // More answers than clients: at least one was requested in between.
    let some_more = async || {
        let enough = reported.load(Ordering::Relaxed) + 65;
        while reported.load(Ordering::Relaxed) < enough {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    some_more().await;
    clock(&world, "2024-02-01T00:00:00Z").await;
    some_more().await;
    stop.store(true, Ordering::Relaxed);
    let mut answers = Vec::new();
    for client in clients {
        answers.extend(client.await.unwrap());
    }
    world.settle().await;
    let mut sums: BTreeMap<String, u64> = BTreeMap::new();
    for answer in &answers {
        let debit = answer.created();
        let month = &debit["timestamp"].as_str().unwrap()[..7];
        *sums.entry(month.to_owned()).or_default() += debit["amount"].as_u64().unwrap();
        for source in debit["sources"].as_array().unwrap() {
            let lot = source["lotId"].as_str().unwrap();
            assert!(!lot.starts_with("sub_") || lot == format!("sub_{month}"), "{debit}");
        }
    }
    assert_eq!(sums.len(), 2, "debits before and after the renewal: {sums:?}");
    let balance = world.balance(&org.key).await;
    assert_eq!(balance["usedCredits"], json!(sums["2024-02"]));
    assert_eq!(renewals(&world, &org.key).await, ["2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"]);
    let lines = world.transactions(&org.key, "operation=credit.renewal").await;
    assert_eq!(lines[0]["expired"], json!(100_000 - sums["2024-01"]));
    assert_eq!(balance["subscriptionCredits"], json!(100_000 - sums["2024-02"]));
    assert_eq!(world.transactions(&org.key, "limit=100&type=DEBIT").await.len(), answers.len());
}

/// Renewal dates compared with Python's dateutil, if `SCRIP_DATEUTIL` names a Python that has it: 480 months,
/// beginning on each day that a month can have.
#[test]
fn renewal_dates_are_those_of_dateutil() {
    let Ok(python) = std::env::var("SCRIP_DATEUTIL") else { return };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/api/dateutil_oracle.py");
    let reported = Command::new(python).args([script, "480"]).output().unwrap();
    assert!(reported.status.success(), "{}", String::from_utf8_lossy(&reported.stderr));
    let theirs = String::from_utf8(reported.stdout).unwrap();
    let mut compared = 0;
    for line in theirs.lines() {
        let (now, expected) = line.split_once(' ').unwrap();
        let now: DateTime<Utc> = now.parse().unwrap();
        assert_eq!(text(Period::of(now).next().start()), expected, "{now}");
        compared += 1;
    }
    assert_eq!(compared, 480 * 31);
}

/// The balance names the next renewal, and it happens then.
#[tokio::test]
async fn the_next_renewal_happens_as_announced() {
    let world = World::at("2023-12-31T23:59:59Z").await;
    let org = world.open(10).await;
    for (now, next) in [
        ("2023-12-31T23:59:59Z", "2024-01-01T00:00:00Z"),
        ("2024-01-01T00:00:00Z", "2024-02-01T00:00:00Z"),
        ("2024-02-29T23:59:59Z", "2024-03-01T00:00:00Z"),
        ("2024-03-01T00:00:00Z", "2024-04-01T00:00:00Z"),
        ("2024-12-31T23:59:59Z", "2025-01-01T00:00:00Z"),
    ] {
        clock(&world, now).await;
        let balance = world.balance(&org.key).await;
        assert_eq!(balance["nextRenewal"], json!(next), "{now}");
        let newest = &world.transactions(&org.key, "operation=credit.renewal&limit=1").await[0];
        let month: DateTime<Utc> = now.parse().unwrap();
        assert_eq!(newest["timestamp"], json!(text(Period::of(month).start())), "{now}");
    }
}

/// The events of credits that will expire.
async fn events(world: &World, key: &str) -> Vec<Value> {
    let mut events = world.events(key).await;
    events.iter().for_each(tests::assert_event);
    events.retain(|event| event["event"] == json!("credits.expiring"));
    events
}

/// Expiring credits are announced in time, once, and booked when they have expired, whether or not credits move.
#[tokio::test]
async fn owners_get_an_event_before_credits_expire() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let gift = json!({ "source": "bonus", "amount": 50, "expiresInDays": 28 });
    let granted = world.grant(&org.id, &gift).await;
    assert_eq!(granted["balance"]["expiring"][0]["expiresAt"], json!("2024-02-12T23:59:59Z"));
    let soon =
        json!({ "source": "bonus", "amount": 5, "service": "api", "expiresAt": "2024-01-16T00:00:00Z" });
    world.grant(&org.id, &soon).await;
    clock(&world, "2024-01-15T10:32:00Z").await;
    let reported = events(&world, &org.key).await;
    assert_eq!(reported.len(), 1, "credits that end within the notice period are announced at once");
    assert_eq!((&reported[0]["data"]["amount"], &reported[0]["data"]["service"]), (&json!(5), &json!("api")));
    clock(&world, "2024-02-05T23:59:58Z").await;
    assert_eq!(events(&world, &org.key).await.len(), 1);
    clock(&world, "2024-02-05T23:59:59Z").await;
    let reported = events(&world, &org.key).await;
    assert_eq!(reported.len(), 2);
    let shown = json!({ "event": "credits.expiring", "type": "credits.expiring",
        "timestamp": "2024-02-05T23:59:59Z", "data": { "lotId": granted["creditId"], "source": "bonus",
        "service": null, "amount": 50, "expiresAt": "2024-02-12T23:59:59Z",
        "message": "Some of your credits will expire soon" } });
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&reported[1][field], value, "{field}");
    }
    assert!(reported[1]["id"].as_str().unwrap().starts_with("evt_"));
    clock(&world, "2024-02-13T00:01:00Z").await;
    let lines = world.transactions(&org.key, "").await;
    assert_eq!((&lines[0]["operation"], &lines[0]["amount"]), (&json!("credit.expiry"), &json!(50)));
    assert_eq!(lines[0]["timestamp"], json!("2024-02-12T23:59:59Z"));
    assert_eq!(events(&world, &org.key).await.len(), 2);
    assert_eq!(world.balance(&org.key).await["available"], json!(10));
}

/// Each organisation sets its own notice period, also for existing credits; it may be none.
#[tokio::test]
async fn the_owner_chooses_the_notice_period() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let path = "/api/v3/credits/alerts";
    assert_eq!(world.get(path, &org.key).await.data()["expiryNoticeDays"], json!(7));
    let gift = json!({ "source": "bonus", "amount": 50, "expiresAt": "2024-03-15T00:00:00Z" });
    world.grant(&org.id, &gift).await;
    clock(&world, "2024-01-16T00:00:00Z").await;
    assert_eq!(events(&world, &org.key).await.len(), 0);
    for (body, field) in [
        (json!({ "expiryNoticeDays": 93 }), "expiryNoticeDays"),
        (json!({ "expiryNoticeDays": -1 }), "expiryNoticeDays"),
        (json!({ "expiryNoticeDays": 1.5 }), "expiryNoticeDays"),
        (json!({ "days": 1 }), "days"),
    ] {
        let answer = world.put(path, &org.key, &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{answer:?}");
    }
    world.put(path, &org.key, &json!({ "expiryNoticeDays": 60 })).await.data();
    assert_eq!(world.put(path, &org.key, &json!({})).await.data()["expiryNoticeDays"], json!(60));
    clock(&world, "2024-01-16T00:02:00Z").await;
    assert_eq!(events(&world, &org.key).await.len(), 1);
    let quiet = world.open(10).await;
    world.put(path, &quiet.key, &json!({ "expiryNoticeDays": 0 })).await.data();
    world.grant(&quiet.id, &gift).await;
    clock(&world, "2024-03-20T00:00:00Z").await;
    assert_eq!((events(&world, &quiet.key).await.len(), events(&world, &org.key).await.len()), (0, 1));
}

/// A grant to an unknown organisation leaves no job behind that would stop the clock.
#[tokio::test]
async fn a_grant_to_an_unknown_organisation_stops_no_clock() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let unknown = "/admin/v1/organisations/org_01HKZNPZB0YQ3T5N1C8V6W2X4G/grants";
    let gift = json!({ "source": "bonus", "amount": 1, "expiresInDays": 3 });
    let answer = world.post(unknown, world.operator(), &unique(), &gift).await;
    assert_eq!(answer.failure(), "404 NOT_FOUND");
    clock(&world, "2024-01-15T12:00:00Z").await;
    world.delete("/_local/capacity", "").await.data();
    clock(&world, "2024-01-30T00:00:00Z").await;
    let reported = world.get("/_local/capacity", "").await.data();
    assert!(reported["routes"]["background"]["requests"].as_u64().unwrap_or(0) < 400, "{reported}");
}

/// An invalid end is reported with the field that was sent.
#[tokio::test]
async fn an_invalid_end_in_days_is_reported_by_its_field() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/grants", org.id);
    for body in [
        json!({ "source": "purchased", "amount": 1, "expiresInDays": 3 }),
        json!({ "source": "subscription", "amount": 1, "expiresInDays": 3 }),
        json!({ "source": "bonus", "amount": 1, "expiresInDays": 3_661 }),
        json!({ "source": "bonus", "amount": 1, "expiresInDays": 3, "expiresAt": "2024-02-01T00:00:00Z" }),
    ] {
        let answer = world.post(&path, world.operator(), &unique(), &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(answer.body["error"]["details"]["fields"]["expiresInDays"].is_string(), "{answer:?}");
    }
}
