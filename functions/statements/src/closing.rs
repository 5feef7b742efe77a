//! What a month opens with, and the check of what it closes with.

use domain::{Balance, BucketFlow, Credits, MonthFlow};

use super::statement::{BucketView, Buckets, MonthlyStatement, OpenedAndClosed};

/// How many operations a bucket has at most in each direction: the largest, and the others as `other`.
const OPERATIONS_MAX: usize = 200;

/// The credits with which a month opens: those with which the one before closed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Opening {
    subscription: i64,
    purchased: i64,
    bonus: i64,
    held: i64,
    outstanding: i64,
    disputed: i64,
}

/// Numbers of a month that differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mismatch {
    /// What they are.
    pub(crate) what: &'static str,
    /// What the rollups add up to.
    pub(crate) sum: i64,
    /// What the ledger says.
    pub(crate) stated: i64,
}

impl Opening {
    /// What follows a month.
    pub(crate) fn after(statement: &MonthlyStatement) -> Self {
        Self {
            subscription: statement.buckets.subscription.closing,
            purchased: statement.buckets.purchased.closing,
            bonus: statement.buckets.bonus.closing,
            held: statement.held.closing,
            outstanding: statement.outstanding.closing,
            disputed: statement.disputed.closing,
        }
    }

    /// What a month closes with.
    pub(crate) fn closing(&self, flow: &MonthFlow) -> Self {
        let after = |opening: i64, bucket: &BucketFlow| opening.saturating_add(bucket.net());
        Self {
            subscription: after(self.subscription, &flow.subscription),
            purchased: after(self.purchased, &flow.purchased),
            bonus: after(self.bonus, &flow.bonus),
            held: self.held.saturating_add(flow.held),
            outstanding: self.outstanding.saturating_add(flow.outstanding),
            disputed: self.disputed.saturating_add(flow.disputed),
        }
    }

    /// All credits of the buckets.
    pub(crate) fn booked(&self) -> i64 {
        self.subscription.saturating_add(self.purchased).saturating_add(self.bonus)
    }

    /// Compares what a month closes with and the balance after its last transaction.
    ///
    /// # Errors
    /// [`Mismatch`] with the first number that differs.
    pub(crate) fn check(&self, balance: &Balance) -> Result<(), Mismatch> {
        let owed = balance.post_paid.map(|post_paid| post_paid.outstanding).unwrap_or_default();
        let booked = balance.booked().unwrap_or(Credits::MAX);
        for (what, sum, stated) in [
            ("the balance", self.booked(), booked),
            ("held credits", self.held, balance.held),
            ("outstanding credits", self.outstanding, owed),
            ("disputed credits", self.disputed, balance.disputed),
        ] {
            same(what, sum, i64::try_from(stated.get()).unwrap_or(i64::MAX))?;
        }
        let least = self.subscription.min(self.purchased).min(self.bonus);
        same("a bucket below zero", least.min(0), 0)
    }

    /// The buckets of a month that opens with this.
    pub(crate) fn buckets(&self, flow: &MonthFlow) -> Buckets {
        Buckets {
            subscription: bucket(self.subscription, &flow.subscription),
            purchased: bucket(self.purchased, &flow.purchased),
            bonus: bucket(self.bonus, &flow.bonus),
        }
    }

    /// Balance, held, outstanding and disputed credits of a month that opens with this and closes with `closing`.
    pub(crate) fn beside(&self, closing: &Self) -> [OpenedAndClosed; 4] {
        [
            OpenedAndClosed { opening: self.booked(), closing: closing.booked() },
            OpenedAndClosed { opening: self.held, closing: closing.held },
            OpenedAndClosed { opening: self.outstanding, closing: closing.outstanding },
            OpenedAndClosed { opening: self.disputed, closing: closing.disputed },
        ]
    }
}

/// Compares two numbers.
///
/// # Errors
/// [`Mismatch`] when they differ.
pub(crate) fn same(what: &'static str, sum: i64, stated: i64) -> Result<(), Mismatch> {
    if sum == stated { Ok(()) } else { Err(Mismatch { what, sum, stated }) }
}

fn bucket(opening: i64, flow: &BucketFlow) -> BucketView {
    let causes = flow.causes;
    BucketView {
        opening,
        gained: flow.largest_gained(OPERATIONS_MAX),
        lost: flow.largest_lost(OPERATIONS_MAX),
        added: causes.added,
        used: causes.used,
        refunded: causes.refunded,
        expired: causes.expired,
        held: causes.held,
        withdrawn: causes.withdrawn,
        closing: opening.saturating_add(flow.net()),
    }
}
