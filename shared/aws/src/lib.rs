//! AWS: implementations of the ports with the AWS SDK. This crate knows no table and no business rule.

mod connection;
#[cfg(feature = "event-bridge")]
mod event_bridge;
mod http_client;
#[cfg(feature = "kms")]
mod kms;
#[cfg(feature = "s3")]
mod s3;
#[cfg(feature = "secrets-manager")]
mod secrets_manager;
#[cfg(feature = "ses")]
mod ses;
#[cfg(feature = "sqs")]
mod sqs;

pub use connection::Connection;
#[cfg(feature = "event-bridge")]
pub use event_bridge::{EventBridge, EventBus};
pub use http_client::{CONNECT_TIMEOUT, http_client};
#[cfg(feature = "kms")]
pub use kms::{Kms, KmsKey};
#[cfg(feature = "s3")]
pub use s3::{Bucket, S3};
#[cfg(feature = "secrets-manager")]
pub use secrets_manager::{ManagedSecret, SecretsManager};
#[cfg(feature = "ses")]
pub use ses::{Sender, Ses};
#[cfg(feature = "sqs")]
pub use sqs::{QueueUrl, Sqs};
