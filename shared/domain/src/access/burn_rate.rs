//! How fast API keys spend, and which of them spend far more than they used to.

use chrono::{DateTime, Utc};

use crate::{Credits, Direction, KeyId, Period, Receipt};

/// How fast a key spends: its credits of the present hour, and its busiest hours so far. All follow from the account's
/// transactions in their order, and from nothing else.
///
/// The present hour is compared with the hours before the day before. A leak that begins late in an hour, or grows from hour
/// to hour, would otherwise become what it is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BurnRate {
    /// The present hour, counted from 1970 on.
    pub hour: u32,
    /// The credits of the present hour.
    pub spent: u64,
    /// The credits of the busiest hour of the present day before the present hour.
    pub today: u64,
    /// The credits of the busiest hour of the day before.
    pub yesterday: u64,
    /// The credits of the busiest hour before that, less a sixty-fourth for each day since.
    pub busiest: u64,
    /// For how many hours the key has been watched, at most 255.
    pub watched: u8,
    /// In how many hours before the present one it was used, at most 255.
    pub used: u8,
    /// For how many hours nothing is found.
    pub quiet: u8,
}

/// What a key has spent in one transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpending {
    /// The key.
    pub key: KeyId,
    /// The credits.
    pub credits: Credits,
    /// When it was spent.
    pub at: DateTime<Utc>,
}

/// A key that spends far more than it used to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunawayKey {
    /// The key.
    pub key: KeyId,
    /// The start of the hour.
    pub hour: DateTime<Utc>,
    /// The credits of this hour so far.
    pub spent: Credits,
    /// The credits of the busiest hour that it is compared with.
    pub busiest: Credits,
}

impl BurnRate {
    /// How many times the busiest hour a key may spend in an hour.
    pub const TIMES: u64 = 8;
    /// Up to this many credits an hour nothing is found.
    pub const FLOOR: u64 = 200;
    /// For how many hours a key is watched before anything is found: eight days, so that every day of a week was seen.
    pub const WATCHED_MIN: u8 = 192;
    /// In how many earlier hours a key was used before anything is found.
    pub const USED_MIN: u8 = 6;
    /// For how many hours nothing is found again.
    pub const QUIET: u8 = 24;
    /// After this many days without use, nothing is left of the busiest hour.
    const DAYS_MAX: u32 = 1_000;

    /// The rate of a key that is used for the first time.
    #[must_use]
    pub fn first(spent: u64, hour: u32) -> Self {
        Self { hour, spent, ..Self::default() }
    }

    /// The rate after credits were spent in an hour. What comes late, for an hour that has ended, counts in the present one.
    #[must_use]
    pub fn after(self, spent: u64, hour: u32) -> Self {
        let hours = hour.saturating_sub(self.hour);
        if hours == 0 {
            return Self { spent: self.spent.saturating_add(spent), ..self };
        }
        let day = |hour: u32| hour.div_euclid(24);
        let days = day(hour).saturating_sub(day(self.hour)).min(Self::DAYS_MAX);
        let passed = u8::try_from(hours).unwrap_or(u8::MAX);
        let ended = if self.quiet == 0 {
            Self { today: self.today.max(self.spent), ..self }
        } else {
            // Its owner was told: this is what the key does now.
            Self { busiest: self.busiest.max(self.spent), ..self }
        };
        let turned = (0..days).fold(ended, |rate, _| rate.next_day());
        Self {
            hour,
            spent,
            watched: self.watched.saturating_add(passed),
            used: self.used.saturating_add(1),
            quiet: self.quiet.saturating_sub(passed),
            ..turned
        }
    }

    fn next_day(self) -> Self {
        let left = self.busiest.saturating_sub(self.busiest.div_ceil(64));
        Self { today: 0, yesterday: self.today, busiest: left.max(self.yesterday), ..self }
    }

    /// Whether the key spends far more in the present hour than it used to.
    #[must_use]
    pub fn is_runaway(&self) -> bool {
        let is_known = Self::WATCHED_MIN <= self.watched && Self::USED_MIN <= self.used;
        let most = self.busiest.saturating_mul(Self::TIMES).max(Self::FLOOR);
        is_known && self.quiet == 0 && most < self.spent
    }

    /// The rate once that was found.
    #[must_use]
    pub fn found(self) -> Self {
        Self { quiet: Self::QUIET, ..self }
    }
}

impl KeySpending {
    /// What a transaction has spent of a key of the organisation, as budgets count it: debits, items of batches, and holds
    /// when they are made. A capture spends what its hold has counted; a refund takes nothing back; months of a monitor after
    /// the first one are charged by time and not by the key. `None` where it has spent nothing.
    #[must_use]
    pub fn of(receipt: &Receipt) -> Option<Self> {
        let (entry, details) = (&receipt.entry, &receipt.details);
        let key = details.key_id.filter(|_| details.super_admin.is_none())?;
        let is_spent = !entry.operation.is_own() || receipt.is_hold();
        let by_time =
            details.monitor.is_some_and(|monitor| Period::of(monitor.time()) != Period::of(entry.at));
        let counts = entry.direction == Direction::Debit && is_spent && !by_time && !entry.amount.is_zero();
        counts.then_some(Self { key, credits: entry.amount, at: entry.id.time() })
    }

    /// The hour, counted from 1970 on.
    fn hour(&self) -> u32 {
        u32::try_from(self.at.timestamp().div_euclid(SECONDS)).unwrap_or_default()
    }
}

/// The seconds of an hour.
const SECONDS: i64 = 3_600;

/// The keys of an account, each with its rate: the last ones that were used, the least recently used one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BurnRates(Vec<(KeyTag, BurnRate)>);

/// What tells the keys of an account apart, in fewer bytes than their ids have: the last 48 bits, which are random.
pub type KeyTag = [u8; 6];

impl BurnRates {
    /// The most keys that are watched. Beyond, the least recently used one is no longer watched.
    pub const KEYS_MAX: usize = 64;

    /// The rates of these keys, the least recently used one first.
    #[must_use]
    pub fn of(rates: Vec<(KeyTag, BurnRate)>) -> Self {
        Self(rates)
    }

    /// The keys with their rates, the least recently used one first.
    #[must_use]
    pub fn rates(&self) -> &[(KeyTag, BurnRate)] {
        &self.0
    }

    /// Counts what a key has spent, and returns the key if it now spends far more than it used to.
    pub fn add(&mut self, spending: &KeySpending) -> Option<RunawayKey> {
        let KeySpending { key, credits, .. } = *spending;
        let [.., a, b, c, d, e, f] = key.bytes();
        let (tag, hour) = ([a, b, c, d, e, f], spending.hour());
        let place = self.0.iter().position(|(known, _)| *known == tag);
        let rate = match place.map(|place| self.0.remove(place)) {
            Some((_, known)) => known.after(credits.get(), hour),
            None => BurnRate::first(credits.get(), hour),
        };
        let is_runaway = rate.is_runaway();
        self.0.push((tag, if is_runaway { rate.found() } else { rate }));
        if Self::KEYS_MAX < self.0.len() {
            self.0.remove(0);
        }
        let of = |count: u64| Credits::try_from(count).unwrap_or(Credits::MAX);
        let start = DateTime::from_timestamp(i64::from(rate.hour).saturating_mul(SECONDS), 0);
        is_runaway.then(|| RunawayKey {
            key,
            hour: start.unwrap_or_default(),
            spent: of(rate.spent),
            busiest: of(rate.busiest),
        })
    }
}
