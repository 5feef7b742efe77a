//! Alerts: an owner gets one event for each crossing of a threshold, however many debits cause it.

use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, AlertSettings, AlertState, Allowance, Amount, Attempt, BalanceLevel, Consume,
    Credits, Grant, GrantOrigin, Mode, Operation, OrgId, Period, PlanId, Source, consume, grant,
};
use serde_json::{Value, json};
use store::AccountChange;
use tests::{Dice, TestLedger, World, moment, unique};

const ALERTS: &str = "/api/v3/credits/alerts";
const NOW: &str = "2024-01-15T10:00:00Z";

/// The crossings of a threshold in a series of balances.
fn crossings(threshold: u64, balances: impl IntoIterator<Item = u64>) -> Vec<&'static str> {
    let (mut answer, mut is_low) = (Vec::new(), false);
    for balance in balances {
        if balance < threshold && !is_low {
            answer.push("credits.low_balance");
            is_low = true;
        } else if balance > threshold && is_low {
            answer.push("credits.recovered");
            is_low = false;
        }
    }
    answer
}

/// The names of an owner's events about a threshold, in order.
fn events_about(threshold: u64, events: &[Value]) -> Vec<String> {
    let of = |event: &&Value| event["data"]["threshold"] == json!(threshold);
    let name = |event: &Value| event["event"].as_str().unwrap().to_owned();
    events.iter().filter(of).map(name).collect()
}

/// The balance after each of `debits` debits, and after the grants between them that bring it back over 100, by the
/// rules themselves.
fn levels(debits: usize, dice: &mut Dice) -> Vec<BalanceLevel> {
    let now: DateTime<Utc> = NOW.parse().unwrap();
    let id = AccountId { org: OrgId::new(now, 1), mode: Mode::Live };
    let allowance = Allowance::Monthly(Credits::ZERO);
    let mut account = Account::open(id, PlanId("basic".into()), allowance, now);
    account.period = Period::of(now);
    let (mut at, mut levels, mut made) = (now, Vec::new(), 0);
    while made < debits {
        at += Duration::milliseconds(1);
        let attempt = Attempt { now: at, ..Attempt::imagined(&account, at) };
        let left = account.balance(at).available().unwrap().get();
        let gift = match left {
            _ if levels.is_empty() => Some(110),
            0..95 => Some(1 + dice.roll(12)),
            95..99 => Some(1 + dice.roll(12)).filter(|gift| *gift < 4),
            99.. => None,
        };
        let posting = match gift {
            Some(gift) => {
                let amount = Amount::try_from(gift).unwrap();
                let (service, expires_at, origin) = (None, None, GrantOrigin::Operator);
                let gift = Grant { source: Source::Bonus, amount, service, expires_at, origin };
                grant(&account, &gift, &attempt).unwrap()
            }
            None => {
                made += 1;
                let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
                let request = Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
                consume(&account, &request, &attempt).unwrap()
            }
        };
        account = account.apply(&posting).unwrap();
        levels.push(BalanceLevel::of(&account));
    }
    levels
}

/// A hundred thousand debits move a balance across the threshold; their records come in batches of any size, some
/// of them repeated.
#[test]
fn a_hundred_thousand_debits_report_each_crossing_once() {
    let mut dice = Dice(42);
    let levels = levels(100_000, &mut dice);
    let expected = crossings(100, levels.iter().map(|level| level.spendable.get()));
    let (alerts, mut state, mut answer) = (AlertSettings::default(), AlertState::default(), Vec::new());
    let mut begin = 0;
    while begin < levels.len() {
        let end = (begin + 1 + usize::try_from(dice.roll(200)).unwrap()).min(levels.len());
        for _ in 0..=dice.roll(3) {
            for level in &levels[begin..end] {
                let (next, notifications) = state.after_change(&alerts, *level, None);
                answer.extend(notifications.iter().map(|one| one.name().as_str()));
                state = next;
            }
        }
        begin = end;
    }
    assert_eq!(answer, expected);
    assert!(answer.len() > 1_000, "{}", answer.len());
}

/// The same through the whole machine: simultaneous debits, grants by an operator, and a projector meanwhile. The
/// events match the ledger's own balances.
#[tokio::test(flavor = "multi_thread")]
async fn events_of_simultaneous_debits_match_the_ledger() {
    let world = Arc::new(World::demo().await);
    let org = world.open(160).await;
    let callers = (0..8).map(|caller| {
        let (world, org) = (world.clone(), org.clone());
        tokio::spawn(async move {
            for turn in 0..50 {
                let body = json!({ "operation": "verification.enhanced" });
                world.consume(&org.key, &unique(), &body).await;
                if turn % 10 == 9 {
                    let amount = 15 + caller;
                    world.grant(&org.id, &json!({ "source": "bonus", "amount": amount })).await;
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
    world.settle().await;
    let mut lines = world.transactions(&org.key, "limit=100").await;
    lines.sort_by_key(|line| line["sequence"].as_u64());
    let balances = lines.iter().map(|line| line["balanceAfter"].as_u64().unwrap());
    let expected = crossings(100, balances);
    let events = world.events(&org.key).await;
    assert!(expected.len() > 2, "{expected:?}");
    assert_eq!(events_about(100, &events), expected);
    events.iter().for_each(tests::assert_event);
    let numbers: Vec<_> = events.iter().map(|event| event["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
}

#[tokio::test]
async fn alerts_are_set_field_by_field() {
    let world = World::at(NOW).await;
    let usual = json!({ "lowBalanceThreshold": 100, "lowBalanceThresholds": [100], "serviceThresholds": [],
        "recoveryMargin": 0, "cooldownMinutes": 0, "expiryNoticeDays": 7 });
    assert_eq!(world.get(ALERTS, world.key()).await.data(), usual);
    let set = async |body: Value| world.put(ALERTS, world.key(), &body).await;
    let answer = set(json!({ "lowBalanceThresholds": [50, 300, 50, 0], "cooldownMinutes": 60 })).await.data();
    assert_eq!(
        (&answer["lowBalanceThreshold"], &answer["lowBalanceThresholds"]),
        (&json!(300), &json!([300, 50]))
    );
    let answer = set(json!({ "lowBalanceThreshold": 20 })).await.data();
    assert_eq!((&answer["lowBalanceThresholds"], &answer["cooldownMinutes"]), (&json!([20]), &json!(60)));
    let answer = set(json!({ "lowBalanceThreshold": 0, "recoveryMargin": 5 })).await.data();
    assert_eq!((&answer["lowBalanceThreshold"], &answer["lowBalanceThresholds"]), (&json!(0), &json!([])));
    for (body, field) in [
        (json!({ "lowBalanceThreshold": -1 }), "lowBalanceThreshold"),
        (json!({ "lowBalanceThreshold": 1.5 }), "lowBalanceThreshold"),
        (json!({ "lowBalanceThreshold": 1, "lowBalanceThresholds": [2] }), "lowBalanceThresholds"),
        (json!({ "lowBalanceThresholds": (0..11).collect::<Vec<_>>() }), "lowBalanceThresholds"),
        (json!({ "cooldownMinutes": 10_081 }), "cooldownMinutes"),
        (json!({ "expiryNoticeDays": 93 }), "expiryNoticeDays"),
        (json!({ "threshold": 100 }), "threshold"),
    ] {
        let refused = set(body.clone()).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{body}: {refused:?}");
    }
}

#[tokio::test]
async fn a_threshold_above_the_balance_is_reported_at_once() {
    let world = World::at(NOW).await;
    let org = world.open(1_000).await;
    world.put(ALERTS, &org.key, &json!({ "lowBalanceThresholds": [2_000, 500] })).await.data();
    world.settle().await;
    let events = world.events(&org.key).await;
    assert_eq!(events_about(2_000, &events), ["credits.low_balance"]);
    assert_eq!(events.len(), 1);
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 1_001 })).await;
    world.settle().await;
    let events = world.events(&org.key).await;
    assert_eq!(events_about(2_000, &events), ["credits.low_balance", "credits.recovered"]);
    let answer = events.iter().find(|event| event["event"] == json!("credits.recovered")).unwrap();
    assert_eq!(
        answer["data"],
        json!({ "currentBalance": 2_001, "threshold": 2_000, "message": "Your credit balance has recovered" })
    );
}

/// A new threshold above the balance emits an event at once, whether the projector has seen nothing yet, is about
/// to save that it emitted one, or is done.
#[tokio::test]
async fn a_threshold_is_reported_at_any_progress_of_the_projector() {
    let now = NOW.parse().unwrap();
    for place in ["behind", "about to mark", "through"] {
        let mut fixture = TestLedger::new().await;
        let id = fixture.open(1_000, now).await;
        let account = fixture.ledger.account(id).await.unwrap().unwrap();
        match place {
            "behind" => (),
            "about to mark" => {
                let changes = [AccountChange { level: BalanceLevel::of(&account), notification: None }];
                fixture.ledger.emit_changes(id, &changes, None, moment(now)).await.unwrap();
            }
            _ => fixture.project().await,
        }
        let high = [Credits::try_from(2_000).unwrap()];
        let alerts = AlertSettings::default().with_thresholds(high, account.sequence);
        fixture.ledger.save_alerts(id, alerts).await.unwrap().unwrap();
        let answer = async |fixture: &TestLedger| fixture.items(&format!("EVENTS#{id}")).await.len();
        fixture.ledger.check_alerts(&account, moment(now)).await.unwrap();
        assert_eq!(answer(&fixture).await, 1, "{place}");
        fixture.project().await;
        fixture.ledger.check_alerts(&account, moment(now)).await.unwrap();
        assert_eq!(answer(&fixture).await, 1, "{place}: once");
    }
}

/// A crossing within the cool-down is reported when the cool-down ends, even if nothing else happens.
#[tokio::test]
async fn a_cool_down_keeps_the_next_crossing_back() {
    let world = World::at(NOW).await;
    let org = world.open(101).await;
    world.put(ALERTS, &org.key, &json!({ "cooldownMinutes": 60 })).await.data();
    let spend = async |count: u64| {
        let body = json!({ "operation": "verification.standard", "quantity": count });
        world.consume(&org.key, &unique(), &body).await.created();
        world.settle().await;
    };
    let give = async |amount: u64| {
        world.grant(&org.id, &json!({ "source": "bonus", "amount": amount })).await;
        world.settle().await;
    };
    let answer = async || events_about(100, &world.events(&org.key).await);
    spend(2).await;
    give(5).await;
    assert_eq!(answer().await, ["credits.low_balance", "credits.recovered"]);
    spend(10).await;
    give(10).await;
    spend(10).await;
    assert_eq!(answer().await.len(), 2);
    world.pass(3_540).await;
    assert_eq!(answer().await.len(), 2);
    world.pass(120).await;
    assert_eq!(answer().await, ["credits.low_balance", "credits.recovered", "credits.low_balance"]);
}

/// A renewal recovers a low balance, and an unlimited plan is never low.
#[tokio::test]
async fn a_low_balance_recovers_with_the_month() {
    let world = World::at(NOW).await;
    let org = world.open(400).await;
    let body = json!({ "operation": "verification.standard", "quantity": 399 });
    world.consume(&org.key, &unique(), &body).await.created();
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:00:00Z" })).await.data();
    world.settle().await;
    let events = world.events(&org.key).await;
    let names: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names, ["credits.low_balance", "credits.renewed", "credits.recovered"]);
    events.iter().for_each(tests::assert_event);
    assert_eq!(events[1]["data"]["amount"], json!(400));
}
