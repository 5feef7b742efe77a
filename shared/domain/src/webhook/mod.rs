//! Webhook endpoints, their URLs and secrets, and the state of their deliveries.

mod address;
pub(crate) mod backoff;
mod delivery;
mod delivery_state;
mod endpoint;
mod lane;
mod on_failure;
mod outcome;
mod secret;
mod url;

pub use address::{AddressPolicy, RUNTIME_PORT};
pub use backoff::ATTEMPTS_MAX;
pub use delivery::{Delivery, DeliveryAttempt, DeliveryKind, DeliveryStatus, SentRequest, SentResponse};
pub use delivery_state::{DeliveryState, WebhookStatus};
pub use endpoint::{SealedSecret, Webhook};
pub use lane::{DeliveryLane, DeliveryOutcome, LaneEvent, Replay, ReplayRequest};
pub use on_failure::{OnFailure, SkippedEvents};
pub use outcome::DeliveryFault;
pub use secret::{BadWebhookSecret, WebhookSecret};
pub use url::{BadWebhookUrl, URL_CHARS_MAX, WebhookUrl};
