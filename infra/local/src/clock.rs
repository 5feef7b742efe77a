//! The machine's clock.

use std::sync::{Mutex, PoisonError};

use chrono::{DateTime, Datelike, SubsecRound, Utc};
use ports::SUBSECOND_DIGITS;
use scrip_http::{Clock, SystemClock, timestamp};

/// A clock that can be set. Once set it stands still until it is set again. It never goes back.
#[derive(Debug, Default)]
pub struct LocalClock(Mutex<Option<DateTime<Utc>>>);

/// The error for a time before the clock's own or after the year 9999. It holds the clock's time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the clock shows {}; it does not go back, nor past the year 9999", timestamp::text(.0))]
pub struct OutOfReach(DateTime<Utc>);

impl LocalClock {
    /// A clock that stands still at `at`, or that runs when `at` is `None`.
    #[must_use]
    pub fn new(at: Option<DateTime<Utc>>) -> Self {
        Self(Mutex::new(at.map(|at| at.trunc_subsecs(SUBSECOND_DIGITS))))
    }

    /// The time at which it stands still; `None` while it runs.
    #[must_use]
    pub fn stands_at(&self) -> Option<DateTime<Utc>> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets it to what `wanted` returns for the present time, and returns the time that it then shows.
    ///
    /// # Errors
    /// [`OutOfReach`].
    pub fn set(
        &self,
        wanted: impl FnOnce(DateTime<Utc>) -> DateTime<Utc>,
    ) -> Result<DateTime<Utc>, OutOfReach> {
        let mut stands_at = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let reached = reached(stands_at.unwrap_or_else(|| SystemClock.now()), wanted)?;
        *stands_at = Some(reached);
        Ok(reached)
    }

    /// The time that [`LocalClock::set`] would set it to.
    ///
    /// # Errors
    /// [`OutOfReach`].
    pub fn advance(
        &self,
        wanted: impl FnOnce(DateTime<Utc>) -> DateTime<Utc>,
    ) -> Result<DateTime<Utc>, OutOfReach> {
        reached(self.now(), wanted)
    }
}

fn reached(
    now: DateTime<Utc>,
    wanted: impl FnOnce(DateTime<Utc>) -> DateTime<Utc>,
) -> Result<DateTime<Utc>, OutOfReach> {
    let wanted = wanted(now);
    // Answers show whole seconds, so a caller may set the clock to the time that an answer showed.
    if wanted < now.trunc_subsecs(0) || wanted.year() > 9999 {
        return Err(OutOfReach(now));
    }
    Ok(wanted.trunc_subsecs(SUBSECOND_DIGITS).max(now))
}

impl Clock for LocalClock {
    fn now(&self) -> DateTime<Utc> {
        self.stands_at().unwrap_or_else(|| SystemClock.now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_stands_still_and_never_goes_back() {
        let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
        let clock = LocalClock::new(Some(at("2024-01-15T10:30:00.4Z")));
        assert_eq!(clock.now(), at("2024-01-15T10:30:00.4Z"));
        assert_eq!(clock.set(|_| at("2024-01-15T10:30:00Z")), Ok(at("2024-01-15T10:30:00.4Z")));
        assert_eq!(clock.set(|_| at("2024-02-01T00:00:00Z")), Ok(at("2024-02-01T00:00:00Z")));
        assert!(clock.set(|now| now - chrono::Duration::seconds(1)).is_err());
        assert!(clock.set(|now| now + chrono::Duration::days(8_000 * 366)).is_err());
        assert_eq!(clock.advance(|_| at("2024-03-01T00:00:00Z")), Ok(at("2024-03-01T00:00:00Z")));
        assert!(clock.advance(|_| at("2024-01-31T23:59:59Z")).is_err());
        assert_eq!(clock.now(), at("2024-02-01T00:00:00Z"));
        let running = LocalClock::new(None);
        assert!(running.set(|now| now - chrono::Duration::hours(1)).is_err());
        assert_eq!(running.stands_at(), None);
    }

    /// Jobs are stored with milliseconds, so with more on the clock a job would run before its time.
    #[test]
    fn a_clock_shows_whole_milliseconds() {
        let finer: DateTime<Utc> = "2024-01-15T10:30:00.123456789Z".parse().unwrap();
        let whole: DateTime<Utc> = "2024-01-15T10:30:00.123Z".parse().unwrap();
        assert_eq!(LocalClock::new(Some(finer)).now(), whole);
        let clock = LocalClock::new(Some("2024-01-15T10:30:00Z".parse().unwrap()));
        assert_eq!(clock.set(|_| finer), Ok(whole));
        assert_eq!(LocalClock::new(None).now().timestamp_subsec_nanos() % 1_000_000, 0);
    }
}
