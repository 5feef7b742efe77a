//! Events of the simulated provider.

use chrono::Duration;

use super::*;
use crate::{DisputeId, DisputeOutcome, ProviderDispute};

#[tokio::test]
async fn every_change_sends_its_event() {
    let (provider, sent) = with_events("whsec_1");
    for (number, method) in (1u128..).zip(["card_visa", "card_declined", "card_timeout_charged", "pm_visa"]) {
        let order = order(method, number);
        provider.charge(&order).await.ok();
        provider.charge(&order).await.ok();
        let payment = provider.find(&order).await.unwrap().unwrap();
        assert_eq!(received(&provider, &sent).await, [ProviderEvent::Payment(payment)], "{method}");
    }
    provider.charge(&order("card_timeout_uncharged", 9)).await.unwrap_err();
    assert_eq!(received(&provider, &sent).await, []);

    let waits = order("card_authentication", 10);
    let waiting = provider.charge(&waits).await.unwrap();
    provider.authenticate(waits.purchase.transaction).unwrap();
    let paid = provider.find(&waits).await.unwrap().unwrap();
    assert_eq!(word(&paid.status), "succeeded");
    assert_eq!(
        received(&provider, &sent).await,
        [ProviderEvent::Payment(waiting), ProviderEvent::Payment(paid.clone())]
    );

    let waiting_id = provider.charge(&order("card_authentication", 11)).await.unwrap().id.unwrap();
    received(&provider, &sent).await;
    let cancelled = provider.cancel(&waiting_id).await.unwrap();
    provider.cancel(&waiting_id).await.unwrap();
    assert_eq!(received(&provider, &sent).await, [ProviderEvent::Payment(cancelled)]);

    let (id, of) = (paid.id.clone().unwrap(), waits.purchase.transaction);
    for action in [DisputeAction::Open, DisputeAction::Open, DisputeAction::Lose] {
        provider.dispute(of, action).unwrap();
    }
    let disputed = || ProviderDispute {
        dispute: DisputeId(format!("dp_sim_{}", of.bare())),
        payment: id.clone(),
        amount: Some(paid.price),
    };
    let opened = || ProviderEvent::DisputeOpened(disputed());
    let closed = ProviderEvent::DisputeClosed(disputed(), DisputeOutcome::Lost);
    assert_eq!(received(&provider, &sent).await, [opened(), opened(), closed]);

    let returned = order("card_visa", 12);
    provider.refund(&provider.charge(&returned).await.unwrap().id.unwrap()).await.unwrap();
    let refunded = provider.find(&returned).await.unwrap().unwrap();
    assert_eq!(word(&refunded.status), "refunded");
    assert_eq!(received(&provider, &sent).await.last(), refunded.id.map(ProviderEvent::Refunded).as_ref());
}

#[tokio::test]
async fn an_event_is_accepted_only_as_it_was_signed() {
    let (provider, sent) = with_events("whsec_1");
    provider.charge(&order("card_visa", 1)).await.unwrap();
    let SignedEvent { signature, body } = sent.lock().unwrap().pop().unwrap();
    let forged = |answer: Result<Option<ProviderEvent>, EventRejected>| {
        matches!(answer, Err(EventRejected::Forged(_)))
    };
    assert!(provider.event(&signature, &body, now() + Duration::seconds(300)).await.unwrap().is_some());
    assert!(forged(provider.event(&signature, &body, now() + Duration::seconds(301)).await));
    assert!(forged(provider.event("", &body, now()).await));
    let mut other = body.clone();
    *other.last_mut().unwrap() = b' ';
    assert!(forged(provider.event(&signature, &other, now()).await));
    assert!(forged(with_events("whsec_2").0.event(&signature, &body, now()).await));
    assert!(forged(with_memory().event(&signature, &body, now()).await));
    assert!(forged(Simulated::without_memory().event(&signature, &body, now()).await));
}
