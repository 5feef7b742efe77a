use super::{Balance, Details, Entry, Move, Source};

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
    /// By how many credits it changed what the balance counts: above zero for more, below it for less. What is owed
    /// is no part of a balance, and an unlimited plan counts down no subscription credits.
    #[must_use]
    pub fn net(&self) -> i64 {
        let is_uncounted = self.balance.unlimited && self.entry.switch.is_none();
        let counts = |part: &&Move| match part.source {
            Source::PostPaid => false,
            Source::Subscription => !is_uncounted,
            Source::Purchased | Source::Bonus => true,
        };
        let signed = |part: &Move| part.direction.signed(part.amount);
        self.entry.moves.iter().filter(counts).map(signed).fold(0, i64::saturating_add)
    }
}
