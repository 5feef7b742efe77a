//! Payments that succeeded and grants are one to one, whatever crashes, is lost, comes twice or comes late.

use chrono::{DateTime, Utc};
use domain::{AccountId, PurchaseId, Stage};
use serde_json::{Value, json};
use tests::{Fault, Kind, Shop, count, unique};

/// What comes after the first sending, in some order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    /// The caller sends the same request again.
    Retry,
    /// The provider's events arrive, the latest first.
    Events,
    /// The schedule fires.
    Reconcile,
}

const ORDERS: [[Then; 3]; 6] = {
    use Then::{Events, Reconcile, Retry};
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

/// What is true at the end of every history: nothing is left to do, what was taken was granted and nothing
/// else, and nobody was told otherwise.
async fn is_one_to_one(shop: &mut Shop, account: AccountId, answers: &[(u16, Value)], told: &str) -> usize {
    shop.come_to_rest().await;
    let taken = shop.taken(account);
    assert_eq!(taken, shop.granted(account).await, "{told}");
    for (status, body) in answers {
        match status {
            201 => {
                assert!(taken.contains_key(body["data"]["transactionId"].as_str().unwrap()), "{told}: {body}")
            }
            402 => assert_eq!(taken.len(), 0, "{told}: {body}"),
            202 | 409 | 503 => (),
            other => panic!("{told}: {other} {body}"),
        }
    }
    for charge in shop.company.charges().into_iter().filter(|charge| charge.purchase().account == account) {
        let id: PurchaseId = charge.purchase();
        let purchase = shop.books.ledger.purchase(id).await.unwrap().unwrap();
        assert!(!matches!(purchase.stage, Stage::Pending(_)), "{told}: {purchase:?}");
        let is_granted = taken.contains_key(&id.transaction.to_string());
        assert_eq!(matches!(purchase.stage, Stage::Approved(_)), is_granted, "{told}");
    }
    let balance = shop.books.ledger.account(account).await.unwrap().unwrap().balance(shop.now());
    assert_eq!(balance.purchased.get(), 500 * u64::try_from(taken.len()).unwrap(), "{told}");
    taken.len()
}

async fn one_history(shop: &mut Shop, method: &str, faults: &[Fault], order: [Then; 3]) -> usize {
    let told = format!("{method}, {faults:?}, then {order:?}");
    let (account, key) = shop.customer(0).await;
    shop.forget_events();
    let (name, body) = (unique(), starter(method));
    let mut faults = faults.iter();
    let mut next_fault = |shop: &Shop| match faults.next() {
        Some(fault) => shop.strike(*fault),
        None => shop.heal(),
    };
    next_fault(shop);
    let mut answers = vec![shop.buy(&key, &name, &body).await];
    if method == "card_authentication"
        && let Some(charge) =
            shop.company.charges().iter().find(|charge| charge.purchase().account == account)
    {
        shop.company.authenticate(charge.transaction).unwrap();
    }
    for then in order {
        next_fault(shop);
        // Leases have ended and scheduled jobs are due.
        shop.pass(70);
        match then {
            Then::Retry => answers.push(shop.buy(&key, &name, &body).await),
            Then::Events => {
                shop.sign_again();
                shop.deliver().await;
            }
            Then::Reconcile => shop.reconcile().await,
        }
    }
    // Every event is delivered once more at the very end.
    shop.come_to_rest().await;
    shop.sign_again();
    shop.deliver().await;
    answers.push(shop.buy(&key, &name, &body).await);
    assert!([201, 202, 402].contains(&answers.last().unwrap().0), "{told}: {:?}", answers.last());
    is_one_to_one(shop, account, &answers, &told).await
}

/// How many writes and how many calls of the provider one sending makes.
async fn steps(shop: &mut Shop, method: &str) -> (usize, usize) {
    let (_, key) = shop.customer(0).await;
    shop.heal();
    shop.buy(&key, &unique(), &starter(method)).await;
    let steps = shop.steps();
    shop.come_to_rest().await;
    steps
}

/// Every write and every call of the provider in one purchase goes wrong in every way; then retry, the
/// provider's events and reconcile in every order.
async fn every_fault(method: &str) {
    let mut shop = Shop::open(now()).await;
    let (writes, calls) = steps(&mut shop, method).await;
    assert!(writes >= 4 && calls == 1, "{method}: {writes} writes, {calls} calls");
    let (mut histories, mut payments) = (0, 0);
    for fault in Fault::all(writes, calls) {
        for order in ORDERS {
            payments += one_history(&mut shop, method, &[fault], order).await;
            histories += 1;
        }
    }
    count(&format!("{method}: {histories} histories, {payments} payments, {payments} grants"));
    assert_eq!(histories, (writes * 6 + calls * 4) * 6);
}

#[tokio::test]
async fn a_payment_that_succeeds_is_granted_once() {
    every_fault("card_1").await;
}

#[tokio::test]
async fn a_payment_that_is_declined_grants_nothing() {
    every_fault("card_declined").await;
}

#[tokio::test]
async fn a_payment_that_was_charged_in_silence_is_granted_once() {
    every_fault("card_timeout_charged").await;
}

#[tokio::test]
async fn a_payment_that_was_not_charged_in_silence_grants_nothing() {
    every_fault("card_timeout_uncharged").await;
}

#[tokio::test]
async fn a_payment_that_is_authenticated_is_granted_once() {
    every_fault("card_authentication").await;
}

/// The first sending is hit, and what comes next is hit too.
#[tokio::test]
async fn two_faults_in_a_row_are_no_worse() {
    let mut shop = Shop::open(now()).await;
    let (writes, _) = steps(&mut shop, "card_1").await;
    let deadly = |fault: &Fault| match fault {
        Fault::Write(_, kind) => matches!(kind, Kind::CrashBefore | Kind::CrashAfter),
        Fault::Call(..) => true,
    };
    let faults: Vec<_> = Fault::all(writes, 1).into_iter().filter(deadly).collect();
    let (mut histories, mut payments) = (0, 0);
    for (number, first) in faults.iter().enumerate() {
        for (other, second) in faults.iter().enumerate() {
            let order = ORDERS[(number + other) % ORDERS.len()];
            payments += one_history(&mut shop, "card_1", &[*first, *second], order).await;
            histories += 1;
        }
    }
    count(&format!("pairs: {histories} histories, {payments} payments, {payments} grants"));
    assert_eq!(histories, faults.len() * faults.len());
}

/// An event that is six minutes old, or was touched, is refused and changes nothing; sent again, signed at
/// its own time, the very same event is believed.
#[tokio::test]
async fn an_old_or_forged_event_changes_nothing() {
    let mut shop = Shop::open(now()).await;
    shop.heal();
    let (account, key) = shop.customer(0).await;
    let name = unique();
    let (status, _) = shop.buy(&key, &name, &starter("card_authentication")).await;
    assert_eq!(status, 202);
    shop.forget_events();
    let charge = shop.company.charges().remove(0);
    shop.company.authenticate(charge.transaction).unwrap();
    shop.pass(360);
    let before = shop.books.ledger.account(account).await.unwrap();
    assert_eq!(shop.deliver_in(false).await, [400]);
    assert_eq!(shop.books.ledger.account(account).await.unwrap(), before);
    shop.sign_again();
    shop.forge("\"amount\":4900", "\"amount\":4901");
    assert_eq!(shop.deliver_in(false).await, [400]);
    assert_eq!(shop.books.ledger.account(account).await.unwrap(), before);
    assert_eq!(shop.granted(account).await.len(), 0);
    shop.forge("\"amount\":4901", "\"amount\":4900");
    assert_eq!(shop.deliver_in(false).await, [200]);
    assert_eq!(shop.taken(account), shop.granted(account).await);
    assert_eq!(shop.granted(account).await.len(), 1);
    shop.come_to_rest().await;
}
