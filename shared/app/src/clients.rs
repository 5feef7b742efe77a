//! The capabilities that are one AWS client each: queues, the event bus, files, mails and the key of webhook secrets. One whose
//! variable is not set stays absent.

use std::sync::Arc;

use crate::environment::{connection, optional};
use crate::{App, MissingVariable};

#[cfg(feature = "event-bus")]
impl App {
    /// Adds the event bus that `EVENT_BUS` names.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_event_bus(self) -> Result<Self, MissingVariable> {
        let Some(name) = optional("EVENT_BUS") else { return Ok(self) };
        let bus = aws::EventBus { name, connection: connection("AWS_ENDPOINT_URL_EVENTBRIDGE")? };
        Ok(Self { bus: Arc::new(aws::EventBridge::new(bus)), ..self })
    }
}

#[cfg(feature = "files")]
impl App {
    /// Adds the bucket for files that customers download: `EXPORT_BUCKET`.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_files(self) -> Result<Self, MissingVariable> {
        let Some(name) = optional("EXPORT_BUCKET") else { return Ok(self) };
        let bucket = aws::Bucket { name, connection: connection("AWS_ENDPOINT_URL_S3")? };
        Ok(Self { files: Arc::new(aws::S3::new(bucket)), ..self })
    }
}

#[cfg(feature = "kms")]
impl App {
    /// Adds the KMS key that encrypts the secrets of webhooks: `WEBHOOK_KEY_ARN`.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_webhook_key(self) -> Result<Self, MissingVariable> {
        let Some(key) = optional("WEBHOOK_KEY_ARN") else { return Ok(self) };
        let key = aws::KmsKey { key, connection: connection("AWS_ENDPOINT_URL_KMS")? };
        Ok(Self { seal: Arc::new(aws::Kms::new(key)), ..self })
    }
}

#[cfg(feature = "mail")]
impl App {
    /// Adds the sender of mails: `MAIL_FROM`, the address that they are from.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_mail(self) -> Result<Self, MissingVariable> {
        let Some(from) = optional("MAIL_FROM") else { return Ok(self) };
        let sender = aws::Sender { from, connection: connection("AWS_ENDPOINT_URL_SESV2")? };
        Ok(Self { mailer: Some(Arc::new(aws::Ses::new(sender))), ..self })
    }
}

#[cfg(all(feature = "payments", feature = "queues"))]
impl App {
    /// Adds the queue of the function `recharge`: `RECHARGE_QUEUE_URL`.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_recharge_queue(mut self) -> Result<Self, MissingVariable> {
        if let Some(queue) = queue("RECHARGE_QUEUE_URL")? {
            self.recharges = Arc::new(queue);
        }
        Ok(self)
    }
}

#[cfg(all(feature = "jobs", feature = "queues"))]
impl App {
    /// Adds the queue of the function `renewal`: `RENEWAL_QUEUE_URL`.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_renewal_queue(mut self) -> Result<Self, MissingVariable> {
        if let Some(queue) = queue("RENEWAL_QUEUE_URL")? {
            self.tasks = Arc::new(queue);
        }
        Ok(self)
    }
}

#[cfg(feature = "queues")]
impl App {
    /// Adds the queue of the function `export`: `EXPORT_QUEUE_URL`.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_export_queue(mut self) -> Result<Self, MissingVariable> {
        if let Some(queue) = queue("EXPORT_QUEUE_URL")? {
            self.exports = Arc::new(queue);
        }
        Ok(self)
    }
}

#[cfg(all(feature = "queues", feature = "webhooks"))]
impl App {
    /// Adds the queue of the function `webhook-delivery`: `WEBHOOK_QUEUE_URL`.
    ///
    /// # Errors
    /// [`MissingVariable`] when the region or the credentials are missing.
    pub fn with_webhook_queue(mut self) -> Result<Self, MissingVariable> {
        if let Some(queue) = queue("WEBHOOK_QUEUE_URL")? {
            self.deliveries = Arc::new(queue);
        }
        Ok(self)
    }
}

#[cfg(feature = "queues")]
fn queue(variable: &str) -> Result<Option<aws::Sqs>, MissingVariable> {
    let Some(url) = optional(variable) else { return Ok(None) };
    Ok(Some(aws::Sqs::new(aws::QueueUrl { url, connection: connection("AWS_ENDPOINT_URL_SQS")? })))
}
