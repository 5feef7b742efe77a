//! Refunds and disputes of one payment, in any order and whatever crashes: the credits that are taken match the
//! money that was returned, and an operator's refund moves both or neither.

use chrono::{DateTime, Utc};
use domain::{AccountId, EntryId, PurchaseId};
use http::Method;
use scrip_payments::simulated::DisputeAction;
use serde_json::json;
use tests::{ApiRequest, FaultAt, TestProcess, WriteFault, count, unique, ways_in_turn};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A customer who has bought 500 credits for £49, with all events delivered.
async fn customer(process: &TestProcess) -> (AccountId, EntryId) {
    process.clear_faults();
    let (account, key) = process.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let (status, bought) = process.buy(&key, &unique(), &body).await;
    assert_eq!(status, 201);
    process.forget_events();
    (account, EntryId::try_from(bought["data"]["transactionId"].as_str().unwrap().to_owned()).unwrap())
}

/// Purchased credits left, and credits owed.
async fn left_and_owed(process: &TestProcess, account: AccountId) -> (u64, u64) {
    let state = process.fixture.ledger.account(account).await.unwrap().unwrap();
    (state.balance(process.now()).purchased.get(), state.post_paid.outstanding.get())
}

/// Delivers the provider's events again, in both orders, and advances the clock by days.
async fn deliver_again(process: &mut TestProcess) {
    process.clear_faults();
    for days in [0, 1, 40] {
        process.fixture.project().await;
        process.pass(days * 24 * 3600 + 70);
        process.sign_again();
        process.deliver_in(days == 0).await;
        process.deliver_in(days != 0).await;
    }
    process.run_until_idle().await;
}

/// Something happens at the provider before its events arrive; returns what must be left of 500.
fn occur(process: &TestProcess, bought: EntryId, what: &str) -> u64 {
    let refund = |amount| process.provider.refund_amount(bought, amount).map(|_| ()).unwrap();
    let dispute = |action, amount| process.provider.dispute_part(bought, action, amount).map(|_| ()).unwrap();
    match what {
        "whole" => refund(None),
        "parts" => [980, 980].into_iter().for_each(|amount| refund(Some(amount))),
        "fails" => process.provider.fail_refunds(bought).map(|_| ()).unwrap(),
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

async fn one_history(
    process: &mut TestProcess,
    what: &str,
    fault: Option<FaultAt>,
    backwards: bool,
) -> (usize, usize) {
    let case = format!("{what}, {fault:?}, backwards: {backwards}");
    let (account, bought) = customer(process).await;
    if what == "fails" {
        process.provider.refund_amount(bought, Some(2450)).unwrap();
        process.deliver_in(backwards).await;
        assert_eq!(left_and_owed(process, account).await, (250, 0), "{case}");
        process.forget_events();
    }
    let left = occur(process, bought, what);
    match fault {
        Some(fault) => process.inject(fault),
        None => process.clear_faults(),
    }
    process.deliver_in(backwards).await;
    let steps = process.steps();
    deliver_again(process).await;
    assert_eq!(left_and_owed(process, account).await, (left, 0), "{case}");
    let rows = process.fixture.rows(account, process.now()).await;
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
    assert_eq!(taken - again, refunded, "{case}");
    steps
}

#[tokio::test]
async fn refunds_and_disputes_take_the_credits_of_the_money() {
    let mut process = TestProcess::open(now()).await;
    let mut histories = 0;
    for what in ["whole", "parts", "fails", "part, lost", "won, part"] {
        for backwards in [false, true] {
            let (writes, calls) = one_history(&mut process, what, None, backwards).await;
            for (number, fault) in FaultAt::all(writes, calls).into_iter().filter(is_deadly).enumerate() {
                if ways_in_turn(&[false, true], 1, number).contains(&backwards) {
                    one_history(&mut process, what, Some(fault), backwards).await;
                    histories += 1;
                }
            }
        }
    }
    count(&format!("refunds and disputes at the provider: {histories} histories"));
}

/// A crash, or a lost answer of the provider. Other faults of writes are tested elsewhere.
fn is_deadly(fault: &FaultAt) -> bool {
    match fault {
        FaultAt::Write(_, kind) => matches!(kind, WriteFault::CrashBefore | WriteFault::CrashAfter),
        FaultAt::Call(..) => true,
    }
}

/// An operator's refund fails at every write and every provider call; repeated or not; with the provider's events
/// before or after.
#[tokio::test]
async fn an_operators_refund_moves_money_and_credits_or_neither() {
    let mut process = TestProcess::open(now()).await;
    let operator = process.operator().await;
    let (mut histories, mut steps) = (0, None);
    for again in [false, true] {
        let faults = match steps {
            None => vec![None],
            Some((writes, calls)) => FaultAt::all(writes, calls).into_iter().map(Some).collect(),
        };
        for fault in faults.into_iter().chain([None]) {
            let case = format!("{fault:?}, again: {again}");
            let (account, bought) = customer(&process).await;
            let path = format!("/admin/v1/organisations/{}/purchases/{bought}/refund", account.org);
            let (name, body) = (unique(), json!({ "amount": 2450, "reason": "Goodwill" }));
            match fault {
                Some(fault) => process.inject(fault),
                None => process.clear_faults(),
            }
            let first =
                process.call(&ApiRequest::new(Method::POST, &path, &operator).under(&name).with(&body)).await;
            steps = steps.or(Some(process.steps()));
            process.clear_faults();
            if again {
                process.pass(70);
                let second = process
                    .call(&ApiRequest::new(Method::POST, &path, &operator).under(&name).with(&body))
                    .await;
                assert!([201, 202, 409].contains(&second.0), "{case}: {second:?}");
            }
            deliver_again(&mut process).await;
            let purchase = process.fixture.ledger.purchase(PurchaseId { account, transaction: bought }).await;
            let purchase = purchase.unwrap().unwrap();
            assert!(!purchase.has_open_reversal(), "{case}: {purchase:?}");
            let charge = process.provider.charges().into_iter().find(|charge| charge.transaction == bought);
            let refunded = charge.unwrap().amount_refunded();
            let (left, owed) = left_and_owed(&process, account).await;
            assert_eq!((500 - left, owed), (refunded * 500 / 4900, 0), "{case}");
            assert!([0, 2450].contains(&refunded), "{case}");
            // A client that got an answer, or repeated the request until it did, has the refund.
            if again || [201, 202].contains(&first.0) {
                assert_eq!(refunded, 2450, "{case}: {first:?}");
            }
            histories += 1;
        }
    }
    count(&format!("operators' refunds: {histories} histories"));
}

/// A dispute or refund whose event never arrived is found within a day.
#[tokio::test]
async fn missing_events_are_found_within_a_day() {
    let mut process = TestProcess::open(now()).await;
    let (account, bought) = customer(&process).await;
    process.run_until_idle().await;
    process.reconcile().await;
    process.provider.refund_amount(bought, Some(980)).unwrap();
    process.provider.dispute_part(bought, DisputeAction::Open, Some(2450)).unwrap();
    process.forget_events();
    process.reconcile().await;
    assert_eq!(left_and_owed(&process, account).await, (500, 0), "the provider was asked today already");
    process.pass(24 * 3600);
    process.reconcile().await;
    assert_eq!(left_and_owed(&process, account).await, (150, 0));
    process.provider.dispute(bought, DisputeAction::Win).unwrap();
    process.forget_events();
    process.pass(24 * 3600);
    process.project().await;
    process.reconcile().await;
    assert_eq!(left_and_owed(&process, account).await, (400, 0));
}

/// Money is never returned while another process grants the same purchase's credits: the decision takes the key of
/// the grant first.
#[tokio::test]
async fn a_purchase_that_was_decided_to_have_failed_is_not_granted() {
    let mut process = TestProcess::open(now()).await;
    process.clear_faults();
    let (account, key) = process.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_timeout_charged" });
    let (status, pending) = process.buy(&key, &unique(), &body).await;
    assert_eq!(status, 202);
    let transaction =
        EntryId::try_from(pending["data"]["transactionId"].as_str().unwrap().to_owned()).unwrap();
    let id = PurchaseId { account, transaction };
    let purchase = process.fixture.ledger.purchase(id).await.unwrap().unwrap();
    process.decide_failed(&purchase).await;
    process.pass(70);
    process.sign_again();
    process.deliver().await;
    process.run_until_idle().await;
    assert_eq!(
        process.granted(account).await.len(),
        0,
        "another process got the event that the payment succeeded"
    );
    assert_eq!(process.taken(account).len(), 0, "the money was refunded");
    assert_eq!(left_and_owed(&process, account).await, (0, 0));
}
