use crate::{Allowance, Credits, Disputed, EntryId, Extras, Lot, LotId, Period, PlanId};

/// What a posting changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Credits leave a lot.
    Take(LotId, Credits),
    /// Credits join a lot that stands.
    Give(LotId, Credits),
    /// A new lot.
    Open(EntryId, Lot),
    /// A granted lot that is empty, or emptied here, is forgotten.
    Drop(EntryId),
    /// Credits are spent beyond all lots.
    Owe(Credits),
    /// What is outstanding shrinks.
    Repay(Credits),
    /// How much may be outstanding.
    Limit(Credits),
    /// The account is stopped, or goes on.
    Freeze(bool),
    /// Subscription credits leave without having been spent: the plan has become a smaller one, or an operator
    /// has taken them.
    Withdraw(Credits),
    /// What operators have added to this month's subscription credits and taken from them.
    Extras(Extras),
    /// How many credits an unlimited plan may spend in a month.
    Cap(Credits),
    /// What the dispute that this transaction opened has set aside; none when the dispute has ended.
    Dispute(EntryId, Option<Disputed>),
    /// Subscription credits are spent that nothing is counted down from: the plan is unlimited.
    Spend(Credits),
    /// The plan, what it brings a month, and the revision since which that is so.
    Plan(PlanId, Allowance, u64),
    /// Subscription credits that were spent are there again.
    Restore(Credits),
    /// Subscription credits were not spent after all, and are not there either: the plan is unlimited, or
    /// has become one that does not bring so many.
    Unspend(Credits),
    /// Credits are set aside.
    Hold(Credits),
    /// Credits that were set aside are so no longer.
    Unhold(Credits),
    /// Usage of this month grows.
    Use(Credits),
    /// Usage of this month shrinks: some of it was refunded.
    Unuse(Credits),
    /// The month turns: usage starts again, and this is the allowance.
    Renew(Period, Credits),
    /// Attempts up to this id can no longer land.
    Fence(EntryId),
}

/// A number of the account that grows, and the most that it may be before an effect for the effect to fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// Which number.
    pub counter: Counter,
    /// The most that it may be before.
    pub at_most: Credits,
}

/// A number of the account that grows by arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counter {
    /// What is left in a lot.
    Left(LotId),
    /// This month's subscription credits, those left and those spent.
    Granted,
    /// This month's usage.
    Used,
    /// What holds have set aside.
    Held,
    /// What is outstanding.
    Owed,
}

impl Effect {
    /// The numbers that it makes grow, each with the most that it may be before. The write that makes the effect
    /// is refused when one of them is larger, so no number leaves its range, whatever landed since the
    /// account was seen.
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
            // What was spent and is left never exceeds what was granted, whose bound is another's.
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

    /// Whether debits decided before it may have to be decided again, see [`Guard::Revision`].
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
            // There is room on account again: what was refused may be paid now.
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
