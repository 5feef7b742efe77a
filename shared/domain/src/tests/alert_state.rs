//! Tests of low balance alerts.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::wildcard_enum_match_arm,
    reason = "a test that overflows, or meets other news, fails, as it should"
)]

use proptest::prelude::*;

use super::*;

fn credits(number: u64) -> Credits {
    Credits::try_from(number).unwrap()
}

fn alerts(thresholds: &[u64], margin: u64, cooldown_minutes: u32) -> AlertSettings {
    let alerts =
        AlertSettings { recovery_margin: credits(margin), cooldown_minutes, ..AlertSettings::default() };
    set(alerts, thresholds, 0)
}

/// The settings with these thresholds; new ones are set by the account's change `since`.
fn set(alerts: AlertSettings, thresholds: &[u64], since: u64) -> AlertSettings {
    alerts.with_thresholds(thresholds.iter().copied().map(credits), since)
}

fn level(sequence: u64, spendable: u64, minute: i64) -> BalanceLevel {
    let at = DateTime::from_timestamp(minute * 60, 0).unwrap();
    let spendable = credits(spendable);
    BalanceLevel { sequence, spendable, by_service: Some([spendable; 5]), unlimited: false, at }
}

fn of(service: Option<Service>) -> String {
    service.map(|service| format!(" {}", service.as_str())).unwrap_or_default()
}

fn word(notification: &Notification) -> String {
    let number = |credits: Credits| credits.get();
    match notification {
        Notification::LowBalance { balance, threshold, service } => {
            format!("low {} of {}{}", number(*balance), number(*threshold), of(*service))
        }
        Notification::Recovered { balance, threshold, service } => {
            format!("up {} of {}{}", number(*balance), number(*threshold), of(*service))
        }
        Notification::Depleted => "none".to_owned(),
        other => panic!("{other:?}"),
    }
}

/// The notifications while the balance changes through `levels`, beginning at 1,000, one minute apart.
fn notifications(alerts: &AlertSettings, levels: &[u64]) -> Vec<String> {
    let (mut state, mut notifications) = (AlertState::default(), Vec::new());
    for (number, available) in (1u64..).zip(std::iter::once(&1000).chain(levels)) {
        let minute = i64::try_from(number).unwrap();
        let (next, notification) = state.after_change(alerts, level(number, *available, minute), None);
        notifications.extend(notification.iter().map(word));
        state = next;
    }
    notifications
}

/// thresholds; margin; cool-down in minutes; levels => notifications
#[test]
fn a_crossing_causes_one_alert() {
    for (thresholds, margin, minutes, levels, expected) in [
        // At the threshold itself the balance is not low.
        (&[100][..], 0, 0, &[100][..], &[][..]),
        (&[100], 0, 0, &[99], &["low 99 of 100"]),
        (&[100], 0, 0, &[99, 98, 50, 1], &["low 99 of 100"]),
        // It recovers above the threshold; at the threshold the state stays, so it does not flutter.
        (&[100], 0, 0, &[99, 100, 99, 100, 99], &["low 99 of 100"]),
        (&[100], 0, 0, &[99, 101, 100, 99], &["low 99 of 100", "up 101 of 100", "low 99 of 100"]),
        // A margin delays the recovery.
        (&[100], 20, 0, &[99, 119, 120, 99, 121], &["low 99 of 100", "up 121 of 100"]),
        // Used up.
        (&[100], 0, 0, &[0], &["low 0 of 100", "none"]),
        (&[100], 0, 0, &[0, 0, 5, 0], &["low 0 of 100", "none", "none"]),
        (&[], 0, 0, &[99, 0, 1000], &["none"]),
        (&[1], 0, 0, &[1, 0, 2], &["low 0 of 1", "none", "up 2 of 1"]),
        // Several thresholds are independent.
        (
            &[50, 500],
            0,
            0,
            &[400, 40, 60, 600],
            &["low 400 of 500", "low 40 of 50", "up 60 of 50", "up 600 of 500"],
        ),
        (
            &[50, 500],
            0,
            0,
            &[0, 900],
            &["low 0 of 500", "low 0 of 50", "none", "up 900 of 500", "up 900 of 50"],
        ),
        // A cool-down holds back the next crossing: for good if the balance has recovered by its end, otherwise
        // until then.
        (&[100], 0, 60, &[99, 101, 99, 101], &["low 99 of 100", "up 101 of 100"]),
        (
            &[100],
            0,
            3,
            &[99, 101, 98, 97, 101],
            &["low 99 of 100", "up 101 of 100", "low 97 of 100", "up 101 of 100"],
        ),
    ] {
        let alerts = alerts(thresholds, margin, minutes);
        assert_eq!(notifications(&alerts, levels), expected, "{thresholds:?} {margin} {minutes} {levels:?}");
    }
}

#[test]
fn an_account_that_starts_below_a_threshold_causes_no_alert() {
    let alerts = alerts(&[100], 0, 0);
    let (state, notification) = AlertState::default().after_change(&alerts, level(1, 0, 0), None);
    assert_eq!(notification, []);
    let (state, notification) = state.after_change(&alerts, level(2, 50, 1), None);
    assert_eq!(notification, []);
    let (state, notification) = state.after_change(&alerts, level(3, 500, 2), None);
    assert_eq!(
        notification,
        [],
        "who was not notifications that it is low is not notifications that it has recovered"
    );
    let (_, notification) = state.after_change(&alerts, level(4, 99, 3), None);
    assert_eq!(notification.iter().map(word).collect::<Vec<_>>(), ["low 99 of 100"]);
}

#[test]
fn an_unlimited_plan_is_never_low() {
    let alerts = alerts(&[100], 0, 0);
    let unlimited = |sequence| BalanceLevel { unlimited: true, ..level(sequence, 0, 5) };
    let (low, _) = AlertState::default().after_change(&alerts, level(2, 99, 1), None);
    let (state, notification) = low.after_change(&alerts, unlimited(3), None);
    assert_eq!(notification, [], "nothing has recovered where nothing is counted");
    assert!(!state.depleted);
    assert_eq!(state.after_change(&alerts, unlimited(4), None).1, []);
    // On a limited plan again, a low balance causes a new alert.
    let (_, notification) = state.after_change(&alerts, level(5, 99, 6), None);
    assert_eq!(notification.iter().map(word).collect::<Vec<_>>(), ["low 99 of 100"]);
}

/// A threshold of a service concerns what its debits can spend, next to an equal threshold without a service.
#[test]
fn a_threshold_of_a_service_concerns_what_its_debits_can_spend() {
    let of = |count| (Service::Smartaccess, credits(count));
    let alerts = alerts(&[100], 0, 0).with_service_thresholds([of(100), of(20), of(100), of(0)], 0);
    let below: Vec<_> = alerts.thresholds.iter().map(|known| (known.service, known.below.get())).collect();
    let own = Some(Service::Smartaccess);
    assert_eq!(below, [(None, 100), (own, 100), (own, 20)]);
    // The two kinds are set independently.
    assert_eq!(set(alerts.clone(), &[7], 3).thresholds[1..], alerts.thresholds[1..]);
    assert_eq!(alerts.clone().with_service_thresholds([], 3).thresholds, alerts.thresholds[..1]);
    let (mut state, mut notifications) = (AlertState::default(), Vec::new());
    for (number, plain, own) in [
        (2, 500, Some(500)),
        (3, 99, Some(400)),
        (4, 50, Some(99)),
        (5, 0, Some(19)),
        (6, 300, None),
        (7, 300, Some(50)),
    ] {
        let plain_level = level(number, plain, 1);
        let other = credits(plain);
        let by_service = own.map(|own| [other, credits(own), other, other, other]);
        let (next, notification) =
            state.after_change(&alerts, BalanceLevel { by_service, ..plain_level }, None);
        notifications.push(notification.iter().map(word).collect::<Vec<_>>().join(", "));
        state = next;
    }
    let expected = [
        "",
        "low 99 of 100",
        "low 99 of 100 smartaccess",
        "low 19 of 20 smartaccess, none",
        // A row alone does not show what a service can spend: the state stays.
        "up 300 of 100",
        "up 50 of 20 smartaccess",
    ];
    assert_eq!(notifications, expected);
}

#[test]
fn a_new_threshold_is_checked_without_a_change() {
    let (state, notification) = AlertState::default().check(&alerts(&[100], 0, 0), level(7, 300, 1));
    assert_eq!((notification, state.level), (vec![], 0));
    let (state, notification) = state.check(&alerts(&[100, 400], 0, 0), level(7, 300, 1));
    assert_eq!(notification.iter().map(word).collect::<Vec<_>>(), ["low 300 of 400"]);
    // The changes that led there still cause their own events, but no further balance alerts.
    let own = || {
        Some(Notification::Booked {
            name: crate::EventName::CreditsRefunded,
            entry: crate::EntryId::FIRST,
            data: serde_json::Value::Null,
        })
    };
    let (next, notification) = state.after_change(&alerts(&[100, 400], 0, 0), level(6, 900, 1), own());
    assert_eq!((notification.len(), next.through, next.level), (1, 6, 7));
    assert_eq!(next.after_change(&alerts(&[100, 400], 0, 0), level(6, 900, 1), own()).1, []);
    // A removed threshold has no state.
    let (state, notification) = next.after_change(&alerts(&[100], 0, 0), level(8, 299, 2), None);
    assert_eq!((notification, state.thresholds), (vec![], vec![]));
}

/// Concurrent requests: the later number has the earlier time.
#[test]
fn an_earlier_time_holds_back_no_alert() {
    let alerts = alerts(&[100], 0, 0);
    let (mut state, mut notifications) = (AlertState::default(), Vec::new());
    for (number, available, minute) in [(2, 99, 9), (3, 101, 8), (4, 98, 7), (5, 102, 6)] {
        let (next, notification) = state.after_change(&alerts, level(number, available, minute), None);
        notifications.extend(notification.iter().map(word));
        state = next;
    }
    assert_eq!(notifications, ["low 99 of 100", "up 101 of 100", "low 98 of 100", "up 102 of 100"]);
}

/// A new account is low only by thresholds that its owner has set since, whether they are evaluated before or
/// after its first change.
#[test]
fn a_new_account_is_low_only_by_thresholds_its_owner_sets() {
    let (usual, changed) = (alerts(&[100], 0, 0), set(alerts(&[100], 0, 0), &[100, 20], 1));
    let (state, notification) = AlertState::default().check(&usual, level(1, 10, 1));
    assert_eq!(notification, []);
    let (state, notification) = state.check(&changed, level(1, 10, 1));
    assert_eq!(notification.iter().map(word).collect::<Vec<_>>(), ["low 10 of 20"]);
    assert_eq!(state.thresholds.len(), 2);
    let (late, notification) = AlertState::default().after_change(&changed, level(1, 10, 1), None);
    assert_eq!(notification.iter().map(word).collect::<Vec<_>>(), ["low 10 of 20"]);
    assert_eq!(late.thresholds, state.thresholds);
}

#[test]
fn a_threshold_is_not_evaluated_for_earlier_changes() {
    let alerts = set(alerts(&[100], 0, 0), &[100, 500], 4);
    for (levels, expected) in [
        // The balance was below and above it again before it was set: no alert.
        (&[(2, 300), (3, 900), (4, 800)][..], &[][..]),
        // The balance at which it was set counts, whichever evaluation is first.
        (&[(2, 300), (3, 200), (4, 300), (5, 200)], &["low 300 of 500"]),
        (&[(3, 900), (4, 900), (5, 499)], &["low 499 of 500"]),
        // Thresholds set before keep their state.
        (&[(2, 99), (3, 101), (4, 800)], &["low 99 of 100", "up 101 of 100"]),
    ] {
        let (mut state, mut notifications) = (AlertState::default(), Vec::new());
        for (number, available) in levels {
            let (next, notification) = state.after_change(&alerts, level(*number, *available, 1), None);
            notifications.extend(notification.iter().map(word));
            state = next;
        }
        assert_eq!(notifications, expected, "{levels:?}");
    }
    // A kept threshold keeps its state; one that is removed and set again is new.
    assert_eq!(set(alerts.clone(), &[500], 9).thresholds, alerts.thresholds[..1]);
    let again = set(set(alerts, &[], 9), &[500], 9);
    assert_eq!(again.thresholds[0].since, 9);
}

/// A check of an account older than the last evaluated change has no effect.
#[test]
fn a_check_of_an_older_account_has_no_effect() {
    let alerts = alerts(&[100], 0, 0);
    let (low, _) = AlertState::default().after_change(&alerts, level(5, 50, 1), None);
    let (high, _) = low.after_change(&alerts, level(6, 500, 1), None);
    assert_eq!(high.check(&alerts, level(5, 50, 2)), (high.clone(), vec![]));
}

#[test]
fn an_alert_held_back_is_checked_when_the_cool_down_ends() {
    let alerts = alerts(&[100], 0, 60);
    let mut state = AlertState::default();
    for (number, available) in (2..).zip([99, 101, 98]) {
        state = state.after_change(&alerts, level(number, available, 10), None).0;
    }
    let ends = DateTime::from_timestamp(70 * 60, 0).unwrap();
    assert_eq!(state.check_at(&alerts), Some(ends));
    assert_eq!(state.check(&alerts, level(4, 98, 69)).1, []);
    let (state, notification) = state.check(&alerts, level(4, 98, 70));
    assert_eq!(notification.iter().map(word).collect::<Vec<_>>(), ["low 98 of 100"]);
    assert_eq!(state.check_at(&alerts), None);
}

/// The expected notifications of one threshold: pairs of a fall and a recovery.
fn by_hand(levels: &[u64]) -> Vec<&'static str> {
    let (mut notifications, mut low) = (Vec::new(), false);
    for level in levels {
        if *level < 100 && !low {
            (low, notifications) = (true, [notifications, vec!["low"]].concat());
        } else if *level > 100 && low {
            (low, notifications) = (false, [notifications, vec!["up"]].concat());
        }
    }
    notifications
}

proptest! {
    /// However changes are batched and repeated, the notifications are those of each change evaluated once.
    #[test]
    fn repeated_changes_cause_no_further_alerts(
        levels in proptest::collection::vec(90u64..110, 1..60),
        batches in proptest::collection::vec((0usize..60, 1usize..20, any::<bool>()), 0..40),
    ) {
        let alerts = alerts(&[100], 0, 0);
        let changes: Vec<_> = (2u64..).zip(&levels).map(|(number, available)| level(number, *available, 1)).collect();
        let (mut state, mut notifications, mut through) = (AlertState::default(), Vec::new(), 0usize);
        // A stream can repeat records, but never skips any.
        for (start, count, looks) in batches.into_iter().chain([(0, levels.len(), true)]) {
            let start = start.min(through);
            for change in changes.iter().skip(start).take(count) {
                let (next, notification) = state.after_change(&alerts, *change, None);
                notifications.extend(notification);
                state = next;
            }
            through = through.max((start + count).min(changes.len()));
            // A check evaluates the account after the evaluated changes.
            if looks && through > 0 {
                let (next, notification) = state.check(&alerts, changes[through - 1]);
                notifications.extend(notification);
                state = next;
            }
        }
        let kinds: Vec<_> = notifications.iter().map(|notification| word(notification).split(' ').next().unwrap().to_owned()).collect();
        prop_assert_eq!(kinds, by_hand(&levels));
    }
}
