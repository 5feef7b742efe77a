//! AWS: implementations of the ports with the AWS SDK. This crate knows no table and no business rule.

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
