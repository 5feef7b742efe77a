//! Events as Stripe writes them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::intent::Intent;
use super::{DisputeId, Disputed, Event, Outcome, PaymentId, Refused, Silence};
use domain::{Currency, Money};

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

/// A dispute, in events and in answers.
#[derive(Deserialize)]
pub(super) struct Dispute {
    id: String,
    status: String,
    payment_intent: Option<Paid>,
    amount: Option<u64>,
    currency: Option<String>,
}

/// A charge or a refund: what of it tells that a payment's refunds have changed.
#[derive(Deserialize)]
struct OfPayment {
    payment_intent: Option<Paid>,
}

/// A dispute's payment: its name, or all of it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Paid {
    Name(String),
    Whole { id: String },
}

/// The events about refunds and disputes, by the names that they are asked for.
pub(super) const REVERSALS: [&str; 7] = [
    "charge.dispute.created",
    "charge.dispute.closed",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
];

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
            Ok(object::<Dispute>(&event)?.read().map(|(disputed, _)| Event::DisputeOpened(disputed)))
        }
        "charge.dispute.closed" => {
            let closed = object::<Dispute>(&event)?.read();
            Ok(closed.and_then(|(disputed, outcome)| Some(Event::DisputeClosed(disputed, outcome?))))
        }
        "charge.refunded"
        | "charge.refund.updated"
        | "refund.created"
        | "refund.updated"
        | "refund.failed" => {
            let OfPayment { payment_intent } = object(&event)?;
            Ok(payment_intent.map(|paid| Event::Refunded(paid.id())))
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

impl Dispute {
    /// The dispute, and how it ended if it did; `None` for one that is about no payment of ours.
    pub(super) fn read(self) -> Option<(Disputed, Option<Outcome>)> {
        let Self { id, status, payment_intent, amount, currency } = self;
        let currency = currency.and_then(|code| Currency::try_from(code.to_ascii_uppercase()).ok());
        let amount = amount.zip(currency).and_then(|(amount, currency)| Money::new(amount, currency).ok());
        let disputed = Disputed { dispute: DisputeId(id), payment: payment_intent?.id(), amount };
        Some((disputed, outcome(&status)))
    }
}

impl Paid {
    fn id(self) -> PaymentId {
        match self {
            Self::Name(id) | Self::Whole { id } => PaymentId(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::{Decline, Standing};
    use super::*;

    const ACCOUNT: &str = "org_01HM6QY8R00000000000000001#live";
    const TRANSACTION: &str = "txn_01HM6QY8R00000000000000002";

    fn said(kind: &str, object: &Value) -> Result<Option<Event>, String> {
        let event = json!({
            "id": "evt_1", "object": "event", "api_version": "2026-10-28.endive", "created": 1, "livemode": false,
            "type": kind, "data": { "object": object, "previous_attributes": {} }, "pending_webhooks": 1,
        });
        read(event.to_string().as_bytes()).map_err(|refused| refused.to_string())
    }

    fn intent(status: &str, more: &Value) -> Value {
        let mut intent = json!({
            "id": "pi_1", "object": "payment_intent", "amount": 4900, "amount_received": 0, "currency": "gbp",
            "status": status, "metadata": { "account": ACCOUNT, "transaction": TRANSACTION },
            "last_payment_error": null, "next_action": null, "latest_charge": null,
        });
        for (name, value) in more.as_object().unwrap() {
            intent[name] = value.clone();
        }
        intent
    }

    /// How a payment of ours stood, by an event, and its receipt.
    #[track_caller]
    fn check(kind: &str, (status, more): (&str, &Value), standing: &Standing, receipt: Option<&str>) {
        let told = said(&format!("payment_intent.{kind}"), &intent(status, more)).unwrap();
        let Some(Event::Payment(payment)) = told else { panic!("{kind} {told:?}") };
        assert_eq!(payment.id, Some(PaymentId("pi_1".into())));
        assert_eq!((payment.price.amount(), payment.price.currency().code()), (4900, "GBP"));
        let purchase = payment.purchase.unwrap();
        assert_eq!(purchase.account.to_string(), ACCOUNT);
        assert_eq!(purchase.transaction.to_string(), TRANSACTION);
        assert_eq!((&payment.standing, payment.receipt.as_deref()), (standing, receipt), "{kind} {more}");
    }

    #[test]
    fn a_payment_that_was_taken_has_a_receipt() {
        let whole = |url: Value, refunded: bool| json!({ "latest_charge": { "id": "ch_1", "receipt_url": url, "refunded": refunded } });
        for (more, standing, receipt) in [
            (json!({ "latest_charge": "ch_1" }), Standing::Succeeded, "ch_1"),
            (whole(json!("https://r"), false), Standing::Succeeded, "https://r"),
            (whole(json!(null), true), Standing::Refunded, "ch_1"),
        ] {
            check("succeeded", ("succeeded", &more), &standing, Some(receipt));
        }
    }

    #[test]
    fn a_payment_that_was_refused_says_why() {
        for (error, reason, decline_code) in [
            (
                json!({ "type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds" }),
                "card_declined",
                Some("insufficient_funds"),
            ),
            (
                json!({ "type": "invalid_request_error", "code": "payment_intent_authentication_failure" }),
                "payment_intent_authentication_failure",
                None,
            ),
            (json!({ "type": "api_error" }), "api_error", None),
            (json!({}), "payment_failed", None),
        ] {
            let decline = Decline { reason: reason.into(), decline_code: decline_code.map(str::to_owned) };
            let more = json!({ "last_payment_error": error });
            let standing = Standing::Failed(decline);
            check("payment_failed", ("requires_payment_method", &more), &standing, None);
        }
    }

    #[test]
    fn a_payment_that_waits_says_for_what() {
        let redirect = json!({ "next_action": { "type": "redirect_to_url",
            "redirect_to_url": { "url": "https://hooks.stripe.com/3ds", "return_url": "https://us" } } });
        let script = json!({ "next_action": { "type": "use_stripe_sdk", "use_stripe_sdk": {} } });
        let link = Standing::Action("https://hooks.stripe.com/3ds".into());
        check("requires_action", ("requires_action", &redirect), &link, None);
        check("requires_action", ("requires_action", &script), &Standing::Action(String::new()), None);
        check("canceled", ("canceled", &json!({})), &Standing::Cancelled, None);
        // What is on its way is not final, and what a later version may call it neither.
        for status in ["processing", "requires_confirmation", "requires_payment_method", "of_another_version"]
        {
            check("processing", (status, &json!({})), &Standing::Processing, None);
        }
    }

    #[test]
    fn a_payment_is_ours_when_its_metadata_says_so_in_full() {
        for metadata in [
            json!(null),
            json!({}),
            json!({ "account": ACCOUNT }),
            json!({ "transaction": TRANSACTION }),
            json!({ "account": "org_01HM6QY8R00000000000000001", "transaction": TRANSACTION }),
            json!({ "account": "org_01HM6QY8R00000000000000001#demo", "transaction": TRANSACTION }),
            json!({ "account": ACCOUNT, "transaction": "txn_1" }),
        ] {
            let told =
                said("payment_intent.succeeded", &intent("succeeded", &json!({ "metadata": metadata })));
            let Ok(Some(Event::Payment(payment))) = told else { panic!("{metadata} {told:?}") };
            assert_eq!(payment.purchase, None, "{metadata}");
        }
    }

    #[test]
    fn a_sum_that_we_do_not_know_is_asked_for_again_when_it_is_ours() {
        let told = |more: Value| said("payment_intent.succeeded", &intent("succeeded", &more));
        for sum in [json!({ "amount": 100_000_000 }), json!({ "amount": 0 }), json!({ "currency": "zzz" })] {
            assert!(told(sum.clone()).is_err_and(|said| said.contains("pi_1")), "{sum}");
            let mut foreign = sum;
            foreign["metadata"] = json!({});
            assert_eq!(told(foreign), Ok(None));
        }
    }

    #[test]
    fn a_dispute_opens_and_closes() {
        let dispute = |status: &str| {
            json!({ "id": "dp_1", "status": status, "payment_intent": "pi_1", "charge": "ch_1",
            "amount": 2450, "currency": "gbp" })
        };
        let disputed = Disputed {
            dispute: DisputeId("dp_1".into()),
            payment: PaymentId("pi_1".into()),
            amount: Money::new(2450, Currency::GBP).ok(),
        };
        let opened = Some(Event::DisputeOpened(disputed.clone()));
        assert_eq!(said("charge.dispute.created", &dispute("needs_response")), Ok(opened.clone()));
        assert_eq!(said("charge.dispute.created", &dispute("warning_needs_response")), Ok(opened));
        for (status, outcome) in [
            ("won", Some(Outcome::Won)),
            ("warning_closed", Some(Outcome::Won)),
            ("lost", Some(Outcome::Lost)),
            ("of_another_version", None),
        ] {
            let closed = outcome.map(|outcome| Event::DisputeClosed(disputed.clone(), outcome));
            assert_eq!(said("charge.dispute.closed", &dispute(status)), Ok(closed), "{status}");
        }
        let mut other = dispute("lost");
        other["payment_intent"] = json!({ "id": "pi_1", "object": "payment_intent" });
        assert!(matches!(said("charge.dispute.closed", &other), Ok(Some(Event::DisputeClosed(..)))));
        other["payment_intent"] = Value::Null;
        assert_eq!(said("charge.dispute.closed", &other), Ok(None));
    }

    #[test]
    fn a_dispute_of_an_unknown_sum_is_about_all_of_the_payment() {
        for (name, value) in [("amount", json!(null)), ("amount", json!(0)), ("currency", json!("zzz"))] {
            let mut dispute = json!({ "id": "dp_1", "status": "lost", "payment_intent": "pi_1", "amount": 1, "currency": "gbp" });
            dispute[name] = value;
            let told = said("charge.dispute.created", &dispute);
            assert!(
                matches!(&told, Ok(Some(Event::DisputeOpened(Disputed { amount: None, .. })))),
                "{told:?}"
            );
        }
    }

    #[test]
    fn a_refund_is_told_by_its_charge_and_by_itself() {
        let told = Some(Event::Refunded(PaymentId("pi_1".into())));
        for kind in REVERSALS.iter().filter(|kind| !kind.contains("dispute")) {
            let object = json!({ "id": "re_1", "payment_intent": "pi_1", "amount": 100, "status": "failed" });
            assert_eq!(said(kind, &object), Ok(told.clone()), "{kind}");
            assert_eq!(said(kind, &json!({ "id": "re_1", "payment_intent": null })), Ok(None), "{kind}");
        }
    }

    #[test]
    fn other_events_are_of_no_interest_and_what_is_no_event_is_refused() {
        for kind in
            ["charge.succeeded", "payment_intent.created", "charge.dispute.updated", "", "customer.created"]
        {
            assert_eq!(said(kind, &json!({ "whatever": 1 })), Ok(None));
        }
        for body in ["", "{}", "[]", "null", "{\"type\": \"payment_intent.succeeded\"}", "\u{1f980}"] {
            assert!(matches!(read(body.as_bytes()), Err(Refused::Forged(_))), "{body}");
        }
        assert!(matches!(read(b"\xff"), Err(Refused::Forged(_))));
        let unreadable = said("payment_intent.succeeded", &json!({ "id": "pi_1", "amount": "card 4242" }));
        assert!(
            unreadable.as_ref().is_err_and(|said| said.contains("amount") && !said.contains("4242")),
            "{unreadable:?}"
        );
    }
}
