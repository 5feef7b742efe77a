//! Each purchase counts once towards its organisation's daily spending.

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    AccountId, Currency, Decline, EntryId, Mode, Money, Payment, PaymentStatus, Purchase, PurchaseId,
    PurchaseStatus, SpendingLimit,
};
use scrip_http::App;
use serde_json::{Value, json};
use tests::{TestLedger, TestProcess, WriteFault, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn today() -> NaiveDate {
    now().date_naive()
}

fn starter(method: &str) -> Value {
    json!({ "package": "starter", "paymentMethod": method })
}

/// Buys with a card and returns the row of the purchase. The answer has `status`.
async fn bought(
    process: &TestProcess,
    (account, key): &(AccountId, String),
    method: &str,
    status: u16,
) -> Purchase {
    let (outcome, answer) = process.buy(key, &unique(), &starter(method)).await;
    assert_eq!(outcome, status, "{answer}");
    let transaction =
        EntryId::try_from(answer["data"]["transactionId"].as_str().unwrap().to_owned()).unwrap();
    let id = PurchaseId { account: *account, transaction };
    process.fixture.ledger.purchase(id).await.unwrap().unwrap()
}

/// The provider reports that a purchase failed.
async fn fails(app: &App, purchase: &Purchase) {
    let status = PaymentStatus::Failed(Decline::plain("card_declined"));
    let (id, price) = (purchase.id, purchase.offer.price);
    let payment = Payment { id: None, purchase: Some(id), price, status, receipt: None };
    app.checkout(Mode::Live).on_payment_event(&payment, app.clock.moment()).await.ok();
}

/// Two processes learn that a purchase failed, and one write of the first arrives after every write of the other.
/// The price is subtracted from the day once.
#[tokio::test]
async fn a_failed_purchase_comes_off_its_day_once() {
    let process = TestProcess::open(now()).await;
    process.clear_faults();
    let customer = process.customer(0).await;
    let spent = async || process.fixture.ledger.spent(customer.0, today()).await.unwrap();
    bought(&process, &customer, "card_1", 201).await;
    let failed = bought(&process, &customer, "card_timeout_charged", 202).await;
    assert_eq!(spent().await, 9_800);
    process.clear_faults();
    fails(&process.start(), &failed).await;
    assert_eq!(spent().await, 4_900);
    let (writes, _) = process.steps();
    assert!(writes >= 3, "{writes}");
    for number in 0..writes {
        process.clear_faults();
        let failed = bought(&process, &customer, "card_timeout_charged", 202).await;
        process.faults.arm(number, WriteFault::Late);
        let (one, other) = (process.start(), process.start());
        let others = async {
            while process.faults.writes() <= number {
                tokio::task::yield_now().await;
            }
            fails(&other, &failed).await;
            process.faults.let_through();
        };
        tokio::join!(fails(&one, &failed), others);
        let known = process.fixture.ledger.purchase(failed.id).await.unwrap().unwrap();
        assert!(matches!(known.status, PurchaseStatus::Failed(_)), "write {number} is late: {known:?}");
        assert_eq!(spent().await, 4_900, "write {number} is late; the purchase that was paid still counts");
    }
}

/// A purchase that is started twice counts once.
#[tokio::test]
async fn a_purchase_that_is_begun_twice_counts_once() {
    let process = TestProcess::open(now()).await;
    process.clear_faults();
    let customer = process.customer(0).await;
    let known = bought(&process, &customer, "card_1", 201).await;
    let app = process.start();
    let again = Purchase { status: PurchaseStatus::Pending(None), ..known.clone() };
    let outcome = app.checkout(Mode::Live).start(again, app.clock.moment()).await.unwrap();
    assert_eq!(outcome.status, known.status);
    assert_eq!(process.fixture.ledger.spent(customer.0, today()).await.unwrap(), 4_900);
}

/// The store loses the answer: the SDK does not repeat the write, so the price is neither added nor subtracted twice.
#[tokio::test]
async fn a_lost_answer_counts_nothing_twice() {
    let fixture = TestLedger::new().await;
    let id = fixture.open(10, now()).await;
    let (ledger, price) = (fixture.restarted(), Money::at_most(4_900, Currency::GBP));
    let limit = SpendingLimit::of(Currency::GBP);
    let faults = fixture.faults.clone().unwrap();
    ledger.count_spending(id, today(), price, limit).await.unwrap();
    faults.arm(0, WriteFault::AnswerLost);
    ledger.count_spending(id, today(), price, limit).await.ok();
    assert_eq!(ledger.spent(id, today()).await.unwrap(), 9_800);
    faults.arm(0, WriteFault::AnswerLost);
    ledger.uncount_spending(id, today(), price).await.ok();
    assert_eq!(ledger.spent(id, today()).await.unwrap(), 4_900);
}
