//! The next action of auto-recharge.

use chrono::{DateTime, Utc};

use crate::{Account, Allowance, Amount, Credits, Currency, Money, Pause, Period, Recharge, RechargeState};

/// The next action of auto-recharge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wish {
    /// Do nothing.
    Rest,
    /// Buy this number of credits, in one charge.
    Charge(Amount),
    /// Change to this state.
    Turn(RechargeState),
}

impl Recharge {
    /// The next action for `account` at `now`. Each crossing of the threshold causes one charge: the process
    /// that makes it first changes the state to `Charging` by a conditional write. A charge brings the balance
    /// back to the threshold or is not made, so no crossing causes two.
    #[must_use]
    pub fn wish(&self, account: &Account, now: DateTime<Utc>) -> Wish {
        if self.reversed().is_some() {
            return Wish::Rest;
        }
        let is_low = account.spendable(self.service, now) < self.threshold;
        let may_charge = self.enabled && !account.frozen && account.allowance != Allowance::Unlimited;
        let pause = match &self.state {
            RechargeState::Charging { .. } => return Wish::Rest,
            RechargeState::Ready => None,
            RechargeState::Paused { why, until } => Some((*why, *until <= now)),
            RechargeState::Stopped { why } => Some((*why, false)),
        };
        if let Some((why, is_over)) = pause {
            let is_over = is_over || (!is_low && why.ends_with_credits());
            if is_over && !(is_low && may_charge) {
                // There is nothing to charge now, so the next crossing counts as a new one.
                return Wish::Turn(RechargeState::Ready);
            }
            let is_settled = why == Pause::Debt && !self.owes_too_much(account);
            if !is_over && !is_settled {
                return Wish::Rest;
            }
        }
        if !(is_low && may_charge) {
            return Wish::Rest;
        }
        self.charge(account, now).unwrap_or_else(Wish::Turn)
    }

    /// The charge that brings the balance back to the threshold, or the state to change to if there can be
    /// none.
    fn charge(&self, account: &Account, now: DateTime<Utc>) -> Result<Wish, RechargeState> {
        if self.owes_too_much(account) {
            return Err(RechargeState::Stopped { why: Pause::Debt });
        }
        if let Some(until) = self.burst_until(now) {
            return Err(RechargeState::Paused { why: Pause::TooManyCharges, until });
        }
        let too_much = || RechargeState::for_an_hour(Pause::PaymentLimit, now);
        let credits = self.packs(account, now).ok_or_else(too_much)?;
        if let Some(limit) = self.monthly_limit {
            let (bought, _) = self.bought_in(Period::of(now));
            if limit < credits.into() {
                return Err(too_much());
            }
            if limit.less(bought).is_none_or(|room| room < credits.into()) {
                return Err(RechargeState::for_this_month(Pause::MonthlyLimit, now));
            }
        }
        Ok(Wish::Charge(credits))
    }

    /// Checks that a charge for `price` is within the monthly limit of money, in `currency`, the organisation's
    /// own.
    ///
    /// # Errors
    /// The state to change to when it is not.
    pub fn may_spend(
        &self,
        price: Money,
        currency: Currency,
        now: DateTime<Utc>,
    ) -> Result<(), RechargeState> {
        let (limit, (_, spent)) = (self.spend_limit(currency), self.bought_in(Period::of(now)));
        if limit < price.amount() {
            return Err(RechargeState::for_an_hour(Pause::PaymentLimit, now));
        }
        if limit.saturating_sub(spent) < price.amount() {
            return Err(RechargeState::for_this_month(Pause::MonthlySpendLimit, now));
        }
        Ok(())
    }

    /// A purchase first settles outstanding credits, so a charge would pay for the debt before anything else.
    fn owes_too_much(&self, account: &Account) -> bool {
        self.debt_limit < account.post_paid.outstanding
    }

    /// The credits, in whole packs, that settle the debt and bring the balance back to the threshold; `None`
    /// when that exceeds what a request may move.
    fn packs(&self, account: &Account, now: DateTime<Utc>) -> Option<Amount> {
        let pack = u64::from(self.amount);
        let spendable = account.spendable(self.service, now);
        let gap: Credits = self.threshold.less(spendable).unwrap_or_default();
        let packs = gap.get().saturating_add(account.post_paid.outstanding.get()).div_ceil(pack).max(1);
        Amount::try_from(packs.checked_mul(pack)?).ok()
    }
}
