//! The subscription credits of a month.

use crate::{Account, Allowance, Credits, Guard};

/// The subscription credits of one month.
///
/// They have two parts: the plan's allowance, which is spent first, and credits that operators added. Debits
/// only lower `left`; the spent share of each part follows from it, see [`Account::extras`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SubscriptionCredits {
    /// The credits left.
    pub left: Credits,
    /// Remaining and spent credits together. On an unlimited plan nothing remains, and spent credits are
    /// counted here, so that a later change of plan takes them into account (contract, rule 4).
    pub granted: Credits,
    /// What operators added and took, as last stored.
    pub extras: Extras,
}

/// The credits that operators added to a month's subscription credits, and took from them. A change of plan
/// keeps them, but credits that were taken beyond the new allowance are taken from the added ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Added and not spent.
    pub left: Credits,
    /// Added and spent.
    pub spent: Credits,
    /// Taken from what the plan brings.
    pub taken: Credits,
}

/// A month's subscription credits under another allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WithAllowance {
    /// The credits left.
    pub(crate) left: Credits,
    /// What operators added and took.
    pub(crate) extras: Extras,
}

impl SubscriptionCredits {
    /// The credits spent this month.
    #[must_use]
    pub fn spent(self) -> Credits {
        self.granted.less(self.left).unwrap_or_default()
    }

    /// The spent credits of the plan's allowance.
    fn plan_spent(self, extras: Extras) -> Credits {
        self.spent().less(extras.spent).unwrap_or_default()
    }
}

impl Account {
    /// The credits that operators added and took this month, including added credits that are spent.
    #[must_use]
    pub fn extras(&self) -> Extras {
        let Extras { left: written, spent, taken } = self.subscription.extras;
        // An unlimited plan spends none of the added credits.
        let left = match self.allowance {
            Allowance::Unlimited => written,
            Allowance::Monthly(_) => written.min(self.subscription.left),
        };
        let more = written.less(left).unwrap_or_default();
        Extras { left, spent: spent.plus(more).unwrap_or(Credits::MAX), taken }
    }

    /// A guard that fails when a debit has changed [`Account::extras`] since the account was read.
    pub(crate) fn extras_stand(&self) -> Option<Guard> {
        let (lot, left) = (self.subscription_lot(), self.subscription.left);
        let added = self.subscription.extras.left;
        match self.allowance {
            _ if added.is_zero() => None,
            Allowance::Unlimited => None,
            Allowance::Monthly(_) if added <= left => Some(Guard::AtLeast(lot, added)),
            Allowance::Monthly(_) => Some(Guard::Exactly(lot, left)),
        }
    }

    /// The month under an allowance: the part that was neither spent nor taken, and the credits that operators
    /// added.
    pub(crate) fn with_allowance(&self, allowance: Allowance) -> WithAllowance {
        let extras = self.extras();
        let Allowance::Monthly(brings) = allowance else {
            // An unlimited plan has no balance.
            return WithAllowance { left: Credits::ZERO, extras };
        };
        let plan = brings.less(self.subscription.plan_spent(extras)).unwrap_or_default();
        let of_plan = plan.min(extras.taken);
        let of_extras = extras.taken.less(of_plan).unwrap_or_default().min(extras.left);
        let extras = Extras {
            left: extras.left.less(of_extras).unwrap_or_default(),
            taken: extras.taken.less(of_extras).unwrap_or_default(),
            ..extras
        };
        let left = plan.less(of_plan).unwrap_or_default().plus(extras.left).unwrap_or(Credits::MAX);
        WithAllowance { left, extras }
    }

    /// The credits spent or taken beyond the allowance, after a downgrade. A refund makes up for these first,
    /// so that the remaining credits never exceed the plan.
    #[must_use]
    pub fn beyond_plan(&self) -> Credits {
        match self.allowance {
            Allowance::Monthly(brings) => {
                let extras = self.extras();
                let used = self.subscription.plan_spent(extras).plus(extras.taken).unwrap_or(Credits::MAX);
                used.less(brings).unwrap_or_default()
            }
            Allowance::Unlimited => Credits::ZERO,
        }
    }
}
