//! Auto-recharge charges once when the balance crosses the threshold, whatever crashes or is lost.

use chrono::{DateTime, Utc};
use domain::{
    AccountId, Amount, AutoRecharge, AutoRechargeState, AutoRechargeUpdate, ClaimKey, Consume, Credits,
    Currency, EntryId, Fingerprint, IdempotencyKey, Money, Operation, Reference, consume, set_frozen,
};
use scrip_payments::DisputeId;
use store::{ChangeRequest, ChangeStart, ClaimsOf};
use tests::{FaultAt, TestProcess, count, keyed, moment, settle, ways_in_turn};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// What happens after the first run of auto-recharge, in some order.
#[derive(Clone, Copy, Debug)]
enum RechargeStep {
    /// The queue delivers the recharge request again.
    Wake,
    /// The provider's events arrive, newest first.
    Events,
    /// The scheduled `reconcile` runs.
    Reconcile,
}

const ORDERS: [[RechargeStep; 3]; 6] = {
    use RechargeStep::{Events, Reconcile, Wake};
    [
        [Wake, Events, Reconcile],
        [Wake, Reconcile, Events],
        [Events, Wake, Reconcile],
        [Events, Reconcile, Wake],
        [Reconcile, Wake, Events],
        [Reconcile, Events, Wake],
    ]
};

/// A customer with the seed's auto-recharge settings and 95 credits left.
pub(super) async fn crossed(process: &TestProcess, method: &str) -> AccountId {
    process.clear_faults();
    let (account, _) = process.customer(105).await;
    let change = AutoRechargeUpdate {
        enabled: Some(true),
        threshold: Some(Credits::try_from(100).unwrap()),
        amount: Some(Amount::try_from(500).unwrap()),
        payment_method: Some(Reference::try_from(method.to_owned()).unwrap()),
        ..AutoRechargeUpdate::default()
    };
    let recharge = AutoRecharge::changed(None, &change, process.now()).unwrap();
    let ledger = process.fixture.restarted();
    ledger.save_recharge(account, &recharge).await.unwrap().unwrap();
    let ten = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: Credits::try_from(10).unwrap(),
        service: None,
    };
    settle(&ledger, account, keyed("ten", "ten"), moment(process.now()), |account, attempt| {
        consume(account, &ten, attempt)
    })
    .await
    .unwrap();
    process.forget_events();
    account
}

async fn one_history(process: &mut TestProcess, method: &str, fault: FaultAt, order: [RechargeStep; 3]) {
    let case = format!("{method}, {fault:?}, then {order:?}");
    let account = crossed(process, method).await;
    process.inject(fault);
    process.run_recharge(account).await;
    process.clear_faults();
    for then in order {
        process.pass(70);
        match then {
            RechargeStep::Wake => process.run_recharge(account).await,
            RechargeStep::Events => {
                process.sign_again();
                process.deliver().await;
            }
            RechargeStep::Reconcile => process.reconcile().await,
        }
    }
    process.run_recharge(account).await;
    process.run_until_idle().await;
    process.sign_again();
    process.deliver().await;
    process.run_until_idle().await;
    let recharge = process.fixture.ledger.recharge(account).await.unwrap().unwrap();
    let taken = process.taken(account);
    assert_eq!(taken, process.granted(account).await, "{case}");
    assert_eq!(recharge.state, AutoRechargeState::Ready, "{case}");
    let attempts =
        process.provider.charges().into_iter().filter(|charge| charge.purchase().account == account);
    if method == "card_declined" {
        assert_eq!((taken.len(), attempts.count()), (0, 3), "{case}");
        assert_eq!(
            (recharge.enabled, recharge.failures, recharge.bought),
            (false, 3, Credits::ZERO),
            "{case}"
        );
    } else {
        assert_eq!((taken.len(), attempts.count()), (1, 1), "{case}");
        assert_eq!((recharge.enabled, recharge.failures, recharge.bought.get()), (true, 0, 500), "{case}");
    }
}

async fn every_fault(method: &str) {
    let mut process = TestProcess::open(now()).await;
    let account = crossed(&process, method).await;
    process.clear_faults();
    process.run_recharge(account).await;
    let (writes, calls) = process.steps();
    assert!(writes >= 5 && calls >= 1, "{writes} writes, {calls} calls");
    process.run_until_idle().await;
    let mut histories = 0;
    for (number, fault) in FaultAt::all(writes, calls).into_iter().enumerate() {
        // Each history advances the clock by hours, and must not reach the next month's allowance.
        let mut process = TestProcess::open(now()).await;
        for order in ways_in_turn(&ORDERS, 2, number) {
            one_history(&mut process, method, fault, order).await;
            histories += 1;
        }
    }
    count(&format!("auto-recharge, {method}: {histories} histories"));
    assert!(histories >= (writes * 6 + calls * 4) * 2);
}

#[tokio::test]
async fn a_crossing_is_charged_once() {
    every_fault("card_1").await;
}

#[tokio::test]
async fn a_crossing_whose_charge_gets_no_answer_is_charged_once() {
    every_fault("card_timeout_charged").await;
}

#[tokio::test]
async fn a_card_that_declines_is_tried_three_times() {
    every_fault("card_declined").await;
}

/// A process crashes between claiming a crossing and requesting the charge. What stops auto-recharge meanwhile
/// stops that charge.
#[tokio::test]
async fn an_unrequested_charge_is_not_made_after_a_stop() {
    for stop in ["nothing", "disputed", "off", "frozen"] {
        let mut process = TestProcess::open(now()).await;
        let account = crossed(&process, "card_1").await;
        let ledger = process.fixture.restarted();
        let known = ledger.recharge(account).await.unwrap().unwrap();
        let (credits, price) = (Amount::try_from(500).unwrap(), Money::at_most(4_900, Currency::GBP));
        let charging = known.charging(EntryId::new(process.now(), 7), credits, price, process.now());
        let charging = ledger.save_recharge(account, &charging).await.unwrap().unwrap();
        let stopped = match stop {
            "disputed" => charging.with_dispute(),
            "off" => AutoRecharge { enabled: false, ..charging },
            _ => charging,
        };
        ledger.save_recharge(account, &stopped).await.unwrap().unwrap();
        if stop == "frozen" {
            settle(&ledger, account, keyed("stop", "stop"), moment(process.now()), |account, attempt| {
                Ok(set_frozen(account, true, attempt))
            })
            .await
            .unwrap();
        }
        process.run_recharge(account).await;
        process.run_until_idle().await;
        let expected = if stop == "nothing" { (1, 500) } else { (0, 0) };
        let recharge = process.fixture.ledger.recharge(account).await.unwrap().unwrap();
        assert_eq!((process.taken(account).len(), recharge.bought.get()), expected, "{stop}");
        assert_eq!(recharge.state, AutoRechargeState::Ready, "{stop}");
    }
}

/// An owner's change of settings was interrupted, and then a payment was disputed or failed for the third time. The
/// repeated change is not made.
#[tokio::test]
async fn an_interrupted_change_does_not_undo_a_later_pause() {
    for method in ["card_1", "card_declined"] {
        let mut process = TestProcess::open(now()).await;
        let account = crossed(&process, method).await;
        let app = process.start();
        let key = ClaimKey::Caller(IdempotencyKey::try_from("on".to_owned()).unwrap());
        let thing = Some(ChangeRequest::digest("/api/v3/credits/auto-recharge"));
        let changes = ChangeRequest { of: ClaimsOf::Account(account), key: Some(key), thing };
        let asked = Fingerprint("on".to_owned());
        let begun = app.ledger.begin_change(&changes, &asked, app.clock.moment()).await.unwrap();
        let ChangeStart::CarryOut(begun) = begun else { panic!("{begun:?}") };
        app.ledger.save_failure(&changes, &begun).await.unwrap();
        process.pass(1);
        if method == "card_1" {
            let (checkout, dispute) = (app.checkout(account.mode), DisputeId("dp_1".to_owned()));
            checkout.pause_recharge_for_dispute(account, &dispute, app.clock.moment()).await.unwrap();
        }
        process.run_recharge(account).await;
        process.run_until_idle().await;
        let recharge = app.ledger.recharge(account).await.unwrap().unwrap();
        assert_eq!(
            (recharge.enabled, recharge.disputed),
            (method == "card_1", method == "card_1"),
            "{method}"
        );
        let again = app.ledger.begin_change(&changes, &asked, app.clock.moment()).await.unwrap();
        assert_eq!(again, ChangeStart::Overtaken, "{method}");
    }
}
