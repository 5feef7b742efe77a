//! Plans, monitors and months, whatever crashes or is lost on the way.

use chrono::{DateTime, Utc};
use domain::{AccountId, Amount, Direction, Grant, Mode, Origin, Period, Source, Suspension, Watch, grant};
use http::Method;
use serde_json::{Value, json};
use store::account_image;
use tests::{Fault, Shop, count, moment, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn account(shop: &Shop, id: AccountId) -> domain::Account {
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
            // A request that broke off can be repeated after 30 seconds.
            shop.pass(31);
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
async fn give_one(shop: &Shop, id: AccountId) {
    let gift = Grant {
        source: Source::Bonus,
        amount: Amount::try_from(1).unwrap(),
        service: None,
        expires_at: None,
        origin: Origin::Operator,
    };
    let key = format!("one/{}", shop.now().timestamp());
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

/// All that a customer was told of monitors, in order.
async fn told_of_monitors(shop: &Shop, key: &str) -> Vec<String> {
    let (mut told, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("/api/v3/events?after={after}");
        let (_, page) = shop.call((Method::GET, &path), (key, ""), &Value::Null).await;
        for event in page["data"].as_array().unwrap() {
            let (name, resource) = (event["event"].as_str().unwrap(), &event["data"]["resourceId"]);
            if name.starts_with("monitor.") {
                told.push(format!("{name} {}", resource.as_str().unwrap()));
            }
        }
        match page["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return told,
        }
    }
}

/// How the two monitors of a customer are: until which month they are paid, and why they wait, if they do.
async fn how_they_are(shop: &Shop, id: AccountId) -> Vec<(Option<Period>, Option<Suspension>)> {
    let monitors = shop.books.restarted().monitors(id, None, 100).await.unwrap().monitors;
    assert!(monitors.iter().all(|monitor| matches!(monitor.stage, Watch::Active | Watch::Suspended { .. })));
    monitors.iter().map(|monitor| (monitor.paid, monitor.waits_for())).collect()
}

/// What the months of a customer must have come to after so many of them: turned once each, monitors paid for
/// once or waiting, and their owner told all of it once, in its order.
async fn has_turned(shop: &mut Shop, (id, key, paid): (AccountId, &str, usize), months: usize, told: &str) {
    let (ledger, month) = (account(shop, id).await, Period::of(shop.now()));
    assert_eq!(ledger.period, month, "{told}");
    let rows = shop.books.rows(id, shop.now()).await;
    let lines = |operation: &str| rows.iter().filter(|row| row.entry.operation.as_str() == operation).count();
    assert_eq!(lines("credit.renewal"), months + 1, "{told}");
    // The second monitor was suspended when the month began and resumes with the credit that arrives later.
    let resumed = if paid < 2 { months.saturating_sub(1) } else { 0 };
    assert_eq!(lines("aml.monitoring"), 2 + paid * months + resumed, "{told}");
    let waits = (Some(month.previous()), Some(Suspension::InsufficientCredits));
    let second = if paid < 2 { waits } else { (Some(month), None) };
    assert_eq!(how_they_are(shop, id).await, [(Some(month), None), second], "{told}");
    let expected = ["monitor.suspended second", "monitor.resumed second"].into_iter().cycle();
    let expected: Vec<_> = expected.take(if paid < 2 { (2 * months).saturating_sub(1) } else { 0 }).collect();
    assert_eq!(told_of_monitors(shop, key).await, expected, "{told}");
    books_are_whole(shop, id, told).await;
}

/// A credit comes to a customer one of whose monitors waits for it. The fault is on the credit's way, and then on
/// the way of the task that has the monitor go on, so many times one after the other.
async fn a_credit_comes(shop: &mut Shop, id: AccountId, (fault, times): (Option<Fault>, u32), told: &str) {
    let month = Period::of(shop.now());
    let strike = |shop: &Shop| fault.into_iter().for_each(|fault| shop.strike(fault));
    strike(shop);
    give_one(shop, id).await;
    shop.heal();
    shop.project().await;
    for _ in 0..times {
        shop.pass(400);
        strike(shop);
        shop.work().await;
        shop.heal();
    }
    shop.come_to_rest().await;
    assert_eq!(Period::of(shop.now()), month, "{told}");
    assert_eq!(how_they_are(shop, id).await, [(Some(month), None), (Some(month), None)], "{told}");
}

/// Months of two customers with each of these faults on their way, so many times one after the other; how many
/// writes the turn of the last took.
async fn months_turn(faults: &[Option<Fault>], times: u32) -> usize {
    let mut shop = Shop::open(now()).await;
    let (rich, rich_key) = prepared(&shop, 5).await;
    let (poor, poor_key) = prepared(&shop, 1).await;
    shop.come_to_rest().await;
    let mut writes = 0;
    for (place, fault) in faults.iter().enumerate() {
        let (months, fault) = (place + 1, *fault);
        let told = format!("{fault:?} {times} times, month {months}");
        if place > 0 {
            a_credit_comes(&mut shop, poor, (fault, times), &told).await;
        }
        let next = Period::of(shop.now()).next().start();
        shop.pass(next.signed_duration_since(shop.now()).num_seconds());
        for _ in 0..times {
            shop.heal();
            fault.into_iter().for_each(|fault| shop.strike(fault));
            shop.turn(rich).await;
            shop.turn(poor).await;
            writes = shop.steps().0.max(writes);
            shop.heal();
            shop.pass(400);
        }
        shop.turn(rich).await;
        shop.turn(poor).await;
        shop.come_to_rest().await;
        has_turned(&mut shop, (rich, &rich_key, 2), months, &told).await;
        has_turned(&mut shop, (poor, &poor_key, 1), months, &told).await;
    }
    writes
}

/// The same with everything that can go wrong, in some months of two customers at a time: what they are told grows
/// with the months.
async fn months_turn_whatever_crashes(times: u32) {
    const MONTHS: usize = 24;
    let writes = months_turn(&[None], 1).await;
    assert!(writes >= 16, "{writes}");
    let faults: Vec<_> = Fault::all(writes, 0).into_iter().map(Some).collect();
    for faults in faults.chunks(MONTHS) {
        // In the first month nothing waits for a credit, so every fault is in a later month.
        months_turn(&[&[None], faults].concat(), times).await;
    }
    let months = faults.len();
    count(&format!("months: {months} of two customers, each with a fault {times} times"));
}

/// The round of a month, and the credit that a monitor waits for, with every write going wrong in every way: when
/// the message has come again, every account has turned its month once, and every monitor is paid for once, or
/// waits and its owner was told so once. One that waits goes on in the month in which its credit comes.
#[tokio::test]
async fn a_month_turns_once_whatever_crashes() {
    months_turn_whatever_crashes(1).await;
}

/// The same where the message has come again and that goes wrong too, in the same way.
#[tokio::test]
async fn a_month_turns_once_whatever_crashes_twice() {
    months_turn_whatever_crashes(2).await;
}

/// The record of a credit is lost, and whoever makes up for it by the rows dies at any write, and comes again: the
/// monitor that waits for the credit goes on all the same.
#[tokio::test]
async fn a_credit_that_the_stream_has_lost_has_monitors_go_on() {
    let (mut faults, mut histories) = (vec![None], 0);
    while let Some(fault) = faults.pop() {
        let told = format!("{fault:?}");
        let mut shop = Shop::open(now()).await;
        let (id, key) = prepared(&shop, 1).await;
        shop.come_to_rest().await;
        let february = Period::of(shop.now()).next();
        shop.pass(february.start().signed_duration_since(shop.now()).num_seconds());
        shop.turn(id).await;
        shop.come_to_rest().await;
        has_turned(&mut shop, (id, &key, 1), 1, &told).await;
        // The stream shows only the second of these changes, and it grants nothing.
        give_one(&shop, id).await;
        let free = json!({ "operation": "api.get" });
        let spent = shop.call((Method::POST, "/api/v3/credits/consume"), (&key, "free"), &free).await;
        assert_eq!(spent.0, 201, "{spent:?}");
        let last = shop.books.records().await.into_iter().rfind(|record| {
            let account = record.image.clone().and_then(|image| account_image(image).unwrap());
            account.is_some_and(|account| account.id == id)
        });
        let last = [last.unwrap()];
        match fault {
            Some(fault) => {
                shop.strike(fault);
                shop.follow(&last).await;
                shop.heal();
                assert_eq!(shop.follow(&last).await, None, "{told}");
            }
            None => {
                shop.heal();
                assert_eq!(shop.follow(&last).await, None);
                let writes = shop.steps().0;
                assert!(writes >= 4, "{writes}");
                faults = Fault::all(writes, 0).into_iter().map(Some).collect();
            }
        }
        shop.work().await;
        let paid = (Some(february), None);
        assert_eq!(how_they_are(&shop, id).await, [paid, paid], "{told}");
        let expected = ["monitor.suspended second", "monitor.resumed second"];
        assert_eq!(told_of_monitors(&shop, &key).await, expected, "{told}");
        histories += 1;
    }
    count(&format!("lost credits: {histories} histories"));
}
