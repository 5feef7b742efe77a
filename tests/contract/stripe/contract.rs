//! What any Stripe must do for its client: the fake, so that it is one, and `localstripe`, which others
//! have written, where `SCRIP_LOCALSTRIPE` names one, as `cargo xtask test` does.

use chrono::{DateTime, TimeDelta, Utc};
use domain::{EntryId, OrgId};
use scrip_payments::{CustomerId, Order, Provider, PurchaseId, Standing, Stripe};
use store::random;

use super::localstripe::{self, Filter};
use super::{Bench, now, order};
use tests::stripe_double::Fake;

/// A Stripe under test, and what its cards are called.
pub(super) struct Wire {
    pub(super) name: &'static str,
    pub(super) stripe: Stripe,
    pub(super) customer: CustomerId,
    /// The time there.
    pub(super) now: DateTime<Utc>,
    /// A card that is charged.
    pub(super) good: String,
    /// A card that can be kept and not charged.
    pub(super) declined: String,
    /// A card whose customer has to authenticate each payment.
    pub(super) waiting: String,
    /// What has to live as long.
    pub(super) _keeps: Keeps,
}

pub(super) enum Keeps {
    Fake { _fake: Fake },
    Filter { _filter: Filter },
}

async fn wires() -> Vec<Wire> {
    let Bench { fake, stripe, customer, .. } = Bench::new().await;
    for method in ["pm_visa", "pm_chargeDeclined", "pm_authenticationRequired"] {
        fake.books().method(method, None);
    }
    let fake = Wire {
        name: "the fake",
        stripe,
        customer,
        now: now(),
        good: "pm_visa".into(),
        declined: "pm_chargeDeclined".into(),
        waiting: "pm_authenticationRequired".into(),
        _keeps: Keeps::Fake { _fake: fake },
    };
    std::iter::once(fake).chain(localstripe::wire().await).collect()
}

impl Wire {
    fn order(&self, method: &str) -> Order {
        Order { made_at: self.now, ..order(&self.customer, method) }
    }
}

#[tokio::test]
async fn money_is_taken_and_given_back() {
    for wire in wires().await {
        let stripe = &wire.stripe;
        for off_session in [true, false] {
            let order = Order { off_session, ..wire.order(&wire.good) };
            let payment = stripe.charge(&order).await.unwrap();
            assert_eq!(
                (&payment.standing, payment.purchase),
                (&Standing::Succeeded, Some(order.purchase)),
                "{}",
                wire.name
            );
            assert_eq!(payment.price, order.price);
            assert!(payment.receipt.is_some());
            let id = payment.id.clone().unwrap();
            assert_eq!(stripe.payment(&id).await.unwrap().as_ref(), Some(&payment));
            assert_eq!(stripe.find(&order).await.unwrap(), Some(payment));
            assert_eq!(stripe.cancel(&id).await.unwrap().standing, Standing::Succeeded, "{}", wire.name);
            stripe.refund(&id).await.unwrap();
            assert_eq!(
                stripe.payment(&id).await.unwrap().unwrap().standing,
                Standing::Refunded,
                "{}",
                wire.name
            );
            assert_eq!(
                stripe.find(&order).await.unwrap().unwrap().standing,
                Standing::Refunded,
                "{}",
                wire.name
            );
        }
    }
}

#[tokio::test]
async fn a_refusal_is_told_and_found() {
    for wire in wires().await {
        let order = wire.order(&wire.declined);
        let told = wire.stripe.charge(&order).await.unwrap().standing;
        let found = wire.stripe.find(&order).await.unwrap().unwrap();
        for standing in [told, found.standing] {
            let Standing::Failed(decline) = standing else { panic!("{}: {standing:?}", wire.name) };
            assert_eq!(decline.reason, "card_declined", "{}", wire.name);
        }
        assert_eq!(found.purchase, Some(order.purchase));
    }
}

#[tokio::test]
async fn a_payment_that_waits_is_given_up() {
    for wire in wires().await {
        let (stripe, order) = (&wire.stripe, Order { off_session: false, ..wire.order(&wire.waiting) });
        let payment = stripe.charge(&order).await.unwrap();
        assert!(matches!(payment.standing, Standing::Action(_)), "{}: {payment:?}", wire.name);
        let id = payment.id.unwrap();
        for _ in 0..2 {
            assert_eq!(stripe.cancel(&id).await.unwrap().standing, Standing::Cancelled, "{}", wire.name);
        }
        assert!(stripe.refund(&id).await.is_err(), "{}", wire.name);
        assert_eq!(
            stripe.find(&order).await.unwrap().unwrap().standing,
            Standing::Cancelled,
            "{}",
            wire.name
        );
    }
}

#[tokio::test]
async fn what_was_never_ordered_is_not_found() {
    for wire in wires().await {
        let stripe = &wire.stripe;
        let known = wire.order(&wire.good);
        stripe.charge(&known).await.unwrap();
        let org = OrgId::new(wire.now, random());
        let neighbour = stripe.enrol(org, "Neighbour").await.unwrap().unwrap();
        assert_ne!(neighbour, wire.customer);
        let long_ago = wire.now - TimeDelta::days(2);
        for purchase in [
            PurchaseId { transaction: EntryId::new(long_ago, random()), ..known.purchase },
            PurchaseId { account: order(&neighbour, "pm").purchase.account, ..known.purchase },
        ] {
            let order = Order { purchase, made_at: long_ago, ..known.clone() };
            assert_eq!(stripe.find(&order).await.unwrap(), None, "{}", wire.name);
            assert!(stripe.find(&Order { made_at: wire.now, ..order }).await.is_err(), "{}", wire.name);
        }
    }
}
