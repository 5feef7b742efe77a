//! Refunds and disputes of one payment, in any order and whatever crashes: the credits taken belong to the money
//! that is gone, and a refund that an operator orders is never money without credits nor credits without money.

use chrono::{DateTime, Utc};
use domain::{AccountId, EntryId, PurchaseId};
use http::Method;
use scrip_payments::simulated::DisputeAction;
use serde_json::json;
use tests::{Fault, Kind, Shop, count, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A customer who has bought 500 credits for £49, and a fresh history.
async fn customer(shop: &Shop) -> (AccountId, EntryId) {
    shop.heal();
    let (account, key) = shop.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let (status, bought) = shop.buy(&key, &unique(), &body).await;
    assert_eq!(status, 201);
    shop.forget_events();
    (account, EntryId::try_from(bought["data"]["transactionId"].as_str().unwrap().to_owned()).unwrap())
}

/// Purchased credits left, and credits owed.
async fn stands(shop: &Shop, account: AccountId) -> (u64, u64) {
    let state = shop.books.ledger.account(account).await.unwrap().unwrap();
    (state.balance(shop.now()).purchased.get(), state.post_paid.outstanding.get())
}

/// The provider's events come again, in both orders, and days go by.
async fn come_again(shop: &mut Shop) {
    shop.heal();
    for days in [0, 1, 40] {
        shop.books.project().await;
        shop.pass(days * 24 * 3600 + 70);
        shop.sign_again();
        shop.deliver_in(days == 0).await;
        shop.deliver_in(days != 0).await;
    }
    shop.come_to_rest().await;
}

/// What happens at the provider before its events come, and what is left of 500 then.
fn happens(shop: &Shop, bought: EntryId, what: &str) -> u64 {
    let refund = |amount| shop.company.give_back(bought, amount).map(|_| ()).unwrap();
    let dispute = |action, amount| shop.company.dispute_part(bought, action, amount).map(|_| ()).unwrap();
    match what {
        "whole" => refund(None),
        "parts" => [980, 980].into_iter().for_each(|amount| refund(Some(amount))),
        "fails" => shop.company.fail_refunds(bought).map(|_| ()).unwrap(),
        "part, lost" => {
            refund(Some(980));
            dispute(DisputeAction::Open, Some(2450));
            dispute(DisputeAction::Lose, None);
        }
        "won, part" => {
            dispute(DisputeAction::Open, Some(2450));
            dispute(DisputeAction::Win, None);
            refund(Some(980));
        }
        other => panic!("{other}"),
    }
    match what {
        "whole" => 0,
        "parts" => 300,
        "fails" => 500,
        "part, lost" => 150,
        _ => 400,
    }
}

async fn one_history(shop: &mut Shop, what: &str, fault: Option<Fault>, backwards: bool) -> (usize, usize) {
    let told = format!("{what}, {fault:?}, backwards: {backwards}");
    let (account, bought) = customer(shop).await;
    if what == "fails" {
        shop.company.give_back(bought, Some(2450)).unwrap();
        shop.deliver_in(backwards).await;
        assert_eq!(stands(shop, account).await, (250, 0), "{told}");
        shop.forget_events();
    }
    let left = happens(shop, bought, what);
    match fault {
        Some(fault) => shop.strike(fault),
        None => shop.heal(),
    }
    shop.deliver_in(backwards).await;
    let steps = shop.steps();
    come_again(shop).await;
    assert_eq!(stands(shop, account).await, (left, 0), "{told}");
    let rows = shop.books.rows(account, shop.now()).await;
    let taken = rows.iter().filter(|row| row.entry.operation.as_str() == "credit.payment_refund");
    let taken: u64 = taken.map(|row| row.entry.amount.get()).sum();
    let again = rows.iter().filter(|row| row.entry.operation.as_str() == "credit.refund_failed");
    let again: u64 = again.map(|row| row.entry.amount.get()).sum();
    let refunded = match what {
        "whole" => 500,
        "parts" => 200,
        "fails" => 0,
        _ => 100,
    };
    assert_eq!(taken - again, refunded, "{told}");
    steps
}

#[tokio::test]
async fn refunds_and_disputes_take_what_belongs_to_the_money() {
    let mut shop = Shop::open(now()).await;
    let mut histories = 0;
    for what in ["whole", "parts", "fails", "part, lost", "won, part"] {
        for backwards in [false, true] {
            let (writes, calls) = one_history(&mut shop, what, None, backwards).await;
            for fault in Fault::all(writes, calls).into_iter().filter(is_deadly) {
                one_history(&mut shop, what, Some(fault), backwards).await;
                histories += 1;
            }
        }
    }
    count(&format!("refunds and disputes at the provider: {histories} histories"));
}

/// The process dies, or an answer of the provider is lost; what else can befall a write is shown elsewhere.
fn is_deadly(fault: &Fault) -> bool {
    match fault {
        Fault::Write(_, kind) => matches!(kind, Kind::CrashBefore | Kind::CrashAfter),
        Fault::Call(..) => true,
    }
}

/// An operator's refund, hit at every write and every call of the provider; sent again or not; with the provider's
/// own events before or after.
#[tokio::test]
async fn an_operators_refund_is_money_and_credits_or_neither() {
    let mut shop = Shop::open(now()).await;
    let operator = shop.operator().await;
    let (mut histories, mut steps) = (0, None);
    for again in [false, true] {
        let faults = match steps {
            None => vec![None],
            Some((writes, calls)) => Fault::all(writes, calls).into_iter().map(Some).collect(),
        };
        for fault in faults.into_iter().chain([None]) {
            let told = format!("{fault:?}, again: {again}");
            let (account, bought) = customer(&shop).await;
            let path = format!("/admin/v1/organisations/{}/purchases/{bought}/refund", account.org);
            let (name, body) = (unique(), json!({ "amount": 2450, "reason": "Goodwill" }));
            match fault {
                Some(fault) => shop.strike(fault),
                None => shop.heal(),
            }
            let first = shop.call((Method::POST, &path), (&operator, &name), &body).await;
            steps = steps.or(Some(shop.steps()));
            shop.heal();
            if again {
                shop.pass(70);
                let second = shop.call((Method::POST, &path), (&operator, &name), &body).await;
                assert!([201, 202, 409].contains(&second.0), "{told}: {second:?}");
            }
            come_again(&mut shop).await;
            let purchase = shop.books.ledger.purchase(PurchaseId { account, transaction: bought }).await;
            let purchase = purchase.unwrap().unwrap();
            assert!(!purchase.has_open_reversal(), "{told}: {purchase:?}");
            let charge = shop.company.charges().into_iter().find(|charge| charge.transaction == bought);
            let refunded = charge.unwrap().amount_refunded();
            let (left, owed) = stands(&shop, account).await;
            assert_eq!((500 - left, owed), (refunded * 500 / 4900, 0), "{told}");
            assert!([0, 2450].contains(&refunded), "{told}");
            // A client that got an answer, or repeated the request until it did, has the refund.
            if again || [201, 202].contains(&first.0) {
                assert_eq!(refunded, 2450, "{told}: {first:?}");
            }
            histories += 1;
        }
    }
    count(&format!("operators' refunds: {histories} histories"));
}

/// A dispute or a refund whose event never came is found within a day.
#[tokio::test]
async fn what_no_event_told_is_looked_for_once_a_day() {
    let mut shop = Shop::open(now()).await;
    let (account, bought) = customer(&shop).await;
    shop.come_to_rest().await;
    shop.reconcile().await;
    shop.company.give_back(bought, Some(980)).unwrap();
    shop.company.dispute_part(bought, DisputeAction::Open, Some(2450)).unwrap();
    shop.forget_events();
    shop.reconcile().await;
    assert_eq!(stands(&shop, account).await, (500, 0), "it was looked for today");
    shop.pass(24 * 3600);
    shop.reconcile().await;
    assert_eq!(stands(&shop, account).await, (150, 0));
    shop.company.dispute(bought, DisputeAction::Win).unwrap();
    shop.forget_events();
    shop.pass(24 * 3600);
    shop.project().await;
    shop.reconcile().await;
    assert_eq!(stands(&shop, account).await, (400, 0));
}

/// Money is never returned while the same purchase's credits are granted by another process: whoever decides takes
/// the key of the grant first.
#[tokio::test]
async fn a_purchase_that_was_decided_to_have_failed_is_not_granted() {
    let mut shop = Shop::open(now()).await;
    shop.heal();
    let (account, key) = shop.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_timeout_charged" });
    let (status, pending) = shop.buy(&key, &unique(), &body).await;
    assert_eq!(status, 202);
    let transaction =
        EntryId::try_from(pending["data"]["transactionId"].as_str().unwrap().to_owned()).unwrap();
    let id = PurchaseId { account, transaction };
    let purchase = shop.books.ledger.purchase(id).await.unwrap().unwrap();
    shop.decide_failed(&purchase).await;
    shop.pass(70);
    shop.sign_again();
    shop.deliver().await;
    shop.come_to_rest().await;
    assert_eq!(shop.granted(account).await.len(), 0, "another process has heard that it succeeded");
    assert_eq!(shop.taken(account).len(), 0, "and has given the money back");
    assert_eq!(stands(&shop, account).await, (0, 0));
}
