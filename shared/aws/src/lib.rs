//! AWS: the ports, implemented with the SDK. Knows no table and no rule.

mod connection;
mod event_bridge;
mod kms;
mod secrets_manager;
mod sqs;

pub use connection::Connection;
pub use event_bridge::{EventBridge, EventBus};
pub use kms::{Kms, KmsKey};
pub use secrets_manager::{ManagedSecret, SecretsManager};
pub use sqs::{QueueUrl, Sqs};
