use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use chrono::TimeDelta;
use serde_json::Value;

use super::*;
use crate::{TOLERANCE_SECONDS, sign};

/// Whoever handles an event of one name once must not miss another.
#[tokio::test]
async fn two_changes_are_two_events_and_a_repeat_is_none() {
    let (desk, wanted) = (Desk::default(), order(1, "card_authentication"));
    let company = desk.company(Vec::new());
    let id = company.charge(&wanted).await.unwrap().id.unwrap();
    let transaction = wanted.purchase.transaction;
    for _ in 0..2 {
        company.authenticate(transaction).unwrap();
    }
    for action in [DisputeAction::Open, DisputeAction::Open, DisputeAction::Win, DisputeAction::Win] {
        company.dispute(transaction, action).unwrap();
    }
    company.refund(&id).await.unwrap();
    let names = desk.told().into_iter().map(|notice| {
        let event: Value = serde_json::from_slice(&notice.body).unwrap();
        event["id"].as_str().unwrap().to_owned()
    });
    let names: Vec<_> = names.collect();
    assert_eq!(names.len(), 8);
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 5, "{names:?}");
    for (one, again) in [(1, 2), (3, 4), (5, 6)] {
        assert_eq!(names[one], names[again]);
    }
}

#[tokio::test]
async fn an_event_that_was_touched_is_refused() {
    let desk = Desk::default();
    let company = desk.company(Vec::new());
    company.charge(&order(1, "card_xyz123")).await.unwrap();
    let Notice { signature, body } = desk.told().remove(0);
    let forged = async |signature: &str, body: &[u8], at| {
        matches!(company.event(signature, body, at).await, Err(Refused::Forged(_)))
    };
    assert!(!forged(&signature, &body, now()).await);
    for place in 0..body.len() {
        let mut touched = body.clone();
        touched[place] ^= 1;
        assert!(forged(&signature, &touched, now()).await, "byte {place}");
    }
    for place in 0..signature.len() {
        let mut touched = signature.clone().into_bytes();
        touched[place] ^= 1;
        let touched = String::from_utf8(touched).unwrap();
        assert!(forged(&touched, &body, now()).await, "{touched}");
    }
    for wrong in ["", "t=", "v1="] {
        assert!(forged(wrong, &body, now()).await, "{wrong}");
    }
    assert!(forged(&signature, &[], now()).await);
    assert!(forged(&signature, &body[1..], now()).await);
    let seconds = i64::try_from(TOLERANCE_SECONDS).unwrap();
    for (after, refused) in [(-seconds - 1, true), (-seconds, false), (seconds, false), (seconds + 1, true)] {
        let at = now().checked_add_signed(TimeDelta::seconds(after)).unwrap();
        assert_eq!(forged(&signature, &body, at).await, refused, "{after} s");
    }
}

#[tokio::test]
async fn what_is_signed_and_of_no_interest_is_let_go() {
    let company = Desk::default().company(Vec::new());
    let secret = SECRET.into();
    for (body, known) in [
        (r#"{"id":"evt_1","type":"customer.created","data":{"object":{}}}"#, Ok(None)),
        (r#"{"id":"evt_1"}"#, Err(())),
        ("[]", Err(())),
        ("", Err(())),
    ] {
        let body = body.as_bytes();
        let answer = company.event(&sign(&secret, body, now()), body, now()).await;
        assert_eq!(answer.map_err(|_| ()), known);
    }
}

/// However many threads are at it, the events of one payment come in the order of its changes.
#[test]
fn events_are_told_in_order() {
    const PAYMENTS: u32 = 16;
    let desk = Desk::default();
    let company = desk.company(Vec::new());
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    thread::scope(|scope| {
        for number in 0..PAYMENTS {
            let company = company.clone();
            scope.spawn(move || {
                let wanted = order(number, "card_authentication");
                let payment = runtime().block_on(company.charge(&wanted)).unwrap();
                company.authenticate(wanted.purchase.transaction).unwrap();
                runtime().block_on(company.refund(payment.id.as_ref().unwrap())).unwrap();
            });
        }
    });
    let mut told = BTreeMap::<_, Vec<_>>::new();
    for event in runtime().block_on(heard(&company, &desk)) {
        let (id, word) = match event {
            Event::Payment(payment) => (payment.id.clone(), standing(&payment.standing)),
            Event::Refunded(id) => (Some(id), "refunded".to_owned()),
            Event::DisputeOpened(_) | Event::DisputeClosed(..) => panic!("{event:?}"),
        };
        told.entry(id).or_default().push(word);
    }
    assert_eq!(told.len(), 16);
    for (purchase, standings) in told {
        assert_eq!(standings, ["action", "succeeded", "refunded"], "{purchase:?}");
    }
}

/// The events that were told, in order.
async fn heard(company: &Simulated, desk: &Desk) -> Vec<Event> {
    let mut events = Vec::new();
    for notice in desk.told() {
        let event = company.event(&notice.signature, &notice.body, now()).await;
        events.push(event.unwrap().unwrap());
    }
    events
}
