//! Tests of the simulated provider.

mod events;
mod journal;
mod properties;

use std::sync::{Arc, Mutex};

use super::*;
use crate::{Decline, PurchaseId};
use domain::{AccountId, Currency, EntryId, Mode, Money, OrgId, Reference};

const URL: &str = "http://127.0.0.1:3000/_local/payments";

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn pounds(pence: u64) -> Money {
    Money::new(pence, Currency::try_from("GBP".to_owned()).unwrap()).unwrap()
}

/// An order of £49 with `method`, for the purchase `number`.
fn order(method: &str, number: u128) -> ChargeOrder {
    ChargeOrder {
        purchase: PurchaseId {
            account: AccountId { org: OrgId::new(now(), 1), mode: Mode::Test },
            transaction: EntryId::new(now(), number),
        },
        customer: None,
        method: Reference::try_from(method.to_owned()).unwrap(),
        price: pounds(4_900),
        description: "500 credits".to_owned(),
        off_session: false,
        made_at: now(),
        payment: None,
    }
}

fn with_memory() -> Simulated {
    Simulated::new(ChargeMemory::Complete { earlier: Vec::new(), journal: None }, URL.to_owned(), None)
}

fn without_memory() -> Simulated {
    Simulated::new(ChargeMemory::Derived, URL.to_owned(), None)
}

/// A provider and the events that it sends.
fn with_events(secret: &str) -> (Simulated, Arc<Mutex<Vec<SignedEvent>>>) {
    let sent = Arc::new(Mutex::new(Vec::new()));
    let log = sent.clone();
    let listener = Box::new(move |notice| log.lock().unwrap().push(notice));
    let sender = EventSender { secret: secret.to_owned().into(), listener, now: Box::new(now) };
    let memory = ChargeMemory::Complete { earlier: Vec::new(), journal: None };
    (Simulated::new(memory, URL.to_owned(), Some(sender)), sent)
}

/// Reads all events sent since the last call.
async fn received(provider: &Simulated, sent: &Mutex<Vec<SignedEvent>>) -> Vec<ProviderEvent> {
    let notices = std::mem::take(&mut *sent.lock().unwrap());
    let mut events = Vec::new();
    for SignedEvent { signature, body } in notices {
        events
            .push(provider.event(&signature, &body, now()).await.unwrap().expect("an event that is handled"));
    }
    events
}

fn word(status: &PaymentStatus) -> String {
    match status {
        PaymentStatus::Succeeded => "succeeded".to_owned(),
        PaymentStatus::Processing => "processing".to_owned(),
        PaymentStatus::Action(link) => format!("action {link}"),
        PaymentStatus::Failed(Decline { reason, decline_code }) => {
            format!("failed {reason} {}", decline_code.as_deref().unwrap_or("-"))
        }
        PaymentStatus::Cancelled => "cancelled".to_owned(),
        PaymentStatus::Refunded => "refunded".to_owned(),
    }
}

fn answer(answer: &Result<Payment, NoAnswer>) -> String {
    answer.as_ref().map_or_else(|_| "no_answer".to_owned(), |payment| word(&payment.status))
}

fn found(found: &Option<Payment>) -> String {
    found.as_ref().map_or_else(|| "none".to_owned(), |payment| word(&payment.status))
}

fn link(order: &ChargeOrder) -> String {
    format!("action {URL}/{}/authenticate", order.purchase.transaction)
}

/// The method, off session; the results of the first and second charge, and of finding it then.
fn table() -> Vec<(&'static str, bool, [String; 3])> {
    let all = |text: &str| [text.to_owned(), text.to_owned(), text.to_owned()];
    let these = |texts: [&str; 3]| texts.map(str::to_owned);
    let waits = link(&order("card", 1));
    vec![
        ("card_visa", false, all("succeeded")),
        ("card_visa", true, all("succeeded")),
        ("card_", false, all("succeeded")),
        ("card_declined", false, all("failed card_declined generic_decline")),
        ("card_declined", true, all("failed card_declined generic_decline")),
        ("card_insufficient_funds", false, all("failed card_declined insufficient_funds")),
        ("card_authentication", false, all(&waits)),
        ("card_authentication", true, all("failed authentication_required authentication_required")),
        ("card_timeout_charged", false, these(["no_answer", "succeeded", "succeeded"])),
        ("card_timeout_uncharged", false, these(["no_answer", "no_answer", "none"])),
        ("pm_visa", false, all("failed payment_method_unknown -")),
        ("CARD_visa", false, all("failed payment_method_unknown -")),
    ]
}

#[tokio::test]
async fn the_name_of_a_payment_method_decides_the_result() {
    for provider in [with_memory as fn() -> Simulated, without_memory] {
        for (method, off_session, expected) in table() {
            let provider = provider();
            let order = ChargeOrder { off_session, ..order(method, 1) };
            let results = [
                answer(&provider.charge(&order).await),
                answer(&provider.charge(&order).await),
                found(&provider.find(&order).await.unwrap()),
            ];
            assert_eq!(results, expected, "{method}, off session: {off_session}");
            let listed = provider.charges();
            assert_eq!(listed.len(), usize::from(method != "card_timeout_uncharged"), "{method}");
        }
    }
}

#[tokio::test]
async fn a_payment_has_its_purchase_price_and_receipt() {
    let (provider, order) = (with_memory(), order("card_visa", 1));
    let payment = provider.charge(&order).await.unwrap();
    assert_eq!((payment.purchase, payment.price), (Some(order.purchase), order.price));
    assert_eq!(payment.receipt, Some(format!("rcpt_{}", order.purchase.transaction.bare())));
    let id = payment.id.clone().unwrap();
    assert!(id.0.starts_with("pay_sim_"), "{id:?}");
    assert_eq!(provider.payment(&id).await.unwrap(), Some(payment.clone()));
    assert_eq!(provider.charge(&order).await.unwrap(), payment);
    assert_eq!(with_memory().charge(&order).await.unwrap(), payment);
    for other in ["pay_sim_", "pi_123", &id.0.replace("GBP4900", "GBP4901"), &id.0.replace("test", "live")] {
        assert_eq!(provider.payment(&PaymentId(other.to_owned())).await.unwrap(), None, "{other}");
    }
}

/// An order without a charge in memory: with complete memory there is none; without, the charge is derived.
#[tokio::test]
async fn an_order_without_a_charge_in_memory() {
    for (method, expected) in [
        ("card_visa", "succeeded"),
        ("card_slow", "succeeded"),
        ("card_timeout_charged", "succeeded"),
        ("card_timeout_uncharged", "none"),
        ("card_declined", "failed card_declined generic_decline"),
        ("card_authentication", &link(&order("card", 1))),
        ("pm_visa", "failed payment_method_unknown -"),
    ] {
        let order = order(method, 1);
        assert_eq!(found(&with_memory().find(&order).await.unwrap()), "none", "{method}");
        let elsewhere = without_memory().find(&order).await.unwrap();
        assert_eq!(found(&elsewhere), expected, "{method}");
        if let Some(id) = elsewhere.as_ref().and_then(|payment| payment.id.clone()) {
            assert_eq!(without_memory().payment(&id).await.unwrap(), elsewhere, "{method}");
            assert_eq!(with_memory().payment(&id).await.unwrap(), None, "{method}");
        }
    }
}

#[tokio::test]
async fn the_same_purchase_with_other_terms_is_not_charged() {
    for provider in [with_memory(), without_memory()] {
        let first = order("card_visa", 1);
        let paid = provider.charge(&first).await.unwrap();
        for other in [ChargeOrder { price: pounds(8_900), ..first.clone() }, order("card_amex", 1)] {
            provider.charge(&other).await.unwrap_err();
            assert_eq!(provider.find(&other).await.unwrap(), Some(paid.clone()));
        }
        assert_eq!(provider.charges().len(), 1);
    }
}

/// Sixteen concurrent callers, some of which are cancelled: one charge, one result, and one event.
#[tokio::test]
async fn an_order_that_is_sent_concurrently_is_charged_once() {
    let (provider, sent_events) = with_events("whsec_1");
    let order = order("card_slow", 1);
    let sent: Vec<_> = (0..16)
        .map(|_| {
            let (provider, order) = (provider.clone(), order.clone());
            tokio::spawn(async move { provider.charge(&order).await })
        })
        .collect();
    while found(&provider.find(&order).await.unwrap()) == "none" {
        tokio::task::yield_now().await;
    }
    assert_eq!(found(&provider.find(&order).await.unwrap()), "processing");
    assert_eq!(provider.charges(), [], "it is still in progress");
    let mut answers = Vec::new();
    for (number, sent) in sent.into_iter().enumerate() {
        if number < 3 {
            sent.abort();
        } else {
            answers.push(sent.await.unwrap().unwrap());
        }
    }
    let paid = provider.find(&order).await.unwrap().unwrap();
    assert_eq!(paid.status, PaymentStatus::Succeeded);
    assert!(answers.len() == 13 && answers.iter().all(|answer| *answer == paid), "{answers:?}");
    assert_eq!(provider.charges().len(), 1);
    assert_eq!(received(&provider, &sent_events).await, [ProviderEvent::Payment(paid)]);
}

#[tokio::test]
async fn a_slow_charge_is_made_even_if_the_caller_stops_waiting() {
    let (provider, order) = (with_memory(), order("card_slow", 1));
    let sent = tokio::spawn({
        let (provider, order) = (provider.clone(), order.clone());
        async move { provider.charge(&order).await }
    });
    while provider.find(&order).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    while provider.charges().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(found(&provider.find(&order).await.unwrap()), "succeeded");
}

#[tokio::test]
async fn a_payment_waits_until_it_is_authenticated_or_cancelled() {
    let provider = with_memory();
    let (paid, cancelled) = (order("card_authentication", 1), order("card_authentication", 2));
    let id = async |order| provider.charge(order).await.unwrap().id.unwrap();
    let (paid_id, cancelled_id) = (id(&paid).await, id(&cancelled).await);
    provider.authenticate(paid.purchase.transaction).unwrap();
    assert_eq!(word(&provider.cancel(&paid_id).await.unwrap().status), "succeeded");
    assert_eq!(word(&provider.cancel(&cancelled_id).await.unwrap().status), "cancelled");
    assert_eq!(word(&provider.cancel(&cancelled_id).await.unwrap().status), "cancelled");
    provider.authenticate(paid.purchase.transaction).unwrap();
    let late = provider.authenticate(cancelled.purchase.transaction);
    assert!(matches!(late, Err(ChargeChangeError::ChargeConflict(_))), "{late:?}");
    let unknown = provider.authenticate(EntryId::new(now(), 99));
    assert!(matches!(unknown, Err(ChargeChangeError::Unknown)), "{unknown:?}");
    let charges: Vec<_> = [&paid, &cancelled].map(|order| provider.charge(order)).into_iter().collect();
    let mut standings = Vec::new();
    for answer in charges {
        standings.push(word(&answer.await.unwrap().status));
    }
    assert_eq!(standings, ["succeeded", "cancelled"]);
    provider.cancel(&PaymentId("pay_sim_1".to_owned())).await.unwrap_err();
}

/// A container cancels and refunds payments that another container made.
#[tokio::test]
async fn a_payment_of_another_container_is_cancelled_and_refunded() {
    let waiting = without_memory().charge(&order("card_authentication", 1)).await.unwrap().id.unwrap();
    assert_eq!(word(&without_memory().cancel(&waiting).await.unwrap().status), "cancelled");
    without_memory().refund(&waiting).await.unwrap_err();
    let paid = without_memory().charge(&order("card_visa", 1)).await.unwrap().id.unwrap();
    assert_eq!(word(&without_memory().cancel(&paid).await.unwrap().status), "succeeded");
    without_memory().refund(&paid).await.unwrap();
}

#[tokio::test]
async fn a_payment_is_refunded_once() {
    let provider = with_memory();
    let payment = provider.charge(&order("card_visa", 1)).await.unwrap();
    for _ in 0..2 {
        provider.refund(payment.id.as_ref().unwrap()).await.unwrap();
        assert_eq!(word(&provider.find(&order("card_visa", 1)).await.unwrap().unwrap().status), "refunded");
    }
    assert!(provider.charges()[0].refunded);
    for (method, number) in [("card_declined", 2), ("card_authentication", 3)] {
        let id = provider.charge(&order(method, number)).await.unwrap().id.unwrap();
        provider.refund(&id).await.unwrap_err();
    }
}

#[tokio::test]
async fn a_dispute_is_opened_and_decided() {
    use DisputeAction::{Lose, Open, Win};

    let cases: [(&[DisputeAction], &str); 8] = [
        (&[Open], "open"),
        (&[Open, Open, Win, Win], "won"),
        (&[Open, Lose, Lose], "lost"),
        (&[Win], "refused"),
        (&[Lose], "refused"),
        (&[Open, Win, Lose], "refused"),
        (&[Open, Lose, Win], "refused"),
        (&[Open, Win, Open], "refused"),
    ];
    for (number, (actions, expected)) in (1u128..).zip(cases) {
        let (provider, order) = (with_memory(), order("card_visa", number));
        provider.charge(&order).await.unwrap();
        let done: Result<Vec<_>, _> =
            actions.iter().map(|action| provider.dispute(order.purchase.transaction, *action)).collect();
        let result = done.map_or_else(
            |problem| {
                assert!(matches!(problem, ChargeChangeError::ChargeConflict(_)), "{problem:?}");
                "refused".to_owned()
            },
            |charges| {
                serde_json::to_value(charges.last().unwrap().dispute).unwrap().as_str().unwrap().to_owned()
            },
        );
        assert_eq!(result, expected, "{actions:?}");
    }
    for method in ["card_declined", "card_authentication"] {
        let (provider, order) = (with_memory(), order(method, 1));
        provider.charge(&order).await.unwrap();
        provider.dispute(order.purchase.transaction, Open).unwrap_err();
    }
}

/// Disputed money is returned at most once.
#[tokio::test]
async fn a_disputed_payment_is_not_refunded_too() {
    let (provider, order) = (with_memory(), order("card_visa", 1));
    let (id, of) = (provider.charge(&order).await.unwrap().id.unwrap(), order.purchase.transaction);
    provider.dispute(of, DisputeAction::Open).unwrap();
    provider.refund(&id).await.unwrap_err();
    provider.dispute(of, DisputeAction::Lose).unwrap();
    provider.refund(&id).await.unwrap();
    assert!(!provider.charges()[0].refunded);
}
