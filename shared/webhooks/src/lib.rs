//! Webhooks: delivers events to the endpoints of customers, and renders and signs them. This crate knows no caller, no
//! table layout and no clock.

mod alarm;
mod attempt;
mod delivery_request;
mod envelope;
pub mod header;
mod http_client;
mod limited_reader;
mod message;
mod progress;
mod requeue;
mod resolver;
mod response;
mod samples;
mod signature;
mod worker;

pub use alarm::{DELIVERY_FAULT, SECRET_UNREADABLE};
pub use delivery_request::DeliveryRequest;
pub use envelope::EventEnvelope;
pub use http_client::{PostTimeouts, WebhookClient};
pub use http_client::{READ_BYTES_MAX, SENT_BYTES_MAX, TRIES_MAX};
pub use message::WebhookMessage;
pub use resolver::{Resolve, SystemResolver};
pub use response::{DeliveryError, ForbiddenTarget, KEPT_BYTES_MAX};
pub use response::{EndpointResponse, PostResult};
pub use samples::{sample, schema};
pub use signature::{MessageToSign, SignatureError, SigningError, headers, verify};
pub use worker::{MomentSource, WebhookWorker};
// For tests that create a sender with their own root certificates.
pub use tokio_rustls::rustls::RootCertStore;
