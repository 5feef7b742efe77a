use super::{Balance, Details, Entry, Move};

/// A transaction, whole: the entry, its place in the ledger, what was asked, and the balance that
/// it left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The entry.
    pub entry: Entry,
    /// Its number: 1, 2, 3, … without a gap per account.
    pub sequence: u64,
    /// What was asked.
    pub details: Details,
    /// What the account held right after it.
    pub balance: Balance,
}

impl Receipt {
    /// By how many credits it changed what the balance counts: above zero for more, below it for less. What is owed,
    /// in dispute, or paid by an unlimited plan is no part of a balance.
    #[must_use]
    pub fn net(&self) -> i64 {
        let counts = |part: &&Move| part.lot.is_counted();
        let signed = |part: &Move| part.direction.signed(part.amount);
        self.entry.moves.iter().filter(counts).map(signed).fold(0, i64::saturating_add)
    }
}
