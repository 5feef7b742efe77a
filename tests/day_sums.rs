//! Each purchase counts once towards what its organisation spends in a day.

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    AccountId, Currency, Decline, EntryId, Mode, Money, Payment, Purchase, PurchaseId, SpendingLimit, Stage,
    Standing,
};
use scrip_http::App;
use serde_json::{Value, json};
use tests::{Books, Kind, Shop, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn today() -> NaiveDate {
    now().date_naive()
}

fn starter(method: &str) -> Value {
    json!({ "package": "starter", "paymentMethod": method })
}

/// Buys with a card, and returns the row of the purchase. The answer has `status`.
async fn bought(shop: &Shop, (account, key): &(AccountId, String), method: &str, status: u16) -> Purchase {
    let (told, answer) = shop.buy(key, &unique(), &starter(method)).await;
    assert_eq!(told, status, "{answer}");
    let transaction =
        EntryId::try_from(answer["data"]["transactionId"].as_str().unwrap().to_owned()).unwrap();
    let id = PurchaseId { account: *account, transaction };
    shop.books.ledger.purchase(id).await.unwrap().unwrap()
}

/// The provider says that a purchase has failed.
async fn fails(app: &App, purchase: &Purchase) {
    let standing = Standing::Failed(Decline::plain("card_declined"));
    let (id, price) = (purchase.id, purchase.offer.price);
    let payment = Payment { id: None, purchase: Some(id), price, standing, receipt: None };
    app.till(Mode::Live).hear(&payment, app.clock.moment()).await.ok();
}

/// Two processes find out that a purchase has failed, and one of the first one's writes arrives after all that the
/// other does. Its price comes off the day once.
#[tokio::test]
async fn a_failed_purchase_comes_off_its_day_once() {
    let shop = Shop::open(now()).await;
    shop.heal();
    let customer = shop.customer(0).await;
    let spent = async || shop.books.ledger.spent(customer.0, today()).await.unwrap();
    bought(&shop, &customer, "card_1", 201).await;
    let failed = bought(&shop, &customer, "card_timeout_charged", 202).await;
    assert_eq!(spent().await, 9_800);
    shop.heal();
    fails(&shop.process(), &failed).await;
    assert_eq!(spent().await, 4_900);
    let (writes, _) = shop.steps();
    // The claim of the decision, the row, the day.
    assert!(writes >= 3, "{writes}");
    for number in 0..writes {
        shop.heal();
        let failed = bought(&shop, &customer, "card_timeout_charged", 202).await;
        shop.faults.arm(number, Kind::Late);
        let (one, other) = (shop.process(), shop.process());
        let others = async {
            while shop.faults.writes() <= number {
                tokio::task::yield_now().await;
            }
            fails(&other, &failed).await;
            shop.faults.let_through();
        };
        tokio::join!(fails(&one, &failed), others);
        let known = shop.books.ledger.purchase(failed.id).await.unwrap().unwrap();
        assert!(matches!(known.stage, Stage::Failed(_)), "write {number} is late: {known:?}");
        assert_eq!(spent().await, 4_900, "write {number} is late; the purchase that was paid still counts");
    }
}

/// A purchase that is begun twice counts once.
#[tokio::test]
async fn a_purchase_that_is_begun_twice_counts_once() {
    let shop = Shop::open(now()).await;
    shop.heal();
    let customer = shop.customer(0).await;
    let known = bought(&shop, &customer, "card_1", 201).await;
    let app = shop.process();
    let again = Purchase { stage: Stage::Pending(None), ..known.clone() };
    let told = app.till(Mode::Live).sell(again, app.clock.moment()).await.unwrap();
    assert_eq!(told.stage, known.stage);
    assert_eq!(shop.books.ledger.spent(customer.0, today()).await.unwrap(), 4_900);
}

/// The store loses the answer: the SDK does not repeat the write, so the price is neither added nor subtracted twice.
#[tokio::test]
async fn a_lost_answer_counts_nothing_twice() {
    let books = Books::new().await;
    let id = books.open(10, now()).await;
    let (ledger, price) = (books.restarted(), Money::at_most(4_900, Currency::GBP));
    let limit = SpendingLimit::of(Currency::GBP);
    let faults = books.faults.clone().unwrap();
    ledger.count_spending(id, today(), price, limit).await.unwrap().unwrap();
    faults.arm(0, Kind::AnswerLost);
    ledger.count_spending(id, today(), price, limit).await.ok();
    assert_eq!(ledger.spent(id, today()).await.unwrap(), 9_800);
    faults.arm(0, Kind::AnswerLost);
    ledger.uncount_spending(id, today(), price).await.ok();
    assert_eq!(ledger.spent(id, today()).await.unwrap(), 4_900);
}
