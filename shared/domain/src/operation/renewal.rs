//! Renewals and expiries that are due.

use chrono::{DateTime, Utc};

use crate::ledger::lot::booked_at;
use crate::value::ids::digest;
use crate::{
    Account, AccountId, Credits, Direction, Effect, Entry, EntryId, Guard, LotId, Move, Operation, Period,
    Posting, Source,
};

/// The earliest change of `account` that is due at `now` and not written yet: the next renewal, or the expiry
/// of a lot. `None` when nothing is due. An idle account has all of them written, one after the other.
///
/// The id of such an entry is derived from what it books, so all processes write the same entry, and its guards
/// let it be written once.
#[must_use]
pub fn due(account: &Account, now: DateTime<Utc>) -> Option<Posting> {
    let renewal = account.period.next().start();
    let expired = account.lots.iter().filter(|(_, lot)| !lot.left.is_zero());
    let expired = expired.filter_map(|(id, lot)| Some((booked_at(lot.expires_at?), *id))).min();
    match expired {
        Some((booked_at, lot)) if booked_at <= now && booked_at < renewal => expiry(account, lot, booked_at),
        Some(_) | None => (renewal <= now).then(|| renew(account)),
    }
}

/// The expiry of what is left of a lot.
fn expiry(account: &Account, id: EntryId, booked_at: DateTime<Utc>) -> Option<Posting> {
    let lot = account.lots.get(&id)?;
    let entry = Entry {
        id: derived_id(account.id, booked_at, &format!("expiry of {id}")),
        at: lot.expires_at?,
        operation: Operation::own("credit.expiry"),
        direction: Direction::Debit,
        amount: lot.left,
        moves: vec![Move::out(LotId::Granted(id), lot.source, lot.left).on(lot.terms())],
        claim: None,
        switch: None,
        parts: vec![],
    };
    // The entry contains the exact credits, so a concurrent debit requires a new decision.
    let guards = vec![Guard::Revision(account.revision), Guard::Exactly(LotId::Granted(id), lot.left)];
    Some(Posting { entry, guards, effects: vec![Effect::Drop(id)] })
}

/// The renewal of the month. The same entry books the unused credits of the old month as expired.
fn renew(account: &Account) -> Posting {
    let period = account.period.next();
    let allowance = account.allowance.monthly();
    let left = account.subscription.left;
    let moves = [
        Move::out(account.subscription_lot(), Source::Subscription, left),
        Move::into(LotId::Subscription(period), Source::Subscription, allowance),
    ];
    let entry = Entry {
        id: renewal_id(account.id, period),
        at: period.start(),
        operation: Operation::own("credit.renewal"),
        direction: Direction::Credit,
        amount: allowance,
        moves: moves.into_iter().filter(|part| part.amount != Credits::ZERO).collect(),
        claim: None,
        switch: None,
        parts: vec![],
    };
    let guards = vec![
        Guard::Period(account.period),
        Guard::Revision(account.revision),
        Guard::Exactly(account.subscription_lot(), left),
    ];
    let effects = vec![Effect::Renew(period, allowance)];
    Posting { entry, guards, effects }
}

/// The id of an account's renewal for a month, which is the same for all processes.
#[must_use]
pub fn renewal_id(account: AccountId, month: Period) -> EntryId {
    derived_id(account, month.start(), &format!("renewal of {month}"))
}

fn derived_id(account: AccountId, at: DateTime<Utc>, what: &str) -> EntryId {
    EntryId::derived(at, digest(&format!("{what} for {account}")))
}
