//! Tests of the limits of auto-recharge.

use proptest::prelude::*;

use super::auto_recharge::{pence, seed, set};
use super::*;

/// The seed's packages: £49 for 500, £89 for 1,000, £399 for 5,000.
fn price(credits: Amount) -> Result<Money, Refusal> {
    let count = u64::from(credits);
    let (price, size) = [(39_900, 5_000), (8_900, 1_000)]
        .into_iter()
        .find(|(_, size)| *size <= count)
        .unwrap_or((4_900, 500));
    let size = Amount::try_from(size).unwrap();
    pence(price).in_proportion(credits, size).map_err(|_| Refusal::PriceLimit)
}

fn sizes() -> [Amount; 3] {
    [500, 1_000, 5_000].map(|size| Amount::try_from(size).unwrap())
}

/// limit, spent; price => whether it is allowed
#[test]
fn a_month_stays_within_its_limit_of_money() {
    let month = AutoRechargeState::for_this_month(PauseReason::MonthlySpendLimit, at(NOW));
    let hour = AutoRechargeState::for_an_hour(PauseReason::PaymentLimit, at(NOW));
    for (limit, spent, price, expected) in [
        (None, 0, 100_000, Ok(())),
        (None, 0, 100_001, Err(&hour)),
        (None, 95_100, 4_900, Ok(())),
        (None, 95_101, 4_900, Err(&month)),
        (Some(10_000), 4_900, 4_900, Ok(())),
        (Some(10_000), 9_800, 4_900, Err(&month)),
        (Some(4_899), 0, 4_900, Err(&hour)),
        (Some(10_000), u64::MAX, 1, Err(&month)),
    ] {
        let recharge = AutoRecharge { spent, monthly_spend_limit: limit.map(pence), ..set(&seed()) };
        let may = recharge.may_spend(pence(price), Currency::GBP, at(NOW));
        assert_eq!(may.as_ref().err(), expected.err(), "{limit:?} {spent} {price}");
        let may = recharge.may_spend(pence(price), Currency::GBP, at("2024-02-01T00:00:00Z"));
        assert_eq!(may.is_ok(), price <= limit.unwrap_or(100_000), "another month");
    }
}

/// threshold, pack; limits of credits, pence and debt => the field to change, and its highest possible value
#[test]
fn settings_that_one_payment_cannot_satisfy_are_refused_with_the_highest_value() {
    let most = Money::MAX;
    for (threshold, pack, (limit, spend, debt), expected) in [
        (100, 500, (None, None, 0), None),
        (12_500, 500, (None, None, 0), None),
        (12_501, 500, (None, None, 0), Some(("threshold", 12_500))),
        (1_000_000_000_000, 500, (None, None, 0), Some(("threshold", 12_500))),
        (1_000_000_000_000, 500, (None, Some(most), 0), Some(("threshold", 12_531_000))),
        (9_007_199_254_740_991, 1, (None, Some(most), 0), Some(("threshold", 12_531_328))),
        (1_500, 500, (Some(1_499), None, 0), Some(("threshold", 1_000))),
        (1_500, 500, (Some(1_500), None, 0), None),
        (12_000, 500, (None, None, 500), None),
        (12_000, 500, (None, None, 501), Some(("threshold", 11_999))),
        (0, 500, (None, None, 12_501), Some(("debtLimit", 12_500))),
        (0, 12_600, (None, None, 0), Some(("amount", 0))),
        (100, 500, (None, Some(4_899), 0), Some(("amount", 0))),
        (100, 500, (None, Some(4_900), 0), None),
        // A thousand cost £89, and 950 cost more than that: a payment for fewer must be possible too.
        (1_000, 50, (None, Some(8_900), 0), Some(("threshold", 900))),
        (1_000, 500, (None, Some(8_900), 0), None),
    ] {
        let change = AutoRechargeUpdate {
            threshold: Some(credits(threshold)),
            amount: Some(Amount::try_from(pack).unwrap()),
            monthly_limit: Some(limit.map(credits)),
            monthly_spend_limit: Some(spend.map(pence)),
            debt_limit: Some(credits(debt)),
            ..seed()
        };
        let summary = set(&change).satisfiable(Currency::GBP, &sizes(), price).err();
        let most = |bad: &BadAutoRecharge| match bad {
            BadAutoRecharge::ThresholdTooHigh { most, .. }
            | BadAutoRecharge::DebtLimitTooHigh { most, .. } => *most,
            BadAutoRecharge::Missing(_)
            | BadAutoRecharge::LimitBelowAmount
            | BadAutoRecharge::PackTooDear(_) => 0,
        };
        assert_eq!(
            summary.as_ref().map(|bad| (bad.field(), most(bad))),
            expected,
            "{threshold} {pack} {summary:?}"
        );
        // The highest possible value is accepted, and one more is not.
        if let Some(("threshold", most)) = expected {
            let with = |threshold| {
                let change = AutoRechargeUpdate { threshold: Some(credits(threshold)), ..change.clone() };
                set(&change).satisfiable(Currency::GBP, &sizes(), price).is_ok()
            };
            assert!(with(most) && !with(most + 1), "{threshold} {pack}");
        }
    }
    // When no package is on sale, the check passes.
    let huge = AutoRechargeUpdate { threshold: Some(credits(10_000_000)), ..seed() };
    assert_eq!(set(&huge).satisfiable(Currency::GBP, &[], |_| Err(Refusal::NothingOnSale)), Ok(()));
}

proptest! {
    /// In any history, a month's automatic charges never exceed its limits, each brings the balance back to the
    /// threshold, and accepted settings never need more than one payment in a new month.
    #[test]
    fn limits_hold_in_any_history(
        (threshold, pack, limit) in (1u64..3000, 1u64..700, proptest::option::of(1u64..4000)),
        spend in proptest::option::of(1u64..60_000),
        spent in proptest::collection::vec((0u64..1500, 0i64..400), 1..40),
    ) {
        let limit = limit.map(|limit| credits(limit.max(pack)));
        let change = AutoRechargeUpdate {
            threshold: Some(credits(threshold)),
            amount: Some(Amount::try_from(pack).unwrap()),
            monthly_limit: Some(limit),
            monthly_spend_limit: Some(spend.map(pence)),
            ..seed()
        };
        let mut recharge = set(&change);
        let is_accepted = recharge.satisfiable(Currency::GBP, &sizes(), price).is_ok();
        let mut balance = threshold;
        let mut now = at(NOW);
        let mut bought = std::collections::HashMap::<Period, (u64, u64)>::new();
        for (amount, hours) in spent {
            balance = balance.saturating_sub(amount);
            now += chrono::Duration::hours(hours);
            // Without an allowance, which would be granted as months pass.
            let low = Account { allowance: Allowance::Monthly(Credits::ZERO), ..account(&format!("purchased {balance}")) };
            let action = recharge.action(&low, now);
            if let AutoRechargeAction::Turn(AutoRechargeState::Paused { why: PauseReason::PaymentLimit, .. }) = &action {
                prop_assert!(!is_accepted);
            }
            match action {
                AutoRechargeAction::Rest => (),
                AutoRechargeAction::Turn(state) => recharge = AutoRecharge { state, ..recharge },
                AutoRechargeAction::Charge(credits) => match recharge.may_spend(price(credits).unwrap(), Currency::GBP, now) {
                    Err(state) => recharge = AutoRecharge { state, ..recharge },
                    Ok(()) => {
                        let price = price(credits).unwrap();
                        prop_assert!(balance + u64::from(credits) >= threshold);
                        prop_assert_eq!(u64::from(credits) % pack, 0);
                        balance += u64::from(credits);
                        let month = bought.entry(Period::of(now)).or_default();
                        *month = (month.0 + u64::from(credits), month.1 + price.amount());
                        recharge = recharge.charging(id(7), credits, price, now).paid();
                    }
                }
            }
        }
        for (credits, money) in bought.values() {
            prop_assert!(limit.is_none_or(|limit| *credits <= limit.get()));
            prop_assert!(*money <= spend.unwrap_or(AutoRecharge::SPEND_LIMIT_USUAL));
        }
    }
}
