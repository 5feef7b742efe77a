//! Ids, signatures and order of events.

use std::collections::{BTreeMap, BTreeSet};
use std::thread;

use chrono::TimeDelta;
use serde_json::Value;

use super::*;
use crate::{TOLERANCE_SECONDS, sign};

/// A receiver that handles each event id once must see every change.
#[tokio::test]
async fn different_changes_have_different_event_ids_and_a_repeat_has_the_same() {
    let (backend, wanted) = (TestBackend::default(), order(1, "card_authentication"));
    let provider = backend.provider(Vec::new());
    let id = provider.charge(&wanted).await.unwrap().id.unwrap();
    let transaction = wanted.purchase.transaction;
    for _ in 0..2 {
        provider.authenticate(transaction).unwrap();
    }
    for action in [DisputeAction::Open, DisputeAction::Open, DisputeAction::Win, DisputeAction::Win] {
        provider.dispute(transaction, action).unwrap();
    }
    provider.refund(&id).await.unwrap();
    let names = backend.sent().into_iter().map(|notice| {
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
async fn a_modified_event_is_rejected() {
    let backend = TestBackend::default();
    let provider = backend.provider(Vec::new());
    provider.charge(&order(1, "card_xyz123")).await.unwrap();
    let SignedEvent { signature, body } = backend.sent().remove(0);
    let forged = async |signature: &str, body: &[u8], at| {
        matches!(provider.event(signature, body, at).await, Err(EventRejected::Forged(_)))
    };
    assert!(!forged(&signature, &body, now()).await);
    for place in 0..body.len() {
        let mut modified = body.clone();
        modified[place] ^= 1;
        assert!(forged(&signature, &modified, now()).await, "byte {place}");
    }
    for place in 0..signature.len() {
        let mut modified = signature.clone().into_bytes();
        modified[place] ^= 1;
        let modified = String::from_utf8(modified).unwrap();
        assert!(forged(&modified, &body, now()).await, "{modified}");
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
async fn a_signed_event_of_another_type_is_ignored() {
    let provider = TestBackend::default().provider(Vec::new());
    let secret = SECRET.into();
    for (body, known) in [
        (r#"{"id":"evt_1","type":"customer.created","data":{"object":{}}}"#, Ok(None)),
        (r#"{"id":"evt_1"}"#, Err(())),
        ("[]", Err(())),
        ("", Err(())),
    ] {
        let body = body.as_bytes();
        let answer = provider.event(&sign(&secret, body, now()), body, now()).await;
        assert_eq!(answer.map_err(|_| ()), known);
    }
}

/// With concurrent threads, the events of one payment are still sent in the order of its changes.
#[test]
fn events_are_sent_in_order() {
    const PAYMENTS: u32 = 16;
    let backend = TestBackend::default();
    let provider = backend.provider(Vec::new());
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    thread::scope(|scope| {
        for number in 0..PAYMENTS {
            let provider = provider.clone();
            scope.spawn(move || {
                let wanted = order(number, "card_authentication");
                let payment = runtime().block_on(provider.charge(&wanted)).unwrap();
                provider.authenticate(wanted.purchase.transaction).unwrap();
                runtime().block_on(provider.refund(payment.id.as_ref().unwrap())).unwrap();
            });
        }
    });
    let mut sent = BTreeMap::<_, Vec<_>>::new();
    for event in runtime().block_on(sent_events(&provider, &backend)) {
        let (id, word) = match event {
            ProviderEvent::Payment(payment) => (payment.id.clone(), status(&payment.status)),
            ProviderEvent::Refunded(id) => (Some(id), "refunded".to_owned()),
            ProviderEvent::DisputeOpened(_) | ProviderEvent::DisputeClosed(..) => panic!("{event:?}"),
        };
        sent.entry(id).or_default().push(word);
    }
    assert_eq!(sent.len(), 16);
    for (purchase, standings) in sent {
        assert_eq!(standings, ["action", "succeeded", "refunded"], "{purchase:?}");
    }
}

/// The events that were sent, in order.
async fn sent_events(provider: &Simulated, backend: &TestBackend) -> Vec<ProviderEvent> {
    let mut events = Vec::new();
    for notice in backend.sent() {
        let event = provider.event(&notice.signature, &notice.body, now()).await;
        events.push(event.unwrap().unwrap());
    }
    events
}
