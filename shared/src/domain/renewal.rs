use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::{
    Account, Credits, Direction, Effect, Entry, EntryId, Guard, LotId, Move, Operation, Period, Posting,
    Source,
};

/// How many months one request writes down at most: ten years. An account that was idle for longer
/// takes a second request.
pub const RENEWALS_MAX: u32 = 120;

/// What time alone has done to `account` and nobody has written down yet: the renewal of the month
/// after the account's, where that month has begun at `now`. `None` when nothing is due. An account
/// that missed several months has them written one after the other.
///
/// The entry's id is made from the account and the month, so everyone who tries writes the same
/// one, and [`Guard::Period`] lets it land once. What was left of the old month is booked as
/// expired in the same entry.
#[must_use]
pub fn due(account: &Account, now: DateTime<Utc>) -> Option<Posting> {
    if Period::of(now) <= account.period {
        return None;
    }
    let period = account.period.next();
    let allowance = account.allowance.monthly();
    let left = account.subscription.left;
    let moves = [
        Move::out(account.subscription_lot(), Source::Subscription, left),
        Move::into(LotId::Subscription(period), Source::Subscription, allowance),
    ];
    let entry = Entry {
        id: renewal_id(account, period),
        at: period.start(),
        operation: Operation::own("credit.renewal"),
        direction: Direction::Credit,
        amount: allowance,
        moves: moves.into_iter().filter(|part| part.amount != Credits::ZERO).collect(),
        claim: None,
    };
    let guards = vec![
        Guard::Period(account.period),
        Guard::Revision(account.revision),
        // What expires is told to the credit, so a debit that lands first has the renewal decided again.
        Guard::Exactly(account.subscription_lot(), left),
    ];
    Some(Posting { entry, guards, effects: vec![Effect::Renew(period, allowance)] })
}

fn renewal_id(account: &Account, period: Period) -> EntryId {
    let digest = Sha256::digest(format!("renewal {} {period}", account.id));
    let mut bits = [0u8; 16];
    bits.iter_mut().zip(digest).for_each(|(bit, byte)| *bit = byte);
    EntryId::derived(period.start(), bits)
}
