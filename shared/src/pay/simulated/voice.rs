use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::charge::{Charge, Dispute};
use crate::pay::{Event, Payment, PaymentId, Refused, Standing, event, sign, verify};

/// What has changed about a charge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Its standing.
    Payment,
    /// Its dispute.
    Dispute,
}

/// An event as it is sent: the signature goes into the header `Stripe-Signature`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// The header's value.
    pub signature: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Takes what is told. It is called while the charge is held, so it must only pass it on.
pub type Listener = Box<dyn Fn(Notice) + Send + Sync>;

/// The machine's own time.
pub type Now = Box<dyn Fn() -> DateTime<Utc> + Send + Sync>;

/// How the company tells events. It speaks Stripe's language, so that one reader serves both. They are
/// signed at the machine's own time, which goes on while the business's is held still or moved.
pub struct Voice {
    secret: SecretString,
    listener: Listener,
    now: Now,
}

impl Voice {
    /// Signs with `secret`, at the time that `now` tells, and tells `listener`.
    #[must_use]
    pub fn new(secret: impl Into<SecretString>, listener: Listener, now: Now) -> Self {
        Self { secret: secret.into(), listener, now }
    }

    /// Tells of a change. A refund is ours to know, and an event of it would be of no interest.
    pub(super) fn tell(&self, charge: &Charge, payment: &Payment, change: Change) {
        let at = (self.now)();
        let told = match change {
            Change::Payment => of_payment(charge, payment),
            Change::Dispute => of_dispute(charge, payment.id.as_ref()),
        };
        let Some((kind, object)) = told else { return };
        let body = json!({
            // Told again, it is the same event.
            "id": format!("evt_sim_{}_{}", charge.transaction.bare(), kind.replace('.', "_")),
            "object": "event",
            "created": at.timestamp(),
            "livemode": false,
            "type": kind,
            "data": { "object": object },
        });
        let body = body.to_string().into_bytes();
        (self.listener)(Notice { signature: sign(&self.secret, &body, at), body });
    }

    /// Reads what [`Voice::tell`] has told.
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

/// The event's type, and the payment as Stripe writes it.
fn of_payment(charge: &Charge, payment: &Payment) -> Option<(&'static str, Value)> {
    let mut error = Value::Null;
    let mut link = Value::Null;
    let (kind, status) = match &payment.standing {
        Standing::Succeeded => ("payment_intent.succeeded", "succeeded"),
        Standing::Processing => ("payment_intent.processing", "processing"),
        Standing::Action(url) => {
            link = json!({ "type": "redirect_to_url", "redirect_to_url": { "url": url } });
            ("payment_intent.requires_action", "requires_action")
        }
        Standing::Failed(decline) => {
            error = json!({ "code": decline.reason, "decline_code": decline.decline_code });
            ("payment_intent.payment_failed", "requires_payment_method")
        }
        Standing::Cancelled => ("payment_intent.canceled", "canceled"),
        Standing::Refunded => return None,
    };
    let object = json!({
        "id": payment.id,
        "object": "payment_intent",
        "amount": payment.price.amount(),
        "currency": payment.price.currency().code().to_ascii_lowercase(),
        "status": status,
        "payment_method": charge.method,
        "created": charge.created_at.timestamp(),
        "metadata": { "account": charge.purchase().account.to_string(), "transaction": charge.transaction },
        "last_payment_error": error,
        "next_action": link,
        "latest_charge": payment.receipt,
    });
    Some((kind, object))
}

/// The event's type, and the dispute as Stripe writes it.
fn of_dispute(charge: &Charge, payment: Option<&PaymentId>) -> Option<(&'static str, Value)> {
    let (kind, status) = match charge.dispute? {
        Dispute::Open => ("charge.dispute.created", "needs_response"),
        Dispute::Won => ("charge.dispute.closed", "won"),
        Dispute::Lost => ("charge.dispute.closed", "lost"),
    };
    let object = json!({
        "id": charge.dispute_id(),
        "object": "dispute",
        "amount": charge.price.amount(),
        "currency": charge.price.currency().code().to_ascii_lowercase(),
        "status": status,
        "reason": "fraudulent",
        "payment_intent": payment,
    });
    Some((kind, object))
}
