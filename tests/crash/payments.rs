//! Successful payments and grants match one to one, whatever crashes, is lost, repeated or late.

use chrono::{DateTime, Utc};
use domain::{AccountId, PurchaseId, PurchaseStatus};
use serde_json::{Value, json};
use tests::{FaultAt, TestProcess, WriteFault, count, runs_in_turn, unique, ways_in_turn};

/// What happens after the first request, in some order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PaymentStep {
    /// The caller repeats the request.
    Retry,
    /// The provider's events arrive, newest first.
    Events,
    /// The scheduled `reconcile` runs.
    Reconcile,
}

const ORDERS: [[PaymentStep; 3]; 6] = {
    use PaymentStep::{Events, Reconcile, Retry};
    [
        [Retry, Events, Reconcile],
        [Retry, Reconcile, Events],
        [Events, Retry, Reconcile],
        [Events, Reconcile, Retry],
        [Reconcile, Retry, Events],
        [Reconcile, Events, Retry],
    ]
};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn starter(method: &str) -> Value {
    json!({ "package": "starter", "paymentMethod": method })
}

/// Checks the end of every history: no work is left, every payment was granted and nothing else was, and every
/// answer agrees.
pub(super) async fn is_one_to_one(
    process: &mut TestProcess,
    account: AccountId,
    answers: &[(u16, Value)],
    case: &str,
) -> usize {
    process.run_until_idle().await;
    let taken = process.taken(account);
    assert_eq!(taken, process.granted(account).await, "{case}");
    for (status, body) in answers {
        match status {
            201 => {
                assert!(taken.contains_key(body["data"]["transactionId"].as_str().unwrap()), "{case}: {body}")
            }
            402 => assert_eq!(taken.len(), 0, "{case}: {body}"),
            202 | 409 | 503 => (),
            other => panic!("{case}: {other} {body}"),
        }
    }
    for charge in process.provider.charges().into_iter().filter(|charge| charge.purchase().account == account)
    {
        let id: PurchaseId = charge.purchase();
        let purchase = process.fixture.ledger.purchase(id).await.unwrap().unwrap();
        assert!(!matches!(purchase.status, PurchaseStatus::Pending(_)), "{case}: {purchase:?}");
        let is_granted = taken.contains_key(&id.transaction.to_string());
        assert_eq!(matches!(purchase.status, PurchaseStatus::Approved(_)), is_granted, "{case}");
    }
    let balance = process.fixture.ledger.account(account).await.unwrap().unwrap().balance(process.now());
    assert_eq!(balance.purchased.get(), 500 * u64::try_from(taken.len()).unwrap(), "{case}");
    taken.len()
}

async fn one_history(
    process: &mut TestProcess,
    method: &str,
    faults: &[FaultAt],
    order: [PaymentStep; 3],
) -> usize {
    let case = format!("{method}, {faults:?}, then {order:?}");
    let (account, key) = process.customer(0).await;
    process.forget_events();
    let (name, body) = (unique(), starter(method));
    let mut faults = faults.iter();
    let mut next_fault = |process: &TestProcess| match faults.next() {
        Some(fault) => process.inject(*fault),
        None => process.clear_faults(),
    };
    next_fault(process);
    let mut answers = vec![process.buy(&key, &name, &body).await];
    if method == "card_authentication"
        && let Some(charge) =
            process.provider.charges().iter().find(|charge| charge.purchase().account == account)
    {
        process.provider.authenticate(charge.transaction).unwrap();
    }
    for then in order {
        next_fault(process);
        // Leases have ended and scheduled jobs are due.
        process.pass(70);
        match then {
            PaymentStep::Retry => answers.push(process.buy(&key, &name, &body).await),
            PaymentStep::Events => {
                process.sign_again();
                process.deliver().await;
            }
            PaymentStep::Reconcile => process.reconcile().await,
        }
    }
    // Every event is delivered once more at the very end.
    process.run_until_idle().await;
    process.sign_again();
    process.deliver().await;
    answers.push(process.buy(&key, &name, &body).await);
    assert!([201, 202, 402].contains(&answers.last().unwrap().0), "{case}: {:?}", answers.last());
    is_one_to_one(process, account, &answers, &case).await
}

/// The numbers of writes and provider calls of one purchase.
async fn steps(process: &mut TestProcess, method: &str) -> (usize, usize) {
    let (_, key) = process.customer(0).await;
    process.clear_faults();
    process.buy(&key, &unique(), &starter(method)).await;
    let steps = process.steps();
    process.run_until_idle().await;
    steps
}

/// Every write and every provider call of one purchase fails in every way; then retry, the provider's events and
/// reconcile in every order.
async fn every_fault(method: &str) {
    let mut process = TestProcess::open(now()).await;
    let (writes, calls) = steps(&mut process, method).await;
    assert!(writes >= 4 && calls == 1, "{method}: {writes} writes, {calls} calls");
    let (mut histories, mut payments) = (0, 0);
    for (number, fault) in FaultAt::all(writes, calls).into_iter().enumerate() {
        for order in ways_in_turn(&ORDERS, 2, number) {
            payments += one_history(&mut process, method, &[fault], order).await;
            histories += 1;
        }
    }
    count(&format!("{method}: {histories} histories, {payments} payments, {payments} grants"));
    assert!(histories >= (writes * 6 + calls * 4) * 2);
}

#[tokio::test]
async fn a_payment_that_succeeds_is_granted_once() {
    every_fault("card_1").await;
}

#[tokio::test]
async fn a_declined_payment_grants_nothing() {
    every_fault("card_declined").await;
}

#[tokio::test]
async fn a_charge_without_an_answer_is_granted_once() {
    every_fault("card_timeout_charged").await;
}

#[tokio::test]
async fn a_failed_charge_without_an_answer_grants_nothing() {
    every_fault("card_timeout_uncharged").await;
}

#[tokio::test]
async fn a_payment_that_is_authenticated_is_granted_once() {
    every_fault("card_authentication").await;
}

/// The first request fails, and what follows it fails too.
#[tokio::test]
async fn two_faults_in_a_row_are_handled() {
    let mut process = TestProcess::open(now()).await;
    let (writes, _) = steps(&mut process, "card_1").await;
    let deadly = |fault: &FaultAt| match fault {
        FaultAt::Write(_, kind) => matches!(kind, WriteFault::CrashBefore | WriteFault::CrashAfter),
        FaultAt::Call(..) => true,
    };
    let faults: Vec<_> = FaultAt::all(writes, 1).into_iter().filter(deadly).collect();
    let (mut histories, mut payments) = (0, 0);
    for (number, first) in faults.iter().enumerate() {
        for (other, second) in faults.iter().enumerate() {
            if !runs_in_turn(number + other + number / 2) {
                continue;
            }
            let order = ORDERS[(number + other / 2) % ORDERS.len()];
            payments += one_history(&mut process, "card_1", &[*first, *second], order).await;
            histories += 1;
        }
    }
    count(&format!("pairs: {histories} histories, {payments} payments, {payments} grants"));
    assert!(histories >= faults.len() * faults.len() / 2);
}

/// An event that is six minutes old, or was changed, is refused and changes nothing; the same event, signed again
/// at the current time, is accepted.
#[tokio::test]
async fn an_old_or_forged_event_changes_nothing() {
    let mut process = TestProcess::open(now()).await;
    process.clear_faults();
    let (account, key) = process.customer(0).await;
    let name = unique();
    let (status, _) = process.buy(&key, &name, &starter("card_authentication")).await;
    assert_eq!(status, 202);
    process.forget_events();
    let charge = process.provider.charges().remove(0);
    process.provider.authenticate(charge.transaction).unwrap();
    process.pass(360);
    let before = process.fixture.ledger.account(account).await.unwrap();
    assert_eq!(process.deliver_in(false).await, [400]);
    assert_eq!(process.fixture.ledger.account(account).await.unwrap(), before);
    process.sign_again();
    process.forge("\"amount\":4900", "\"amount\":4901");
    assert_eq!(process.deliver_in(false).await, [400]);
    assert_eq!(process.fixture.ledger.account(account).await.unwrap(), before);
    assert_eq!(process.granted(account).await.len(), 0);
    process.forge("\"amount\":4901", "\"amount\":4900");
    assert_eq!(process.deliver_in(false).await, [200]);
    assert_eq!(process.taken(account), process.granted(account).await);
    assert_eq!(process.granted(account).await.len(), 1);
    process.run_until_idle().await;
}
