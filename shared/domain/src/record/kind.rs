//! Which transactions are credit records, and of which kind.

use crate::{Direction, Drawn, Receipt, Source};

/// An operator's correction, which grants credits or takes some.
const ADJUSTMENT: &str = "credit.adjustment";

/// The operations by which credits arrive that the account did not have before.
const ARRIVALS: [&str; 5] =
    ["credit.purchase", "credit.grant", "credit.renewal", "credit.plan_change", ADJUSTMENT];

/// What a transaction is among the credit records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    /// No record: credits that are set aside, come back or end, and entries without credits.
    Nothing,
    /// Credits that arrive: a purchase, a grant, the allowance of a month.
    Purchase,
    /// Credits that are used: a debit, a capture.
    Usage,
    /// Credits that are used and partly owed.
    PostPaid,
}

/// Which records a list has: those of some kinds, and purchases that are not in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordFilter {
    /// Purchases and grants in the ledger.
    pub purchases: bool,
    /// Usage that is paid.
    pub usage: bool,
    /// Usage that is partly owed.
    pub post_paid: bool,
    /// Pending purchases.
    pub pending: bool,
    /// Failed purchases.
    pub failed: bool,
}

impl RecordKind {
    /// Every kind, in the order of their codes.
    pub const ALL: [Self; 4] = [Self::Nothing, Self::Purchase, Self::Usage, Self::PostPaid];

    /// The kinds of records.
    pub const RECORDS: [Self; 3] = [Self::Purchase, Self::Usage, Self::PostPaid];

    /// The kind of a transaction.
    ///
    /// Credits that a hold sets aside are used once they are captured. A refund is no record: the debit that it refunds
    /// shows it.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        let entry = &receipt.entry;
        let name = entry.operation.as_str();
        if entry.direction == Direction::Credit {
            let arrives = ARRIVALS.contains(&name) && !entry.amount.is_zero();
            return if arrives { Self::Purchase } else { Self::Nothing };
        }
        let is_used = !entry.operation.is_own() || name == ADJUSTMENT || receipt.is_capture();
        let is_owed = receipt.is_on_account() || receipt.captures_owed();
        match (is_used, is_owed) {
            (false, _) => Self::Nothing,
            (true, false) => Self::Usage,
            (true, true) => Self::PostPaid,
        }
    }

    /// Its code in two bits.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Nothing => 0,
            Self::Purchase => 1,
            Self::Usage => 2,
            Self::PostPaid => 3,
        }
    }
}

impl RecordFilter {
    /// All records.
    pub const ALL: Self = Self { purchases: true, usage: true, post_paid: true, pending: true, failed: true };

    /// Whether it has transactions of a kind.
    #[must_use]
    pub fn has(self, kind: RecordKind) -> bool {
        match kind {
            RecordKind::Nothing => false,
            RecordKind::Purchase => self.purchases,
            RecordKind::Usage => self.usage,
            RecordKind::PostPaid => self.post_paid,
        }
    }
}

impl Receipt {
    /// Whether it captures credits that are owed.
    fn captures_owed(&self) -> bool {
        let owed = |drawn: &Drawn| drawn.shares.iter().any(|share| share.source == Source::PostPaid);
        self.is_capture() && self.details.drawn.as_ref().is_some_and(owed)
    }
}
