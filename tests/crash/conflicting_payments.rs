//! What two sides say differently of one payment.

use std::sync::atomic::Ordering;

use chrono::{DateTime, Utc};
use domain::{AccountId, Currency, Decline, Mode, Money, Payment, Purchase, Stage, Standing};
use scrip_payments::{DisputeId, Disputed};
use serde_json::json;
use tests::{Fault, Kind, Shop, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A purchase of 500 credits for £49.
struct Bought {
    account: AccountId,
    /// Its row, if the provider was asked for a charge.
    purchase: Option<Purchase>,
    /// How many writes it took.
    writes: usize,
}

/// A new customer buys while `fault` strikes.
async fn bought(shop: &Shop, fault: Option<Fault>) -> Bought {
    shop.heal();
    let (account, key) = shop.customer(0).await;
    if let Some(fault) = fault {
        shop.strike(fault);
    }
    shop.buy(&key, &unique(), &json!({ "package": "starter", "paymentMethod": "card_1" })).await;
    let writes = shop.steps().0;
    shop.heal();
    let charge = shop.company.charges().into_iter().find(|charge| charge.purchase().account == account);
    let purchase = match charge {
        Some(charge) => shop.books.ledger.purchase(charge.purchase()).await.unwrap(),
        None => None,
    };
    Bought { account, purchase, writes }
}

async fn purchased(shop: &Shop, account: AccountId) -> u64 {
    let state = shop.books.ledger.account(account).await.unwrap().unwrap();
    state.balance(shop.now()).purchased.get()
}

/// A sum in another currency than was paid says nothing of a part: all of the purchase is in dispute.
#[tokio::test]
async fn a_sum_in_another_currency_is_no_part() {
    let shop = Shop::open(now()).await;
    for (currency, left) in [("GBP", 250), ("USD", 0)] {
        let Bought { account, purchase, .. } = bought(&shop, None).await;
        let currency = Currency::try_from(currency.to_owned()).unwrap();
        let disputed = Disputed {
            dispute: DisputeId(format!("dp_{}", account.org)),
            payment: purchase.unwrap().payment.unwrap(),
            amount: Some(Money::new(2_450, currency).unwrap()),
        };
        let app = shop.process();
        app.till(Mode::Live).dispute_opened(&disputed, app.clock.moment()).await.unwrap();
        assert_eq!(purchased(&shop, account).await, left, "{currency:?}");
    }
}

/// A process has granted a purchase and died before its row says so. Another one hears then that it failed, and does
/// not write that: the credits stand, and in the end the row says so.
#[tokio::test]
async fn a_purchase_that_was_granted_has_not_failed() {
    let mut shop = Shop::open(now()).await;
    let (writes, mut met) = (bought(&shop, None).await.writes, 0);
    for number in 0..writes {
        let Bought { account, purchase, .. } =
            bought(&shop, Some(Fault::Write(number, Kind::CrashBefore))).await;
        let Some(purchase) = purchase.filter(|known| matches!(known.stage, Stage::Pending(_))) else {
            continue;
        };
        if purchased(&shop, account).await != 500 {
            continue;
        }
        met += 1;
        let (id, price, app) = (purchase.id, purchase.offer.price, shop.process());
        let standing = Standing::Failed(Decline::plain("provider_unavailable"));
        let payment = Payment { id: None, purchase: Some(id), price, standing, receipt: None };
        // If the attempt of the grant may still be in progress, the event is to be sent again.
        app.till(Mode::Live).hear(&payment, app.clock.moment()).await.ok();
        let known = shop.books.ledger.purchase(id).await.unwrap().unwrap();
        assert!(!matches!(known.stage, Stage::Failed(_)), "{number}: {known:?}");
        shop.come_to_rest().await;
        let known = shop.books.ledger.purchase(id).await.unwrap().unwrap();
        assert!(matches!(known.stage, Stage::Approved(_)), "{number}: {known:?}");
        assert_eq!(purchased(&shop, account).await, 500, "{number}");
    }
    assert!(met > 0, "no crash leaves a purchase granted and pending");
}

/// Two customers' purchases are in doubt, and the provider answers neither question before both are asked: one customer
/// does not wait for another one's payment.
#[tokio::test]
async fn no_customer_waits_for_anothers_payment() {
    let mut shop = Shop::open(now()).await;
    let mut doubts = vec![];
    for _ in 0..2 {
        shop.heal();
        let (account, key) = shop.customer(0).await;
        let body = json!({ "package": "starter", "paymentMethod": "card_timeout_charged" });
        assert_eq!(shop.buy(&key, &unique(), &body).await.0, 202);
        doubts.push(account);
    }
    shop.project().await;
    shop.pass(120);
    let met = shop.meet(2);
    shop.reconcile().await;
    assert_eq!(met.load(Ordering::Relaxed), 2);
    for account in doubts {
        assert_eq!(purchased(&shop, account).await, 500);
    }
}
