use chrono::{DateTime, Utc};

use crate::{Account, Credits, Direction, Effect, Entry, EntryId, Guard, Operation, Posting};

/// Closes the account to the attempt `doubted` and to every older one that has not landed yet:
/// from here on each of them either is in the ledger or never will be. Takes a sequence of its own,
/// so that "every entry before it" is a number that can be waited for.
#[must_use]
pub fn fence(account: &Account, doubted: EntryId, id: EntryId, now: DateTime<Utc>) -> Posting {
    let entry = Entry {
        id,
        at: crate::operation::consume::effective(account, now),
        operation: Operation::own("ledger.fence"),
        direction: Direction::Debit,
        amount: Credits::ZERO,
        moves: vec![],
        claim: None,
        switch: None,
        parts: vec![],
    };
    Posting { entry, guards: vec![Guard::FenceBelow(doubted)], effects: vec![Effect::Fence(doubted)] }
}
