//! When the table may delete an item.

use chrono::{DateTime, Duration, Utc};

use ports::Moment;

/// The time `days` after a moment, for an item that the table then deletes. The table deletes by real time, and a test
/// clock may be behind it, so the later of the two times counts.
pub(crate) fn after_days(moment: Moment, days: i64) -> DateTime<Utc> {
    let now = moment.now.max(moment.wall);
    now.checked_add_signed(Duration::try_days(days).unwrap_or_default()).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
