//! The waits between the attempts of a delivery.

use chrono::{DateTime, Duration, Utc};

/// The waits between the attempts of a delivery in seconds (Standard Webhooks, "Deliverability and
/// reliability"; the first attempt is made immediately).
pub(crate) const RETRY_SECONDS: [i64; 9] = [5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400];

/// The number of attempts of a delivery before its endpoint is paused.
pub const ATTEMPTS_MAX: u32 = 10;

/// The seconds from the first attempt of a delivery to its last, without jitter.
pub(crate) const ALL_ATTEMPTS_SECONDS: i64 = 272_105;

/// The waits after the secret of an endpoint could not be decrypted, in seconds; the last one repeats.
const FAULT_SECONDS: [i64; 4] = [5, 60, 300, 900];

/// The number of times in a row that a secret is found unreadable before its endpoint is paused: more than six
/// minutes apart, so that an operator can undo a wrong deployment before it pauses endpoints.
pub(crate) const FAULTS_MAX: u32 = 4;

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

/// The time of the next attempt after `faults` earlier faults in a row: the secret could not be decrypted.
pub(crate) fn back_off_fault(faults: u32, now: DateTime<Utc>) -> DateTime<Utc> {
    let place = usize::try_from(faults).unwrap_or(usize::MAX);
    let wait = FAULT_SECONDS.get(place).or(FAULT_SECONDS.last()).copied().unwrap_or_default();
    let wait = Duration::try_seconds(wait).unwrap_or_default();
    whole_milliseconds(now.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC))
}

/// The time in whole milliseconds, as stored.
pub(crate) fn whole_milliseconds(at: DateTime<Utc>) -> DateTime<Utc> {
    DateTime::from_timestamp_millis(at.timestamp_millis()).unwrap_or(at)
}
