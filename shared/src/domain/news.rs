use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::{AccountId, EntryId, EventId, Lot, LotId, Monitor, Suspension};

/// Something that an organisation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Credits will expire.
    Expiring {
        /// The lot.
        lot: EntryId,
        /// What it is now.
        terms: Lot,
    },
    /// A month of a monitor could not be paid.
    MonitorSuspended(Monitor),
    /// A monitor that was suspended goes on.
    MonitorResumed(Monitor),
}

/// News with its number, as the feed has it. Numbers are 1, 2, 3, … per account, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub number: u64,
    /// What has happened: `credits.expiring`.
    pub name: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The particulars.
    pub data: Value,
}

impl Event {
    /// Its id, which is made from whose it is and its number.
    #[must_use]
    pub fn id(&self, account: AccountId) -> EventId {
        EventId::of(account, self.number, self.at)
    }
}

impl News {
    /// What has happened, by the name that callers subscribe to.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Expiring { .. } => "credits.expiring",
            Self::MonitorSuspended(_) => "monitor.suspended",
            Self::MonitorResumed(_) => "monitor.resumed",
        }
    }

    /// What it goes by, so that it is told once however often somebody finds it out. A monitor may be
    /// suspended more than once; each time its row has another revision.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Expiring { lot, .. } => format!("expiring/{}", lot.bare()),
            Self::MonitorSuspended(monitor) => format!("suspended/{}/{}", monitor.id, monitor.revision),
            Self::MonitorResumed(monitor) => format!("resumed/{}/{}", monitor.id, monitor.revision),
        }
    }

    /// The particulars.
    #[must_use]
    pub fn data(&self) -> Value {
        match self {
            Self::Expiring { lot, terms } => json!({
                "lotId": LotId::Granted(*lot),
                "source": terms.source,
                "service": terms.service,
                "amount": terms.left,
                "expiresAt": terms.expires_at.map(text),
                "message": "Some of your credits will expire soon",
            }),
            Self::MonitorSuspended(monitor) => json!({
                "monitorId": monitor.id,
                "operation": monitor.operation,
                "resourceId": monitor.resource_id,
                "reason": monitor.waits_for().map(Suspension::as_str),
                "message": match monitor.waits_for() {
                    Some(Suspension::Frozen) => "A monitor waits; it goes on once the organisation is unfrozen",
                    Some(Suspension::NotPriced) => "A monitor waits; its operation has no monthly price any more. It is tried again with the next month",
                    Some(Suspension::InsufficientCredits) | None => {
                        "This month of a monitor could not be paid; it goes on once there are credits"
                    }
                },
            }),
            Self::MonitorResumed(monitor) => json!({
                "monitorId": monitor.id,
                "operation": monitor.operation,
                "resourceId": monitor.resource_id,
                "transactionId": monitor.charge,
                "message": "A monitor that was suspended goes on",
            }),
        }
    }
}

fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
