//! The next action of auto-recharge.

use chrono::{DateTime, Utc};

use crate::{
    Account, Allowance, Amount, AutoRecharge, AutoRechargeState, Credits, Currency, Money, PauseReason,
    Period,
};

/// The next action of auto-recharge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AutoRechargeAction {
    /// Do nothing.
    Rest,
    /// Buy this number of credits, in one charge.
    Charge(Amount),
    /// Change to this state.
    Turn(AutoRechargeState),
}

impl AutoRecharge {
    /// The next action for `account` at `now`. Each crossing of the threshold causes one charge: the process
    /// that makes it first changes the state to `Charging` by a conditional write. A charge brings the balance
    /// back to the threshold or is not made, so no crossing causes two.
    #[must_use]
    pub fn action(&self, account: &Account, now: DateTime<Utc>) -> AutoRechargeAction {
        if self.reversed().is_some() {
            return AutoRechargeAction::Rest;
        }
        let is_low = account.spendable(self.service, now) < self.threshold;
        let may_charge = self.enabled && !account.frozen && account.allowance != Allowance::Unlimited;
        let pause = match &self.state {
            AutoRechargeState::Charging { .. } => return AutoRechargeAction::Rest,
            AutoRechargeState::Ready => None,
            AutoRechargeState::Paused { why, until } => Some((*why, *until <= now)),
            AutoRechargeState::Stopped { why } => Some((*why, false)),
        };
        if let Some((why, is_over)) = pause {
            let is_over = is_over || (!is_low && why.ends_with_credits());
            if is_over && !(is_low && may_charge) {
                // There is nothing to charge now, so the next crossing counts as a new one.
                return AutoRechargeAction::Turn(AutoRechargeState::Ready);
            }
            let is_settled = why == PauseReason::Debt && !self.owes_too_much(account);
            if !is_over && !is_settled {
                return AutoRechargeAction::Rest;
            }
        }
        if !(is_low && may_charge) {
            return AutoRechargeAction::Rest;
        }
        self.charge(account, now).unwrap_or_else(AutoRechargeAction::Turn)
    }

    /// The charge that brings the balance back to the threshold, or the state to change to if there can be
    /// none.
    fn charge(&self, account: &Account, now: DateTime<Utc>) -> Result<AutoRechargeAction, AutoRechargeState> {
        if self.owes_too_much(account) {
            return Err(AutoRechargeState::Stopped { why: PauseReason::Debt });
        }
        if let Some(until) = self.burst_until(now) {
            return Err(AutoRechargeState::Paused { why: PauseReason::TooManyCharges, until });
        }
        let too_much = || AutoRechargeState::for_an_hour(PauseReason::PaymentLimit, now);
        let credits = self.packs(account, now).ok_or_else(too_much)?;
        if let Some(limit) = self.monthly_limit {
            let (bought, _) = self.bought_in(Period::of(now));
            if limit < credits.into() {
                return Err(too_much());
            }
            if limit.less(bought).is_none_or(|room| room < credits.into()) {
                return Err(AutoRechargeState::for_this_month(PauseReason::MonthlyLimit, now));
            }
        }
        Ok(AutoRechargeAction::Charge(credits))
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
    ) -> Result<(), AutoRechargeState> {
        let (limit, (_, spent)) = (self.spend_limit(currency), self.bought_in(Period::of(now)));
        if limit < price.amount() {
            return Err(AutoRechargeState::for_an_hour(PauseReason::PaymentLimit, now));
        }
        if limit.saturating_sub(spent) < price.amount() {
            return Err(AutoRechargeState::for_this_month(PauseReason::MonthlySpendLimit, now));
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
