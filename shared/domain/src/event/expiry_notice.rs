//! Expiry notices that are due.

use chrono::{DateTime, Duration, Utc};

use crate::ledger::lot::booked_at;
use crate::{Account, AlertSettings, EntryId, Lot};

/// The expiry notices of an account that are due, and the time of the next check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExpiryNotices {
    /// Lots whose expiry notice is due.
    pub notices: Vec<(EntryId, Lot)>,
    /// The time of the next check; `None` when no lot has an expiry.
    pub next: Option<DateTime<Utc>>,
}

impl Account {
    /// The expiry notices that are due at `now`, and the time at which the next notice or expiry is due.
    #[must_use]
    pub fn ends(&self, alerts: &AlertSettings, now: DateTime<Utc>) -> ExpiryNotices {
        let mut ends = ExpiryNotices::default();
        let lots = self.lots.iter().filter(|(_, lot)| !lot.left.is_zero());
        for (id, lot) in lots {
            let Some(end) = lot.expires_at else { continue };
            let notice = notice_at(end, alerts);
            if lot.is_current(now) && notice.is_some_and(|notice| notice <= now) {
                ends.notices.push((*id, lot.clone()));
            }
            let later = notice.filter(|notice| now < *notice).into_iter().chain([booked_at(end)]);
            ends.next = later.chain(ends.next).min();
        }
        ends
    }
}

/// The time of the notice for a lot that expires at `end`; `None` when notices are switched off.
fn notice_at(end: DateTime<Utc>, alerts: &AlertSettings) -> Option<DateTime<Utc>> {
    let days = Some(alerts.expiry_notice_days).filter(|days| *days > 0)?;
    end.checked_sub_signed(Duration::try_days(days.into())?)
}
