use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::charge::{Charge, Dispute, State};
use crate::signature::{sign, verify};
use crate::{Event, Payment, Refused, Standing, event};

/// What has changed about a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its standing.
    Payment,
    /// Its dispute.
    Dispute,
    /// How much of it was given back.
    Refund,
}

/// An event as it is sent: the signature goes into the header `Stripe-Signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The header's value.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// How the company tells events.
pub struct Voice {
    /// What events are signed with.
    pub secret: SecretString,
    /// Takes what is told. It is called while the charge is held, so it must only pass it on.
    pub listener: Box<dyn Fn(Notice) + Send + Sync>,
    /// The machine's own time, for signatures.
    pub now: Box<dyn Fn() -> DateTime<Utc> + Send + Sync>,
}

impl Voice {
    /// Tells what has changed, in the words of Stripe: one reader serves both.
    pub(super) fn tell(&self, charge: &Charge, payment: &Payment, what: Change) {
        let told = match what {
            Change::Payment => payment_event(charge, payment),
            Change::Dispute => charge.dispute.map(|dispute| dispute_event(charge, dispute)),
            Change::Refund => Some(refund_event(charge)),
        };
        let Some((kind, object)) = told else { return };
        let now = (self.now)();
        // Each part that is given back is an event of its own.
        let refunded = match what {
            Change::Refund => format!("_{}", charge.amount_refunded()),
            Change::Payment | Change::Dispute => String::new(),
        };
        let event = json!({
            "id": format!("evt_sim_{}_{kind}{refunded}", charge.transaction.bare()),
            "object": "event",
            "created": now.timestamp(),
            "type": kind,
            "data": { "object": object },
        });
        let body = event.to_string().into_bytes();
        (self.listener)(Notice { signature: sign(&self.secret, &body, now), body });
    }

    /// Reads an event of one's own.
    ///
    /// # Errors
    /// [`Refused`].
    pub(super) fn read(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<Event>, Refused> {
        verify(std::slice::from_ref(&self.secret), signature, body, now)?;
        event::read(body)
    }
}

/// What is told of a charge's standing: nothing while it is being made.
fn payment_event(charge: &Charge, payment: &Payment) -> Option<(&'static str, Value)> {
    let (kind, status, error) = match &charge.state {
        State::Processing => return None,
        State::Waiting => ("payment_intent.requires_action", "requires_action", Value::Null),
        State::Succeeded => ("payment_intent.succeeded", "succeeded", Value::Null),
        State::Failed(decline) => {
            let error = json!({ "code": decline.reason, "decline_code": decline.decline_code });
            ("payment_intent.payment_failed", "requires_payment_method", error)
        }
        State::Cancelled => ("payment_intent.canceled", "canceled", Value::Null),
    };
    let link = match &payment.standing {
        Standing::Action(url) => json!({ "redirect_to_url": { "url": url } }),
        Standing::Succeeded
        | Standing::Processing
        | Standing::Failed(_)
        | Standing::Cancelled
        | Standing::Refunded => Value::Null,
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

fn dispute_event(charge: &Charge, dispute: Dispute) -> (&'static str, Value) {
    let (kind, status) = match dispute {
        Dispute::Open => ("charge.dispute.created", "needs_response"),
        Dispute::Won => ("charge.dispute.closed", "won"),
        Dispute::Lost => ("charge.dispute.closed", "lost"),
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

fn refund_event(charge: &Charge) -> (&'static str, Value) {
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
