//! A dispute moves credits once, in whatever order its events arrive and whatever crashes meanwhile.

use chrono::{DateTime, Utc};
use domain::{AccountId, Consume, Credits, EntryId, Mode, Operation, consume};
use scrip_payments::simulated::DisputeAction;
use scrip_payments::{DisputeId, DisputeOutcome, ProviderDispute};
use serde_json::json;
use tests::{FaultAt, TestProcess, count, keyed, moment, settle, unique, ways_in_turn};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A customer who has bought 500 credits and spent 100 of them.
async fn customer(process: &TestProcess) -> (AccountId, EntryId) {
    process.clear_faults();
    let (account, key) = process.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let (status, bought) = process.buy(&key, &unique(), &body).await;
    assert_eq!(status, 201);
    let bought = bought["data"]["transactionId"].as_str().unwrap().to_owned();
    let request = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: Credits::try_from(100).unwrap(),
        service: None,
    };
    let ledger = process.fixture.restarted();
    settle(&ledger, account, keyed("c", "c"), moment(process.now()), |account, attempt| {
        consume(account, &request, attempt)
    })
    .await
    .unwrap();
    process.forget_events();
    (account, EntryId::try_from(bought).unwrap())
}

async fn one_history(
    process: &mut TestProcess,
    outcome: DisputeAction,
    fault: Option<FaultAt>,
    backwards: bool,
) -> usize {
    let case = format!("{outcome:?}, {fault:?}, backwards: {backwards}");
    let (account, bought) = customer(process).await;
    process.provider.dispute(bought, DisputeAction::Open).unwrap();
    process.provider.dispute(bought, outcome).unwrap();
    if let Some(fault) = fault {
        process.inject(fault);
    }
    process.deliver_in(backwards).await;
    let (writes, _) = process.steps();
    process.clear_faults();
    for days in [0, 1, 40] {
        process.fixture.project().await;
        process.pass(days * 24 * 3600 + 70);
        process.sign_again();
        process.deliver_in(!backwards).await;
        process.deliver_in(backwards).await;
    }
    process.run_until_idle().await;
    let state = process.fixture.ledger.account(account).await.unwrap().unwrap();
    let balance = state.balance(process.now());
    let expected = if matches!(outcome, DisputeAction::Win) { (400, 0) } else { (0, 100) };
    assert_eq!((balance.purchased.get(), state.post_paid.outstanding.get()), expected, "{case}");
    let rows = process.fixture.rows(account, process.now()).await;
    let disputes = rows.iter().filter(|row| row.entry.operation.as_str().starts_with("credit.dispute"));
    assert_eq!(disputes.count(), 2, "{case}");
    writes
}

#[tokio::test]
async fn a_dispute_moves_credits_once() {
    let mut process = TestProcess::open(now()).await;
    let mut histories = 0;
    for outcome in [DisputeAction::Win, DisputeAction::Lose] {
        let mut writes = 0;
        for backwards in [false, true] {
            writes = one_history(&mut process, outcome, None, backwards).await.max(writes);
            assert!(writes >= 8, "{writes}");
        }
        for (number, fault) in FaultAt::all(writes, 2).into_iter().enumerate() {
            for backwards in ways_in_turn(&[false, true], 1, number) {
                one_history(&mut process, outcome, Some(fault), backwards).await;
                histories += 1;
            }
        }
    }
    count(&format!("disputes: {histories} histories"));
}

/// Two disputes about one payment, with a crash at any write of the first: the purchase is taken back or owed once,
/// by one of them.
#[tokio::test]
async fn two_disputes_about_one_payment_count_once() {
    let mut process = TestProcess::open(now()).await;
    let mut histories = 0;
    for second_first in [false, true] {
        for fault in std::iter::once(None).chain(FaultAt::all(6, 1).into_iter().map(Some)) {
            let case = format!("{fault:?}, {second_first}");
            let (account, bought) = customer(&process).await;
            let charge =
                process.provider.charges().into_iter().find(|charge| charge.transaction == bought).unwrap();
            let purchase = process.fixture.ledger.purchase(charge.purchase()).await.unwrap().unwrap();
            let payment = purchase.payment.unwrap();
            let [one, other] = ["dp_one", "dp_other"].map(|name| ProviderDispute {
                dispute: DisputeId(format!("{name}_{}", bought.bare())),
                payment: payment.clone(),
                amount: None,
            });
            let open = async |process: &TestProcess, dispute: &ProviderDispute| {
                let app = process.start();
                app.checkout(Mode::Live).dispute_opened(dispute, app.clock.moment()).await.ok();
            };
            let lose = async |process: &TestProcess, dispute: &ProviderDispute| {
                let app = process.start();
                let checkout = app.checkout(Mode::Live);
                checkout.dispute_closed(dispute, DisputeOutcome::Lost, app.clock.moment()).await.ok();
            };
            if let Some(fault) = fault {
                process.inject(fault);
            }
            open(&process, &one).await;
            process.clear_faults();
            open(&process, &other).await;
            process.fixture.project().await;
            process.pass(10);
            let order = if second_first { [&other, &one] } else { [&one, &other] };
            for dispute in order.into_iter().chain(order) {
                open(&process, dispute).await;
                lose(&process, dispute).await;
                process.fixture.project().await;
                process.pass(10);
            }
            let state = process.fixture.ledger.account(account).await.unwrap().unwrap();
            let left = state.balance(process.now()).purchased.get();
            assert_eq!((left, state.post_paid.outstanding.get()), (0, 100), "{case}");
            histories += 1;
        }
    }
    count(&format!("two disputes about one payment: {histories} histories"));
}
