//! The fence against late attempts.

use chrono::{DateTime, Utc};

use crate::{Account, Credits, Direction, Effect, Entry, EntryId, Guard, Operation, Posting};

/// Fences off the attempt `doubted` and all older attempts: each of them either is in the ledger already or can
/// never be written. The fence has a sequence number of its own, so that a request can wait for all entries
/// before it.
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
