//! The simulated company, order by order.

mod events;
mod journal;

use std::sync::{Arc, Mutex};

use super::*;
use crate::Decline;
use domain::{AccountId, Currency, EntryId, Mode, Money, OrgId, Reference};

const URL: &str = "http://127.0.0.1:3000/_local/payments";

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn pounds(pence: u64) -> Money {
    Money::new(pence, Currency::try_from("GBP".to_owned()).unwrap()).unwrap()
}

/// A purchase of £49 by `method`; purchases of different `number`s are different ones.
fn order(method: &str, number: u128) -> Order {
    Order {
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

fn remembering() -> Simulated {
    Simulated::new(Memory::Remembering { earlier: Vec::new(), journal: None }, URL.to_owned(), None)
}

fn by_rule() -> Simulated {
    Simulated::new(Memory::ByRule, URL.to_owned(), None)
}

/// A company and the events that it tells.
fn telling(secret: &str) -> (Simulated, Arc<Mutex<Vec<Notice>>>) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let noted = told.clone();
    let listener = Box::new(move |notice| noted.lock().unwrap().push(notice));
    let voice = Voice { secret: secret.to_owned().into(), listener, now: Box::new(now) };
    let memory = Memory::Remembering { earlier: Vec::new(), journal: None };
    (Simulated::new(memory, URL.to_owned(), Some(voice)), told)
}

/// Reads all events told since the last call.
async fn heard(company: &Simulated, told: &Mutex<Vec<Notice>>) -> Vec<Event> {
    let notices = std::mem::take(&mut *told.lock().unwrap());
    let mut events = Vec::new();
    for Notice { signature, body } in notices {
        events.push(company.event(&signature, &body, now()).await.unwrap().expect("an event of interest"));
    }
    events
}

fn word(standing: &Standing) -> String {
    match standing {
        Standing::Succeeded => "succeeded".to_owned(),
        Standing::Processing => "processing".to_owned(),
        Standing::Action(link) => format!("action {link}"),
        Standing::Failed(Decline { reason, decline_code }) => {
            format!("failed {reason} {}", decline_code.as_deref().unwrap_or("-"))
        }
        Standing::Cancelled => "cancelled".to_owned(),
        Standing::Refunded => "refunded".to_owned(),
    }
}

fn answer(answer: &Result<Payment, Silence>) -> String {
    answer.as_ref().map_or_else(|_| "silence".to_owned(), |payment| word(&payment.standing))
}

fn found(found: &Option<Payment>) -> String {
    found.as_ref().map_or_else(|| "none".to_owned(), |payment| word(&payment.standing))
}

fn link(order: &Order) -> String {
    format!("action {URL}/{}/authenticate", order.purchase.transaction)
}

/// Method, off session; what the first call comes to, the second, and what is found then.
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
        ("card_timeout_charged", false, these(["silence", "succeeded", "succeeded"])),
        ("card_timeout_uncharged", false, these(["silence", "silence", "none"])),
        ("pm_visa", false, all("failed payment_method_unknown -")),
        ("CARD_visa", false, all("failed payment_method_unknown -")),
    ]
}

#[tokio::test]
async fn a_payment_method_does_what_its_name_says() {
    for company in [remembering as fn() -> Simulated, by_rule] {
        for (method, off_session, expected) in table() {
            let company = company();
            let order = Order { off_session, ..order(method, 1) };
            let told = [
                answer(&company.charge(&order).await),
                answer(&company.charge(&order).await),
                found(&company.find(&order).await.unwrap()),
            ];
            assert_eq!(told, expected, "{method}, off session: {off_session}");
            let listed = company.charges();
            assert_eq!(listed.len(), usize::from(method != "card_timeout_uncharged"), "{method}");
        }
    }
}

#[tokio::test]
async fn a_payment_says_what_it_is_of() {
    let (company, order) = (remembering(), order("card_visa", 1));
    let payment = company.charge(&order).await.unwrap();
    assert_eq!((payment.purchase, payment.price), (Some(order.purchase), order.price));
    assert_eq!(payment.receipt, Some(format!("rcpt_{}", order.purchase.transaction.bare())));
    let id = payment.id.clone().unwrap();
    assert!(id.0.starts_with("pay_sim_"), "{id:?}");
    assert_eq!(company.payment(&id).await.unwrap(), Some(payment.clone()));
    assert_eq!(company.charge(&order).await.unwrap(), payment);
    assert_eq!(remembering().charge(&order).await.unwrap(), payment);
    for other in ["pay_sim_", "pi_123", &id.0.replace("GBP4900", "GBP4901"), &id.0.replace("test", "live")] {
        assert_eq!(company.payment(&PaymentId(other.to_owned())).await.unwrap(), None, "{other}");
    }
}

/// What no process of its own made: a company that remembers is certain that it does not exist; one
/// that goes by the rule can't be, and answers for whoever made it.
#[tokio::test]
async fn an_order_that_is_not_remembered() {
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
        assert_eq!(found(&remembering().find(&order).await.unwrap()), "none", "{method}");
        let elsewhere = by_rule().find(&order).await.unwrap();
        assert_eq!(found(&elsewhere), expected, "{method}");
        // By its name alone it is the same payment.
        if let Some(id) = elsewhere.as_ref().and_then(|payment| payment.id.clone()) {
            assert_eq!(by_rule().payment(&id).await.unwrap(), elsewhere, "{method}");
            assert_eq!(remembering().payment(&id).await.unwrap(), None, "{method}");
        }
    }
}

#[tokio::test]
async fn the_same_purchase_at_other_terms_is_not_charged() {
    for company in [remembering(), by_rule()] {
        let first = order("card_visa", 1);
        let paid = company.charge(&first).await.unwrap();
        for other in [Order { price: pounds(8_900), ..first.clone() }, order("card_amex", 1)] {
            company.charge(&other).await.unwrap_err();
            assert_eq!(company.find(&other).await.unwrap(), Some(paid.clone()));
        }
        assert_eq!(company.charges().len(), 1);
    }
}

/// Sixteen at once, of whom some give up: one charge, one answer, and one event.
#[tokio::test]
async fn an_order_that_is_sent_many_times_at_once_is_charged_once() {
    let (company, told) = telling("whsec_1");
    let order = order("card_slow", 1);
    let sent: Vec<_> = (0..16)
        .map(|_| {
            let (company, order) = (company.clone(), order.clone());
            tokio::spawn(async move { company.charge(&order).await })
        })
        .collect();
    while found(&company.find(&order).await.unwrap()) == "none" {
        tokio::task::yield_now().await;
    }
    assert_eq!(found(&company.find(&order).await.unwrap()), "processing");
    assert_eq!(company.charges(), [], "it is not made yet");
    let mut answers = Vec::new();
    for (number, sent) in sent.into_iter().enumerate() {
        if number < 3 {
            sent.abort();
        } else {
            answers.push(sent.await.unwrap().unwrap());
        }
    }
    let paid = company.find(&order).await.unwrap().unwrap();
    assert_eq!(paid.standing, Standing::Succeeded);
    assert!(answers.len() == 13 && answers.iter().all(|answer| *answer == paid), "{answers:?}");
    assert_eq!(company.charges().len(), 1);
    assert_eq!(heard(&company, &told).await, [Event::Payment(paid)]);
}

#[tokio::test]
async fn a_slow_charge_is_made_even_if_nobody_waits() {
    let (company, order) = (remembering(), order("card_slow", 1));
    let sent = tokio::spawn({
        let (company, order) = (company.clone(), order.clone());
        async move { company.charge(&order).await }
    });
    while company.find(&order).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    sent.abort();
    assert!(sent.await.unwrap_err().is_cancelled());
    while company.charges().is_empty() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(found(&company.find(&order).await.unwrap()), "succeeded");
}

#[tokio::test]
async fn a_payment_waits_until_it_is_authenticated_or_given_up() {
    let company = remembering();
    let (kept, given_up) = (order("card_authentication", 1), order("card_authentication", 2));
    let id = async |order| company.charge(order).await.unwrap().id.unwrap();
    let (kept_id, given_up_id) = (id(&kept).await, id(&given_up).await);
    company.authenticate(kept.purchase.transaction).unwrap();
    assert_eq!(word(&company.cancel(&kept_id).await.unwrap().standing), "succeeded");
    assert_eq!(word(&company.cancel(&given_up_id).await.unwrap().standing), "cancelled");
    assert_eq!(word(&company.cancel(&given_up_id).await.unwrap().standing), "cancelled");
    company.authenticate(kept.purchase.transaction).unwrap();
    let late = company.authenticate(given_up.purchase.transaction);
    assert!(matches!(late, Err(Undone::NotNow(_))), "{late:?}");
    let unknown = company.authenticate(EntryId::new(now(), 99));
    assert!(matches!(unknown, Err(Undone::Unknown)), "{unknown:?}");
    let told: Vec<_> = [&kept, &given_up].map(|order| company.charge(order)).into_iter().collect();
    let mut standings = Vec::new();
    for answer in told {
        standings.push(word(&answer.await.unwrap().standing));
    }
    assert_eq!(standings, ["succeeded", "cancelled"]);
    company.cancel(&PaymentId("pay_sim_1".to_owned())).await.unwrap_err();
}

/// A container that has never seen the payment gives it up all the same.
#[tokio::test]
async fn by_rule_a_payment_of_another_container_is_given_up_and_refunded() {
    let waiting = by_rule().charge(&order("card_authentication", 1)).await.unwrap().id.unwrap();
    assert_eq!(word(&by_rule().cancel(&waiting).await.unwrap().standing), "cancelled");
    by_rule().refund(&waiting).await.unwrap_err();
    let paid = by_rule().charge(&order("card_visa", 1)).await.unwrap().id.unwrap();
    assert_eq!(word(&by_rule().cancel(&paid).await.unwrap().standing), "succeeded");
    by_rule().refund(&paid).await.unwrap();
}

#[tokio::test]
async fn a_payment_is_refunded_once() {
    let company = remembering();
    let payment = company.charge(&order("card_visa", 1)).await.unwrap();
    for _ in 0..2 {
        company.refund(payment.id.as_ref().unwrap()).await.unwrap();
        assert_eq!(word(&company.find(&order("card_visa", 1)).await.unwrap().unwrap().standing), "refunded");
    }
    assert!(company.charges()[0].refunded);
    for (method, number) in [("card_declined", 2), ("card_authentication", 3)] {
        let id = company.charge(&order(method, number)).await.unwrap().id.unwrap();
        company.refund(&id).await.unwrap_err();
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
        let (company, order) = (remembering(), order("card_visa", number));
        company.charge(&order).await.unwrap();
        let done: Result<Vec<_>, _> =
            actions.iter().map(|action| company.dispute(order.purchase.transaction, *action)).collect();
        let told = done.map_or_else(
            |problem| {
                assert!(matches!(problem, Undone::NotNow(_)), "{problem:?}");
                "refused".to_owned()
            },
            |charges| {
                serde_json::to_value(charges.last().unwrap().dispute).unwrap().as_str().unwrap().to_owned()
            },
        );
        assert_eq!(told, expected, "{actions:?}");
    }
    for method in ["card_declined", "card_authentication"] {
        let (company, order) = (remembering(), order(method, 1));
        company.charge(&order).await.unwrap();
        company.dispute(order.purchase.transaction, Open).unwrap_err();
    }
}

/// Money that is disputed goes back one way at most.
#[tokio::test]
async fn a_disputed_payment_is_not_refunded_as_well() {
    let (company, order) = (remembering(), order("card_visa", 1));
    let (id, of) = (company.charge(&order).await.unwrap().id.unwrap(), order.purchase.transaction);
    company.dispute(of, DisputeAction::Open).unwrap();
    company.refund(&id).await.unwrap_err();
    company.dispute(of, DisputeAction::Lose).unwrap();
    company.refund(&id).await.unwrap();
    assert!(!company.charges()[0].refunded);
}
