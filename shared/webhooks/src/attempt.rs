//! One delivery attempt: sign, send, record.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::join_all;
use http::HeaderMap;

use super::signature::{MessageToSign, headers};
use super::worker::new_delivery_id;
use ports::{SealError, SealFailure, SecretOf};

use super::{PostResult, WebhookMessage, WebhookWorker};
use domain::{
    AccountId, Delivery, DeliveryAttempt, DeliveryId, DeliveryKind, DeliveryOutcome, DeliveryStatus,
    SentRequest, SentResponse, Webhook, WebhookSecret,
};
use store::{Fault, WebhookKey};

impl WebhookWorker<'_> {
    /// A delivery of a message, without attempts yet.
    pub(super) fn new_delivery(
        &self,
        id: DeliveryId,
        kind: DeliveryKind,
        message: &WebhookMessage,
    ) -> Delivery {
        Delivery {
            id,
            event_id: message.id.clone(),
            number: message.number,
            event: message.name.clone(),
            kind,
            status: DeliveryStatus::Failed,
            created_at: id.time(),
            next: None,
            request: SentRequest { url: String::new(), headers: vec![], body: message.body.clone() },
            response: None,
            attempts: vec![],
            attempts_max: None,
        }
    }

    /// Sends a message immediately and once: a test event, or the resend of one delivery. The webhook's delivery state
    /// does not change.
    ///
    /// # Errors
    /// When a table or a secret is unavailable.
    pub async fn send_once(
        &self,
        account: AccountId,
        webhook: &Webhook,
        kind: DeliveryKind,
        message: WebhookMessage,
    ) -> Result<Delivery, Fault> {
        let moment = self.clock.now();
        let id = new_delivery_id(moment);
        let secrets = self.secrets(account, webhook, moment.wall).await?;
        let mut delivery = self.new_delivery(id, kind, &message);
        let outcome = self.send(webhook, &secrets, &mut delivery).await?;
        delivery.status = match outcome {
            DeliveryOutcome::Taken => DeliveryStatus::Succeeded,
            DeliveryOutcome::Aborted => DeliveryStatus::Aborted,
            DeliveryOutcome::Failed(_) | DeliveryOutcome::Gone => DeliveryStatus::Failed,
        };
        self.activity.log_delivery(WebhookKey { account, id: webhook.id }, &delivery, moment).await?;
        Ok(delivery)
    }

    /// Signs and sends a delivery, and adds the attempt to it.
    pub(super) async fn send(
        &self,
        webhook: &Webhook,
        secrets: &[WebhookSecret],
        delivery: &mut Delivery,
    ) -> Result<DeliveryOutcome, Fault> {
        let moment = self.clock.now();
        let id = delivery.id.to_string();
        let message = MessageToSign {
            id: &delivery.event_id,
            delivery: &id,
            event: &delivery.event,
            body: &delivery.request.body,
        };
        // Receivers compare the timestamp with their own clocks, so it is system time.
        let headers = headers(secrets, &message, moment.wall)
            .map_err(|unsigned| Fault::Unavailable { doing: "sign a delivery", source: unsigned.into() })?;
        delivery.request.url = webhook.url.to_string();
        delivery.request.headers = header_fields(&headers);
        let body = Bytes::from(delivery.request.body.clone());
        let PostResult { outcome, took } = self.sender.post(&webhook.url, headers, body).await;
        let mut attempt = DeliveryAttempt {
            at: moment.now,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            status: None,
            error: None,
        };
        let outcome = match outcome {
            Ok(response) => {
                attempt.status = Some(response.status);
                let outcome = match response.status {
                    200..=299 => DeliveryOutcome::Taken,
                    _ if response.aborts_message => DeliveryOutcome::Aborted,
                    410 => DeliveryOutcome::Gone,
                    _ => DeliveryOutcome::Failed(response.retry_after_seconds),
                };
                delivery.response = Some(SentResponse {
                    status: response.status,
                    headers: response.headers,
                    body: response.body,
                });
                outcome
            }
            Err(error) => {
                attempt.error = Some(error.to_string());
                delivery.response = None;
                DeliveryOutcome::Failed(None)
            }
        };
        delivery.attempts.push(attempt);
        Ok(outcome)
    }

    /// The decrypted secrets of a webhook that are valid now, newest first. A secret that can never be decrypted is left
    /// out while another one can sign.
    pub(super) async fn secrets(
        &self,
        account: AccountId,
        webhook: &Webhook,
        wall: DateTime<Utc>,
    ) -> Result<Vec<WebhookSecret>, SealError> {
        let owner = SecretOf { account, webhook: webhook.id };
        let open = webhook.current(wall).map(|secret| self.seal.open(owner, &secret.sealed));
        let (mut secrets, mut unreadable) = (Vec::new(), None);
        for opened in join_all(open).await {
            match opened {
                Ok(secret) => secrets.push(secret),
                Err(error) => match error.cause {
                    SealFailure::Unavailable => return Err(error),
                    SealFailure::Unreadable => unreadable = Some(error),
                },
            }
        }
        match unreadable {
            Some(error) if secrets.is_empty() => Err(error),
            Some(error) => {
                tracing::warn!(
                    %account, webhook = %webhook.id, cause = &error as &dyn std::error::Error,
                    "a delivery is signed without one secret of its webhook"
                );
                Ok(secrets)
            }
            None => Ok(secrets),
        }
    }
}

fn header_fields(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
