//! Changes of the settings of auto-recharge.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use rust_decimal::Decimal;

use crate::{
    Amount, AutoRecharge, AutoRechargeState, Credits, Currency, Money, Period, Reference, Refusal, Service,
};

/// A change of an owner's settings; `None` keeps a field's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AutoRechargeUpdate {
    /// See [`AutoRecharge::enabled`].
    pub enabled: Option<bool>,
    /// See [`AutoRecharge::threshold`].
    pub threshold: Option<Credits>,
    /// See [`AutoRecharge::service`]; `Some(None)` is for debits without one.
    pub service: Option<Option<Service>>,
    /// See [`AutoRecharge::amount`].
    pub amount: Option<Amount>,
    /// See [`AutoRecharge::payment_method`].
    pub payment_method: Option<Reference>,
    /// See [`AutoRecharge::monthly_limit`]; `Some(None)` removes the limit.
    pub monthly_limit: Option<Option<Credits>>,
    /// See [`AutoRecharge::monthly_spend_limit`]; `Some(None)` restores the default limit.
    pub monthly_spend_limit: Option<Option<Money>>,
    /// See [`AutoRecharge::debt_limit`].
    pub debt_limit: Option<Credits>,
}

/// The reason why a change is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAutoRecharge {
    /// The field is required for the first setting.
    #[error("is required to set up auto-recharge")]
    Missing(&'static str),
    /// One pack exceeds the monthly limit of credits.
    #[error("must be at least amount, or null for no limit")]
    LimitBelowAmount,
    /// One pack exceeds the monthly limit of money, or one payment.
    #[error("must be smaller: one pack of this size costs {0}")]
    PackTooDear(String),
    /// One payment cannot bring the balance back to the threshold.
    #[error("must be at most {most}: one payment, within {within}, cannot bring back more")]
    ThresholdTooHigh {
        /// The highest possible threshold.
        most: u64,
        /// The limits of a payment.
        within: String,
    },
    /// One payment cannot settle the debt limit.
    #[error("must be at most {most}: one payment, within {within}, cannot settle more")]
    DebtLimitTooHigh {
        /// The highest possible debt limit.
        most: u64,
        /// The limits of a payment.
        within: String,
    },
}

impl BadAutoRecharge {
    /// The request's field that is wrong.
    #[must_use]
    pub fn field(&self) -> &'static str {
        match self {
            Self::Missing(field) => field,
            Self::LimitBelowAmount => "monthlyLimit",
            Self::PackTooDear(_) => "amount",
            Self::ThresholdTooHigh { .. } => "threshold",
            Self::DebtLimitTooHigh { .. } => "debtLimit",
        }
    }
}

impl AutoRechargeUpdate {
    /// Whether it needs no existing settings: it is empty, or only switches auto-recharge off.
    #[must_use]
    pub fn sets_nothing_up(&self) -> bool {
        let off = Self { enabled: Some(false), ..Self::default() };
        *self == off || *self == Self::default()
    }
}

impl AutoRecharge {
    /// The default monthly limit of money, in minor units of the organisation's currency: GBP 1,000.00.
    pub const SPEND_LIMIT_USUAL: u64 = 100_000;

    /// The settings after `change`. Auto-recharge starts again without failures, disputes or refunds. A charge
    /// that was requested is completed in any case.
    ///
    /// # Errors
    /// [`BadAutoRecharge::Missing`], [`BadAutoRecharge::LimitBelowAmount`].
    pub fn changed(
        known: Option<&Self>,
        change: &AutoRechargeUpdate,
        now: DateTime<Utc>,
    ) -> Result<Self, BadAutoRecharge> {
        let known_or = |name| BadAutoRecharge::Missing(name);
        let threshold = change.threshold.or(known.map(|known| known.threshold));
        let amount = change.amount.or(known.map(|known| known.amount));
        let method = change.payment_method.clone().or(known.map(|known| known.payment_method.clone()));
        let changed = Self {
            enabled: change.enabled.or(known.map(|known| known.enabled)).unwrap_or(false),
            threshold: threshold.ok_or(known_or("threshold"))?,
            service: change.service.unwrap_or(known.and_then(|known| known.service)),
            amount: amount.ok_or(known_or("amount"))?,
            payment_method: method.ok_or(known_or("paymentMethod"))?,
            monthly_limit: change.monthly_limit.unwrap_or(known.and_then(|known| known.monthly_limit)),
            monthly_spend_limit: change
                .monthly_spend_limit
                .unwrap_or(known.and_then(|known| known.monthly_spend_limit)),
            debt_limit: change.debt_limit.or(known.map(|known| known.debt_limit)).unwrap_or_default(),
            state: match known.map(|known| &known.state) {
                Some(charging @ AutoRechargeState::Charging { .. }) => charging.clone(),
                Some(
                    AutoRechargeState::Ready
                    | AutoRechargeState::Paused { .. }
                    | AutoRechargeState::Stopped { .. },
                )
                | None => AutoRechargeState::Ready,
            },
            disputed: false,
            refunded: false,
            failures: 0,
            failure: None,
            month: known.map_or(Period::of(now), |known| known.month),
            bought: known.map_or(Credits::ZERO, |known| known.bought),
            spent: known.map_or(0, |known| known.spent),
            recent: known.map(|known| known.recent.clone()).unwrap_or_default(),
            edition: known.map_or(0, |known| known.edition).saturating_add(1),
            revision: known.map_or(0, |known| known.revision),
        };
        if changed.monthly_limit.is_some_and(|limit| limit < changed.amount.into()) {
            return Err(BadAutoRecharge::LimitBelowAmount);
        }
        Ok(changed)
    }

    /// The monthly limit of money, in minor units of `currency`, the organisation's own.
    #[must_use]
    pub fn spend_limit(&self, currency: Currency) -> u64 {
        let own = self.monthly_spend_limit.filter(|limit| limit.currency() == currency);
        own.map_or(Self::SPEND_LIMIT_USUAL, Money::amount)
    }

    /// Checks that one payment can always bring the balance back to the threshold: for every gap up to the
    /// whole threshold plus the debt limit, at the prices given by `price`. The price per credit changes at the
    /// package `sizes`, and the total rises in between. When no package is on sale, the check passes.
    ///
    /// # Errors
    /// [`BadAutoRecharge`] with the highest possible threshold.
    pub fn satisfiable(
        &self,
        currency: Currency,
        sizes: &[Amount],
        price: impl Fn(Amount) -> Result<Money, Refusal>,
    ) -> Result<(), BadAutoRecharge> {
        let (pack, limit) = (u64::from(self.amount), self.spend_limit(currency));
        let fits = |packs: u64| {
            let credits = packs.checked_mul(pack).and_then(|credits| Amount::try_from(credits).ok());
            let may_buy = |credits| self.monthly_limit.is_none_or(|most| Credits::from(credits) <= most);
            credits.filter(|credits| may_buy(*credits)).is_some_and(|credits| match price(credits) {
                Ok(price) => price.amount() <= limit,
                Err(refusal) => refusal != Refusal::PriceLimit,
            })
        };
        let wanted = self.threshold.get().saturating_add(self.debt_limit.get()).div_ceil(pack).max(1);
        let below = |size: &Amount| u64::from(*size).saturating_sub(1).checked_div(pack);
        let ends = sizes.iter().filter_map(below).filter(|end| (1..wanted).contains(end));
        let ends: BTreeSet<u64> = ends.chain([wanted]).collect();
        let mut packs = 0;
        for end in ends {
            if !fits(end) {
                return Err(self.beyond(last(packs, end, fits), currency, price(self.amount).ok()));
            }
            packs = end;
        }
        Ok(())
    }

    /// The refusal when one payment can be for at most `packs` packs.
    fn beyond(&self, packs: u64, currency: Currency, pack: Option<Money>) -> BadAutoRecharge {
        let limit = text(self.spend_limit(currency), currency);
        if packs == 0 {
            let costs = pack.map_or("more than the maximum of one payment".to_owned(), |pack| {
                format!("{}, and monthlySpendLimit is {limit}", text(pack.amount(), currency))
            });
            return BadAutoRecharge::PackTooDear(costs);
        }
        let most = packs.saturating_mul(self.amount.into());
        let mut within = format!("monthlySpendLimit ({limit})");
        if let Some(limit) = self.monthly_limit {
            within.push_str(&format!(" and monthlyLimit ({} credits)", limit.get()));
        }
        match most.checked_sub(self.debt_limit.get()) {
            Some(most) => BadAutoRecharge::ThresholdTooHigh { most, within },
            None => BadAutoRecharge::DebtLimitTooHigh { most, within },
        }
    }
}

/// The last number after `first` that `fits`, before `beyond`, which does not fit; `first` when none does.
fn last(mut first: u64, mut beyond: u64, fits: impl Fn(u64) -> bool) -> u64 {
    loop {
        let half = beyond.saturating_sub(first).checked_div(2).unwrap_or(0);
        if half == 0 {
            return first;
        }
        let middle = first.saturating_add(half);
        if fits(middle) {
            first = middle;
        } else {
            beyond = middle;
        }
    }
}

/// Money as text: `GBP 49.00`.
fn text(minor: u64, currency: Currency) -> String {
    let amount = Decimal::new(i64::try_from(minor).unwrap_or(i64::MAX), currency.decimals());
    format!("{} {amount}", currency.code())
}
