//! A crossing is charged once, whatever crashes or is lost on the way.

use chrono::{DateTime, Utc};
use domain::{
    AccountId, Amount, ClaimKey, Consume, Credits, Currency, EntryId, Fingerprint, IdempotencyKey, Money,
    Operation, Recharge, RechargeChange, RechargeState, Reference, consume, set_frozen,
};
use scrip_payments::DisputeId;
use store::{Changes, ClaimsOf, Start};
use tests::{Fault, Shop, count, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// What comes after the first look, in some order.
#[derive(Clone, Copy, Debug)]
enum Then {
    /// The queue delivers the wake again.
    Wake,
    /// The provider's events arrive, the latest first.
    Events,
    /// The schedule fires.
    Reconcile,
}

const ORDERS: [[Then; 3]; 6] = {
    use Then::{Events, Reconcile, Wake};
    [
        [Wake, Events, Reconcile],
        [Wake, Reconcile, Events],
        [Events, Wake, Reconcile],
        [Events, Reconcile, Wake],
        [Reconcile, Wake, Events],
        [Reconcile, Events, Wake],
    ]
};

/// A customer with the seed's configuration and 95 credits left.
pub(super) async fn crossed(shop: &Shop, method: &str) -> AccountId {
    shop.heal();
    let (account, _) = shop.customer(105).await;
    let change = RechargeChange {
        enabled: Some(true),
        threshold: Some(Credits::try_from(100).unwrap()),
        amount: Some(Amount::try_from(500).unwrap()),
        payment_method: Some(Reference::try_from(method.to_owned()).unwrap()),
        ..RechargeChange::default()
    };
    let recharge = Recharge::changed(None, &change, shop.now()).unwrap();
    let ledger = shop.books.restarted();
    ledger.save_recharge(account, &recharge).await.unwrap().unwrap();
    let ten = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: Credits::try_from(10).unwrap(),
        service: None,
    };
    settle(&ledger, account, ("ten", "ten"), moment(shop.now()), |account, head| {
        consume(account, &ten, head)
    })
    .await
    .unwrap();
    shop.forget_events();
    account
}

async fn one_history(shop: &mut Shop, method: &str, fault: Fault, order: [Then; 3]) {
    let told = format!("{method}, {fault:?}, then {order:?}");
    let account = crossed(shop, method).await;
    shop.strike(fault);
    shop.look(account).await;
    shop.heal();
    for then in order {
        shop.pass(70);
        match then {
            Then::Wake => shop.look(account).await,
            Then::Events => {
                shop.sign_again();
                shop.deliver().await;
            }
            Then::Reconcile => shop.reconcile().await,
        }
    }
    shop.look(account).await;
    shop.come_to_rest().await;
    shop.sign_again();
    shop.deliver().await;
    shop.come_to_rest().await;
    let recharge = shop.books.ledger.recharge(account).await.unwrap().unwrap();
    let taken = shop.taken(account);
    assert_eq!(taken, shop.granted(account).await, "{told}");
    assert_eq!(recharge.state, RechargeState::Ready, "{told}");
    let attempts = shop.company.charges().into_iter().filter(|charge| charge.purchase().account == account);
    if method == "card_declined" {
        assert_eq!((taken.len(), attempts.count()), (0, 3), "{told}");
        assert_eq!(
            (recharge.enabled, recharge.failures, recharge.bought),
            (false, 3, Credits::ZERO),
            "{told}"
        );
    } else {
        assert_eq!((taken.len(), attempts.count()), (1, 1), "{told}");
        assert_eq!((recharge.enabled, recharge.failures, recharge.bought.get()), (true, 0, 500), "{told}");
    }
}

async fn every_fault(method: &str) {
    let mut shop = Shop::open(now()).await;
    let account = crossed(&shop, method).await;
    shop.heal();
    shop.look(account).await;
    let (writes, calls) = shop.steps();
    assert!(writes >= 5 && calls >= 1, "{writes} writes, {calls} calls");
    shop.come_to_rest().await;
    let mut histories = 0;
    for fault in Fault::all(writes, calls) {
        // Each history advances the clock by hours, and must not reach the next month's allowance.
        let mut shop = Shop::open(now()).await;
        for order in ORDERS {
            one_history(&mut shop, method, fault, order).await;
            histories += 1;
        }
    }
    count(&format!("auto-recharge, {method}: {histories} histories"));
    assert_eq!(histories, (writes * 6 + calls * 4) * 6);
}

#[tokio::test]
async fn a_crossing_is_charged_once() {
    every_fault("card_1").await;
}

#[tokio::test]
async fn a_crossing_that_is_charged_in_silence_is_charged_once() {
    every_fault("card_timeout_charged").await;
}

#[tokio::test]
async fn a_card_that_declines_is_tried_three_times() {
    every_fault("card_declined").await;
}

/// A process crashes after it has claimed a crossing and before it asks for the charge. What stops auto-recharge
/// meanwhile stops that charge.
#[tokio::test]
async fn a_charge_that_was_not_asked_for_is_not_made_after_a_stop() {
    for stop in ["nothing", "disputed", "off", "frozen"] {
        let mut shop = Shop::open(now()).await;
        let account = crossed(&shop, "card_1").await;
        let ledger = shop.books.restarted();
        let known = ledger.recharge(account).await.unwrap().unwrap();
        let bought = (Amount::try_from(500).unwrap(), Money::at_most(4_900, Currency::GBP));
        let charging = known.charging(EntryId::new(shop.now(), 7), bought, shop.now());
        let charging = ledger.save_recharge(account, &charging).await.unwrap().unwrap();
        let stopped = match stop {
            "disputed" => charging.with_dispute(),
            "off" => Recharge { enabled: false, ..charging },
            _ => charging,
        };
        ledger.save_recharge(account, &stopped).await.unwrap().unwrap();
        if stop == "frozen" {
            settle(&ledger, account, ("stop", "stop"), moment(shop.now()), |account, head| {
                Ok(set_frozen(account, true, head))
            })
            .await
            .unwrap();
        }
        shop.look(account).await;
        shop.come_to_rest().await;
        let expected = if stop == "nothing" { (1, 500) } else { (0, 0) };
        let recharge = shop.books.ledger.recharge(account).await.unwrap().unwrap();
        assert_eq!((shop.taken(account).len(), recharge.bought.get()), expected, "{stop}");
        assert_eq!(recharge.state, RechargeState::Ready, "{stop}");
    }
}

/// An owner's change broke off, and since then a payment is disputed, or the third one was refused. Sent again, the
/// change is not made.
#[tokio::test]
async fn a_change_that_broke_off_does_not_undo_what_stopped_it_since() {
    for method in ["card_1", "card_declined"] {
        let mut shop = Shop::open(now()).await;
        let account = crossed(&shop, method).await;
        let app = shop.process();
        let key = ClaimKey::Caller(IdempotencyKey::try_from("on".to_owned()).unwrap());
        let thing = Some(Changes::digest("/api/v3/credits/auto-recharge"));
        let changes = Changes { of: ClaimsOf::Account(account), key: Some(key), thing };
        let asked = Fingerprint("on".to_owned());
        let begun = app.ledger.begin(&changes, &asked, app.clock.moment()).await.unwrap();
        let Start::CarryOut(begun) = begun else { panic!("{begun:?}") };
        app.ledger.break_off(&changes, &begun).await.unwrap();
        shop.pass(1);
        if method == "card_1" {
            let (till, dispute) = (app.till(account.mode), DisputeId("dp_1".to_owned()));
            till.pause_recharge_for_dispute(account, &dispute, app.clock.moment()).await.unwrap();
        }
        shop.look(account).await;
        shop.come_to_rest().await;
        let recharge = app.ledger.recharge(account).await.unwrap().unwrap();
        assert_eq!(
            (recharge.enabled, recharge.disputed),
            (method == "card_1", method == "card_1"),
            "{method}"
        );
        let again = app.ledger.begin(&changes, &asked, app.clock.moment()).await.unwrap();
        assert_eq!(again, Start::Overtaken, "{method}");
    }
}
