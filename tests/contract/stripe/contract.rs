//! The behaviour that the client needs of any Stripe: checked on the Stripe double, and on `localstripe`, an
//! independent implementation, if `SCRIP_LOCALSTRIPE` names one.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{EntryId, OrgId};
use scrip_payments::{ChargeOrder, CustomerId, PaymentStatus, Provider, PurchaseId, Stripe};
use store::random;

use super::localstripe::{self, LocalstripeProxy};
use super::{Bench, now, order};
use tests::stripe_double::StripeDouble;

/// A Stripe under test, and the names of its cards.
pub(super) struct StripeUnderTest {
    pub(super) name: &'static str,
    pub(super) stripe: Stripe,
    pub(super) customer: CustomerId,
    /// The time at that Stripe.
    pub(super) now: DateTime<Utc>,
    /// A card that can be charged.
    pub(super) good: String,
    /// A card that can be attached but not charged.
    pub(super) declined: String,
    /// A card whose customer has to authenticate each payment.
    pub(super) waiting: String,
    /// Kept alive for as long.
    pub(super) _keeps: Keeps,
}

pub(super) enum Keeps {
    Double { _double: StripeDouble },
    Proxy { _proxy: LocalstripeProxy },
}

async fn wires() -> Vec<StripeUnderTest> {
    let Bench { fake, stripe, customer, .. } = Bench::new().await;
    for method in ["pm_visa", "pm_chargeDeclined", "pm_authenticationRequired"] {
        fake.state().method(method, None);
    }
    let fake = StripeUnderTest {
        name: "the fake",
        stripe,
        customer,
        now: now(),
        good: "pm_visa".into(),
        declined: "pm_chargeDeclined".into(),
        waiting: "pm_authenticationRequired".into(),
        _keeps: Keeps::Double { _double: fake },
    };
    std::iter::once(fake).chain(localstripe::wire().await).collect()
}

impl StripeUnderTest {
    fn order(&self, method: &str) -> ChargeOrder {
        ChargeOrder { made_at: self.now, ..order(&self.customer, method) }
    }
}

#[tokio::test]
async fn money_is_taken_and_given_back() {
    for wire in wires().await {
        let stripe = &wire.stripe;
        for off_session in [true, false] {
            let order = ChargeOrder { off_session, ..wire.order(&wire.good) };
            let payment = stripe.charge(&order).await.unwrap();
            assert_eq!(
                (&payment.status, payment.purchase),
                (&PaymentStatus::Succeeded, Some(order.purchase)),
                "{}",
                wire.name
            );
            assert_eq!(payment.price, order.price);
            assert!(payment.receipt.is_some());
            let id = payment.id.clone().unwrap();
            assert_eq!(stripe.payment(&id).await.unwrap().as_ref(), Some(&payment));
            assert_eq!(stripe.find(&order).await.unwrap(), Some(payment));
            assert_eq!(stripe.cancel(&id).await.unwrap().status, PaymentStatus::Succeeded, "{}", wire.name);
            stripe.refund(&id).await.unwrap();
            assert_eq!(
                stripe.payment(&id).await.unwrap().unwrap().status,
                PaymentStatus::Refunded,
                "{}",
                wire.name
            );
            assert_eq!(
                stripe.find(&order).await.unwrap().unwrap().status,
                PaymentStatus::Refunded,
                "{}",
                wire.name
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_is_answered_and_found() {
    for wire in wires().await {
        let order = wire.order(&wire.declined);
        let answer = wire.stripe.charge(&order).await.unwrap().status;
        let found = wire.stripe.find(&order).await.unwrap().unwrap();
        for status in [answer, found.status] {
            let PaymentStatus::Failed(decline) = status else { panic!("{}: {status:?}", wire.name) };
            assert_eq!(decline.reason, "card_declined", "{}", wire.name);
        }
        assert_eq!(found.purchase, Some(order.purchase));
    }
}

#[tokio::test]
async fn a_waiting_payment_is_cancelled() {
    for wire in wires().await {
        let (stripe, order) = (&wire.stripe, ChargeOrder { off_session: false, ..wire.order(&wire.waiting) });
        let payment = stripe.charge(&order).await.unwrap();
        assert!(matches!(payment.status, PaymentStatus::Action(_)), "{}: {payment:?}", wire.name);
        let id = payment.id.unwrap();
        for _ in 0..2 {
            assert_eq!(stripe.cancel(&id).await.unwrap().status, PaymentStatus::Cancelled, "{}", wire.name);
        }
        assert!(stripe.refund(&id).await.is_err(), "{}", wire.name);
        assert_eq!(
            stripe.find(&order).await.unwrap().unwrap().status,
            PaymentStatus::Cancelled,
            "{}",
            wire.name
        );
    }
}

#[tokio::test]
async fn an_unknown_order_is_not_found() {
    for wire in wires().await {
        let stripe = &wire.stripe;
        let known = wire.order(&wire.good);
        stripe.charge(&known).await.unwrap();
        let org = OrgId::new(wire.now, random());
        let neighbour = stripe.create_customer(org, "Neighbour").await.unwrap().unwrap();
        assert_ne!(neighbour, wire.customer);
        let long_ago = wire.now - TimeDelta::days(2);
        for purchase in [
            PurchaseId { transaction: EntryId::new(long_ago, random()), ..known.purchase },
            PurchaseId { account: order(&neighbour, "pm").purchase.account, ..known.purchase },
        ] {
            let order = ChargeOrder { purchase, made_at: long_ago, ..known.clone() };
            assert_eq!(stripe.find(&order).await.unwrap(), None, "{}", wire.name);
            assert!(stripe.find(&ChargeOrder { made_at: wire.now, ..order }).await.is_err(), "{}", wire.name);
        }
    }
}
