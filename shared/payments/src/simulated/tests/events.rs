use chrono::Duration;

use super::*;
use crate::{DisputeId, Disputed, Outcome};

#[tokio::test]
async fn every_change_is_told_as_the_event_that_it_is() {
    let (company, told) = telling("whsec_1");
    for (number, method) in (1u128..).zip(["card_visa", "card_declined", "card_timeout_charged", "pm_visa"]) {
        let order = order(method, number);
        company.charge(&order).await.ok();
        company.charge(&order).await.ok();
        let payment = company.find(&order).await.unwrap().unwrap();
        assert_eq!(heard(&company, &told).await, [Event::Payment(payment)], "{method}");
    }
    company.charge(&order("card_timeout_uncharged", 9)).await.unwrap_err();
    assert_eq!(heard(&company, &told).await, []);

    let waits = order("card_authentication", 10);
    let waiting = company.charge(&waits).await.unwrap();
    company.authenticate(waits.purchase.transaction).unwrap();
    let paid = company.find(&waits).await.unwrap().unwrap();
    assert_eq!(word(&paid.standing), "succeeded");
    assert_eq!(heard(&company, &told).await, [Event::Payment(waiting), Event::Payment(paid.clone())]);

    let given_up = company.charge(&order("card_authentication", 11)).await.unwrap().id.unwrap();
    heard(&company, &told).await;
    let cancelled = company.cancel(&given_up).await.unwrap();
    company.cancel(&given_up).await.unwrap();
    assert_eq!(heard(&company, &told).await, [Event::Payment(cancelled)]);

    let (id, of) = (paid.id.clone().unwrap(), waits.purchase.transaction);
    for action in [DisputeAction::Open, DisputeAction::Open, DisputeAction::Lose] {
        company.dispute(of, action).unwrap();
    }
    let disputed = || Disputed {
        dispute: DisputeId(format!("dp_sim_{}", of.bare())),
        payment: id.clone(),
        amount: Some(paid.price),
    };
    let opened = || Event::DisputeOpened(disputed());
    let closed = Event::DisputeClosed(disputed(), Outcome::Lost);
    assert_eq!(heard(&company, &told).await, [opened(), opened(), closed]);

    let returned = order("card_visa", 12);
    company.refund(&company.charge(&returned).await.unwrap().id.unwrap()).await.unwrap();
    let refunded = company.find(&returned).await.unwrap().unwrap();
    assert_eq!(word(&refunded.standing), "refunded");
    assert_eq!(heard(&company, &told).await.last(), refunded.id.map(Event::Refunded).as_ref());
}

#[tokio::test]
async fn an_event_is_believed_only_as_it_was_signed() {
    let (company, told) = telling("whsec_1");
    company.charge(&order("card_visa", 1)).await.unwrap();
    let Notice { signature, body } = told.lock().unwrap().pop().unwrap();
    let forged = |answer: Result<Option<Event>, Refused>| matches!(answer, Err(Refused::Forged(_)));
    assert!(company.event(&signature, &body, now() + Duration::seconds(300)).await.unwrap().is_some());
    assert!(forged(company.event(&signature, &body, now() + Duration::seconds(301)).await));
    assert!(forged(company.event("", &body, now()).await));
    let mut other = body.clone();
    *other.last_mut().unwrap() = b' ';
    assert!(forged(company.event(&signature, &other, now()).await));
    assert!(forged(telling("whsec_2").0.event(&signature, &body, now()).await));
    // Whoever tells nothing believes nothing.
    assert!(forged(remembering().event(&signature, &body, now()).await));
    assert!(forged(Simulated::by_rule().event(&signature, &body, now()).await));
}
