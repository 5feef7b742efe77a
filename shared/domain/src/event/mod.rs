//! Events that an organisation receives, the alerts that cause them, and usage.

mod alert_settings;
mod alert_state;
mod expiry_notice;
mod name;
mod notification;
mod of_receipt;
mod usage;

pub use alert_settings::{Alerts, Threshold};
pub use alert_state::{AlertState, Level, Low, Mark};
pub use expiry_notice::Ends;
pub use name::{BadEventName, EventName};
pub use notification::{Event, HookPaused, News, RechargeFailure};
pub use usage::{Spent, Usage, Used};
