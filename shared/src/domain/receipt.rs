use super::{Balance, Details, Entry};

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
