//! The schedule of the function `renewal`: on the first of a month, and every hour.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, TimeDelta, Utc};
use domain::Period;

/// How often `renewal` is called within a month, to resume what was interrupted.
const EVERY: TimeDelta = TimeDelta::hours(1);

/// When `renewal` was last called by its schedule.
#[derive(Debug, Default)]
pub(crate) struct RenewalSchedule(Mutex<Option<DateTime<Utc>>>);

impl RenewalSchedule {
    /// When the next month's renewal begins; `now` for a machine that has just started.
    pub(crate) fn next(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self.last() {
            Some(last) if Period::of(now) <= Period::of(last) => Period::of(last).next().start(),
            Some(_) | None => now,
        }
    }

    /// Whether a month has begun, or an hour has passed, since the last call.
    pub(crate) fn is_due(&self, now: DateTime<Utc>) -> bool {
        self.last()
            .is_none_or(|last| Period::of(last) < Period::of(now) || EVERY <= now.signed_duration_since(last))
    }

    pub(crate) fn called(&self, now: DateTime<Utc>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
    }

    fn last(&self) -> Option<DateTime<Utc>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
