//! The events of the simulated provider, in Stripe's format.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::charge::{ChargeState, SimulatedCharge, SimulatedDispute};
use crate::stripe::{read_event, sign, verify};
use crate::{EventRejected, Payment, PaymentStatus, ProviderEvent};

/// What has changed in a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ChargeChange {
    /// The state of the payment.
    Payment,
    /// The dispute.
    Dispute,
    /// The refunded amount.
    Refund,
}

/// A signed event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedEvent {
    /// The value of the header `Stripe-Signature`.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// The sender of the provider's events.
pub struct EventSender {
    /// The signing secret.
    pub secret: SecretString,
    /// Receives the events. It is called while the charge is locked, so it must return immediately.
    pub listener: Box<dyn Fn(SignedEvent) + Send + Sync>,
    /// System time, for signatures.
    pub now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl EventSender {
    /// Sends the event of a change. Events have Stripe's format, so that one reader serves both providers.
    pub(super) fn send(&self, charge: &SimulatedCharge, payment: &Payment, change: ChargeChange) {
        let event = match change {
            ChargeChange::Payment => payment_event(charge, payment),
            ChargeChange::Dispute => charge.dispute.map(|dispute| dispute_event(charge, dispute)),
            ChargeChange::Refund => Some(refund_event(charge)),
        };
        let Some((kind, object)) = event else { return };
        let now = (self.now)();
        // Each partial refund is an event of its own, with its own id.
        let refunded = match change {
            ChargeChange::Refund => format!("_{}", charge.amount_refunded()),
            ChargeChange::Payment | ChargeChange::Dispute => String::new(),
        };
        let event = json!({
            "id": format!("evt_sim_{}_{kind}{refunded}", charge.transaction.bare()),
            "object": "event",
            "created": now.timestamp(),
            "type": kind,
            "data": { "object": object },
        });
        let body = event.to_string().into_bytes();
        (self.listener)(SignedEvent { signature: sign(&self.secret, &body, now), body });
    }

    /// Verifies and reads an event of this provider.
    ///
    /// # Errors
    /// [`EventRejected`] when it is forged.
    pub(super) fn read(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<ProviderEvent>, EventRejected> {
        verify(std::slice::from_ref(&self.secret), signature, body, now)?;
        read_event(body)
    }
}

/// The event of a payment's state; `None` while the charge is in progress.
fn payment_event(charge: &SimulatedCharge, payment: &Payment) -> Option<(&'static str, Value)> {
    let (kind, status, error) = match &charge.state {
        ChargeState::Processing => return None,
        ChargeState::Waiting => ("payment_intent.requires_action", "requires_action", Value::Null),
        ChargeState::Succeeded => ("payment_intent.succeeded", "succeeded", Value::Null),
        ChargeState::Failed(decline) => {
            let error = json!({ "code": decline.reason, "decline_code": decline.decline_code });
            ("payment_intent.payment_failed", "requires_payment_method", error)
        }
        ChargeState::Cancelled => ("payment_intent.canceled", "canceled", Value::Null),
    };
    let link = match &payment.status {
        PaymentStatus::Action(url) => json!({ "redirect_to_url": { "url": url } }),
        PaymentStatus::Succeeded
        | PaymentStatus::Processing
        | PaymentStatus::Failed(_)
        | PaymentStatus::Cancelled
        | PaymentStatus::Refunded => Value::Null,
    };
    let receipt =
        payment.receipt.as_ref().map(|receipt| json!({ "id": receipt, "refunded": charge.refunded }));
    let object = json!({
        "id": charge.id().0,
        "object": "payment_intent",
        "amount": charge.price.amount(),
        "currency": charge.price.currency().code().to_ascii_lowercase(),
        "status": status,
        "metadata": { "account": charge.purchase().account.to_string(), "transaction": charge.transaction.to_string() },
        "last_payment_error": error,
        "next_action": link,
        "latest_charge": receipt,
    });
    Some((kind, object))
}

fn dispute_event(charge: &SimulatedCharge, dispute: SimulatedDispute) -> (&'static str, Value) {
    let (kind, status) = match dispute {
        SimulatedDispute::Open => ("charge.dispute.created", "needs_response"),
        SimulatedDispute::Won => ("charge.dispute.closed", "won"),
        SimulatedDispute::Lost => ("charge.dispute.closed", "lost"),
    };
    let object = json!({
        "id": charge.dispute_id().0,
        "object": "dispute",
        "payment_intent": charge.id().0,
        "amount": charge.disputed.unwrap_or_else(|| charge.price.amount()),
        "currency": charge.price.currency().code().to_ascii_lowercase(),
        "status": status,
    });
    (kind, object)
}

fn refund_event(charge: &SimulatedCharge) -> (&'static str, Value) {
    let object = json!({
        "id": format!("rcpt_{}", charge.transaction.bare()),
        "object": "charge",
        "payment_intent": charge.id().0,
        "amount": charge.price.amount(),
        "amount_refunded": charge.amount_refunded(),
        "refunded": charge.refunded,
    });
    ("charge.refunded", object)
}
