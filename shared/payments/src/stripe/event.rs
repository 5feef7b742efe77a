//! Events in Stripe's format.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::intent::PaymentIntent;
use crate::{DisputeId, DisputeOutcome, EventRejected, NoAnswer, PaymentId, ProviderDispute, ProviderEvent};
use domain::{Currency, Money};

#[derive(Deserialize)]
struct StripeEvent<'a> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    data: StripeEventData<'a>,
}

#[derive(Deserialize)]
struct StripeEventData<'a> {
    #[serde(borrow)]
    object: &'a RawValue,
}

/// A dispute, in events and in responses.
#[derive(Deserialize)]
pub(super) struct StripeDispute {
    id: String,
    status: String,
    payment_intent: Option<IntentRef>,
    amount: Option<u64>,
    currency: Option<String>,
}

/// A charge or a refund, of which only the payment is read.
#[derive(Deserialize)]
struct IntentChild {
    payment_intent: Option<IntentRef>,
}

/// A reference to a payment: its id, or the whole object.
#[derive(Deserialize)]
#[serde(untagged)]
enum IntentRef {
    Id(String),
    Object { id: String },
}

/// The types of the events about refunds and disputes.
pub(super) const REVERSALS: [&str; 7] = [
    "charge.dispute.created",
    "charge.dispute.closed",
    "charge.refunded",
    "charge.refund.updated",
    "refund.created",
    "refund.updated",
    "refund.failed",
];

/// Reads an event whose signature is verified; `None` for one that is not handled.
///
/// # Errors
/// [`EventRejected::Forged`] when the body is not an event; [`EventRejected::Later`] when an event that should be handled is
/// not readable.
pub(crate) fn read(body: &[u8]) -> Result<Option<ProviderEvent>, EventRejected> {
    let event: StripeEvent =
        serde_json::from_slice(body).map_err(|_| EventRejected::Forged("the body is not an event"))?;
    match event.kind.as_str() {
        "payment_intent.succeeded"
        | "payment_intent.payment_failed"
        | "payment_intent.canceled"
        | "payment_intent.processing"
        | "payment_intent.requires_action" => payment(object(&event)?),
        "charge.dispute.created" => Ok(object::<StripeDispute>(&event)?
            .read()
            .map(|(disputed, _)| ProviderEvent::DisputeOpened(disputed))),
        "charge.dispute.closed" => {
            let closed = object::<StripeDispute>(&event)?.read();
            Ok(closed.and_then(|(disputed, outcome)| Some(ProviderEvent::DisputeClosed(disputed, outcome?))))
        }
        "charge.refunded"
        | "charge.refund.updated"
        | "refund.created"
        | "refund.updated"
        | "refund.failed" => {
            let IntentChild { payment_intent } = object(&event)?;
            Ok(payment_intent.map(|paid| ProviderEvent::Refunded(paid.id())))
        }
        _ => Ok(None),
    }
}

/// The payment of an event; `None` for a payment that is not ours and has an unsupported amount.
fn payment(intent: PaymentIntent) -> Result<Option<ProviderEvent>, EventRejected> {
    let is_ours = intent.purchase().is_some();
    match intent.payment() {
        Ok(payment) => Ok(Some(ProviderEvent::Payment(payment))),
        Err(unknown) if is_ours => Err(NoAnswer(unknown.to_string()).into()),
        Err(_) => Ok(None),
    }
}

/// The outcome of a dispute. A closed inquiry counts as won.
fn outcome(status: &str) -> Option<DisputeOutcome> {
    match status {
        "won" | "warning_closed" => Some(DisputeOutcome::Won),
        "lost" => Some(DisputeOutcome::Lost),
        _ => None,
    }
}

/// The object of an event. An error names only the path, because the content may be confidential.
fn object<T: DeserializeOwned>(event: &StripeEvent) -> Result<T, EventRejected> {
    let mut json = serde_json::Deserializer::from_str(event.data.object.get());
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let (kind, path) = (&event.kind, error.path());
        NoAnswer(format!("an event {kind} is not readable at {path}")).into()
    })
}

impl StripeDispute {
    /// The dispute, and its outcome if it is closed; `None` for a dispute without a payment.
    pub(super) fn read(self) -> Option<(ProviderDispute, Option<DisputeOutcome>)> {
        let Self { id, status, payment_intent, amount, currency } = self;
        let currency = currency.and_then(|code| Currency::try_from(code.to_ascii_uppercase()).ok());
        let amount = amount.zip(currency).and_then(|(amount, currency)| Money::new(amount, currency).ok());
        let disputed = ProviderDispute { dispute: DisputeId(id), payment: payment_intent?.id(), amount };
        Some((disputed, outcome(&status)))
    }
}

impl IntentRef {
    fn id(self) -> PaymentId {
        match self {
            Self::Id(id) | Self::Object { id } => PaymentId(id),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{Decline, PaymentStatus};

    const ACCOUNT: &str = "org_01HM6QY8R00000000000000001#live";
    const TRANSACTION: &str = "txn_01HM6QY8R00000000000000002";

    fn parse(kind: &str, object: &Value) -> Result<Option<ProviderEvent>, String> {
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

    /// Checks the status and the receipt of the payment in an event.
    #[track_caller]
    fn check(kind: &str, intent: &Value, status: &PaymentStatus, receipt: Option<&str>) {
        let event = parse(&format!("payment_intent.{kind}"), intent).unwrap();
        let Some(ProviderEvent::Payment(payment)) = event else { panic!("{kind} {event:?}") };
        assert_eq!(payment.id, Some(PaymentId("pi_1".into())));
        assert_eq!((payment.price.amount(), payment.price.currency().code()), (4900, "GBP"));
        let purchase = payment.purchase.unwrap();
        assert_eq!(purchase.account.to_string(), ACCOUNT);
        assert_eq!(purchase.transaction.to_string(), TRANSACTION);
        assert_eq!((&payment.status, payment.receipt.as_deref()), (status, receipt), "{kind} {intent}");
    }

    #[test]
    fn a_successful_payment_has_a_receipt() {
        let whole = |url: Value, refunded: bool| json!({ "latest_charge": { "id": "ch_1", "receipt_url": url, "refunded": refunded } });
        for (more, status, receipt) in [
            (json!({ "latest_charge": "ch_1" }), PaymentStatus::Succeeded, "ch_1"),
            (whole(json!("https://r"), false), PaymentStatus::Succeeded, "https://r"),
            (whole(json!(null), true), PaymentStatus::Refunded, "ch_1"),
        ] {
            check("succeeded", &intent("succeeded", &more), &status, Some(receipt));
        }
    }

    #[test]
    fn a_declined_payment_has_a_reason() {
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
            let status = PaymentStatus::Failed(decline);
            check("payment_failed", &intent("requires_payment_method", &more), &status, None);
        }
    }

    #[test]
    fn a_payment_that_needs_an_action_has_its_link() {
        let redirect = json!({ "next_action": { "type": "redirect_to_url",
            "redirect_to_url": { "url": "https://hooks.stripe.com/3ds", "return_url": "https://us" } } });
        let script = json!({ "next_action": { "type": "use_stripe_sdk", "use_stripe_sdk": {} } });
        let link = PaymentStatus::Action("https://hooks.stripe.com/3ds".into());
        check("requires_action", &intent("requires_action", &redirect), &link, None);
        check(
            "requires_action",
            &intent("requires_action", &script),
            &PaymentStatus::Action(String::new()),
            None,
        );
        check("canceled", &intent("canceled", &json!({})), &PaymentStatus::Cancelled, None);
        // Neither a payment in progress nor a status of a later API version is final.
        for status in ["processing", "requires_confirmation", "requires_payment_method", "of_another_version"]
        {
            check("processing", &intent(status, &json!({})), &PaymentStatus::Processing, None);
        }
    }

    #[test]
    fn a_payment_is_ours_only_with_complete_metadata() {
        for metadata in [
            json!(null),
            json!({}),
            json!({ "account": ACCOUNT }),
            json!({ "transaction": TRANSACTION }),
            json!({ "account": "org_01HM6QY8R00000000000000001", "transaction": TRANSACTION }),
            json!({ "account": "org_01HM6QY8R00000000000000001#demo", "transaction": TRANSACTION }),
            json!({ "account": ACCOUNT, "transaction": "txn_1" }),
        ] {
            let event =
                parse("payment_intent.succeeded", &intent("succeeded", &json!({ "metadata": metadata })));
            let Ok(Some(ProviderEvent::Payment(payment))) = event else { panic!("{metadata} {event:?}") };
            assert_eq!(payment.purchase, None, "{metadata}");
        }
    }

    #[test]
    fn an_unsupported_amount_is_an_error_only_for_our_payments() {
        let read_with = |more: Value| parse("payment_intent.succeeded", &intent("succeeded", &more));
        for sum in [json!({ "amount": 100_000_000 }), json!({ "amount": 0 }), json!({ "currency": "zzz" })] {
            assert!(read_with(sum.clone()).is_err_and(|error| error.contains("pi_1")), "{sum}");
            let mut foreign = sum;
            foreign["metadata"] = json!({});
            assert_eq!(read_with(foreign), Ok(None));
        }
    }

    #[test]
    fn a_dispute_opens_and_closes() {
        let dispute = |status: &str| {
            json!({ "id": "dp_1", "status": status, "payment_intent": "pi_1", "charge": "ch_1",
            "amount": 2450, "currency": "gbp" })
        };
        let disputed = ProviderDispute {
            dispute: DisputeId("dp_1".into()),
            payment: PaymentId("pi_1".into()),
            amount: Money::new(2450, Currency::GBP).ok(),
        };
        let opened = Some(ProviderEvent::DisputeOpened(disputed.clone()));
        assert_eq!(parse("charge.dispute.created", &dispute("needs_response")), Ok(opened.clone()));
        assert_eq!(parse("charge.dispute.created", &dispute("warning_needs_response")), Ok(opened));
        for (status, outcome) in [
            ("won", Some(DisputeOutcome::Won)),
            ("warning_closed", Some(DisputeOutcome::Won)),
            ("lost", Some(DisputeOutcome::Lost)),
            ("of_another_version", None),
        ] {
            let closed = outcome.map(|outcome| ProviderEvent::DisputeClosed(disputed.clone(), outcome));
            assert_eq!(parse("charge.dispute.closed", &dispute(status)), Ok(closed), "{status}");
        }
        let mut other = dispute("lost");
        other["payment_intent"] = json!({ "id": "pi_1", "object": "payment_intent" });
        assert!(matches!(parse("charge.dispute.closed", &other), Ok(Some(ProviderEvent::DisputeClosed(..)))));
        other["payment_intent"] = Value::Null;
        assert_eq!(parse("charge.dispute.closed", &other), Ok(None));
    }

    #[test]
    fn a_dispute_of_an_unknown_amount_is_about_all_of_the_payment() {
        for (name, value) in [("amount", json!(null)), ("amount", json!(0)), ("currency", json!("zzz"))] {
            let mut dispute = json!({ "id": "dp_1", "status": "lost", "payment_intent": "pi_1", "amount": 1, "currency": "gbp" });
            dispute[name] = value;
            let event = parse("charge.dispute.created", &dispute);
            assert!(
                matches!(
                    &event,
                    Ok(Some(ProviderEvent::DisputeOpened(ProviderDispute { amount: None, .. })))
                ),
                "{event:?}"
            );
        }
    }

    #[test]
    fn events_of_charges_and_of_refunds_report_a_refund() {
        let expected = Some(ProviderEvent::Refunded(PaymentId("pi_1".into())));
        for kind in REVERSALS.iter().filter(|kind| !kind.contains("dispute")) {
            let object = json!({ "id": "re_1", "payment_intent": "pi_1", "amount": 100, "status": "failed" });
            assert_eq!(parse(kind, &object), Ok(expected.clone()), "{kind}");
            assert_eq!(parse(kind, &json!({ "id": "re_1", "payment_intent": null })), Ok(None), "{kind}");
        }
    }

    #[test]
    fn other_events_are_ignored_and_other_bodies_are_rejected() {
        for kind in
            ["charge.succeeded", "payment_intent.created", "charge.dispute.updated", "", "customer.created"]
        {
            assert_eq!(parse(kind, &json!({ "whatever": 1 })), Ok(None));
        }
        for body in ["", "{}", "[]", "null", "{\"type\": \"payment_intent.succeeded\"}", "\u{1f980}"] {
            assert!(matches!(read(body.as_bytes()), Err(EventRejected::Forged(_))), "{body}");
        }
        assert!(matches!(read(b"\xff"), Err(EventRejected::Forged(_))));
        let unreadable = parse("payment_intent.succeeded", &json!({ "id": "pi_1", "amount": "card 4242" }));
        assert!(
            unreadable.as_ref().is_err_and(|error| error.contains("amount") && !error.contains("4242")),
            "{unreadable:?}"
        );
    }
}
