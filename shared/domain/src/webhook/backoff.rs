use chrono::{DateTime, Duration, Utc};

/// After how many seconds a delivery that was not taken is sent again: for the second time, the third, and so
/// on (Standard Webhooks, "Deliverability and reliability"; the first is sent at once).
pub(crate) const RETRY_SECONDS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// How often a delivery is attempted before its endpoint is paused.
pub const ATTEMPTS_MAX: u32 = 10;

/// By how many thousandths a wait is longer at most: whoever was away is not met by everybody at once.
const JITTER_MAX: i64 = 100;

/// For how long an endpoint may ask to be left alone: an hour, so that three days do not become weeks.
const RETRY_AFTER_SECONDS_MAX: i64 = 3_600;

/// When the next attempt is made, so many having failed before this one: after its wait, or when the endpoint says,
/// whichever is later. `None` after the last.
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
    let asked = i64::from(retry_after.unwrap_or(0)).min(RETRY_AFTER_SECONDS_MAX);
    let wait = wait.max(Duration::try_seconds(asked).unwrap_or_default());
    Some(whole_milliseconds(now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)))
}

/// As the table keeps it.
pub(crate) fn whole_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}
