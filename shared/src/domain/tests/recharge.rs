use proptest::prelude::*;

use super::*;

/// The seed's configuration.
fn seed() -> RechargeChange {
    RechargeChange {
        enabled: Some(true),
        threshold: Some(credits(100)),
        amount: Some(Amount::try_from(500).unwrap()),
        payment_method: Some(Reference::try_from("card_xyz123".to_owned()).unwrap()),
        monthly_limit: None,
    }
}

fn set(change: &RechargeChange) -> Recharge {
    Recharge::changed(None, change, at(NOW)).unwrap()
}

fn hours(hours: i64) -> DateTime<Utc> {
    at(NOW) + chrono::Duration::hours(hours)
}

fn told(wish: &Wish) -> String {
    match wish {
        Wish::Rest => "rest".into(),
        Wish::Charge(credits) => format!("buy {}", u64::from(*credits)),
        Wish::Turn(RechargeState::Paused { why, until }) => format!("pause {why:?} until {until:?}"),
        Wish::Turn(state) => format!("{state:?}"),
    }
}

/// threshold, pack, limit; account => what it wants (contract, rule 6)
#[test]
fn one_charge_covers_the_gap() {
    for (threshold, pack, limit, line, expected) in [
        // The seed's example.
        (100, 500, None, "sub 95", "buy 500"),
        (100, 500, None, "sub 99", "buy 500"),
        (100, 500, None, "sub 100", "rest"),
        (100, 500, None, "sub 60, purchased 20, bonus 15", "buy 500"),
        (100, 500, None, "", "buy 500"),
        // As many packs as it takes, in one charge.
        (2000, 500, None, "sub 95", "buy 2000"),
        (2000, 500, None, "sub 1500", "buy 500"),
        (2000, 500, None, "sub 1499", "buy 1000"),
        // What is owed is settled first, and counts.
        (100, 500, None, "limit 900, owed 600", "buy 1000"),
        // Within the month's limit, by whole packs.
        (2000, 500, Some(1400), "sub 95", "buy 1000"),
        (100, 500, Some(500), "sub 95", "buy 500"),
        (0, 500, None, "", "rest"),
        (100, 500, None, "sub 95, frozen", "rest"),
        (100, 500, None, "unlimited", "rest"),
    ] {
        let change = RechargeChange {
            threshold: Some(credits(threshold)),
            amount: Some(Amount::try_from(pack).unwrap()),
            monthly_limit: Some(limit.map(credits)),
            ..seed()
        };
        assert_eq!(told(&set(&change).wish(&account(line), at(NOW))), expected, "{threshold} {pack} {line}");
        let off = RechargeChange { enabled: Some(false), ..change };
        assert_eq!(set(&off).wish(&account(line), at(NOW)), Wish::Rest);
    }
}

#[test]
fn a_crossing_is_charged_once() {
    let recharge = set(&seed()).charging(id(7), Amount::try_from(500).unwrap(), at(NOW));
    assert_eq!(recharge.wish(&account("sub 5"), hours(100)), Wish::Rest, "a charge is under way");
    assert_eq!(recharge.paid().wish(&account("sub 505"), at(NOW)), Wish::Rest);
    assert_eq!(told(&recharge.paid().wish(&account("sub 99"), at(NOW))), "buy 500", "the next crossing");
}

#[test]
fn a_refused_payment_is_tried_after_one_and_six_hours_and_then_never() {
    let declined = Decline::plain("card_declined");
    let amount = Amount::try_from(500).unwrap();
    let low = account("sub 5");
    let mut recharge = set(&seed());
    let mut now = at(NOW);
    for (wait, failures) in [(1, 1), (6, 2)] {
        recharge = recharge.charging(id(7), amount, now).refused(&declined, now);
        assert_eq!((recharge.enabled, recharge.failures, recharge.bought), (true, failures, Credits::ZERO));
        let until = now + chrono::Duration::hours(wait);
        assert_eq!(recharge.wish(&low, until - chrono::Duration::seconds(1)), Wish::Rest);
        assert_eq!(told(&recharge.wish(&low, until)), "buy 500");
        now = until;
    }
    recharge = recharge.charging(id(7), amount, now).refused(&declined, now);
    assert_eq!((recharge.enabled, recharge.failures), (false, 3));
    assert_eq!(recharge.wish(&low, hours(10_000)), Wish::Rest);
    // Switched on again, it begins afresh.
    let again = RechargeChange { enabled: Some(true), ..RechargeChange::default() };
    let again = Recharge::changed(Some(&recharge), &again, now).unwrap();
    assert_eq!((again.failures, told(&again.wish(&low, now))), (0, "buy 500".into()));
}

#[test]
fn credits_from_elsewhere_end_a_pause() {
    let amount = Amount::try_from(500).unwrap();
    let recharge = set(&seed()).charging(id(7), amount, at(NOW)).refused(&Decline::plain("x"), at(NOW));
    assert_eq!(recharge.wish(&account("sub 600"), at(NOW)), Wish::Turn(RechargeState::Ready));
}

/// What is frozen while it waits does not wait for ever: it goes on when it is crossed again.
#[test]
fn a_pause_ends_at_its_time_whatever_holds_then() {
    let amount = Amount::try_from(500).unwrap();
    let recharge = set(&seed()).charging(id(7), amount, at(NOW)).refused(&Decline::plain("x"), at(NOW));
    for line in ["sub 5, frozen", "unlimited"] {
        assert_eq!(recharge.wish(&account(line), at(NOW)), Wish::Rest);
        assert_eq!(recharge.wish(&account(line), hours(1)), Wish::Turn(RechargeState::Ready), "{line}");
    }
}

#[test]
fn a_month_brings_no_more_than_its_limit() {
    let change = RechargeChange { monthly_limit: Some(Some(credits(1000))), ..seed() };
    let amount = Amount::try_from(500).unwrap();
    let mut recharge = set(&change);
    for _ in 0..2 {
        assert_eq!(told(&recharge.wish(&account("sub 5"), at(NOW))), "buy 500");
        recharge = recharge.charging(id(7), amount, at(NOW)).paid();
    }
    let february = at("2024-02-01T00:00:00Z");
    let pause = RechargeState::Paused { why: Pause::MonthlyLimit, until: february };
    assert_eq!(recharge.wish(&account("sub 5"), at(NOW)), Wish::Turn(pause.clone()));
    let paused = Recharge { state: pause, ..recharge };
    // In February the allowance of ten arrives, which is below the threshold too.
    assert_eq!(told(&paused.wish(&account("sub 5"), february)), "buy 500");
}

#[test]
fn an_hour_has_a_few_charges_at_most() {
    let amount = Amount::try_from(500).unwrap();
    let mut recharge = set(&seed());
    for minute in 0..5 {
        let now = at(NOW) + chrono::Duration::minutes(minute);
        assert_eq!(told(&recharge.wish(&account("sub 5"), now)), "buy 500", "{minute}");
        recharge = recharge.charging(id(7), amount, now).paid();
    }
    assert_eq!(recharge.recent.len(), BURST_MAX);
    let until = hours(1);
    let pause = RechargeState::Paused { why: Pause::TooManyCharges, until };
    assert_eq!(recharge.wish(&account("sub 5"), hours(0) + chrono::Duration::minutes(59)), Wish::Turn(pause));
    assert_eq!(told(&recharge.wish(&account("sub 5"), until)), "buy 500");
    // Settings that are saved again do not make room.
    let again = Recharge::changed(Some(&recharge), &seed(), at(NOW)).unwrap();
    assert_eq!(again.recent, recharge.recent);
}

#[test]
fn what_a_change_leaves_out_stays() {
    let all = set(&RechargeChange { monthly_limit: Some(Some(credits(5000))), ..seed() });
    let none = Recharge::changed(Some(&all), &RechargeChange::default(), at(NOW)).unwrap();
    assert_eq!(none, all);
    let change = RechargeChange { monthly_limit: Some(None), ..RechargeChange::default() };
    assert_eq!(Recharge::changed(Some(&all), &change, at(NOW)).unwrap().monthly_limit, None);
    let change = RechargeChange { monthly_limit: Some(Some(credits(499))), ..RechargeChange::default() };
    assert_eq!(Recharge::changed(Some(&all), &change, at(NOW)), Err(BadRecharge::LimitBelowAmount));
    for (change, missing) in [
        (RechargeChange { threshold: None, ..seed() }, "threshold"),
        (RechargeChange { amount: None, ..seed() }, "amount"),
        (RechargeChange { payment_method: None, ..seed() }, "paymentMethod"),
    ] {
        assert_eq!(Recharge::changed(None, &change, at(NOW)), Err(BadRecharge::Missing(missing)));
    }
    // A charge under way is finished with the credits that it was begun for.
    let charging = all.charging(id(7), Amount::try_from(500).unwrap(), at(NOW));
    let changed = Recharge::changed(Some(&charging), &seed(), at(NOW)).unwrap();
    assert_eq!((changed.state, changed.bought), (charging.state, charging.bought));
}

proptest! {
    /// However it goes, a month's automatic charges never pass its limit, and one charge, where the limit
    /// leaves room, brings the balance back to the threshold.
    #[test]
    fn limits_hold(
        (threshold, pack, limit) in (1u64..3000, 1u64..700, proptest::option::of(1u64..4000)),
        spent in proptest::collection::vec((0u64..1500, 0i64..400), 1..40),
    ) {
        let limit = limit.map(|limit| credits(limit.max(pack)));
        let change = RechargeChange {
            threshold: Some(credits(threshold)),
            amount: Some(Amount::try_from(pack).unwrap()),
            monthly_limit: Some(limit),
            ..seed()
        };
        let mut recharge = set(&change);
        let mut balance = threshold;
        let mut now = at(NOW);
        let mut bought = std::collections::HashMap::<Period, u64>::new();
        for (amount, hours) in spent {
            balance = balance.saturating_sub(amount);
            now += chrono::Duration::hours(hours);
            // Without an allowance, which would arrive as the months pass.
            let low = Account { allowance: Allowance::Monthly(Credits::ZERO), ..account(&format!("purchased {balance}")) };
            match recharge.wish(&low, now) {
                Wish::Rest => (),
                Wish::Turn(state) => recharge = Recharge { state, ..recharge },
                Wish::Charge(credits) => {
                    let covers = balance + u64::from(credits) >= threshold;
                    prop_assert!(covers || limit.is_some());
                    prop_assert_eq!(u64::from(credits) % pack, 0);
                    balance += u64::from(credits);
                    *bought.entry(Period::of(now)).or_default() += u64::from(credits);
                    recharge = recharge.charging(id(7), credits, now).paid();
                }
            }
        }
        for sum in bought.values() {
            prop_assert!(limit.is_none_or(|limit| *sum <= limit.get()));
        }
    }
}
