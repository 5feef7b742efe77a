//! Partial refunds, disputes, and listed events.

use chrono::TimeDelta;
use scrip_payments::{
    DisputeId, DisputeOutcome, MoneyRefund, PaymentId, Provider, ProviderDispute, ProviderEvent,
    RefundAnswer, Reversals,
};

use super::{Bench, now, pounds};
use tests::stripe_double::StripeFault;

fn part(name: &str, amount: u64) -> MoneyRefund {
    MoneyRefund { name: name.to_owned(), amount }
}

async fn paid(bench: &Bench) -> PaymentId {
    bench.stripe.charge(&bench.order("pm_visa")).await.unwrap().id.unwrap()
}

async fn refunded(bench: &Bench, id: &PaymentId) -> u64 {
    bench.stripe.reversals(id).await.unwrap().unwrap().refunded
}

#[tokio::test]
async fn a_part_is_refunded_once_by_its_name() {
    let bench = Bench::new().await;
    let id = paid(&bench).await;
    for _ in 0..3 {
        assert_eq!(bench.stripe.refund_part(&id, &part("txn_1", 900)).await.unwrap(), RefundAnswer::Made);
    }
    // Stripe forgets idempotency keys after a day, but not a refund's metadata.
    bench.fake.wait_a_day();
    assert_eq!(bench.stripe.refund_part(&id, &part("txn_1", 900)).await.unwrap(), RefundAnswer::Made);
    assert_eq!(refunded(&bench, &id).await, 900);
    assert_eq!(bench.stripe.refund_part(&id, &part("txn_2", 4000)).await.unwrap(), RefundAnswer::Made);
    let too_much = bench.stripe.refund_part(&id, &part("txn_3", 1)).await.unwrap();
    assert_eq!(too_much, RefundAnswer::Refused("charge_already_refunded".into()));
    assert_eq!(refunded(&bench, &id).await, 4900);
}

#[tokio::test]
async fn no_fault_refunds_a_part_twice() {
    for fault in StripeFault::ALL.into_iter().chain([StripeFault::KeptError]) {
        for place in ["GET /v1/refunds", "POST /v1/refunds"] {
            let bench = Bench::new().await;
            let id = paid(&bench).await;
            bench.fake.fail(place, fault);
            let answer = bench.meets(fault).refund_part(&id, &part("txn_1", 900)).await;
            assert!(answer.is_err(), "{place} {fault:?} {answer:?}");
            bench.fake.wait_a_day();
            for _ in 0..2 {
                let answer = bench.stripe.refund_part(&id, &part("txn_1", 900)).await.unwrap();
                assert_eq!(answer, RefundAnswer::Made, "{place} {fault:?}");
            }
            assert_eq!(refunded(&bench, &id).await, 900, "{place} {fault:?}");
        }
    }
}

#[tokio::test]
async fn a_refund_that_failed_is_no_refund() {
    let bench = Bench::new().await;
    let id = paid(&bench).await;
    bench.stripe.refund_part(&id, &part("txn_1", 900)).await.unwrap();
    bench.stripe.refund_part(&id, &part("txn_2", 100)).await.unwrap();
    bench.fake.state().fail_refund(0);
    assert_eq!(refunded(&bench, &id).await, 100);
    let answer = bench.stripe.refund_part(&id, &part("txn_1", 900)).await.unwrap();
    assert_eq!(answer, RefundAnswer::Refused("lost_or_stolen_card".into()));
}

#[tokio::test]
async fn a_disputed_payment_is_not_refunded() {
    let bench = Bench::new().await;
    let id = paid(&bench).await;
    bench.fake.state().dispute(&id.0, 2450, "needs_response");
    let answer = bench.stripe.refund_part(&id, &part("txn_1", 900)).await.unwrap();
    assert_eq!(answer, RefundAnswer::Refused("charge_disputed".into()));
    let disputed = ProviderDispute {
        dispute: DisputeId(format!("dp_{}", id.0)),
        payment: id.clone(),
        amount: Some(pounds(2450)),
    };
    let answer = bench.stripe.reversals(&id).await.unwrap().unwrap();
    assert_eq!(answer, Reversals { refunded: 0, disputes: vec![(disputed.clone(), None)] });
    bench.fake.state().dispute(&id.0, 2450, "lost");
    let answer = bench.stripe.reversals(&id).await.unwrap().unwrap();
    assert_eq!(answer.disputes, [(disputed.clone(), Some(DisputeOutcome::Lost))]);
    let events = bench.stripe.events_since(now()).await.unwrap();
    assert_eq!(
        events,
        [
            ProviderEvent::DisputeClosed(disputed.clone(), DisputeOutcome::Lost),
            ProviderEvent::DisputeOpened(disputed)
        ]
    );
}

#[tokio::test]
async fn undelivered_events_are_found() {
    let bench = Bench::new().await;
    let id = paid(&bench).await;
    for number in 0..250 {
        bench.fake.state().now += TimeDelta::minutes(1);
        bench.stripe.refund_part(&id, &part(&format!("txn_{number}"), 1)).await.unwrap();
    }
    let events = bench.stripe.events_since(now()).await.unwrap();
    assert_eq!(events, vec![ProviderEvent::Refunded(id.clone()); 250]);
    let late = bench.stripe.events_since(now() + TimeDelta::minutes(241)).await.unwrap();
    assert_eq!(late.len(), 10);
    assert_eq!(refunded(&bench, &id).await, 250, "three pages of refunds");
    for fault in StripeFault::ALL {
        bench.fake.fail("events", fault);
        assert!(bench.meets(fault).events_since(now()).await.is_err(), "{fault:?}");
        bench.fake.fail("refunds", fault);
        assert!(bench.meets(fault).reversals(&id).await.is_err(), "{fault:?}");
    }
    assert!(bench.stripe.reversals(&PaymentId("../x".into())).await.is_err());
}
