//! Prices, refunds and disputes that change between two steps of auto-recharge.

use chrono::{DateTime, Utc};
use domain::{Amount, AutoRecharge, AutoRechargeUpdate, Currency, EntryId, Money};
use scrip_payments::DisputeId;
use tests::TestProcess;

use crate::crash::auto_recharge::crossed;

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// The price rises between the claim of a crossing and its charge: the charge is decided again at the new price,
/// and the month counts what is charged.
#[tokio::test]
async fn a_charge_is_decided_again_when_its_price_has_risen() {
    let mut process = TestProcess::open(now()).await;
    let account = crossed(&process, "card_1").await;
    let ledger = process.fixture.restarted();
    let known = ledger.recharge(account).await.unwrap().unwrap();
    let (credits, price) = (Amount::try_from(500).unwrap(), Money::at_most(4_899, Currency::GBP));
    let charging = known.charging(EntryId::new(process.now(), 7), credits, price, process.now());
    ledger.save_recharge(account, &charging).await.unwrap().unwrap();
    process.run_recharge(account).await;
    process.run_until_idle().await;
    let recharge = process.fixture.ledger.recharge(account).await.unwrap().unwrap();
    assert_eq!((process.taken(account).len(), recharge.bought.get(), recharge.spent), (1, 500, 4_900));
}

/// A refund that fails at the provider does not pause auto-recharge again.
#[tokio::test]
async fn a_refund_that_fails_pauses_nothing() {
    let mut process = TestProcess::open(now()).await;
    let account = crossed(&process, "card_1").await;
    process.run_recharge(account).await;
    process.run_until_idle().await;
    let charges = process.provider.charges();
    let charge = charges.iter().find(|charge| charge.purchase().account == account).unwrap();
    let bought = charge.purchase().transaction;
    process.provider.refund_amount(bought, Some(980)).unwrap();
    process.deliver().await;
    process.run_until_idle().await;
    let paused = process.fixture.ledger.recharge(account).await.unwrap().unwrap();
    assert!(paused.refunded);
    let anew = AutoRecharge::changed(Some(&paused), &AutoRechargeUpdate::default(), process.now()).unwrap();
    process.fixture.ledger.save_recharge(account, &anew).await.unwrap().unwrap();
    process.provider.fail_refunds(bought).unwrap();
    process.deliver().await;
    process.run_until_idle().await;
    assert!(!process.fixture.ledger.recharge(account).await.unwrap().unwrap().refunded);
}

/// A repeated event of a dispute does not pause auto-recharge that its owner has enabled again.
#[tokio::test]
async fn a_dispute_pauses_once() {
    let process = TestProcess::open(now()).await;
    let account = crossed(&process, "card_1").await;
    let (app, dispute) = (process.start(), DisputeId("dp_1".to_owned()));
    let pause = async || {
        let checkout = app.checkout(account.mode);
        checkout.pause_recharge_for_dispute(account, &dispute, app.clock.moment()).await.unwrap();
        app.ledger.recharge(account).await.unwrap().unwrap()
    };
    let paused = pause().await;
    let anew = AutoRecharge::changed(Some(&paused), &AutoRechargeUpdate::default(), process.now()).unwrap();
    app.ledger.save_recharge(account, &anew).await.unwrap().unwrap();
    assert_eq!((paused.disputed, pause().await.disputed), (true, false));
}
