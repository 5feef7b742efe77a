//! Events that an organisation receives, the alerts that cause them, and usage.

mod alert_settings;
mod alert_state;
mod expiry_notice;
mod name;
mod notification;
mod of_receipt;
mod usage;
mod usage_tally;

pub use alert_settings::{AlertSettings, Threshold};
pub use alert_state::{AlertState, BalanceLevel, LowBalanceStatus, ThresholdState};
pub use expiry_notice::ExpiryNotices;
pub use name::{BadEventName, EventName};
pub use notification::{AutoRechargeFailure, Event, Notification, WebhookPauseReason, WebhookPaused};
pub use usage::{OperationUsage, Usage, UsageRecord};
pub use usage_tally::{DayTotal, PendingUsage, UsageTally};
