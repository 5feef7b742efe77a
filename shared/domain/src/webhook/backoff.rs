//! The waits between the attempts of a delivery.

use chrono::{DateTime, Duration, Utc};

/// The waits between the attempts of a delivery in seconds (Standard Webhooks, "Deliverability and
/// reliability"; the first attempt is made immediately).
pub(crate) const RETRY_SECONDS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// The number of attempts of a delivery before its endpoint is paused.
pub const ATTEMPTS_MAX: u32 = 10;

/// The maximum jitter in thousandths of a wait, so that an endpoint that was down does not receive all
/// deliveries at once.
const JITTER_MAX: i64 = 100;

/// The maximum `Retry-After` that is respected, in seconds: an hour, so that three days of attempts do not
/// become weeks.
const RETRY_AFTER_SECONDS_MAX: i64 = 3_600;

/// The time of the next attempt after `failed` earlier failures: after its wait, or when the endpoint asks for
/// it, whichever is later. `None` after the last attempt.
pub(crate) fn back_off(
    failed: u32,
    retry_after: Option<u32>,
    now: DateTime<Utc>,
    chance: u16,
) -> Option<DateTime<Utc>> {
    let wait = usize::try_from(failed).ok().and_then(|failed| RETRY_SECONDS.get(failed))?;
    let wait = Duration::try_seconds(*wait).unwrap_or_default();
    let more = i64::from(chance).clamp(0, 1_000).saturating_mul(JITTER_MAX);
    let more = wait.num_milliseconds().saturating_mul(more).checked_div(1_000_000).unwrap_or(0);
    let wait = wait.checked_add(&Duration::milliseconds(more)).unwrap_or(wait);
    let requested = i64::from(retry_after.unwrap_or(0)).min(RETRY_AFTER_SECONDS_MAX);
    let wait = wait.max(Duration::try_seconds(requested).unwrap_or_default());
    Some(whole_milliseconds(now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)))
}

/// The time in whole milliseconds, as stored.
pub(crate) fn whole_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}
