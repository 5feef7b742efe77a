//! Events as Stripe writes them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::intent::Intent;
use super::{DisputeId, Event, Outcome, PaymentId, Refused, Silence};

#[derive(Deserialize)]
struct Envelope<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: Data<'a>,
}

#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

#[derive(Deserialize)]
struct Dispute {
    id: String,
    status: String,
    payment_intent: Option<Paid>,
}

/// A dispute's payment: its name, or all of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Paid {
    Name(String),
    Whole { id: String },
}

/// Reads an event whose signature is right; `None` for one of no interest.
///
/// # Errors
/// [`Refused::Forged`] when it is no event; [`Refused::Later`] when it is one that we should be able to
/// read and can't.
pub(super) fn read(body: &[u8]) -> Result<Option<Event>, Refused> {
    let event: Envelope =
        serde_json::from_slice(body).map_err(|_| Refused::Forged("the body is no event"))?;
    match event.kind.as_str() {
        "payment_intent.succeeded"
        | "payment_intent.payment_failed"
        | "payment_intent.canceled"
        | "payment_intent.processing"
        | "payment_intent.requires_action" => payment(object(&event)?),
        "charge.dispute.created" => {
            let Dispute { id, payment_intent, .. } = object(&event)?;
            Ok(payment_intent.map(|paid| Event::DisputeOpened(DisputeId(id), paid.id())))
        }
        "charge.dispute.closed" => {
            let Dispute { id, status, payment_intent } = object(&event)?;
            let closed = |(paid, outcome): (Paid, _)| Event::DisputeClosed(DisputeId(id), paid.id(), outcome);
            Ok(payment_intent.zip(outcome(&status)).map(closed))
        }
        _ => Ok(None),
    }
}

/// The payment of an event; `None` for one that is not ours and is of an amount that we don't know.
fn payment(intent: Intent) -> Result<Option<Event>, Refused> {
    let is_ours = intent.purchase().is_some();
    match intent.payment() {
        Ok(payment) => Ok(Some(Event::Payment(payment))),
        Err(unknown) if is_ours => Err(Silence(unknown.to_string()).into()),
        Err(_) => Ok(None),
    }
}

/// How a dispute ended. An inquiry that was closed has come to nothing.
fn outcome(status: &str) -> Option<Outcome> {
    match status {
        "won" | "warning_closed" => Some(Outcome::Won),
        "lost" => Some(Outcome::Lost),
        _ => None,
    }
}

/// What an event tells of. Of what can't be read, only the place is told: the words may be anybody's.
fn object<T: DeserializeOwned>(event: &Envelope) -> Result<T, Refused> {
    let mut json = serde_json::Deserializer::from_str(event.data.object.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (kind, path) = (&event.kind, error.path());
        Silence(format!("an event {kind} does not read at {path}")).into()
    })
}

impl Paid {
    fn id(self) -> PaymentId {
        match self {
            Self::Name(id) | Self::Whole { id } => PaymentId(id),
        }
    }
}
