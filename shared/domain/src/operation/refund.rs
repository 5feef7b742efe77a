//! The rules of a refund: which debits, for which reasons, until when.

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Amount, Credits, Direction, DrawOrder, DrawdownReason, DrawdownShares, EntryId, Operation, Receipt,
    Reference, RefundReason, Refusal, Remainder,
};

/// The maximum number of days between a debit and its `settleBy`.
pub const SETTLE_DAYS_MAX: i64 = 31;

/// The number of days after a debit in which the caller can request a refund. An operator can refund it at any
/// time.
pub const REFUND_DAYS: i64 = 31;

/// A request for a refund.
#[derive(Clone, Debug)]
pub struct Refund {
    /// The debit.
    pub transaction: EntryId,
    /// The reason.
    pub reason: RefundReason,
    /// The number of credits; `None` for everything that was not refunded yet.
    pub amount: Option<Amount>,
    /// A free text.
    pub note: Option<Reference>,
    /// The earlier debit that this one duplicates. Required only when it is far back.
    pub duplicate_of: Option<EntryId>,
    /// The authority that decides.
    pub by: RefundAuthority,
}

/// The authority that decides on a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefundAuthority {
    /// The seed's table.
    Table,
    /// The table, for a caller that reports in time that the operation failed.
    Policy,
    /// An operator, regardless of the table.
    Operator,
}

/// The earlier debit of the same operation and resource on which a refund depends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DuplicateOf {
    /// None. An operator can name one for the record.
    NotNeeded(Option<EntryId>),
    /// This one, if it qualifies and was not refunded.
    Named(EntryId),
    /// The latest one that was not refunded.
    Latest,
}

impl Refund {
    /// Checks whether the rules allow a refund of `debit`, and returns the earlier debit on which that depends.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`], [`Refusal::ReasonNotEligible`].
    pub fn of(&self, debit: &Receipt, now: DateTime<Utc>) -> Result<DuplicateOf, Refusal> {
        debit.may_be_refunded()?;
        match self.by {
            RefundAuthority::Operator => return Ok(DuplicateOf::NotNeeded(self.duplicate_of)),
            RefundAuthority::Policy => debit.may_fail(now)?,
            RefundAuthority::Table => {
                self.reason.may_refund()?;
                debit.is_in_refund_window(now)?;
            }
        }
        if self.reason != RefundReason::DuplicateOperation {
            return Ok(DuplicateOf::NotNeeded(None));
        }
        if debit.details.resource_id.is_none() {
            return Err(Refusal::NotEligible(
                "this debit has no resource, so it cannot be a duplicate; an operator can still refund it",
            ));
        }
        Ok(self.duplicate_of.map_or(DuplicateOf::Latest, DuplicateOf::Named))
    }

    /// The refusal when there is no earlier debit of the same operation and resource that was not refunded.
    #[must_use]
    pub fn no_twin(&self) -> Refusal {
        Refusal::NotEligible(match self.duplicate_of {
            Some(_) => {
                "`duplicateOf` is not an earlier debit of the same operation and resource, or it has been refunded"
            }
            None => {
                "there is no earlier debit of the same operation and resource that has not been refunded; if it is more than 10,000 \
                 transactions back, name it in `duplicateOf`"
            }
        })
    }
}

impl Refusal {
    /// The refusal when the id of a purchase is given instead of a debit's.
    #[must_use]
    pub fn purchase_is_no_debit() -> Self {
        Self::NotEligible("this transaction added credits and spent none; name the debit of an operation")
    }
}

impl RefundReason {
    /// Applies the seed's table.
    ///
    /// # Errors
    /// [`Refusal::ReasonNotEligible`] for reasons that do not qualify.
    pub fn may_refund(self) -> Result<(), Refusal> {
        match self {
            Self::TechnicalFailure | Self::DuplicateOperation | Self::CanceledVerification => Ok(()),
            Self::PoorQualityDocument => Err(Refusal::ReasonNotEligible(
                "the document was processed, although in low quality, which is not refunded; an operator can still refund it",
            )),
            Self::FalsePositive => Err(Refusal::ReasonNotEligible(
                "the screening was completed: a false positive is not refunded; an operator can still refund it",
            )),
        }
    }
}

impl Receipt {
    /// Checks that it spent credits: it is a debit of a priced operation, or a capture.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`] with the kind of transaction.
    pub fn may_be_refunded(&self) -> Result<(), Refusal> {
        let not = |words| Err(Refusal::NotEligible(words));
        if self.is_hold() {
            return not(
                "this transaction is a hold and spent no credits; release the hold, or refund one of its captures",
            );
        }
        if self.entry.direction == Direction::Credit || !self.is_capture() && self.entry.operation.is_own() {
            return not("this transaction spent no credits; name the debit of an operation");
        }
        if self.spent().is_zero() {
            return not("this debit cost nothing, so there is nothing to refund");
        }
        Ok(())
    }

    /// Checks that the caller can still request a refund.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`] from [`REFUND_DAYS`] after it.
    pub fn is_in_refund_window(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        let end = self.entry.at.checked_add_signed(TimeDelta::days(REFUND_DAYS));
        if end.is_none_or(|end| now < end) {
            return Ok(());
        }
        Err(Refusal::NotEligible(
            "this debit is older than 31 days, and callers can request refunds for 31 days; ask your operator, who \
             can still refund it",
        ))
    }

    /// The number of credits that it spent.
    #[must_use]
    pub fn spent(&self) -> Credits {
        match &self.details.drawn {
            Some(drawn) if drawn.why == DrawdownReason::Capture => drawn.amount(),
            Some(_) | None => self.entry.amount,
        }
    }

    /// Whether `self` is an earlier debit of the same operation and resource as `later`.
    #[must_use]
    pub fn is_twin_of(&self, later: &Self) -> bool {
        let resource = |receipt: &Self| receipt.details.resource_id.as_ref().map(Reference::composed);
        resource(later).is_some()
            && resource(self) == resource(later)
            && self.paid_for() == later.paid_for()
            && self.sequence < later.sequence
            // Captures of one hold belong to one operation.
            && (!self.is_capture() || self.drawn_from() != later.drawn_from())
            // Monthly charges of a monitor are not duplicates.
            && self.details.monitor.is_none()
            && self.may_be_refunded().is_ok()
    }

    /// The operation that was paid for: for a capture, the operation of its hold, if it has one.
    #[must_use]
    pub fn paid_for(&self) -> &Operation {
        let own = &self.entry.operation;
        if self.is_capture() { self.details.purpose.as_ref().unwrap_or(own) } else { own }
    }

    fn drawn_from(&self) -> Option<crate::EntryId> {
        self.details.drawn.as_ref().map(|drawn| drawn.of)
    }

    /// Whether it spends credits of a hold.
    #[must_use]
    pub fn is_capture(&self) -> bool {
        self.details.drawn.as_ref().is_some_and(|drawn| drawn.why == DrawdownReason::Capture)
    }

    /// Checks that the caller can still report a failure.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`] without a `settleBy`, or after it.
    pub fn may_fail(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.details.settle_by {
            Some(end) if now < end => Ok(()),
            Some(_) => Err(Refusal::NotEligible(
                "`settleBy` of this debit has passed; request a refund instead of reporting a failure",
            )),
            None => Err(Refusal::NotEligible(
                "this debit has no `settleBy`; request a refund instead of reporting a failure",
            )),
        }
    }
}

impl Remainder {
    /// The credits that a refund of `amount` returns; `None` refunds everything left. Credits that were taken last are
    /// refunded first.
    ///
    /// # Errors
    /// [`Refusal::AlreadyRefunded`], [`Refusal::MoreThanDebited`].
    pub fn to_refund(&self, amount: Option<Amount>) -> Result<DrawdownShares, Refusal> {
        let left = self.left();
        if left.is_zero() {
            return Err(Refusal::AlreadyRefunded);
        }
        let amount = amount.map_or(left, Credits::from);
        let shares = self.next(amount, DrawOrder::Last);
        let shares = shares.ok_or(Refusal::MoreThanDebited { refundable: left })?;
        Ok(DrawdownShares { shares, closes: amount == left })
    }
}
