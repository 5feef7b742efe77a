use chrono::{DateTime, Duration, Utc};

use crate::ledger::lot::booked_at;
use crate::{Account, Alerts, EntryId, Lot};

/// What is to be done about the ends of an account's lots at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// Lots whose owner is to be told that they end.
    pub notices: Vec<(EntryId, Lot)>,
    /// When to look again; none when no lot has an end.
    pub next: Option<DateTime<Utc>>,
}

impl Account {
    /// What is to be done about the ends of its lots at `now`: whose owner is to be told, and when
    /// there is something to do next, be it to tell or to book.
    #[must_use]
    pub fn ends(&self, alerts: &Alerts, now: DateTime<Utc>) -> Ends {
        let mut ends = Ends::default();
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

/// When the owner of a lot that ends at `end` is told; never with a notice of no days.
fn notice_at(end: DateTime<Utc>, alerts: &Alerts) -> Option<DateTime<Utc>> {
    let days = Some(alerts.expiry_notice_days).filter(|days| *days > 0)?;
    end.checked_sub_signed(Duration::try_days(days.into())?)
}
