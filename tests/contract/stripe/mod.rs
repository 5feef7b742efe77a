//! The Stripe client, whatever happens on the network: on the Stripe double, and in `localstripe` on an independent
//! implementation.

mod afterwards;
mod contract;
mod keys;
mod localstripe;
mod reversals;
mod signers;

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{AccountId, Currency, EntryId, Mode, Money, OrgId, Reference};
use scrip_payments::{
    ChargeOrder, CustomerId, Decline, PaymentStatus, Provider, PurchaseId, Stripe, StripeConfig,
    StripeSecrets,
};
use store::random;

use tests::stripe_double::{API_KEY, StripeDouble, StripeFault};

/// The secret that events are signed with.
const SECRET: &str = "whsec_fake";

/// The timeout of a client that will get no answer.
const IMPATIENCE: Duration = Duration::from_secs(1);

/// The return URL of customers.
const RETURN_URL: &str = "https://us.example/back";

/// The most attempts until an order is answered.
const SENDINGS_MAX: usize = 10;

/// A client, its Stripe double, and a customer.
struct Bench {
    fake: StripeDouble,
    stripe: Stripe,
    /// A client of the double with a short timeout.
    impatient: Stripe,
    customer: CustomerId,
}

fn now() -> DateTime<Utc> {
    "2026-01-15T10:30:00Z".parse().unwrap()
}

/// A client of the Stripe at `base`; without a return URL, customers cannot authenticate.
fn client(base: &str, key: &str, return_url: Option<&str>) -> Stripe {
    let return_url = return_url.map(str::to_owned);
    Stripe::new(StripeConfig { return_url, ..config(base, key) }).unwrap()
}

fn config(base: &str, key: &str) -> StripeConfig {
    let secrets = StripeSecrets::Fixed { api_key: key.into(), webhook_secrets: vec![SECRET.into()] };
    StripeConfig { api_base: Some(base.to_owned()), ..StripeConfig::new(secrets) }
}

fn pounds(pence: u64) -> Money {
    Money::new(pence, Currency::try_from("GBP".to_owned()).unwrap()).unwrap()
}

/// A new order of 49 pounds.
fn order(customer: &CustomerId, method: &str) -> ChargeOrder {
    ChargeOrder {
        purchase: PurchaseId {
            account: AccountId { org: OrgId::new(now(), random()), mode: Mode::Live },
            transaction: EntryId::new(now(), random()),
        },
        customer: Some(customer.clone()),
        method: Reference::try_from(method.to_owned()).unwrap(),
        price: pounds(4900),
        description: "500 credits".into(),
        off_session: true,
        made_at: now(),
        payment: None,
    }
}

fn failed(reason: &str, decline_code: Option<&str>) -> PaymentStatus {
    PaymentStatus::Failed(Decline { reason: reason.into(), decline_code: decline_code.map(str::to_owned) })
}

impl Bench {
    async fn new() -> Self {
        let fake = StripeDouble::at(now()).await;
        let stripe = client(&fake.url, API_KEY, Some(RETURN_URL));
        let impatient = StripeConfig { timeout: IMPATIENCE, ..config(&fake.url, API_KEY) };
        let impatient =
            Stripe::new(StripeConfig { return_url: Some(RETURN_URL.into()), ..impatient }).unwrap();
        let org = OrgId::new(now(), random());
        let customer = stripe.create_customer(org, "Acme Compliance").await.unwrap().unwrap();
        Self { fake, stripe, impatient, customer }
    }

    /// An order with a card that behaves as its name says.
    fn order(&self, method: &str) -> ChargeOrder {
        self.fake.state().method(method, None);
        order(&self.customer, method)
    }

    fn on_session(&self, method: &str) -> ChargeOrder {
        ChargeOrder { off_session: false, ..self.order(method) }
    }

    fn taken(&self, order: &ChargeOrder) -> usize {
        self.fake.taken(&order.purchase.transaction.to_string())
    }

    /// The client for a fault: the impatient one if no answer will come.
    fn meets(&self, fault: StripeFault) -> &Stripe {
        if fault == StripeFault::Slow { &self.impatient } else { &self.stripe }
    }

    /// Sends an order until it is answered.
    async fn settle(&self, order: &ChargeOrder) -> PaymentStatus {
        for _ in 0..SENDINGS_MAX {
            if let Ok(payment) = self.stripe.charge(order).await {
                return payment.status;
            }
        }
        panic!("not answered after {SENDINGS_MAX} attempts");
    }
}

#[tokio::test]
async fn a_charge_takes_the_money_and_names_its_purchase() {
    let bench = Bench::new().await;
    let order = bench.order("pm_visa");
    let payment = bench.stripe.charge(&order).await.unwrap();
    assert_eq!((payment.purchase, payment.price), (Some(order.purchase), order.price));
    assert_eq!(payment.status, PaymentStatus::Succeeded);
    assert_eq!(payment.receipt.as_deref(), Some("https://pay.stripe.com/receipts/ch_00000"));
    let id = payment.id.clone().unwrap();
    assert_eq!(bench.stripe.payment(&id).await.unwrap(), Some(payment.clone()));
    assert_eq!(
        bench.stripe.find(&ChargeOrder { payment: Some(id), ..order.clone() }).await.unwrap(),
        Some(payment)
    );
    let state = bench.fake.state();
    assert_eq!(state.intents[0]["metadata"]["account"], order.purchase.account.to_string());
    assert_eq!(state.intents[0]["customer"], bench.customer.0);
    let header = |name: &str| state.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("authorization"), format!("Bearer {API_KEY}"));
    assert!(header("stripe-version").starts_with("20"));
    let (org, transaction) = (order.purchase.account, order.purchase.transaction);
    assert!(state.keys.contains_key(&format!("{org}:{transaction}")), "{:?}", state.keys.keys());
    assert!(state.keys.keys().any(|key| key.ends_with(":customer")));
}

#[tokio::test]
async fn a_repeated_order_is_charged_once() {
    let bench = Bench::new().await;
    let order = bench.order("pm_visa");
    let first = bench.stripe.charge(&order).await.unwrap();
    for _ in 0..5 {
        assert_eq!(bench.stripe.charge(&order).await.unwrap(), first);
    }
    assert_eq!(bench.fake.state().intents.len(), 1);
    let order = bench.order("pm_visa");
    let (one, two, three, four) = tokio::join!(
        bench.stripe.charge(&order),
        bench.stripe.charge(&order),
        bench.stripe.charge(&order),
        bench.stripe.charge(&order),
    );
    let answer: Vec<_> = [one, two, three, four].into_iter().flatten().collect();
    assert!(answer.iter().all(|payment| payment.status == PaymentStatus::Succeeded), "{answer:?}");
    assert_eq!(bench.settle(&order).await, PaymentStatus::Succeeded);
    assert_eq!((bench.taken(&order), bench.fake.state().intents.len()), (1, 2));
}

#[tokio::test]
async fn a_refusal_is_final() {
    let bench = Bench::new().await;
    for (method, expected) in [
        ("pm_chargeDeclined", failed("card_declined", Some("generic_decline"))),
        ("pm_chargeDeclinedInsufficientFunds", failed("card_declined", Some("insufficient_funds"))),
        ("pm_chargeDeclinedExpiredCard", failed("expired_card", None)),
        ("pm_authenticationRequired", failed("authentication_required", Some("authentication_required"))),
    ] {
        let order = bench.order(method);
        let payment = bench.stripe.charge(&order).await.unwrap();
        assert_eq!((&payment.status, payment.purchase), (&expected, Some(order.purchase)), "{method}");
        assert_eq!(bench.stripe.charge(&order).await.unwrap(), payment);
        let known = bench.stripe.payment(&payment.id.clone().unwrap()).await.unwrap();
        assert_eq!(known, Some(payment.clone()), "{method}");
        assert_eq!(bench.stripe.find(&order).await.unwrap(), Some(payment), "{method}");
        assert_eq!(bench.taken(&order), 0);
    }
}

#[tokio::test]
async fn a_method_that_cannot_be_charged_fails_before_a_payment_exists() {
    let bench = Bench::new().await;
    bench.fake.state().method("pm_of_another", Some("cus_of_another"));
    for (order, reason) in [
        (order(&bench.customer, "pm_of_another"), "invalid_request_error"),
        (order(&bench.customer, "pm_unknown"), "resource_missing"),
        (order(&bench.customer, "../customers?x=1#\u{1f980}"), "resource_missing"),
        (ChargeOrder { price: pounds(1), ..bench.order("pm_visa") }, "amount_too_small"),
    ] {
        let payment = bench.stripe.charge(&order).await.unwrap();
        assert_eq!((payment.id, payment.status), (None, failed(reason, None)));
    }
    let state = bench.fake.state();
    assert!(state.intents.is_empty());
    assert!(
        !state.calls.iter().any(|call| call.contains("..") || call.contains("customers/")),
        "{:?}",
        state.calls
    );
    assert_eq!(state.methods["pm_of_another"].as_deref(), Some("cus_of_another"));
}

#[tokio::test]
async fn a_taken_payment_stays_taken_when_its_card_fails() {
    let bench = Bench::new().await;
    let order = bench.order("pm_attachDeclined");
    bench.fake.state().method("pm_attachDeclined", Some(&bench.customer.0));
    bench.fake.fail("payment_intents", StripeFault::LostAfter);
    bench.stripe.charge(&order).await.unwrap_err();
    // The card can no longer be attached, but the order was charged.
    assert_eq!(bench.stripe.charge(&order).await.unwrap().status, PaymentStatus::Succeeded);
    bench.fake.state().method("pm_attachDeclined", Some("cus_of_another"));
    assert_eq!(bench.stripe.charge(&order).await.unwrap().status, PaymentStatus::Succeeded);
    assert_eq!(bench.taken(&order), 1);
}

#[tokio::test]
async fn a_customer_who_is_present_authenticates() {
    let bench = Bench::new().await;
    let order = bench.on_session("pm_authenticationRequired");
    let payment = bench.stripe.charge(&order).await.unwrap();
    let id = payment.id.unwrap();
    assert_eq!(
        payment.status,
        PaymentStatus::Action(format!("https://hooks.stripe.com/3d_secure_2/{}", id.0))
    );
    let status = async || bench.stripe.payment(&id).await.unwrap().unwrap().status;
    assert_eq!(status().await, payment.status);
    bench.fake.authenticate(&id.0, true);
    assert_eq!(status().await, PaymentStatus::Succeeded);
    let order = bench.on_session("pm_authenticationRequired");
    let id = bench.stripe.charge(&order).await.unwrap().id.unwrap();
    bench.fake.authenticate(&id.0, false);
    let status = bench.stripe.payment(&id).await.unwrap().unwrap().status;
    assert_eq!(status, failed("payment_intent_authentication_failure", None));
    let stripe = client(&bench.fake.url, API_KEY, None);
    let order = bench.on_session("pm_authenticationRequired");
    let status = stripe.charge(&order).await.unwrap().status;
    assert_eq!(status, failed("authentication_required", Some("authentication_required")));
}

#[tokio::test]
async fn no_fault_charges_an_order_twice_or_reports_a_charge_as_refused() {
    for place in ["attach", "payment_intents"] {
        for fault in StripeFault::ALL {
            let bench = Bench::new().await;
            let order = bench.order("pm_visa");
            bench.fake.fail(place, fault);
            let answer = bench.meets(fault).charge(&order).await.map(|payment| payment.status);
            match place {
                "attach" => {
                    assert!(answer.is_err() || answer.is_ok_and(|answer| answer == PaymentStatus::Succeeded))
                }
                _ => assert!(answer.is_err(), "{fault:?} {answer:?}"),
            }
            assert_eq!(bench.settle(&order).await, PaymentStatus::Succeeded, "{place} {fault:?}");
            assert_eq!(bench.taken(&order), 1, "{place} {fault:?}");
            let elsewhere = bench.fake.state().calls.iter().any(|call| call.contains("elsewhere"));
            assert!(!elsewhere, "a key followed a redirect");
        }
    }
}

#[tokio::test]
async fn several_faults_charge_an_order_once() {
    let bench = Bench::new().await;
    let faults = [
        StripeFault::LostAfter,
        StripeFault::Status(500),
        StripeFault::Unreadable,
        StripeFault::LostBefore,
        StripeFault::LostAfter,
    ];
    let order = bench.order("pm_visa");
    faults.into_iter().for_each(|fault| bench.fake.fail("payment_intents", fault));
    assert_eq!(bench.settle(&order).await, PaymentStatus::Succeeded);
    let refused = bench.order("pm_chargeDeclined");
    faults.into_iter().for_each(|fault| bench.fake.fail("payment_intents", fault));
    assert_eq!(bench.settle(&refused).await, failed("card_declined", Some("generic_decline")));
    assert_eq!((bench.taken(&order), bench.taken(&refused), bench.fake.state().intents.len()), (1, 0, 2));
}
