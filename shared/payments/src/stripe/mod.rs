//! Stripe as a payment provider, by its HTTP API. The client is our own because the idempotency keys and the meaning of
//! each response decide whether money is charged twice.

mod client;
mod event;
mod intent;
mod meaning;
mod order;
mod reversals;
mod secrets;
mod signature;
#[cfg(test)]
mod tests;

use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;

use self::client::{StripeClient, StripeResponse};
use self::intent::PaymentIntent;
use self::meaning::Meaning;
use super::{
    ChargeOrder, CustomerId, EventRejected, MoneyRefund, NoAnswer, Payment, PaymentId, PaymentStatus,
    Provider, ProviderEvent, RefundAnswer, Reversals,
};
use domain::{OrgId, REPEATABLE_HOURS};

pub(super) use self::event::read as read_event;
pub use self::secrets::StripeSecrets;
pub use self::signature::{TOLERANCE_SECONDS, sign, verify};

/// The path of payments.
const INTENTS: &str = "payment_intents";

/// The maximum number of pages of [`order::PAGE`] that a search for a payment reads.
const PAGES_MAX: u32 = 20;

/// For how many hours a charge may stay invisible after the order can no longer be repeated.
const VISIBLE_HOURS: i64 = 1;

/// Stripe as a payment provider.
pub struct Stripe {
    client: StripeClient,
    return_url: Option<String>,
}

/// The configuration of the Stripe provider.
#[derive(Clone, Debug)]
pub struct StripeConfig {
    /// The source of the API key and the signing secrets.
    pub secrets: StripeSecrets,
    /// A base URL that replaces [`StripeConfig::API_BASE`]: https, or http at loopback.
    pub api_base: Option<String>,
    /// The URL to which customers return after they authenticated a payment. Without it, payments that need authentication
    /// fail.
    pub return_url: Option<String>,
    /// The timeout of one call.
    pub timeout: Duration,
}

/// An invalid setting of the Stripe provider.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Misconfigured(&'static str);

/// A page of payments, newest first.
#[derive(Deserialize)]
struct IntentPage {
    data: Vec<PaymentIntent>,
    has_more: bool,
}

#[derive(Deserialize)]
struct StripeCustomer {
    id: String,
}

#[derive(Deserialize)]
struct RefundStatus {
    status: Option<String>,
}

impl StripeConfig {
    /// The base URL of Stripe's API.
    pub const API_BASE: &str = "https://api.stripe.com";

    /// The default timeout of one call: far above Stripe's latency, and low enough that a charge is answered before API
    /// Gateway's timeout of 30 s.
    pub const TIMEOUT: Duration = Duration::from_secs(20);

    /// The default configuration, without a return URL.
    #[must_use]
    pub fn new(secrets: StripeSecrets) -> Self {
        Self { secrets, api_base: None, return_url: None, timeout: Self::TIMEOUT }
    }
}

impl Stripe {
    /// A provider; it makes no call yet.
    ///
    /// # Errors
    /// [`Misconfigured`] when a setting is invalid.
    pub fn new(config: StripeConfig) -> Result<Self, Misconfigured> {
        let StripeConfig { secrets, api_base, return_url, timeout } = config;
        let base = api_base.as_deref().unwrap_or(StripeConfig::API_BASE);
        Ok(Self { client: StripeClient::new(base, secrets, timeout)?, return_url })
    }

    /// Attaches a payment method to its customer, so that it can be used again. A refusal is ignored here: an earlier attempt
    /// of the same order may have been charged, and only the charge's idempotency key reveals that.
    async fn attach(&self, order: &ChargeOrder) -> Result<(), NoAnswer> {
        let (Some(CustomerId(customer)), method) = (&order.customer, order.method.as_str()) else {
            return Ok(());
        };
        if !client::is_id(method) {
            return Ok(());
        }
        let form = [("customer", customer.clone())];
        let response = self.client.prepare(&["payment_methods", method, "attach"], &form).await?;
        match response.meaning() {
            Meaning::Done | Meaning::Refused => Ok(()),
            Meaning::Unknown | Meaning::Misconfigured => Err(response.no_answer()),
        }
    }

    /// Finds a payment by the purchase in its metadata.
    async fn search(&self, order: &ChargeOrder) -> Result<Option<Payment>, NoAnswer> {
        let (mut found, mut after) = (None, None);
        for _ in 0..PAGES_MAX {
            let response = self.client.get(&[INTENTS], &order::search(order, after.as_deref())).await?;
            let page: IntentPage = response.read()?;
            after = page.data.last().map(|last| last.id.clone());
            for intent in page.data {
                if intent.purchase() != Some(order.purchase) {
                    continue;
                }
                let payment = intent.payment().map_err(|unknown| NoAnswer(unknown.to_string()))?;
                if !matches!(payment.status, PaymentStatus::Failed(_) | PaymentStatus::Cancelled) {
                    return Ok(Some(payment));
                }
                found = found.or(Some(payment));
            }
            if !page.has_more || after.is_none() {
                return match found {
                    Some(payment) => Ok(Some(payment)),
                    None => missing(&response, order),
                };
            }
        }
        Err(NoAnswer("the customer has too many payments to look through".into()))
    }
}

/// `None` once no charge can be in progress, by Stripe's clock.
fn missing(response: &StripeResponse, order: &ChargeOrder) -> Result<Option<Payment>, NoAnswer> {
    let age = response.date.map(|date| date.signed_duration_since(order.made_at));
    let settled = TimeDelta::hours(REPEATABLE_HOURS.saturating_add(VISIBLE_HOURS));
    match age {
        Some(age) if age >= settled => Ok(None),
        Some(_) | None => Err(NoAnswer("no charge was found, and one may still be in progress".into())),
    }
}

#[async_trait]
impl Provider for Stripe {
    async fn create_customer(&self, org: OrgId, name: &str) -> Result<Option<CustomerId>, NoAnswer> {
        let form = [("name", name.to_owned()), ("metadata[organisation]", org.to_string())];
        let response = self.client.post(&["customers"], &form, Some(&format!("{org}:customer"))).await?;
        let StripeCustomer { id } = response.read()?;
        Ok(Some(CustomerId(id)))
    }

    async fn charge(&self, order: &ChargeOrder) -> Result<Payment, NoAnswer> {
        self.attach(order).await?;
        let form = order::charge(order, self.return_url.as_deref());
        let response = self.client.post(&[INTENTS], &form, Some(&order::key(order))).await?;
        match response.meaning() {
            Meaning::Done => {
                let payment = response.payment()?;
                if payment.purchase == Some(order.purchase) && payment.price == order.price {
                    return Ok(payment);
                }
                Err(NoAnswer("the response is about another payment".into()))
            }
            Meaning::Refused => Ok(Payment {
                id: response.error().payment(),
                purchase: Some(order.purchase),
                price: order.price,
                status: PaymentStatus::Failed(response.error().decline()),
                receipt: None,
            }),
            Meaning::Unknown | Meaning::Misconfigured => Err(response.no_answer()),
        }
    }

    async fn find(&self, order: &ChargeOrder) -> Result<Option<Payment>, NoAnswer> {
        let Some(id) = &order.payment else { return self.search(order).await };
        match self.payment(id).await? {
            Some(payment) => Ok(Some(payment)),
            None => Err(NoAnswer("it does not know a payment that it has created".into())),
        }
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, NoAnswer> {
        if !client::is_id(&id.0) {
            return Ok(None);
        }
        let response = self.client.get(&[INTENTS, &id.0], &order::expand_charge()).await?;
        if response.is_missing() { Ok(None) } else { response.payment().map(Some) }
    }

    async fn cancel(&self, id: &PaymentId) -> Result<Payment, NoAnswer> {
        if client::is_id(&id.0) {
            let response =
                self.client.post(&[INTENTS, &id.0, "cancel"], &order::expand_charge(), None).await?;
            match response.meaning() {
                Meaning::Done => return response.payment(),
                // It can no longer be cancelled; its state is read below.
                Meaning::Refused => (),
                Meaning::Unknown | Meaning::Misconfigured => return Err(response.no_answer()),
            }
        }
        self.payment(id).await?.ok_or_else(|| NoAnswer("there is no such payment".into()))
    }

    async fn refund(&self, PaymentId(id): &PaymentId) -> Result<(), NoAnswer> {
        let form = [("payment_intent", id.clone())];
        let response = self.client.post(&["refunds"], &form, Some(&format!("{id}:refund"))).await?;
        if response.is_refunded_before() {
            return Ok(());
        }
        let RefundStatus { status } = response.read()?;
        match status.as_deref() {
            Some("failed" | "canceled") => Err(NoAnswer("the refund failed".into())),
            Some(_) | None => Ok(()),
        }
    }

    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, NoAnswer> {
        reversals::refund(&self.client, id, refund).await
    }

    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, NoAnswer> {
        reversals::of(&self.client, id).await.map(Some)
    }

    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<ProviderEvent>, NoAnswer> {
        reversals::events(&self.client, since).await
    }

    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<ProviderEvent>, EventRejected> {
        let keys = self.client.keys().await?;
        if keys.webhook_secrets.is_empty() {
            return Err(NoAnswer("no signing secret for its events is configured".into()).into());
        }
        verify(&keys.webhook_secrets, signature, body, now)?;
        event::read(body)
    }
}
