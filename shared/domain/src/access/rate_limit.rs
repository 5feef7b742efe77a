//! How many requests a key or an organisation may make.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// How many requests a key, or all keys of an organisation together, may make in a window of time. Windows follow each
/// other without a gap, from 1970 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "RateLimitFields", into = "RateLimitFields")]
pub struct RateLimit {
    requests: u32,
    per_seconds: u32,
}

/// The limit is outside its range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must have requests from 1 to {} and perSeconds from 1 to {}",
    RateLimit::REQUESTS_MAX,
    RateLimit::SECONDS_MAX
)]
pub struct BadRateLimit;

#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct RateLimitFields {
    requests: u32,
    per_seconds: u32,
}

impl RateLimit {
    /// The most requests of a window.
    pub const REQUESTS_MAX: u32 = 1_000_000;
    /// The longest window: a day.
    pub const SECONDS_MAX: u32 = 86_400;
    /// A limit below this is counted request by request.
    const COUNTED_SINGLY: u32 = 100;
    /// The largest slab of a limit is a fifteenth of it, within these bounds.
    const LARGEST_SLAB: std::ops::RangeInclusive<u32> = 16..=1_000;

    /// A limit.
    ///
    /// # Errors
    /// [`BadRateLimit`] outside the ranges.
    pub fn new(requests: u32, per_seconds: u32) -> Result<Self, BadRateLimit> {
        let is_valid =
            (1..=Self::REQUESTS_MAX).contains(&requests) && (1..=Self::SECONDS_MAX).contains(&per_seconds);
        is_valid.then_some(Self { requests, per_seconds }).ok_or(BadRateLimit)
    }

    /// The most requests of a window.
    #[must_use]
    pub fn requests(self) -> u32 {
        self.requests
    }

    /// The length of a window in seconds.
    #[must_use]
    pub fn per_seconds(self) -> u32 {
        self.per_seconds
    }

    /// The number of the window that `at` is in.
    #[must_use]
    pub fn window(self, at: DateTime<Utc>) -> u64 {
        let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
        seconds.checked_div(u64::from(self.per_seconds)).unwrap_or_default()
    }

    /// In how many seconds after `at` the window ends, at least one.
    #[must_use]
    pub fn ends_in(self, at: DateTime<Utc>) -> u32 {
        let seconds = u64::try_from(at.timestamp()).unwrap_or_default();
        let passed = seconds.checked_rem(u64::from(self.per_seconds)).unwrap_or_default();
        self.per_seconds.saturating_sub(u32::try_from(passed).unwrap_or_default()).max(1)
    }

    /// How many requests a process takes from the limit at once, after it has taken `taken` in this window: one, then twice as
    /// many each time, up to a fifteenth of the limit. So a process that serves the limit alone makes a tenth of a write a
    /// request at most, and one that serves a few requests takes nothing from the others: what it has taken and not used
    /// by the end of the window is at most one more than it has used.
    #[must_use]
    pub fn slab(self, taken: u32) -> u32 {
        if self.requests < Self::COUNTED_SINGLY {
            return 1;
        }
        let fifteenth = self.requests.checked_div(15).unwrap_or_default();
        taken.saturating_add(1).min(fifteenth.clamp(*Self::LARGEST_SLAB.start(), *Self::LARGEST_SLAB.end()))
    }
}

impl TryFrom<RateLimitFields> for RateLimit {
    type Error = BadRateLimit;

    fn try_from(fields: RateLimitFields) -> Result<Self, BadRateLimit> {
        Self::new(fields.requests, fields.per_seconds)
    }
}

impl From<RateLimit> for RateLimitFields {
    fn from(limit: RateLimit) -> Self {
        Self { requests: limit.requests, per_seconds: limit.per_seconds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn windows_follow_each_other() {
        let minute = RateLimit::new(10, 60).unwrap();
        let first = minute.window(at("2024-01-15T10:30:00Z"));
        for (time, window, left) in [
            ("2024-01-15T10:29:59Z", first - 1, 1),
            ("2024-01-15T10:30:00Z", first, 60),
            ("2024-01-15T10:30:59.999Z", first, 1),
            ("2024-01-15T10:31:00Z", first + 1, 60),
        ] {
            assert_eq!((minute.window(at(time)), minute.ends_in(at(time))), (window, left), "{time}");
        }
    }

    /// requests of a limit => how many are taken at once, one time after the other
    #[test]
    fn large_limits_are_taken_in_slabs_that_grow() {
        for (requests, slabs) in [
            (1, [1; 8]),
            (99, [1; 8]),
            (100, [1, 2, 4, 8, 16, 16, 16, 16]),
            (600, [1, 2, 4, 8, 16, 32, 40, 40]),
            (1_000_000, [1, 2, 4, 8, 16, 32, 64, 128]),
        ] {
            let limit = RateLimit::new(requests, 60).unwrap();
            let mut taken = 0;
            for slab in slabs {
                assert_eq!(limit.slab(taken), slab, "{requests} after {taken}");
                taken += slab;
            }
        }
        assert_eq!(RateLimit::new(1_000_000, 60).unwrap().slab(5_000), 1_000);
    }

    /// A process that makes all requests of a limit writes at most a tenth as often.
    #[test]
    fn counting_costs_a_tenth_of_a_write_at_most() {
        for requests in (100..2_000).chain([10_007, 1_000_000]) {
            let limit = RateLimit::new(requests, 60).unwrap();
            let (mut taken, mut writes) = (0, 0);
            while taken < requests {
                taken += limit.slab(taken).min(requests - taken);
                writes += 1;
            }
            assert!(writes * 10 <= requests, "{writes} writes for {requests}");
        }
    }

    #[test]
    fn limits_are_held_to_their_ranges() {
        for (requests, seconds, expected) in [
            (1, 1, true),
            (1_000_000, 86_400, true),
            (0, 60, false),
            (1, 0, false),
            (1_000_001, 60, false),
            (1, 86_401, false),
        ] {
            assert_eq!(RateLimit::new(requests, seconds).is_ok(), expected, "{requests} in {seconds} s");
        }
        let parsed: Result<RateLimit, _> = serde_json::from_str(r#"{"requests": 5, "perSeconds": 0}"#);
        assert!(parsed.is_err());
    }
}
