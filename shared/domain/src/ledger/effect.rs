//! The changes that a posting makes to an account.

use crate::{Allowance, Credits, DisputedCredits, EntryId, Extras, Lot, LotId, Period, PlanId};

/// A change that a posting makes to an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Credits leave a lot.
    Take(LotId, Credits),
    /// Credits are added to an existing lot.
    Give(LotId, Credits),
    /// A new lot is added.
    Open(EntryId, Lot),
    /// A granted lot that is empty, or becomes empty here, is removed.
    Drop(EntryId),
    /// Credits are spent post-paid.
    Owe(Credits),
    /// Outstanding credits are repaid.
    Repay(Credits),
    /// The post-paid limit is set.
    Limit(Credits),
    /// The account is frozen or unfrozen.
    Freeze(bool),
    /// Subscription credits are removed without being spent: the plan was downgraded, or an operator took them.
    Withdraw(Credits),
    /// The credits that operators added to or took from this month's subscription credits.
    Extras(Extras),
    /// The monthly cap of an unlimited plan is set.
    Cap(Credits),
    /// The credits that this dispute has set aside; `None` when the dispute is closed.
    Dispute(EntryId, Option<DisputedCredits>),
    /// Subscription credits are spent on an unlimited plan, where no balance is reduced.
    Spend(Credits),
    /// The plan, its allowance, and the revision at which it was changed.
    Plan(PlanId, Allowance, u64),
    /// Spent subscription credits are available again.
    Restore(Credits),
    /// Spent subscription credits are refunded without becoming available: the plan is unlimited, or was
    /// downgraded to a lower allowance.
    Unspend(Credits),
    /// Credits are held.
    Hold(Credits),
    /// Held credits are no longer held.
    Unhold(Credits),
    /// This month's usage is increased.
    Use(Credits),
    /// This month's usage is reduced by a refund.
    Unuse(Credits),
    /// A new month begins: usage restarts at 0, with this allowance.
    Renew(Period, Credits),
    /// Attempts up to this id can no longer be written.
    Fence(EntryId),
}

/// The highest value that a counter may have before an effect, so that the effect stays in range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The counter.
    pub counter: Counter,
    /// Its highest value before the effect.
    pub at_most: Credits,
}

/// A counter of the account that effects increase.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// The credits of a lot.
    Left(LotId),
    /// This month's subscription credits, both remaining and spent.
    Granted,
    /// This month's usage.
    Used,
    /// Credits held.
    Held,
    /// Outstanding post-paid credits.
    Owed,
}

impl Effect {
    /// The bounds of the counters that it increases. The conditional write fails when a counter is above its
    /// bound, so no counter leaves its range, whatever was written since the account was read.
    #[must_use]
    pub fn bounds(&self) -> Vec<Bound> {
        let fits = |counter, amount| {
            let at_most = Credits::MAX.less(amount).unwrap_or_default();
            Bound { counter, at_most }
        };
        match *self {
            Self::Give(lot @ LotId::Subscription(_), amount) => {
                vec![fits(Counter::Left(lot), amount), fits(Counter::Granted, amount)]
            }
            Self::Give(lot, amount) => vec![fits(Counter::Left(lot), amount)],
            // Spent and remaining credits never exceed the granted credits, which have a bound of their own.
            Self::Restore(_) => vec![],
            Self::Spend(amount) => vec![fits(Counter::Granted, amount)],
            Self::Use(amount) => vec![fits(Counter::Used, amount)],
            Self::Hold(amount) => vec![fits(Counter::Held, amount)],
            Self::Owe(amount) => vec![fits(Counter::Owed, amount)],
            Self::Take(..)
            | Self::Open(..)
            | Self::Drop(_)
            | Self::Repay(_)
            | Self::Limit(_)
            | Self::Freeze(_)
            | Self::Withdraw(_)
            | Self::Extras(_)
            | Self::Cap(_)
            | Self::Dispute(..)
            | Self::Plan(..)
            | Self::Unspend(_)
            | Self::Unhold(_)
            | Self::Unuse(_)
            | Self::Renew(..)
            | Self::Fence(_) => vec![],
        }
    }

    /// Whether debits that were decided before it may have to be decided again, see [`Guard::Revision`].
    #[must_use]
    pub fn revises(&self) -> bool {
        match self {
            Self::Give(..)
            | Self::Open(..)
            | Self::Renew(..)
            | Self::Plan(..)
            | Self::Restore(_)
            | Self::Unspend(_)
            | Self::Limit(_)
            | Self::Cap(_)
            | Self::Dispute(..)
            | Self::Extras(_)
            // The post-paid limit has room again, so a refused debit may succeed now.
            | Self::Repay(_)
            | Self::Freeze(_) => true,
            Self::Take(..)
            | Self::Withdraw(_)
            | Self::Spend(_)
            | Self::Drop(_)
            | Self::Hold(_)
            | Self::Unhold(_)
            | Self::Use(_)
            | Self::Unuse(_)
            | Self::Owe(_)
            | Self::Fence(_) => false,
        }
    }
}
