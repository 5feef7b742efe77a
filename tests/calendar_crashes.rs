//! Plans, monitors and months, whatever crashes or is lost on the way.

use chrono::{DateTime, Utc};
use http::Method;
use serde_json::{Value, json};
use shared::domain::{AccountId, Amount, Direction, Grant, Mode, Origin, Period, Source, Watch, grant};
use tests::{Fault, Shop, count, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn account(shop: &Shop, id: AccountId) -> shared::domain::Account {
    shop.books.restarted().account(id).await.unwrap().unwrap()
}

/// Numbers without a gap, a row for each, and moves that are the account.
async fn books_are_whole(shop: &mut Shop, id: AccountId, told: &str) {
    shop.books.project().await;
    let (rows, account) = (shop.books.rows(id, shop.now()).await, account(shop, id).await);
    let numbers: Vec<_> = rows.iter().map(|row| row.sequence).collect();
    assert_eq!(numbers, (1..=account.sequence).rev().collect::<Vec<_>>(), "{told}");
    let held = rows.iter().flat_map(|row| &row.entry.moves).fold(0i64, |sum, part| {
        let amount = i64::try_from(part.amount.get()).unwrap();
        if part.direction == Direction::Credit { sum + amount } else { sum - amount }
    });
    let available = account.balance(shop.now()).available().unwrap().get();
    assert_eq!(held, i64::try_from(available).unwrap(), "{told}");
}

/// A change of plan with every write of it going wrong in every way: once it is sent again, or the schedule
/// has looked, everything has the same plan, and it was changed once.
#[tokio::test]
async fn a_change_of_plan_is_followed_whatever_crashes() {
    let mut shop = Shop::open(now()).await;
    let body = json!({ "plan": "enterprise" });
    let put = (Method::PUT, "/api/v3/subscription");
    let (_, key) = shop.customer(100).await;
    shop.heal();
    assert_eq!(shop.call(put.clone(), (&key, "p"), &body).await.0, 200);
    let writes = shop.steps().0;
    assert!(writes >= 9, "{writes}");
    shop.come_to_rest().await;
    let mut histories = 0;
    for fault in Fault::all(writes, 0) {
        for again in [true, false] {
            let told = format!("{fault:?}, sent again: {again}");
            shop.heal();
            let (live, key) = shop.customer(100).await;
            shop.strike(fault);
            let (first, _) = shop.call(put.clone(), (&key, "p"), &body).await;
            shop.heal();
            shop.pass(3);
            let mut changed = first == 200;
            if again {
                shop.books.project().await;
                let (status, _) = shop.call(put.clone(), (&key, "p"), &body).await;
                assert_eq!(status, 200, "{told}");
                changed = true;
            }
            shop.come_to_rest().await;
            let ledger = account(&shop, live).await;
            assert!(!changed || ledger.plan.0 == "enterprise", "{told}");
            let test = account(&shop, AccountId { mode: Mode::Test, ..live }).await;
            let organisation = shop.books.settings().organisation(live.org).await.unwrap().unwrap();
            assert_eq!((&test.plan, &organisation.plan), (&ledger.plan, &ledger.plan), "{told}");
            assert_eq!(
                (test.allowance, organisation.allowance),
                (ledger.allowance, ledger.allowance),
                "{told}"
            );
            books_are_whole(&mut shop, live, &told).await;
            let history = shop.books.restarted().plan_history(live).await.unwrap();
            assert_eq!(history.len(), usize::from(ledger.plan.0 == "enterprise"), "{told}");
            histories += 1;
        }
    }
    count(&format!("changes of plan: {histories} histories"));
}

/// A monitor that is made, with every write going wrong in every way: it is there and paid for once, or
/// not there and not paid for; a caller who was told that it is there has it.
#[tokio::test]
async fn a_monitor_is_made_and_paid_for_once_or_not_at_all() {
    let mut shop = Shop::open(now()).await;
    let body = json!({ "operation": "aml.monitoring", "resourceId": "applicant_42" });
    let post = (Method::POST, "/api/v3/monitors");
    let (_, key) = shop.customer(10).await;
    shop.heal();
    assert_eq!(shop.call(post.clone(), (&key, "m"), &body).await.0, 201);
    let writes = shop.steps().0;
    assert!(writes >= 8, "{writes}");
    shop.come_to_rest().await;
    let (mut histories, mut made) = (0, 0);
    for fault in Fault::all(writes, 0) {
        for (allowance, again) in [(10, true), (10, false), (0, true), (0, false)] {
            let told = format!("{fault:?}, {allowance} credits, sent again: {again}");
            shop.heal();
            let (account_id, key) = shop.customer(allowance).await;
            shop.strike(fault);
            let (first, _) = shop.call(post.clone(), (&key, "m"), &body).await;
            shop.heal();
            shop.pass(3);
            let mut last = first;
            if again {
                shop.books.project().await;
                last = shop.call(post.clone(), (&key, "m"), &body).await.0;
                assert_eq!(last, if allowance > 0 { 201 } else { 402 }, "{told}");
            }
            shop.come_to_rest().await;
            let monitors = shop.books.restarted().monitors(account_id, None, 100).await.unwrap().monitors;
            let paid = shop.books.rows(account_id, shop.now()).await;
            let paid = paid.iter().filter(|row| row.entry.operation.as_str() == "aml.monitoring").count();
            assert_eq!(monitors.len(), paid, "{told}");
            assert!(last != 201 || paid == 1, "{told}");
            assert!(monitors.iter().all(|monitor| monitor.stage == Watch::Active), "{told}");
            if allowance == 0 {
                assert_eq!(paid, 0, "{told}");
            }
            books_are_whole(&mut shop, account_id, &told).await;
            histories += 1;
            made += paid;
        }
    }
    count(&format!("monitors: {histories} histories, {made} made and paid for once each"));
}

/// A customer with two monitors, and credits for so many of them a month.
async fn prepared(shop: &Shop, allowance: u64) -> (AccountId, String) {
    let (id, key) = shop.customer(allowance).await;
    let gift = Grant {
        source: Source::Bonus,
        amount: Amount::try_from(2 - allowance.min(1)).unwrap(),
        service: None,
        expires_at: None,
        origin: Origin::Operator,
    };
    let (ledger, moment) = (shop.books.restarted(), moment(shop.now()));
    if allowance < 2 {
        settle(&ledger, id, ("gift", "gift"), moment, |account, head| grant(account, &gift, head))
            .await
            .unwrap();
    }
    for resource in ["first", "second"] {
        let body = json!({ "operation": "aml.monitoring", "resourceId": resource });
        let made = shop.call((Method::POST, "/api/v3/monitors"), (&key, resource), &body).await;
        assert_eq!(made.0, 201, "{made:?}");
    }
    (id, key)
}

/// One bonus credit, whatever goes wrong: sent until it is acknowledged.
async fn give_one(shop: &Shop, id: AccountId, number: usize) {
    let gift = Grant {
        source: Source::Bonus,
        amount: Amount::try_from(1).unwrap(),
        service: None,
        expires_at: None,
        origin: Origin::Operator,
    };
    let key = format!("one/{number}");
    for _ in 0..20 {
        let ledger = shop.books.restarted();
        let decide = |account: &_, head: &_| grant(account, &gift, head);
        if settle(&ledger, id, (&key, &key), moment(shop.now()), decide).await.is_ok() {
            return;
        }
        shop.heal();
        shop.pass(3);
    }
    panic!("twenty times were not enough");
}

/// The names of all that a customer was told, in order.
async fn feed(shop: &mut Shop, key: &str) -> Vec<String> {
    let (mut names, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("/api/v3/events?after={after}");
        let (_, page) = shop.call((Method::GET, &path), (key, ""), &Value::Null).await;
        let events = page["data"].as_array().unwrap();
        names.extend(events.iter().map(|event| event["event"].as_str().unwrap().to_owned()));
        match page["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return names,
        }
    }
}

/// What a month of a customer must have come to after so many of them: turned once each, monitors paid for
/// once or waiting, and their owner told so once.
async fn has_turned(shop: &mut Shop, (id, key, paid): (AccountId, &str, usize), months: usize, told: &str) {
    let ledger = account(shop, id).await;
    assert_eq!(ledger.period, Period::of(shop.now()), "{told}");
    let rows = shop.books.rows(id, shop.now()).await;
    let lines = |operation: &str| rows.iter().filter(|row| row.entry.operation.as_str() == operation).count();
    assert_eq!(lines("credit.renewal"), months + 1, "{told}");
    // Suspended at the month's turn, the second monitor goes on with the credit that comes later.
    let resumed = if paid < 2 { months.saturating_sub(1) } else { 0 };
    assert_eq!(lines("aml.monitoring"), 2 + paid * months + resumed, "{told}");
    let events: Vec<_> =
        feed(shop, key).await.into_iter().filter(|name| name.starts_with("monitor.")).collect();
    // Each month but the first has one of each.
    let expected = ["monitor.suspended", "monitor.resumed"];
    let expected: Vec<_> = expected
        .into_iter()
        .cycle()
        .take(if paid < 2 { (2 * months).saturating_sub(1) } else { 0 })
        .collect();
    // Of the first fifty. One whose credit is found only after the month has turned, for the fault has struck twice, is
    // not suspended in that month, nor then in those that follow: each has the credit of the one before.
    let first = |names: &[String]| names[..names.len().min(50)].to_vec();
    let expected: Vec<_> = expected.into_iter().map(str::to_owned).collect();
    assert_eq!(first(&events), first(&expected), "{told}");
    books_are_whole(shop, id, told).await;
}

/// The round of a month, with every write of it going wrong in every way: when the message has come again,
/// every account has turned its month once, and every monitor is paid for once, or waits and its owner was
/// told so once.
#[tokio::test]
async fn a_month_turns_once_whatever_crashes() {
    let mut shop = Shop::open(now()).await;
    let (rich, rich_key) = prepared(&shop, 5).await;
    let (poor, poor_key) = prepared(&shop, 1).await;
    shop.come_to_rest().await;
    let mut faults = vec![None];
    let mut months = 0;
    while let Some(fault) = faults.pop() {
        if months > 0 {
            // A credit comes, and the monitor that waits goes on, with the same fault on its way.
            if let Some(fault) = fault {
                shop.strike(fault);
            }
            give_one(&shop, poor, months).await;
            shop.heal();
            shop.project().await;
            if let Some(fault) = fault {
                shop.strike(fault);
            }
            shop.work().await;
            shop.heal();
            shop.come_to_rest().await;
        }
        let next = Period::of(shop.now()).next().start();
        shop.pass(next.signed_duration_since(shop.now()).num_seconds());
        shop.heal();
        if let Some(fault) = fault {
            shop.strike(fault);
        }
        shop.turn(rich).await;
        shop.turn(poor).await;
        let writes = shop.steps().0;
        shop.heal();
        shop.pass(400);
        shop.turn(rich).await;
        shop.turn(poor).await;
        shop.come_to_rest().await;
        if faults.is_empty() && fault.is_none() {
            assert!(writes >= 16, "{writes}");
            faults = Fault::all(writes, 0).into_iter().map(Some).collect();
        }
        months += 1;
        shop.come_to_rest().await;
        let told = format!("{fault:?}, month {months}");
        has_turned(&mut shop, (rich, &rich_key, 2), months, &told).await;
        has_turned(&mut shop, (poor, &poor_key, 1), months, &told).await;
    }
    count(&format!("months: {months} of two customers, each but one with a fault"));
}
