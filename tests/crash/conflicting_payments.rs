//! Contradictory reports about one payment.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use domain::{AccountId, Currency, Decline, Mode, Money, Payment, PaymentStatus, Purchase, PurchaseStatus};
use scrip_payments::{DisputeId, ProviderDispute};
use serde_json::json;
use tests::{FaultAt, TestProcess, WriteFault, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A purchase of 500 credits for £49 that was interrupted.
struct InterruptedPurchase {
    account: AccountId,
    /// Its row, if the provider was asked for a charge.
    purchase: Option<Purchase>,
    /// The number of its writes.
    writes: usize,
}

/// A new customer buys while `fault` occurs.
async fn bought(process: &TestProcess, fault: Option<FaultAt>) -> InterruptedPurchase {
    process.clear_faults();
    let (account, key) = process.customer(0).await;
    if let Some(fault) = fault {
        process.inject(fault);
    }
    process.buy(&key, &unique(), &json!({ "package": "starter", "paymentMethod": "card_1" })).await;
    let writes = process.steps().0;
    process.clear_faults();
    let charge = process.provider.charges().into_iter().find(|charge| charge.purchase().account == account);
    let purchase = match charge {
        Some(charge) => process.fixture.ledger.purchase(charge.purchase()).await.unwrap(),
        None => None,
    };
    InterruptedPurchase { account, purchase, writes }
}

async fn purchased(process: &TestProcess, account: AccountId) -> u64 {
    let state = process.fixture.ledger.account(account).await.unwrap().unwrap();
    state.balance(process.now()).purchased.get()
}

/// A disputed amount in another currency than the payment's counts as the whole purchase.
#[tokio::test]
async fn a_sum_in_another_currency_is_no_part() {
    let process = TestProcess::open(now()).await;
    for (currency, left) in [("GBP", 250), ("USD", 0)] {
        let InterruptedPurchase { account, purchase, .. } = bought(&process, None).await;
        let currency = Currency::try_from(currency.to_owned()).unwrap();
        let disputed = ProviderDispute {
            dispute: DisputeId(format!("dp_{}", account.org)),
            payment: purchase.unwrap().payment.unwrap(),
            amount: Some(Money::new(2_450, currency).unwrap()),
        };
        let app = process.start();
        app.checkout(Mode::Live).dispute_opened(&disputed, app.clock.moment()).await.unwrap();
        assert_eq!(purchased(&process, account).await, left, "{currency:?}");
    }
}

/// A process grants a purchase and dies before the row says so. Another one then gets the event that it failed, and
/// does not write that: the credits stay, and in the end the row says so.
#[tokio::test]
async fn a_purchase_that_was_granted_has_not_failed() {
    let mut process = TestProcess::open(now()).await;
    let (writes, mut met) = (bought(&process, None).await.writes, 0);
    for number in 0..writes {
        let InterruptedPurchase { account, purchase, .. } =
            bought(&process, Some(FaultAt::Write(number, WriteFault::CrashBefore))).await;
        let Some(purchase) = purchase.filter(|known| matches!(known.status, PurchaseStatus::Pending(_)))
        else {
            continue;
        };
        if purchased(&process, account).await != 500 {
            continue;
        }
        met += 1;
        let (id, price, app) = (purchase.id, purchase.offer.price, process.start());
        let status = PaymentStatus::Failed(Decline::plain("provider_unavailable"));
        let payment = Payment { id: None, purchase: Some(id), price, status, receipt: None };
        // If the attempt of the grant may still be in progress, the event is to be sent again.
        app.checkout(Mode::Live).on_payment_event(&payment, app.clock.moment()).await.ok();
        let known = process.fixture.ledger.purchase(id).await.unwrap().unwrap();
        assert!(!matches!(known.status, PurchaseStatus::Failed(_)), "{number}: {known:?}");
        process.run_until_idle().await;
        let known = process.fixture.ledger.purchase(id).await.unwrap().unwrap();
        assert!(matches!(known.status, PurchaseStatus::Approved(_)), "{number}: {known:?}");
        assert_eq!(purchased(&process, account).await, 500, "{number}");
    }
    assert!(met > 0, "no crash leaves a purchase granted and pending");
}

/// Two customers' purchases are in doubt, and the provider answers neither lookup before it has both: no customer
/// waits for another one's payment.
#[tokio::test]
async fn no_customer_waits_for_another_customers_payment() {
    let mut process = TestProcess::open(now()).await;
    let mut doubts = vec![];
    for _ in 0..2 {
        process.clear_faults();
        let (account, key) = process.customer(0).await;
        let body = json!({ "package": "starter", "paymentMethod": "card_timeout_charged" });
        assert_eq!(process.buy(&key, &unique(), &body).await.0, 202);
        doubts.push(account);
    }
    process.project().await;
    process.pass(120);
    let met = process.meet(2);
    process.reconcile().await;
    assert_eq!(met.load(Ordering::Relaxed), 2);
    for account in doubts {
        assert_eq!(purchased(&process, account).await, 500);
    }
}
