//! Webhook endpoints, their URLs and secrets, and the state of their deliveries.

mod address;
pub(crate) mod backoff;
mod delivery;
mod delivery_state;
mod endpoint;
mod lane;
mod secret;
mod url;

pub use address::{RUNTIME_PORT, Reach};
pub use backoff::ATTEMPTS_MAX;
pub use delivery::{Attempt, Delivery, DeliveryKind, DeliveryStanding, SentRequest, SentResponse};
pub use delivery_state::{DeliveryState, Flow};
pub use endpoint::{SealedSecret, Webhook};
pub use lane::{Lane, LaneEvent, Outcome, Replay};
pub use secret::{BadHookSecret, HookSecret};
pub use url::{BadUrl, HookUrl, URL_CHARS_MAX};
