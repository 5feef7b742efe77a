//! Stripe, by its HTTP API: a thin client, since the idempotency key and what an answer means must be in
//! our own hands.

mod answer;
mod http;
mod order;
mod reversals;
mod secrets;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use self::answer::Meaning;
use self::http::{Answer, Client};
use super::intent::Intent;
use super::{
    CustomerId, Event, MoneyRefund, Order, Payment, PaymentId, Provider, RefundAnswer, Refused, Reversals,
    Silence, Standing, event, signature,
};
use domain::{OrgId, REPEATABLE_HOURS};

pub use self::secrets::StripeSecrets;

/// Where the payments are.
const INTENTS: &str = "payment_intents";

/// A search for a payment reads at most so many pages of [`order::PAGE`]; past them nothing is certain.
const PAGES_MAX: u32 = 20;

/// How long a charge may take to show, in hours after it can be repeated no more.
const SHOWN_HOURS: i64 = 1;

/// Stripe.
pub struct Stripe {
    client: Client,
    return_url: Option<String>,
}

/// How to reach Stripe.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// Where the API key and the webhooks' signing secrets are.
    pub secrets: StripeSecrets,
    /// Another Stripe than [`StripeConfig::API_BASE`]: https, or http on this machine.
    pub api_base: Option<String>,
    /// Where customers return to when they have authenticated a payment. Without it nobody can be sent
    /// to do so, and payments that need it fail.
    pub return_url: Option<String>,
    /// How long one call may take in all.
    pub timeout: Duration,
}

/// A setting that no client can be made of.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(&'static str);

/// A page of payments, the newest first.
#[derive(Deserialize)]
struct Page {
    data: Vec<Intent>,
    has_more: bool,
}

#[derive(Deserialize)]
struct Customer {
    id: String,
}

#[derive(Deserialize)]
struct Refund {
    status: Option<String>,
}

impl StripeConfig {
    /// Stripe itself.
    pub const API_BASE: &str = "https://api.stripe.com";

    /// One call: far above what Stripe takes, and low enough that a charge is answered before API
    /// Gateway gives up at 30 s.
    pub const TIMEOUT: Duration = Duration::from_secs(20);

    /// Stripe itself, without a place to return to.
    #[must_use]
    pub fn new(secrets: StripeSecrets) -> Self {
        Self { secrets, api_base: None, return_url: None, timeout: Self::TIMEOUT }
    }
}

impl Stripe {
    /// A client; nothing is asked yet.
    ///
    /// # Errors
    /// [`Misconfigured`].
    pub fn new(config: StripeConfig) -> Result<Self, Misconfigured> {
        let StripeConfig { secrets, api_base, return_url, timeout } = config;
        let base = api_base.as_deref().unwrap_or(StripeConfig::API_BASE);
        Ok(Self { client: Client::new(base, secrets, timeout)?, return_url })
    }

    /// Has a payment method belong to its customer, so that it may be used more than once. Whether it
    /// can be is not decided here: an earlier sending of the same order may have been charged, and
    /// only the charge's own idempotency key knows.
    async fn attach(&self, order: &Order) -> Result<(), Silence> {
        let (Some(CustomerId(customer)), method) = (&order.customer, order.method.as_str()) else {
            return Ok(());
        };
        if !http::is_id(method) {
            return Ok(());
        }
        let form = [("customer", customer.clone())];
        let answer = self.client.prepare(&["payment_methods", method, "attach"], &form).await?;
        match answer.meaning() {
            Meaning::Done | Meaning::Refused => Ok(()),
            Meaning::Silent | Meaning::Mend => Err(answer.silence()),
        }
    }

    /// Looks for a charge by what is written on it.
    async fn search(&self, order: &Order) -> Result<Option<Payment>, Silence> {
        let (mut found, mut after) = (None, None);
        for _ in 0..PAGES_MAX {
            let answer = self.client.get(&[INTENTS], &order::search(order, after.as_deref())).await?;
            let page: Page = answer.read()?;
            after = page.data.last().map(|last| last.id.clone());
            for intent in page.data {
                if intent.purchase() != Some(order.purchase) {
                    continue;
                }
                let payment = intent.payment().map_err(|unknown| Silence(unknown.to_string()))?;
                if !matches!(payment.standing, Standing::Failed(_) | Standing::Cancelled) {
                    return Ok(Some(payment));
                }
                found = found.or(Some(payment));
            }
            if !page.has_more || after.is_none() {
                return match found {
                    Some(payment) => Ok(Some(payment)),
                    None => missing(&answer, order),
                };
            }
        }
        Err(Silence("the customer has too many payments to look through".into()))
    }
}

/// `None` once nothing can be under way any more, by the other side's clock.
fn missing(answer: &Answer, order: &Order) -> Result<Option<Payment>, Silence> {
    let age = answer.date.map(|date| date.signed_duration_since(order.made_at));
    let settled = TimeDelta::hours(REPEATABLE_HOURS.saturating_add(SHOWN_HOURS));
    match age {
        Some(age) if age >= settled => Ok(None),
        Some(_) | None => Err(Silence("no charge is to be seen, and one may still be under way".into())),
    }
}

#[async_trait]
impl Provider for Stripe {
    async fn enrol(&self, org: OrgId, name: &str) -> Result<Option<CustomerId>, Silence> {
        let form = [("name", name.to_owned()), ("metadata[organisation]", org.to_string())];
        let answer = self.client.post(&["customers"], &form, Some(&format!("{org}:customer"))).await?;
        let Customer { id } = answer.read()?;
        Ok(Some(CustomerId(id)))
    }

    async fn charge(&self, order: &Order) -> Result<Payment, Silence> {
        self.attach(order).await?;
        let form = order::charge(order, self.return_url.as_deref());
        let answer = self.client.post(&[INTENTS], &form, Some(&order::key(order))).await?;
        match answer.meaning() {
            Meaning::Done => {
                let payment = answer.payment()?;
                if payment.purchase == Some(order.purchase) && payment.price == order.price {
                    return Ok(payment);
                }
                Err(Silence("what was answered is another payment".into()))
            }
            Meaning::Refused => Ok(Payment {
                id: answer.error().payment(),
                purchase: Some(order.purchase),
                price: order.price,
                standing: Standing::Failed(answer.error().decline()),
                receipt: None,
            }),
            Meaning::Silent | Meaning::Mend => Err(answer.silence()),
        }
    }

    async fn find(&self, order: &Order) -> Result<Option<Payment>, Silence> {
        let Some(id) = &order.payment else { return self.search(order).await };
        match self.payment(id).await? {
            Some(payment) => Ok(Some(payment)),
            None => Err(Silence("a payment that it has named is unknown to it".into())),
        }
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, Silence> {
        if !http::is_id(&id.0) {
            return Ok(None);
        }
        let answer = self.client.get(&[INTENTS, &id.0], &order::whole()).await?;
        if answer.is_missing() { Ok(None) } else { answer.payment().map(Some) }
    }

    async fn cancel(&self, id: &PaymentId) -> Result<Payment, Silence> {
        if http::is_id(&id.0) {
            let answer = self.client.post(&[INTENTS, &id.0, "cancel"], &order::whole(), None).await?;
            match answer.meaning() {
                Meaning::Done => return answer.payment(),
                // It is past cancelling, and how it stands is told by itself alone.
                Meaning::Refused => (),
                Meaning::Silent | Meaning::Mend => return Err(answer.silence()),
            }
        }
        self.payment(id).await?.ok_or_else(|| Silence("there is no such payment".into()))
    }

    async fn refund(&self, PaymentId(id): &PaymentId) -> Result<(), Silence> {
        let form = [("payment_intent", id.clone())];
        let answer = self.client.post(&["refunds"], &form, Some(&format!("{id}:refund"))).await?;
        if answer.is_refunded_before() {
            return Ok(());
        }
        let Refund { status } = answer.read()?;
        match status.as_deref() {
            Some("failed" | "canceled") => Err(Silence("the refund has come to nothing".into())),
            Some(_) | None => Ok(()),
        }
    }

    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, Silence> {
        reversals::refund(&self.client, id, refund).await
    }

    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, Silence> {
        reversals::of(&self.client, id).await.map(Some)
    }

    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<Event>, Silence> {
        reversals::events(&self.client, since).await
    }

    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<Event>, Refused> {
        let keys = self.client.keys().await?;
        if keys.webhook_secrets.is_empty() {
            return Err(Silence("no signing secret of its events is known".into()).into());
        }
        signature::verify(&keys.webhook_secrets, signature, body, now)?;
        event::read(body)
    }
}
