use crate::operation::consume::NewEntry;
use crate::{Account, Credits, Direction, Effect, Guard, Head, Posting};

/// Lets `account` spend up to `limit` credits on account; none switches it off (contract, rule 9). What
/// is outstanding stays so, also past a lower limit.
#[must_use]
pub fn set_limit(account: &Account, limit: Credits, head: &Head) -> Posting {
    change(account, "account.post_paid", Effect::Limit(limit), head)
}

/// Lets an unlimited plan spend up to `cap` credits a month, see [`PLAN_CAP`](crate::PLAN_CAP).
#[must_use]
pub fn set_cap(account: &Account, cap: Credits, head: &Head) -> Posting {
    change(account, "account.plan_limit", Effect::Cap(cap), head)
}

/// Stops an account, or has it go on.
#[must_use]
pub fn set_frozen(account: &Account, frozen: bool, head: &Head) -> Posting {
    let operation = if frozen { "account.freeze" } else { "account.unfreeze" };
    change(account, operation, Effect::Freeze(frozen), head)
}

/// Terms change by an entry of their own, which moves nothing, so that the ledger tells since when they
/// hold.
fn change(account: &Account, operation: &'static str, effect: Effect, head: &Head) -> Posting {
    let entry = head.entry(account, NewEntry::without_moves(operation, Direction::Credit));
    let guards = vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)];
    Posting { entry, guards, effects: vec![effect] }
}
