//! Tests of auto-recharge.

use super::*;

/// The seed's configuration.
pub(super) fn seed() -> AutoRechargeUpdate {
    AutoRechargeUpdate {
        enabled: Some(true),
        threshold: Some(credits(100)),
        amount: Some(Amount::try_from(500).unwrap()),
        payment_method: Some(Reference::try_from("card_xyz123".to_owned()).unwrap()),
        ..AutoRechargeUpdate::default()
    }
}

pub(super) fn set(change: &AutoRechargeUpdate) -> AutoRecharge {
    AutoRecharge::changed(None, change, at(NOW)).unwrap()
}

pub(super) fn pence(amount: u64) -> Money {
    Money::new(amount, Currency::GBP).unwrap()
}

/// The auto-recharge with a charge of one pack for £49 in progress.
fn charging(recharge: &AutoRecharge, now: DateTime<Utc>) -> AutoRecharge {
    recharge.charging(id(7), Amount::try_from(500).unwrap(), pence(4_900), now)
}

fn hours(hours: i64) -> DateTime<Utc> {
    at(NOW) + chrono::Duration::hours(hours)
}

fn summary(action: &AutoRechargeAction) -> String {
    match action {
        AutoRechargeAction::Rest => "rest".into(),
        AutoRechargeAction::Charge(credits) => format!("buy {}", u64::from(*credits)),
        AutoRechargeAction::Turn(AutoRechargeState::Paused { why, until }) => {
            format!("pause {why:?} until {until:?}")
        }
        AutoRechargeAction::Turn(AutoRechargeState::Stopped { why }) => format!("stop {why:?}"),
        AutoRechargeAction::Turn(state) => format!("{state:?}"),
    }
}

/// threshold, pack, limit of credits, limit of debt; account => the next action (contract, rule 6)
#[test]
fn one_charge_covers_the_gap() {
    let hour = "pause PaymentLimit until 2024-01-15T11:30:00Z";
    for (threshold, pack, limit, debt, line, expected) in [
        // The seed's example.
        (100, 500, None, 0, "sub 95", "buy 500"),
        (100, 500, None, 0, "sub 99", "buy 500"),
        (100, 500, None, 0, "sub 100", "rest"),
        (100, 500, None, 0, "sub 60, purchased 20, bonus 15", "buy 500"),
        (100, 500, None, 0, "", "buy 500"),
        // As many packs as needed, in one charge.
        (2000, 500, None, 0, "sub 95", "buy 2000"),
        (2000, 500, None, 0, "sub 1500", "buy 500"),
        (2000, 500, None, 0, "sub 1499", "buy 1000"),
        // Credits of a service do not bring debits without a service back to the threshold.
        (100, 500, None, 0, "sub 60, bonus 500 smartcheck", "buy 500"),
        (2000, 500, None, 0, "sub 95, purchased 900 api, bonus 900 smartcheck", "buy 2000"),
        (100, 500, None, 0, "sub 60, bonus 40 smartcheck, bonus 40", "rest"),
        (100, 500, None, 0, "sub 60, bonus 500 until 2024-01-10", "buy 500"),
        // Within the month's limit, in full or not at all.
        (2000, 500, Some(2000), 0, "sub 95", "buy 2000"),
        (2000, 500, Some(1999), 0, "sub 95", hour),
        (2000, 500, Some(1999), 0, "sub 501", "buy 1500"),
        (100, 500, Some(500), 0, "sub 95", "buy 500"),
        (0, 500, None, 0, "", "rest"),
        (100, 500, None, 0, "sub 95, frozen", "rest"),
        (100, 500, None, 0, "unlimited", "rest"),
        // Outstanding credits are settled first, so it only charges up to the owner's debt limit.
        (100, 500, None, 0, "limit 900, owed 600", "stop Debt"),
        (100, 500, None, 0, "limit 900, owed 1", "stop Debt"),
        (100, 500, None, 599, "limit 900, owed 600", "stop Debt"),
        (100, 500, None, 600, "limit 900, owed 600", "buy 1000"),
        (100, 500, None, 9_000, "limit 900, owed 600", "buy 1000"),
        (100, 500, None, 0, "sub 100, limit 900", "rest"),
    ] {
        let change = AutoRechargeUpdate {
            threshold: Some(credits(threshold)),
            amount: Some(Amount::try_from(pack).unwrap()),
            monthly_limit: Some(limit.map(credits)),
            debt_limit: Some(credits(debt)),
            ..seed()
        };
        let action = set(&change).action(&account(line), at(NOW));
        assert_eq!(summary(&action), expected, "{threshold} {pack} {debt} {line}");
        let off = AutoRechargeUpdate { enabled: Some(false), ..change };
        assert_eq!(set(&off).action(&account(line), at(NOW)), AutoRechargeAction::Rest);
    }
}

/// A threshold of a service concerns what its debits can spend: the service's lots and unrestricted lots.
#[test]
fn a_threshold_can_concern_a_service() {
    for (line, expected) in [
        ("sub 60, bonus 40 smartcheck", "rest"),
        ("sub 60, bonus 39 smartcheck", "buy 500"),
        ("sub 60, bonus 400 api", "buy 500"),
    ] {
        let change = AutoRechargeUpdate { service: Some(Some(Service::Smartcheck)), ..seed() };
        assert_eq!(summary(&set(&change).action(&account(line), at(NOW))), expected, "{line}");
    }
}

/// The allowance of a month whose renewal is not written yet counts, and expired credits do not.
#[test]
fn spendable_credits_depend_on_the_time() {
    let of = |line: &str, service, now| account(line).spendable(service, at(now)).get();
    let line = "sub 5, purchased 7, bonus 11 until 2024-01-20, bonus 13 api, bonus 17 api until 2024-01-20";
    let (early, late, next) = (NOW, "2024-01-20T00:00:00Z", "2024-02-01T00:00:00Z");
    for (service, now, expected) in [
        (None, early, 5 + 7 + 11),
        (Some(Service::Api), early, 5 + 7 + 11 + 13 + 17),
        (Some(Service::Biometric), early, 5 + 7 + 11),
        (None, late, 5 + 7),
        (Some(Service::Api), late, 5 + 7 + 13),
        // The allowance of ten.
        (None, next, 10 + 7),
        (Some(Service::Api), next, 10 + 7 + 13),
    ] {
        assert_eq!(of(line, service, now), expected, "{service:?} {now}");
        let balance = account(line).balance(at(early)).aged(at(now));
        if service.is_none() && now != next {
            assert_eq!(balance.spendable().unwrap().get(), expected, "{now}");
        }
    }
    assert_eq!(of("unlimited", None, early), 0);
}

#[test]
fn a_crossing_is_charged_once() {
    let recharge = charging(&set(&seed()), at(NOW));
    assert_eq!(
        recharge.action(&account("sub 5"), hours(100)),
        AutoRechargeAction::Rest,
        "a charge is under way"
    );
    assert_eq!(recharge.paid().action(&account("sub 505"), at(NOW)), AutoRechargeAction::Rest);
    assert_eq!(summary(&recharge.paid().action(&account("sub 99"), at(NOW))), "buy 500", "the next crossing");
}

#[test]
fn a_refused_payment_is_retried_after_one_and_six_hours() {
    let declined = Decline::plain("card_declined");
    let low = account("sub 5");
    let mut recharge = set(&seed());
    let mut now = at(NOW);
    for (wait, failures) in [(1, 1), (6, 2)] {
        recharge = charging(&recharge, now).refused(&declined, now);
        assert_eq!((recharge.enabled, recharge.failures), (true, failures));
        assert_eq!((recharge.bought, recharge.spent), (Credits::ZERO, 0));
        let until = now + chrono::Duration::hours(wait);
        assert_eq!(recharge.action(&low, until - chrono::Duration::seconds(1)), AutoRechargeAction::Rest);
        assert_eq!(summary(&recharge.action(&low, until)), "buy 500");
        now = until;
    }
    recharge = charging(&recharge, now).refused(&declined, now);
    assert_eq!((recharge.enabled, recharge.failures), (false, 3));
    assert_eq!(recharge.action(&low, hours(10_000)), AutoRechargeAction::Rest);
    // Switched on again, it starts without failures.
    let again = AutoRechargeUpdate { enabled: Some(true), ..AutoRechargeUpdate::default() };
    let again = AutoRecharge::changed(Some(&recharge), &again, now).unwrap();
    assert_eq!((again.failures, summary(&again.action(&low, now))), (0, "buy 500".into()));
}

/// The wait after a failed payment lasts its full time; every other pause ends when credits arrive from
/// elsewhere.
#[test]
fn credits_from_elsewhere_end_a_pause_but_not_a_back_off() {
    let waiting = charging(&set(&seed()), at(NOW)).refused(&Decline::plain("x"), at(NOW));
    let (rich, low) = (account("sub 600"), account("sub 5"));
    let early = hours(1) - chrono::Duration::seconds(1);
    for (account, now, expected) in [
        (&rich, at(NOW), "rest"),
        (&rich, early, "rest"),
        (&low, early, "rest"),
        (&low, hours(1), "buy 500"),
        (&rich, hours(1), "Ready"),
    ] {
        assert_eq!(summary(&waiting.action(account, now)), expected, "{now}");
    }
    for why in [
        PauseReason::MonthlyLimit,
        PauseReason::MonthlySpendLimit,
        PauseReason::PaymentLimit,
        PauseReason::TooManyCharges,
        PauseReason::NotOnSale,
    ] {
        let paused =
            AutoRecharge { state: AutoRechargeState::Paused { why, until: hours(1) }, ..set(&seed()) };
        assert_eq!(paused.action(&low, at(NOW)), AutoRechargeAction::Rest, "{why:?}");
        assert_eq!(summary(&paused.action(&rich, at(NOW))), "Ready", "{why:?}");
        assert_eq!(summary(&paused.action(&low, hours(1))), "buy 500", "{why:?}");
    }
}

#[test]
fn repaid_debt_ends_the_pause() {
    let stopped =
        AutoRecharge { state: AutoRechargeState::Stopped { why: PauseReason::Debt }, ..set(&seed()) };
    for (line, expected) in [
        ("owed 600", "rest"),
        ("sub 5, owed 1", "rest"),
        ("sub 5, frozen", "rest"),
        ("sub 5", "buy 500"),
        ("sub 500", "Ready"),
    ] {
        assert_eq!(summary(&stopped.action(&account(line), hours(9))), expected, "{line}");
    }
    assert_eq!(stopped.check_at(at(NOW)), None);
}

/// After a dispute nothing is charged until the owner sets auto-recharge again; a charge in progress is
/// completed.
#[test]
fn a_dispute_stops_auto_recharge_until_it_is_set_again() {
    let disputed = set(&seed()).with_dispute();
    let low = account("sub 5");
    assert_eq!(disputed.action(&low, hours(10_000)), AutoRechargeAction::Rest);
    let failed = charging(&set(&seed()), at(NOW)).with_dispute().refused(&Decline::plain("x"), at(NOW));
    assert_eq!((failed.action(&low, hours(1)), failed.check_at(hours(1))), (AutoRechargeAction::Rest, None));
    let paid = charging(&set(&seed()), at(NOW)).with_dispute().paid();
    assert_eq!(paid.action(&low, at(NOW)), AutoRechargeAction::Rest);
    let again = AutoRecharge::changed(Some(&paid), &AutoRechargeUpdate::default(), at(NOW)).unwrap();
    assert_eq!(summary(&again.action(&low, at(NOW))), "buy 500");
    assert!(set(&seed()).edition < disputed.edition && disputed.edition < again.edition);
}

/// The same for a refund, after which the card would be charged for the same credits again.
#[test]
fn a_refund_stops_auto_recharge_until_it_is_set_again() {
    let refunded = set(&seed()).with_refund();
    let low = account("sub 5");
    assert_eq!(
        (refunded.action(&low, hours(10_000)), refunded.check_at(at(NOW))),
        (AutoRechargeAction::Rest, None)
    );
    assert_eq!(
        (refunded.reversed(), refunded.with_dispute().reversed()),
        (Some(PauseReason::Refunded), Some(PauseReason::Disputed))
    );
    let again =
        AutoRecharge::changed(Some(&refunded.with_dispute()), &AutoRechargeUpdate::default(), at(NOW))
            .unwrap();
    assert_eq!(summary(&again.action(&low, at(NOW))), "buy 500");
    assert!(set(&seed()).edition < refunded.edition && refunded.edition < again.edition);
}

/// A purchase by the owner resets the count of failures, but not the wait.
#[test]
fn a_purchase_by_the_owner_resets_failures() {
    assert_eq!(set(&seed()).topped_up(), None, "nothing has failed");
    let declined = Decline::plain("card_declined");
    let mut recharge = set(&seed());
    for _ in 0..2 {
        recharge = charging(&recharge, at(NOW)).refused(&declined, at(NOW));
    }
    let topped = recharge.topped_up().unwrap();
    assert_eq!((topped.failures, &topped.state, topped.enabled), (0, &recharge.state, true));
    let next = charging(&topped, hours(6)).refused(&declined, hours(6));
    assert_eq!((next.enabled, next.failures), (true, 1));
    assert_eq!(next.state, AutoRechargeState::Paused { why: PauseReason::PaymentFailed, until: hours(7) });
}

/// A charge that was never requested does not count, and is not a failure.
#[test]
fn an_abandoned_charge_does_not_count() {
    let before = charging(&set(&seed()), at(NOW)).paid();
    let state = AutoRechargeState::for_an_hour(PauseReason::NotOnSale, hours(1));
    let after = charging(&before, hours(1)).abandoned(state.clone());
    assert_eq!(after, AutoRecharge { state, ..before });
}

/// An account that is frozen during a pause is not paused forever: the next crossing charges again.
#[test]
fn a_pause_ends_at_its_time_in_any_case() {
    let recharge = charging(&set(&seed()), at(NOW)).refused(&Decline::plain("x"), at(NOW));
    for line in ["sub 5, frozen", "unlimited"] {
        assert_eq!(recharge.action(&account(line), at(NOW)), AutoRechargeAction::Rest);
        assert_eq!(
            recharge.action(&account(line), hours(1)),
            AutoRechargeAction::Turn(AutoRechargeState::Ready),
            "{line}"
        );
    }
}

#[test]
fn a_month_stays_within_its_limit_of_credits() {
    let change = AutoRechargeUpdate { monthly_limit: Some(Some(credits(1000))), ..seed() };
    let mut recharge = set(&change);
    for _ in 0..2 {
        assert_eq!(summary(&recharge.action(&account("sub 5"), at(NOW))), "buy 500");
        recharge = charging(&recharge, at(NOW)).paid();
    }
    let february = at("2024-02-01T00:00:00Z");
    let pause = AutoRechargeState::Paused { why: PauseReason::MonthlyLimit, until: february };
    assert_eq!(recharge.action(&account("sub 5"), at(NOW)), AutoRechargeAction::Turn(pause.clone()));
    let paused = AutoRecharge { state: pause, ..recharge };
    // The allowance of ten in February is below the threshold too.
    assert_eq!(summary(&paused.action(&account("sub 5"), february)), "buy 500");
}

#[test]
fn an_hour_has_a_limited_number_of_charges() {
    let mut recharge = set(&seed());
    for minute in 0..5 {
        let now = at(NOW) + chrono::Duration::minutes(minute);
        assert_eq!(summary(&recharge.action(&account("sub 5"), now)), "buy 500", "{minute}");
        recharge = charging(&recharge, now).paid();
    }
    assert_eq!(recharge.recent.len(), BURST_MAX);
    let until = hours(1);
    let pause = AutoRechargeState::Paused { why: PauseReason::TooManyCharges, until };
    assert_eq!(
        recharge.action(&account("sub 5"), hours(0) + chrono::Duration::minutes(59)),
        AutoRechargeAction::Turn(pause)
    );
    assert_eq!(summary(&recharge.action(&account("sub 5"), until)), "buy 500");
    // Saving the settings again does not reset the limit.
    let again = AutoRecharge::changed(Some(&recharge), &seed(), at(NOW)).unwrap();
    assert_eq!(again.recent, recharge.recent);
}

#[test]
fn omitted_settings_keep_their_values() {
    let all = set(&AutoRechargeUpdate { monthly_limit: Some(Some(credits(5000))), ..seed() });
    let none = AutoRecharge::changed(Some(&all), &AutoRechargeUpdate::default(), at(NOW)).unwrap();
    assert_eq!(none, AutoRecharge { edition: all.edition + 1, ..all.clone() });
    let change = AutoRechargeUpdate { monthly_limit: Some(None), ..AutoRechargeUpdate::default() };
    assert_eq!(AutoRecharge::changed(Some(&all), &change, at(NOW)).unwrap().monthly_limit, None);
    let change =
        AutoRechargeUpdate { monthly_limit: Some(Some(credits(499))), ..AutoRechargeUpdate::default() };
    assert_eq!(AutoRecharge::changed(Some(&all), &change, at(NOW)), Err(BadAutoRecharge::LimitBelowAmount));
    for (change, missing) in [
        (AutoRechargeUpdate { threshold: None, ..seed() }, "threshold"),
        (AutoRechargeUpdate { amount: None, ..seed() }, "amount"),
        (AutoRechargeUpdate { payment_method: None, ..seed() }, "paymentMethod"),
    ] {
        assert_eq!(AutoRecharge::changed(None, &change, at(NOW)), Err(BadAutoRecharge::Missing(missing)));
    }
    // A charge in progress is completed with its own number of credits.
    let charging = charging(&all, at(NOW));
    let changed = AutoRecharge::changed(Some(&charging), &seed(), at(NOW)).unwrap();
    assert_eq!((changed.state, changed.bought), (charging.state, charging.bought));
}
