use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    Amount, Credits, Direction, EntryId, Operation, Order, Portion, Pot, Reason, Receipt, Reference, Refusal,
    Why,
};

/// For how many days after a debit its `settleBy` may lie at most.
pub const SETTLE_DAYS_MAX: i64 = 31;

/// For how many days after a debit its caller may ask for a refund. An operator may refund it at any time.
pub const REFUND_DAYS: i64 = 31;

/// Credits asked back.
#[derive(Clone, Debug)]
pub struct Refund {
    /// Of which debit.
    pub transaction: EntryId,
    /// Why.
    pub reason: Reason,
    /// How many; all that was not refunded yet when left out.
    pub amount: Option<Amount>,
    /// In words.
    pub note: Option<Reference>,
    /// The earlier debit for the same, where that is the reason and it lies far back.
    pub duplicate_of: Option<EntryId>,
    /// Who decides.
    pub by: Decides,
}

/// Who decides on a refund.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decides {
    /// The seed's table.
    Table,
    /// The table, for a debit whose caller reports in time that it has failed.
    Policy,
    /// An operator, whatever the table says.
    Operator,
}

/// Which earlier debit for the same a refund depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Twin {
    /// None. An operator may name one for the record.
    NotNeeded(Option<EntryId>),
    /// This one, if it is one and stands.
    Named(EntryId),
    /// The latest one that stands.
    Latest,
}

impl Refund {
    /// Whether `debit` is refunded by the rules, and on which earlier debit that still depends.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`], [`Refusal::ReasonNotEligible`].
    pub fn of(&self, debit: &Receipt, now: DateTime<Utc>) -> Result<Twin, Refusal> {
        debit.may_be_refunded()?;
        match self.by {
            Decides::Operator => return Ok(Twin::NotNeeded(self.duplicate_of)),
            Decides::Policy => debit.may_fail(now)?,
            Decides::Table => {
                self.reason.may_refund()?;
                debit.is_in_refund_window(now)?;
            }
        }
        if self.reason != Reason::DuplicateOperation {
            return Ok(Twin::NotNeeded(None));
        }
        if debit.details.resource_id.is_none() {
            return Err(Refusal::NotEligible(
                "this debit names no resource, so it is the duplicate of none; an operator may decide otherwise",
            ));
        }
        Ok(self.duplicate_of.map_or(Twin::Latest, Twin::Named))
    }

    /// The refusal when the debit has no earlier twin that stands.
    #[must_use]
    pub fn no_twin(&self) -> Refusal {
        Refusal::NotEligible(match self.duplicate_of {
            Some(_) => "`duplicateOf` names no earlier debit for the same operation and resource that stands",
            None => {
                "no earlier debit for the same operation and resource stands; if it lies more than 10,000 \
                 transactions back, name it in `duplicateOf`"
            }
        })
    }
}

impl Refusal {
    /// The refusal for the name of a purchase in place of a debit's.
    #[must_use]
    pub fn purchase_is_no_debit() -> Self {
        Self::NotEligible(
            "this transaction has brought credits and spent none; name the debit of an operation",
        )
    }
}

impl Reason {
    /// What the seed's table says of it.
    ///
    /// # Errors
    /// [`Refusal::ReasonNotEligible`] for those that get no refund.
    pub fn may_refund(self) -> Result<(), Refusal> {
        match self {
            Self::TechnicalFailure | Self::DuplicateOperation | Self::CanceledVerification => Ok(()),
            Self::PoorQualityDocument => Err(Refusal::ReasonNotEligible(
                "the document was processed, in low quality: that is not refunded; an operator may decide otherwise",
            )),
            Self::FalsePositive => Err(Refusal::ReasonNotEligible(
                "the screening was completed: a false positive is not refunded; an operator may decide otherwise",
            )),
        }
    }
}

impl Receipt {
    /// Whether credits were spent by it: a debit of a priced operation, or a capture.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`] saying what it is instead.
    pub fn may_be_refunded(&self) -> Result<(), Refusal> {
        let not = |words| Err(Refusal::NotEligible(words));
        if self.is_hold() {
            return not(
                "this transaction has set credits aside and spent none; release the hold, or refund a capture of it",
            );
        }
        if self.entry.direction == Direction::Credit || !self.is_capture() && self.entry.operation.is_own() {
            return not("this transaction has spent no credits; name the debit of an operation");
        }
        if self.spent().is_zero() {
            return not("this debit cost nothing, so there is nothing to refund");
        }
        Ok(())
    }

    /// Whether its caller may still ask for a refund.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`] from [`REFUND_DAYS`] after it on.
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

    /// How many credits were spent by it.
    #[must_use]
    pub fn spent(&self) -> Credits {
        match &self.details.drawn {
            Some(drawn) if drawn.why == Why::Capture => drawn.amount(),
            Some(_) | None => self.entry.amount,
        }
    }

    /// Whether `self` is an earlier debit for the same as `later`: same operation, same resource.
    #[must_use]
    pub fn is_twin_of(&self, later: &Self) -> bool {
        let resource = |receipt: &Self| receipt.details.resource_id.as_ref().map(Reference::composed);
        resource(later).is_some()
            && resource(self) == resource(later)
            && self.paid_for() == later.paid_for()
            && self.sequence < later.sequence
            // Parts of one hold are parts of one operation.
            && (!self.is_capture() || self.drawn_from() != later.drawn_from())
            // Months of a monitor are charged one after the other, each for itself.
            && self.details.monitor.is_none()
            && self.may_be_refunded().is_ok()
    }

    /// The operation that was paid: a capture's is the one that its credits were set aside for, if it was one.
    #[must_use]
    pub fn paid_for(&self) -> &Operation {
        let own = &self.entry.operation;
        if self.is_capture() { self.details.purpose.as_ref().unwrap_or(own) } else { own }
    }

    fn drawn_from(&self) -> Option<crate::EntryId> {
        self.details.drawn.as_ref().map(|drawn| drawn.of)
    }

    fn is_capture(&self) -> bool {
        self.details.drawn.as_ref().is_some_and(|drawn| drawn.why == Why::Capture)
    }

    /// Whether its caller may still report that it has failed.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`] without a `settleBy`, or after it.
    pub fn may_fail(&self, now: DateTime<Utc>) -> Result<(), Refusal> {
        match self.details.settle_by {
            Some(end) if now < end => Ok(()),
            Some(_) => Err(Refusal::NotEligible(
                "its `settleBy` has passed, so it counts as done; ask for a refund in place of reporting a failure",
            )),
            None => Err(Refusal::NotEligible(
                "this debit was made without `settleBy`; ask for a refund in place of reporting a failure",
            )),
        }
    }
}

impl Pot {
    /// What is given back of a debit when `amount` is asked for, or all that was not refunded yet; what was
    /// taken last comes first.
    ///
    /// # Errors
    /// [`Refusal::AlreadyRefunded`], [`Refusal::MoreThanDebited`].
    pub fn to_refund(&self, amount: Option<Amount>) -> Result<Portion, Refusal> {
        let left = self.left();
        if left.is_zero() {
            return Err(Refusal::AlreadyRefunded);
        }
        let amount = amount.map_or(left, Credits::from);
        let shares = self.next(amount, Order::Last);
        let shares = shares.ok_or(Refusal::MoreThanDebited { refundable: left })?;
        Ok(Portion { shares, closes: amount == left })
    }
}
