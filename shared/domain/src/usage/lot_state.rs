//! A lot as its owner sees it: its record, and what it still has.

use chrono::{DateTime, Utc};

use crate::{Account, Credits, LotId, LotRecord};

/// A lot, and where its credits are: `amount` is the sum of `used`, `held`, `remaining` and of what expired, was withdrawn or
/// moved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotState {
    /// Its record.
    pub record: LotRecord,
    /// The credits left.
    pub remaining: Credits,
    /// The credits that open holds have set aside; `None` where that is not known.
    pub held: Option<Credits>,
    /// The credits that were spent, and those that are held where `held` is not known.
    pub used: Credits,
    /// Its status.
    pub status: LotStatus,
}

/// The status of a lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LotStatus {
    /// It has credits, or open holds have.
    Active,
    /// Nothing is left. With more open holds than are read, what they have is not known, and counts as spent.
    Spent,
    /// Its end was reached before all of its credits were spent. Open holds may still have some.
    Expired,
    /// An open dispute concerns the purchase of its credits.
    Disputed,
}

impl LotState {
    /// The state of a lot of an account at `now`.
    #[must_use]
    pub fn new(record: LotRecord, account: &Account, held: Option<Credits>, now: DateTime<Utc>) -> Self {
        let left = account.left_in(record.lot);
        // What is left at the end has expired, also before its expiry is posted.
        let (remaining, ended) =
            if record.has_ended(now) { (Credits::ZERO, left) } else { (left, Credits::ZERO) };
        let expired = record.expired.plus(ended).unwrap_or(Credits::MAX);
        let record = LotRecord { expired, ..record };
        let taken = record.taken(remaining);
        // Holds are read after the account: one that was made in between is not in it.
        let held = held.map(|held| held.min(taken));
        let used = taken.less(held.unwrap_or_default()).unwrap_or_default();
        let status = if is_disputed(account, record.lot) {
            LotStatus::Disputed
        } else if record.has_ended(now) && !record.expired.is_zero() {
            LotStatus::Expired
        } else if remaining.is_zero() && held.is_none_or(Credits::is_zero) {
            LotStatus::Spent
        } else {
            LotStatus::Active
        };
        Self { record, remaining, held, used, status }
    }
}

impl LotStatus {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Spent => "spent",
            Self::Expired => "expired",
            Self::Disputed => "disputed",
        }
    }
}

impl Account {
    /// What is left in a lot; 0 in one that it no longer has.
    #[must_use]
    pub fn left_in(&self, lot: LotId) -> Credits {
        match lot {
            LotId::Granted(id) => self.lots.get(&id).map_or(Credits::ZERO, |lot| lot.left),
            LotId::Subscription(month) if month == self.period => self.subscription.left,
            LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => {
                Credits::ZERO
            }
        }
    }
}

fn is_disputed(account: &Account, lot: LotId) -> bool {
    account.disputes.values().any(|dispute| lot == LotId::Granted(dispute.lot))
}

impl LotRecord {
    /// When what is left of it expires; `None` for credits that do not expire.
    #[must_use]
    pub fn ends_at(&self) -> Option<DateTime<Utc>> {
        match self.lot {
            LotId::Subscription(month) => Some(month.next().start()),
            LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => {
                self.terms.expires_at
            }
        }
    }

    fn has_ended(&self, now: DateTime<Utc>) -> bool {
        self.ends_at().is_some_and(|end| end <= now)
    }
}
