//! Events that an organisation receives and the alerts that cause them.

mod alert_settings;
mod alert_state;
mod api_key_notice;
mod budget_notice;
mod expiry_notice;
mod member_notice;
mod monitor_notice;
mod name;
mod notification;
mod of_receipt;
mod runaway_notice;

pub use alert_settings::{AlertSettings, Threshold};
pub use alert_state::{AlertState, BalanceLevel, LowBalanceStatus, ThresholdState};
pub use api_key_notice::{ApiKeyAction, ApiKeyNotice};
pub use budget_notice::{BudgetNotice, BudgetReached};
pub use expiry_notice::ExpiryNotices;
pub use member_notice::MemberNotice;
pub use name::{BadEventName, EventName};
pub use notification::{AutoRechargeFailure, Event, Notification, WebhookPauseReason, WebhookPaused};
pub use runaway_notice::RunawayNotice;
