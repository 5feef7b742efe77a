//! What changes between two steps of auto-recharge.

use chrono::{DateTime, Utc};
use domain::{Amount, Currency, EntryId, Money, Recharge, RechargeChange};
use scrip_payments::DisputeId;
use tests::Shop;

use crate::crash::auto_recharge::crossed;

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// The price rises after a crossing was claimed and before it is charged: that is decided anew, at what the credits cost
/// now, and the month counts what is charged.
#[tokio::test]
async fn a_charge_whose_price_has_risen_is_decided_anew() {
    let mut shop = Shop::open(now()).await;
    let account = crossed(&shop, "card_1").await;
    let ledger = shop.books.restarted();
    let known = ledger.recharge(account).await.unwrap().unwrap();
    let counted = (Amount::try_from(500).unwrap(), Money::at_most(4_899, Currency::GBP));
    let charging = known.charging(EntryId::new(shop.now(), 7), counted, shop.now());
    ledger.save_recharge(account, &charging).await.unwrap().unwrap();
    shop.look(account).await;
    shop.come_to_rest().await;
    let recharge = shop.books.ledger.recharge(account).await.unwrap().unwrap();
    assert_eq!((shop.taken(account).len(), recharge.bought.get(), recharge.spent), (1, 500, 4_900));
}

/// A refund that the provider does not make after all pauses nothing again.
#[tokio::test]
async fn a_refund_that_fails_pauses_nothing() {
    let mut shop = Shop::open(now()).await;
    let account = crossed(&shop, "card_1").await;
    shop.look(account).await;
    shop.come_to_rest().await;
    let charges = shop.company.charges();
    let charge = charges.iter().find(|charge| charge.purchase().account == account).unwrap();
    let bought = charge.purchase().transaction;
    shop.company.give_back(bought, Some(980)).unwrap();
    shop.deliver().await;
    shop.come_to_rest().await;
    let paused = shop.books.ledger.recharge(account).await.unwrap().unwrap();
    assert!(paused.refunded);
    let anew = Recharge::changed(Some(&paused), &RechargeChange::default(), shop.now()).unwrap();
    shop.books.ledger.save_recharge(account, &anew).await.unwrap().unwrap();
    shop.company.fail_refunds(bought).unwrap();
    shop.deliver().await;
    shop.come_to_rest().await;
    assert!(!shop.books.ledger.recharge(account).await.unwrap().unwrap().refunded);
}

/// Heard again, a dispute does not pause what its owner has set anew since.
#[tokio::test]
async fn a_dispute_pauses_once() {
    let shop = Shop::open(now()).await;
    let account = crossed(&shop, "card_1").await;
    let (app, dispute) = (shop.process(), DisputeId("dp_1".to_owned()));
    let pause = async || {
        let till = app.till(account.mode);
        till.pause_recharge_for_dispute(account, &dispute, app.clock.moment()).await.unwrap();
        app.ledger.recharge(account).await.unwrap().unwrap()
    };
    let paused = pause().await;
    let anew = Recharge::changed(Some(&paused), &RechargeChange::default(), shop.now()).unwrap();
    app.ledger.save_recharge(account, &anew).await.unwrap().unwrap();
    assert_eq!((paused.disputed, pause().await.disputed), (true, false));
}
