use crate::{Account, Allowance, Credits, Guard};

/// The subscription credits of one month.
///
/// They have two parts: what the plan brings, which is spent first, and what operators have added. Debits lower
/// `left` alone; how far the two parts are spent follows from it, see [`Account::extras`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Subscription {
    /// Not spent yet.
    pub left: Credits,
    /// Those left and those spent. On an unlimited plan nothing is left, and what is spent is counted
    /// here, so that a change of plan knows of it (contract, rule 4).
    pub granted: Credits,
    /// What operators have added and taken, as it was last written.
    pub extras: Extras,
}

/// What operators have added to a month's subscription credits, and taken from them. A change of plan leaves it alone,
/// but that what was taken and the new plan does not bring is taken from what was added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// Added and not spent.
    pub left: Credits,
    /// Added and spent.
    pub spent: Credits,
    /// Taken from what the plan brings.
    pub taken: Credits,
}

/// A month's subscription credits with another allowance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WithAllowance {
    /// Not spent yet.
    pub(crate) left: Credits,
    /// What operators have added and taken.
    pub(crate) extras: Extras,
}

impl Subscription {
    /// How many were spent this month.
    #[must_use]
    pub fn spent(self) -> Credits {
        self.granted.less(self.left).unwrap_or_default()
    }

    /// How much of what the plan brings was spent.
    fn plan_spent(self, extras: Extras) -> Credits {
        self.spent().less(extras.spent).unwrap_or_default()
    }
}

impl Account {
    /// What operators have added and taken this month, as far as it is spent by now.
    #[must_use]
    pub fn extras(&self) -> Extras {
        let Extras { left: written, spent, taken } = self.subscription.extras;
        // An unlimited plan takes nothing from what was added.
        let left = match self.allowance {
            Allowance::Unlimited => written,
            Allowance::Monthly(_) => written.min(self.subscription.left),
        };
        let more = written.less(left).unwrap_or_default();
        Extras { left, spent: spent.plus(more).unwrap_or(Credits::MAX), taken }
    }

    /// Holds while no debit has changed [`Account::extras`] since the account was seen.
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

    /// The month with an allowance: what it brings and was neither spent nor taken, and what operators have added.
    pub(crate) fn with_allowance(&self, allowance: Allowance) -> WithAllowance {
        let extras = self.extras();
        let Allowance::Monthly(brings) = allowance else {
            // Nothing is counted down, so nothing is left.
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

    /// By how much what was spent or taken exceeds what the plan brings, since it became a smaller one: a refund
    /// makes up for that first, so that what is left never exceeds the plan.
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
