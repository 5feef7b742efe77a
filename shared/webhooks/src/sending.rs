use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::future::try_join_all;
use http::HeaderMap;

use super::courier::next_line;
use super::signature::{Message, headers};
use ports::SecretOf;

use super::{Courier, Sent, Told};
use domain::{
    AccountId, Attempt, Delivery, DeliveryId, DeliveryKind, DeliveryStanding, HookSecret, Outcome,
    SentRequest, SentResponse, Webhook,
};
use store::{Fault, WebhookKey};

impl Courier<'_> {
    pub(super) fn delivery(&self, id: DeliveryId, kind: DeliveryKind, told: &Told) -> Delivery {
        Delivery {
            id,
            event_id: told.id.clone(),
            number: told.number,
            event: told.name.clone(),
            kind,
            standing: DeliveryStanding::Failed,
            created_at: id.time(),
            next: None,
            request: SentRequest { url: String::new(), headers: vec![], body: told.body.clone() },
            response: None,
            attempts: vec![],
        }
    }

    /// Sends something at once, and once: a test, or a delivery that its owner wants to see again. It changes
    /// nothing about how far the webhook is.
    ///
    /// # Errors
    /// When a table or a secret does not serve.
    pub async fn send_once(
        &self,
        account: AccountId,
        webhook: &Webhook,
        (kind, told): (DeliveryKind, Told),
    ) -> Result<Delivery, Fault> {
        let moment = self.clock.now();
        let id = next_line(moment);
        let secrets = self.secrets(account, webhook, moment.wall).await?;
        let mut delivery = self.delivery(id, kind, &told);
        let outcome = self.send(webhook, &secrets, &mut delivery).await?;
        if outcome == Outcome::Taken {
            delivery.standing = DeliveryStanding::Succeeded;
        }
        self.activity.log_delivery(WebhookKey { account, id: webhook.id }, &delivery, moment).await?;
        Ok(delivery)
    }

    /// Signs and sends a delivery, and notes the attempt in it.
    pub(super) async fn send(
        &self,
        webhook: &Webhook,
        secrets: &[HookSecret],
        delivery: &mut Delivery,
    ) -> Result<Outcome, Fault> {
        let moment = self.clock.now();
        let id = delivery.id.to_string();
        let message = Message {
            id: &delivery.event_id,
            delivery: &id,
            event: &delivery.event,
            body: &delivery.request.body,
        };
        // Receivers hold the time against their own clocks, so it is the machine's.
        let headers = headers(secrets, &message, moment.wall)
            .map_err(|unsigned| Fault::Unavailable { doing: "sign a delivery", source: unsigned.into() })?;
        delivery.request.url = webhook.url.to_string();
        delivery.request.headers = named(&headers);
        let body = Bytes::from(delivery.request.body.clone());
        let Sent { outcome, took } = self.sender.post(&webhook.url, headers, body).await;
        let mut attempt = Attempt {
            at: moment.now,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            status: None,
            error: None,
        };
        let came = match outcome {
            Ok(reply) => {
                attempt.status = Some(reply.status);
                let came = match reply.status {
                    200..=299 => Outcome::Taken,
                    410 => Outcome::Gone,
                    _ => Outcome::Failed(reply.retry_after_seconds),
                };
                delivery.response =
                    Some(SentResponse { status: reply.status, headers: reply.headers, body: reply.body });
                came
            }
            Err(trouble) => {
                attempt.error = Some(trouble.to_string());
                delivery.response = None;
                Outcome::Failed(None)
            }
        };
        delivery.attempts.push(attempt);
        Ok(came)
    }

    pub(super) async fn secrets(
        &self,
        account: AccountId,
        webhook: &Webhook,
        wall: DateTime<Utc>,
    ) -> Result<Vec<HookSecret>, Fault> {
        let owner = SecretOf { account, webhook: webhook.id };
        let open = webhook.current(wall).map(|secret| self.seal.open(owner, &secret.sealed));
        Ok(try_join_all(open).await?)
    }
}

fn named(headers: &HeaderMap) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect()
}
