//! Finding, cancelling and refunding charges, and Stripe's events.

use chrono::TimeDelta;
use domain::OrgId;
use scrip_payments::{
    ChargeOrder, DisputeOutcome, EventRejected, PaymentId, PaymentStatus, Provider, ProviderEvent, Stripe,
    StripeConfig, StripeSecrets, sign,
};
use serde_json::json;
use store::random;

use super::{Bench, SECRET, client, failed, now};
use tests::stripe_double::{API_KEY, StripeFault};

#[tokio::test]
async fn a_charge_whose_answer_was_lost_is_found() {
    for (method, expected) in [
        ("pm_visa", PaymentStatus::Succeeded),
        ("pm_chargeDeclined", failed("card_declined", Some("generic_decline"))),
    ] {
        for fault in
            [StripeFault::LostAfter, StripeFault::Slow, StripeFault::Unreadable, StripeFault::KeptError]
        {
            let bench = Bench::new().await;
            let order = bench.order(method);
            bench.fake.fail("payment_intents", fault);
            bench.meets(fault).charge(&order).await.unwrap_err();
            // Stripe repeats an error that it stored for the key, whatever happened.
            assert_eq!(bench.stripe.charge(&order).await.is_err(), fault == StripeFault::KeptError);
            bench.fake.wait_a_day();
            let found = bench.stripe.find(&order).await.unwrap().unwrap();
            assert_eq!((found.status, found.purchase), (expected.clone(), Some(order.purchase)), "{fault:?}");
        }
    }
}

#[tokio::test]
async fn a_missing_payment_was_not_charged_once_no_attempt_can_be_in_progress() {
    let bench = Bench::new().await;
    let order = bench.order("pm_visa");
    bench.fake.fail("payment_intents", StripeFault::LostBefore);
    bench.stripe.charge(&order).await.unwrap_err();
    let ask = async |hours: i64| {
        bench.fake.state().now = now() + TimeDelta::hours(hours);
        bench.stripe.find(&order).await.map(|found| found.is_some()).ok()
    };
    assert_eq!(
        [ask(0).await, ask(1).await, ask(23).await, ask(24).await, ask(720).await],
        [None, None, None, Some(false), Some(false)]
    );
    // A payment that cannot be looked up may exist.
    for fault in StripeFault::ALL {
        bench.fake.fail("payment_intents", fault);
        assert!(bench.meets(fault).find(&order).await.is_err(), "{fault:?}");
    }
    let named = ChargeOrder { payment: Some(PaymentId("pi_unknown".into())), ..order };
    assert!(bench.stripe.find(&named).await.is_err());
    assert_eq!(bench.stripe.payment(&PaymentId("pi_unknown".into())).await.unwrap(), None);
    assert_eq!(bench.stripe.payment(&PaymentId("../x".into())).await.unwrap(), None);
}

#[tokio::test]
async fn a_charge_is_found_among_many() {
    let bench = Bench::new().await;
    let order = bench.order("pm_visa");
    bench.stripe.charge(&order).await.unwrap();
    for minutes in 0..250 {
        bench.fake.state().other(&bench.customer.0, now() + TimeDelta::minutes(minutes));
        bench.fake.state().other("cus_of_another", now());
    }
    bench.fake.wait_a_day();
    let found = bench.stripe.find(&order).await.unwrap().unwrap();
    assert_eq!(found.purchase, Some(order.purchase));
    let lists = bench.fake.state().calls.iter().filter(|call| *call == "GET /v1/payment_intents").count();
    assert_eq!(lists, 3);
    // Beyond every bound nothing is certain.
    let missing = bench.order("pm_visa");
    assert_eq!(bench.stripe.find(&missing).await.unwrap(), None);
    for _ in 0..2_000 {
        bench.fake.state().other(&bench.customer.0, now());
    }
    assert!(bench.stripe.find(&missing).await.is_err());
}

#[tokio::test]
async fn taken_payments_are_found_before_refused_ones() {
    let bench = Bench::new().await;
    let order = bench.order("pm_visa");
    bench.stripe.charge(&order).await.unwrap();
    bench.fake.state().now += TimeDelta::hours(1);
    bench.fake.state().keys.clear();
    let again = ChargeOrder { method: bench.order("pm_chargeDeclined").method, ..order.clone() };
    assert_ne!(bench.stripe.charge(&again).await.unwrap().status, PaymentStatus::Succeeded);
    assert_eq!(bench.stripe.find(&order).await.unwrap().unwrap().status, PaymentStatus::Succeeded);
}

#[tokio::test]
async fn a_payment_is_cancelled_unless_it_was_taken() {
    let bench = Bench::new().await;
    let waiting =
        bench.stripe.charge(&bench.on_session("pm_authenticationRequired")).await.unwrap().id.unwrap();
    bench.fake.fail("cancel", StripeFault::LostAfter);
    bench.stripe.cancel(&waiting).await.unwrap_err();
    for _ in 0..2 {
        assert_eq!(bench.stripe.cancel(&waiting).await.unwrap().status, PaymentStatus::Cancelled);
    }
    let taken = bench.stripe.charge(&bench.order("pm_visa")).await.unwrap().id.unwrap();
    assert_eq!(bench.stripe.cancel(&taken).await.unwrap().status, PaymentStatus::Succeeded);
    assert!(bench.stripe.cancel(&PaymentId("pi_unknown".into())).await.is_err());
    assert!(bench.stripe.cancel(&PaymentId("..".into())).await.is_err());
}

#[tokio::test]
async fn money_is_given_back_once() {
    let bench = Bench::new().await;
    let id = bench.stripe.charge(&bench.order("pm_visa")).await.unwrap().id.unwrap();
    bench.fake.fail("refunds", StripeFault::LostAfter);
    bench.stripe.refund(&id).await.unwrap_err();
    bench.stripe.refund(&id).await.unwrap();
    bench.fake.wait_a_day();
    bench.stripe.refund(&id).await.unwrap();
    assert_eq!(bench.fake.state().refunds, std::slice::from_ref(&id.0));
    assert_eq!(bench.stripe.payment(&id).await.unwrap().unwrap().status, PaymentStatus::Refunded);
    let refused = bench.stripe.charge(&bench.order("pm_chargeDeclined")).await.unwrap().id.unwrap();
    assert!(bench.stripe.refund(&refused).await.is_err());
}

#[tokio::test]
async fn a_wrong_key_is_never_a_customers_refusal() {
    let bench = Bench::new().await;
    let stripe = client(&bench.fake.url, "sk_test_other", None);
    let order = bench.order("pm_visa");
    let said = stripe.charge(&order).await.unwrap_err().to_string();
    assert!(said.contains("401") && !said.contains("sk_test"), "{said}");
    assert!(stripe.find(&order).await.is_err());
    assert!(stripe.create_customer(order.purchase.account.org, "Acme").await.is_err());
    let unreachable = client("http://127.0.0.1:9", API_KEY, None);
    assert!(unreachable.charge(&order).await.unwrap_err().to_string().contains("could not be reached"));
}

#[tokio::test]
async fn an_organisation_is_enrolled_once_a_day() {
    let bench = Bench::new().await;
    let org = OrgId::new(now(), random());
    bench.fake.fail("customers", StripeFault::LostAfter);
    bench.stripe.create_customer(org, "Acme").await.unwrap_err();
    let known = bench.stripe.create_customer(org, "Acme").await.unwrap();
    assert_eq!(bench.stripe.create_customer(org, "Acme").await.unwrap(), known);
    assert_ne!(Some(&bench.customer), known.as_ref());
}

#[tokio::test]
async fn a_signed_event_is_accepted() {
    let bench = Bench::new().await;
    let id = bench.stripe.charge(&bench.order("pm_visa")).await.unwrap().id.unwrap();
    let event = |kind: &str, object: &serde_json::Value| {
        json!({ "object": "event", "type": kind, "data": { "object": object } }).to_string()
    };
    let intent = bench.fake.state().intents[0].clone();
    let body = event("payment_intent.succeeded", &intent);
    let header = sign(&SECRET.into(), body.as_bytes(), now());
    let answer = bench.stripe.event(&header, body.as_bytes(), now()).await.unwrap();
    assert_eq!(answer, bench.stripe.payment(&id).await.unwrap().map(ProviderEvent::Payment));
    let dispute =
        event("charge.dispute.closed", &json!({ "id": "dp_1", "status": "lost", "payment_intent": id.0 }));
    let signed = sign(&SECRET.into(), dispute.as_bytes(), now());
    let answer = bench.stripe.event(&signed, dispute.as_bytes(), now()).await.unwrap();
    assert!(
        matches!(answer, Some(ProviderEvent::DisputeClosed(disputed, DisputeOutcome::Lost)) if disputed.payment == id)
    );
    for (header, body, late) in
        [(&header, &dispute, 0), (&String::new(), &body, 0), (&header, &body, 301), (&signed, &body, 0)]
    {
        let at = now() + TimeDelta::seconds(late);
        let refused = bench.stripe.event(header, body.as_bytes(), at).await;
        assert!(matches!(refused, Err(EventRejected::Forged(_))), "{refused:?}");
    }
}

#[tokio::test]
async fn an_event_without_a_signing_secret_is_retried() {
    let secrets = StripeSecrets::Fixed { api_key: API_KEY.into(), webhook_secrets: Vec::new() };
    let stripe = Stripe::new(StripeConfig::new(secrets)).unwrap();
    let header = sign(&SECRET.into(), b"{}", now());
    assert!(matches!(stripe.event(&header, b"{}", now()).await, Err(EventRejected::Later(_))));
}
