//! A dispute moves credits once, in whatever order its events come and whatever crashes meanwhile.

use chrono::{DateTime, Utc};
use domain::{AccountId, Consume, Credits, EntryId, Mode, Operation, consume};
use scrip_payments::simulated::DisputeAction;
use scrip_payments::{DisputeId, Disputed, Outcome};
use serde_json::json;
use tests::{Fault, Shop, count, moment, settle, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A customer who has bought 500 credits and spent 100 of them.
async fn customer(shop: &Shop) -> (AccountId, EntryId) {
    shop.heal();
    let (account, key) = shop.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let (status, bought) = shop.buy(&key, &unique(), &body).await;
    assert_eq!(status, 201);
    let bought = bought["data"]["transactionId"].as_str().unwrap().to_owned();
    let request = Consume {
        operation: Operation::try_from("x".to_owned()).unwrap(),
        amount: Credits::try_from(100).unwrap(),
        service: None,
    };
    let ledger = shop.books.restarted();
    settle(&ledger, account, ("c", "c"), moment(shop.now()), |account, head| {
        consume(account, &request, head)
    })
    .await
    .unwrap();
    shop.forget_events();
    (account, EntryId::try_from(bought).unwrap())
}

async fn one_history(
    shop: &mut Shop,
    outcome: DisputeAction,
    fault: Option<Fault>,
    backwards: bool,
) -> usize {
    let told = format!("{outcome:?}, {fault:?}, backwards: {backwards}");
    let (account, bought) = customer(shop).await;
    shop.company.dispute(bought, DisputeAction::Open).unwrap();
    shop.company.dispute(bought, outcome).unwrap();
    if let Some(fault) = fault {
        shop.strike(fault);
    }
    shop.deliver_in(backwards).await;
    let (writes, _) = shop.steps();
    shop.heal();
    for days in [0, 1, 40] {
        shop.books.project().await;
        shop.pass(days * 24 * 3600 + 70);
        shop.sign_again();
        shop.deliver_in(!backwards).await;
        shop.deliver_in(backwards).await;
    }
    shop.come_to_rest().await;
    let state = shop.books.ledger.account(account).await.unwrap().unwrap();
    let balance = state.balance(shop.now());
    let expected = if matches!(outcome, DisputeAction::Win) { (400, 0) } else { (0, 100) };
    assert_eq!((balance.purchased.get(), state.post_paid.outstanding.get()), expected, "{told}");
    let rows = shop.books.rows(account, shop.now()).await;
    let disputes = rows.iter().filter(|row| row.entry.operation.as_str().starts_with("credit.dispute"));
    assert_eq!(disputes.count(), 2, "{told}");
    writes
}

#[tokio::test]
async fn a_dispute_moves_credits_once() {
    let mut shop = Shop::open(now()).await;
    let mut histories = 0;
    for outcome in [DisputeAction::Win, DisputeAction::Lose] {
        for backwards in [false, true] {
            let writes = one_history(&mut shop, outcome, None, backwards).await;
            assert!(writes >= 8, "{writes}");
            for fault in Fault::all(writes, 2) {
                one_history(&mut shop, outcome, Some(fault), backwards).await;
                histories += 1;
            }
        }
    }
    count(&format!("disputes: {histories} histories"));
}

/// Two disputes about one payment, with a crash at any write of the first: what was bought is taken back or
/// owed once, by whichever of them has it.
#[tokio::test]
async fn two_disputes_about_one_payment_count_once() {
    let mut shop = Shop::open(now()).await;
    let mut histories = 0;
    for second_first in [false, true] {
        for fault in std::iter::once(None).chain(Fault::all(6, 1).into_iter().map(Some)) {
            let told = format!("{fault:?}, {second_first}");
            let (account, bought) = customer(&shop).await;
            let charge =
                shop.company.charges().into_iter().find(|charge| charge.transaction == bought).unwrap();
            let purchase = shop.books.ledger.purchase(charge.purchase()).await.unwrap().unwrap();
            let payment = purchase.payment.unwrap();
            let [one, other] = ["dp_one", "dp_other"].map(|name| Disputed {
                dispute: DisputeId(format!("{name}_{}", bought.bare())),
                payment: payment.clone(),
                amount: None,
            });
            let open = async |shop: &Shop, dispute: &Disputed| {
                let app = shop.process();
                app.till(Mode::Live).dispute_opened(dispute, app.clock.moment()).await.ok();
            };
            let lose = async |shop: &Shop, dispute: &Disputed| {
                let app = shop.process();
                let closed = (dispute, Outcome::Lost);
                app.till(Mode::Live).dispute_closed(closed, app.clock.moment()).await.ok();
            };
            if let Some(fault) = fault {
                shop.strike(fault);
            }
            open(&shop, &one).await;
            shop.heal();
            open(&shop, &other).await;
            shop.books.project().await;
            shop.pass(10);
            let order = if second_first { [&other, &one] } else { [&one, &other] };
            for dispute in order.into_iter().chain(order) {
                open(&shop, dispute).await;
                lose(&shop, dispute).await;
                shop.books.project().await;
                shop.pass(10);
            }
            let state = shop.books.ledger.account(account).await.unwrap().unwrap();
            let left = state.balance(shop.now()).purchased.get();
            assert_eq!((left, state.post_paid.outstanding.get()), (0, 100), "{told}");
            histories += 1;
        }
    }
    count(&format!("two disputes about one payment: {histories} histories"));
}
