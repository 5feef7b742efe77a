//! Changes of an account's terms: post-paid limit, monthly cap, freeze.

use crate::operation::consume::NewEntry;
use crate::{Account, Attempt, Credits, Direction, Effect, Guard, Posting};

/// Sets the post-paid limit of `account`; 0 disables it (contract, rule 9). Outstanding credits stay as they
/// are, also above a lower limit.
#[must_use]
pub fn set_limit(account: &Account, limit: Credits, attempt: &Attempt) -> Posting {
    change(account, "account.post_paid", Effect::Limit(limit), attempt)
}

/// Sets the monthly cap of an unlimited plan, see [`PLAN_CAP`](crate::PLAN_CAP).
#[must_use]
pub fn set_cap(account: &Account, cap: Credits, attempt: &Attempt) -> Posting {
    change(account, "account.plan_limit", Effect::Cap(cap), attempt)
}

/// Freezes or unfreezes an account.
#[must_use]
pub fn set_frozen(account: &Account, frozen: bool, attempt: &Attempt) -> Posting {
    let operation = if frozen { "account.freeze" } else { "account.unfreeze" };
    change(account, operation, Effect::Freeze(frozen), attempt)
}

/// Records a change of terms as an entry that moves no credits, so that the ledger shows when it took effect.
fn change(account: &Account, operation: &'static str, effect: Effect, attempt: &Attempt) -> Posting {
    let entry = attempt.entry(account, NewEntry::without_moves(operation, Direction::Credit));
    let guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(attempt.id)];
    Posting { entry, guards, effects: vec![effect] }
}
