//! Plan changes, monitors and renewals, whatever crashes or is lost.

use chrono::{DateTime, Utc};
use domain::{
    AccountId, Amount, Direction, Grant, GrantOrigin, Mode, MonitorStatus, Period, Source, SuspensionReason,
    grant,
};
use http::Method;
use serde_json::{Value, json};
use store::{IN_PROGRESS_SECONDS, account_image};
use tests::{ApiRequest, FaultAt, TestProcess, WriteFault, count, keyed, moment, runs_in_turn, settle};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

async fn account(process: &TestProcess, id: AccountId) -> domain::Account {
    process.fixture.restarted().account(id).await.unwrap().unwrap()
}

/// Checks that the rows have no gap and add up to the account.
async fn rows_add_up(process: &mut TestProcess, id: AccountId, case: &str) {
    process.fixture.project().await;
    let (rows, account) = (process.fixture.rows(id, process.now()).await, account(process, id).await);
    let numbers: Vec<_> = rows.iter().map(|row| row.sequence).collect();
    assert_eq!(numbers, (1..=account.sequence).rev().collect::<Vec<_>>(), "{case}");
    let held = rows.iter().flat_map(|row| &row.entry.moves).fold(0i64, |sum, part| {
        let amount = i64::try_from(part.amount.get()).unwrap();
        if part.direction == Direction::Credit { sum + amount } else { sum - amount }
    });
    let available = account.balance(process.now()).available().unwrap().get();
    assert_eq!(held, i64::try_from(available).unwrap(), "{case}");
}

fn change_plan<'a>(key: &'a str, body: &'a Value) -> ApiRequest<'a> {
    ApiRequest::new(Method::PUT, "/api/v3/subscription", key).under("p").with(body)
}

fn create_monitor<'a>(key: &'a str, body: &'a Value) -> ApiRequest<'a> {
    ApiRequest::new(Method::POST, "/api/v3/monitors", key).under("m").with(body)
}

/// Every write of a plan change fails in every way: after a repeat or a scheduled run everything has the same plan,
/// and it was changed once.
#[tokio::test]
async fn a_change_of_plan_is_completed_whatever_crashes() {
    let mut process = TestProcess::open(now()).await;
    let body = json!({ "plan": "enterprise" });
    let (_, key) = process.customer(100).await;
    process.clear_faults();
    assert_eq!(process.call(&change_plan(&key, &body)).await.0, 200);
    let writes = process.steps().0;
    assert!(writes >= 9, "{writes}");
    process.run_until_idle().await;
    let mut histories = 0;
    for fault in FaultAt::all(writes, 0) {
        for again in [true, false] {
            let case = format!("{fault:?}, repeated: {again}");
            process.clear_faults();
            let (live, key) = process.customer(100).await;
            process.inject(fault);
            let (first, _) = process.call(&change_plan(&key, &body)).await;
            process.clear_faults();
            // A request that broke off can be repeated after 30 seconds.
            process.pass(31);
            let mut changed = first == 200;
            if again {
                process.fixture.project().await;
                let (status, _) = process.call(&change_plan(&key, &body)).await;
                assert_eq!(status, 200, "{case}");
                changed = true;
            }
            process.run_until_idle().await;
            let ledger = account(&process, live).await;
            assert!(!changed || ledger.plan.0 == "enterprise", "{case}");
            let test = account(&process, AccountId { mode: Mode::Test, ..live }).await;
            let organisation =
                process.fixture.settings().current_organisation(live.org).await.unwrap().unwrap();
            assert_eq!((&test.plan, &organisation.plan), (&ledger.plan, &ledger.plan), "{case}");
            assert_eq!(
                (test.allowance, organisation.allowance),
                (ledger.allowance, ledger.allowance),
                "{case}"
            );
            rows_add_up(&mut process, live, &case).await;
            let history = process.fixture.restarted().plan_history(live).await.unwrap();
            assert_eq!(history.len(), usize::from(ledger.plan.0 == "enterprise"), "{case}");
            histories += 1;
        }
    }
    count(&format!("changes of plan: {histories} histories"));
}

/// Every write of a new monitor fails in every way: it exists and is paid for once, or does not exist and is not
/// paid for; a caller that got a 201 has it.
#[tokio::test]
async fn a_monitor_is_created_and_paid_for_once_or_not_at_all() {
    let mut process = TestProcess::open(now()).await;
    let body = json!({ "operation": "aml.monitoring", "resourceId": "applicant_42" });
    let (_, key) = process.customer(10).await;
    process.clear_faults();
    assert_eq!(process.call(&create_monitor(&key, &body)).await.0, 201);
    let writes = process.steps().0;
    assert!(writes >= 8, "{writes}");
    process.run_until_idle().await;
    let (mut histories, mut made) = (0, 0);
    for fault in FaultAt::all(writes, 0) {
        for (allowance, again) in [(10, true), (10, false), (0, true), (0, false)] {
            let case = format!("{fault:?}, {allowance} credits, repeated: {again}");
            process.clear_faults();
            let (account_id, key) = process.customer(allowance).await;
            process.inject(fault);
            let (first, _) = process.call(&create_monitor(&key, &body)).await;
            process.clear_faults();
            process.pass(IN_PROGRESS_SECONDS + 1);
            let mut last = first;
            if again {
                process.fixture.project().await;
                last = process.call(&create_monitor(&key, &body)).await.0;
                assert_eq!(last, if allowance > 0 { 201 } else { 402 }, "{case}");
            }
            process.run_until_idle().await;
            let monitors =
                process.fixture.restarted().monitors(account_id, None, 100).await.unwrap().monitors;
            let paid = process.fixture.rows(account_id, process.now()).await;
            let paid = paid.iter().filter(|row| row.entry.operation.as_str() == "aml.monitoring").count();
            assert_eq!(monitors.len(), paid, "{case}");
            assert!(last != 201 || paid == 1, "{case}");
            assert!(monitors.iter().all(|monitor| monitor.status == MonitorStatus::Active), "{case}");
            if allowance == 0 {
                assert_eq!(paid, 0, "{case}");
            }
            rows_add_up(&mut process, account_id, &case).await;
            histories += 1;
            made += paid;
        }
    }
    count(&format!("monitors: {histories} histories, {made} made and paid for once each"));
}

/// A customer with two monitors and an allowance.
async fn prepared(process: &TestProcess, allowance: u64) -> (AccountId, String) {
    let (id, key) = process.customer(allowance).await;
    let gift = Grant {
        source: Source::Bonus,
        amount: Amount::try_from(2 - allowance.min(1)).unwrap(),
        service: None,
        expires_at: None,
        origin: GrantOrigin::Operator,
    };
    let (ledger, moment) = (process.fixture.restarted(), moment(process.now()));
    if allowance < 2 {
        settle(&ledger, id, keyed("gift", "gift"), moment, |account, attempt| grant(account, &gift, attempt))
            .await
            .unwrap();
    }
    for resource in ["first", "second"] {
        let body = json!({ "operation": "aml.monitoring", "resourceId": resource });
        let made = process
            .call(&ApiRequest::new(Method::POST, "/api/v3/monitors", &key).under(resource).with(&body))
            .await;
        assert_eq!(made.0, 201, "{made:?}");
    }
    (id, key)
}

/// Grants one bonus credit, repeated until it is acknowledged.
async fn grant_one(process: &TestProcess, id: AccountId) {
    let gift = Grant {
        source: Source::Bonus,
        amount: Amount::try_from(1).unwrap(),
        service: None,
        expires_at: None,
        origin: GrantOrigin::Operator,
    };
    let key = format!("one/{}", process.now().timestamp());
    for _ in 0..20 {
        let ledger = process.fixture.restarted();
        let decide = |account: &_, attempt: &_| grant(account, &gift, attempt);
        if settle(&ledger, id, keyed(&key, &key), moment(process.now()), decide).await.is_ok() {
            return;
        }
        process.clear_faults();
        process.pass(IN_PROGRESS_SECONDS + 1);
    }
    panic!("not acknowledged after twenty attempts");
}

/// The customer's events of monitors, in order.
async fn monitor_events(process: &TestProcess, key: &str) -> Vec<String> {
    let (mut events, mut after) = (Vec::new(), "0".to_owned());
    loop {
        let path = format!("/api/v3/events?after={after}");
        let (_, page) = process.call(&ApiRequest::new(Method::GET, &path, key)).await;
        for event in page["data"].as_array().unwrap() {
            let (name, resource) = (event["event"].as_str().unwrap(), &event["data"]["resourceId"]);
            if name.starts_with("monitor.") {
                events.push(format!("{name} {}", resource.as_str().unwrap()));
            }
        }
        match page["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => after = next.to_owned(),
            None => return events,
        }
    }
}

/// The state of a customer's two monitors: the month until which each is paid, and why it is suspended.
async fn monitor_states(
    process: &TestProcess,
    id: AccountId,
) -> Vec<(Option<Period>, Option<SuspensionReason>)> {
    let monitors = process.fixture.restarted().monitors(id, None, 100).await.unwrap().monitors;
    assert!(
        monitors
            .iter()
            .all(|monitor| matches!(monitor.status, MonitorStatus::Active | MonitorStatus::Suspended { .. }))
    );
    monitors.iter().map(|monitor| (monitor.paid, monitor.waits_for())).collect()
}

/// Checks a customer's months: each was renewed once, monitors were paid for once or suspended, and their owner got
/// every event once and in order.
async fn months_are_complete(
    process: &mut TestProcess,
    (id, key, paid): (AccountId, &str, usize),
    months: usize,
    case: &str,
) {
    let (ledger, month) = (account(process, id).await, Period::of(process.now()));
    assert_eq!(ledger.period, month, "{case}");
    let rows = process.fixture.rows(id, process.now()).await;
    let lines = |operation: &str| rows.iter().filter(|row| row.entry.operation.as_str() == operation).count();
    assert_eq!(lines("credit.renewal"), months + 1, "{case}");
    // The second monitor was suspended when the month began and resumes with the credit that arrives later.
    let resumed = if paid < 2 { months.saturating_sub(1) } else { 0 };
    assert_eq!(lines("aml.monitoring"), 2 + paid * months + resumed, "{case}");
    let waits = (Some(month.previous()), Some(SuspensionReason::InsufficientCredits));
    let second = if paid < 2 { waits } else { (Some(month), None) };
    assert_eq!(monitor_states(process, id).await, [(Some(month), None), second], "{case}");
    let expected = ["monitor.suspended second", "monitor.resumed second"].into_iter().cycle();
    let expected: Vec<_> = expected.take(if paid < 2 { (2 * months).saturating_sub(1) } else { 0 }).collect();
    assert_eq!(monitor_events(process, key).await, expected, "{case}");
    rows_add_up(process, id, case).await;
}

/// A credit arrives for a suspended monitor. The fault is first on the credit's path and then, `times` times, on
/// the path of the task that resumes the monitor.
async fn credit_arrives(
    process: &mut TestProcess,
    id: AccountId,
    (fault, times): (Option<FaultAt>, u32),
    case: &str,
) {
    let month = Period::of(process.now());
    let strike = |process: &TestProcess| fault.into_iter().for_each(|fault| process.inject(fault));
    strike(process);
    grant_one(process, id).await;
    process.clear_faults();
    process.project().await;
    for _ in 0..times {
        process.pass(400);
        strike(process);
        process.run_renewal_queue().await;
        process.clear_faults();
    }
    process.run_until_idle().await;
    assert_eq!(Period::of(process.now()), month, "{case}");
    assert_eq!(monitor_states(process, id).await, [(Some(month), None), (Some(month), None)], "{case}");
}

/// Renews months of two customers with each of the faults, `times` times one after the other; returns the number of
/// writes of the last renewal.
async fn renew_months(faults: &[Option<FaultAt>], times: u32) -> usize {
    let mut process = TestProcess::open(now()).await;
    let (rich, rich_key) = prepared(&process, 5).await;
    let (poor, poor_key) = prepared(&process, 1).await;
    process.run_until_idle().await;
    let mut writes = 0;
    for (place, fault) in faults.iter().enumerate() {
        let (months, fault) = (place + 1, *fault);
        let case = format!("{fault:?} {times} times, month {months}");
        if place > 0 {
            credit_arrives(&mut process, poor, (fault, times), &case).await;
        }
        let next = Period::of(process.now()).next().start();
        process.pass(next.signed_duration_since(process.now()).num_seconds());
        for _ in 0..times {
            process.clear_faults();
            fault.into_iter().for_each(|fault| process.inject(fault));
            process.renew_month(rich).await;
            process.renew_month(poor).await;
            writes = process.steps().0.max(writes);
            process.clear_faults();
            process.pass(400);
        }
        process.renew_month(rich).await;
        process.renew_month(poor).await;
        process.run_until_idle().await;
        months_are_complete(&mut process, (rich, &rich_key, 2), months, &case).await;
        months_are_complete(&mut process, (poor, &poor_key, 1), months, &case).await;
    }
    writes
}

/// The same with every fault, a few months of two customers at a time, because the events grow with the months.
async fn months_are_renewed_whatever_crashes(times: u32) {
    const MONTHS: usize = 24;
    let writes = renew_months(&[None], 1).await;
    assert!(writes >= 16, "{writes}");
    let kinds = WriteFault::EACH.len();
    let faults = FaultAt::all(writes, 0).into_iter().enumerate();
    let faults = faults.filter(|(number, _)| times == 1 || runs_in_turn(number + number / kinds));
    let faults: Vec<_> = faults.map(|(_, fault)| Some(fault)).collect();
    for faults in faults.chunks(MONTHS) {
        // In the first month nothing waits for a credit, so every fault is in a later month.
        renew_months(&[&[None], faults].concat(), times).await;
    }
    let months = faults.len();
    count(&format!("months: {months} of two customers, each with a fault {times} times"));
}

/// Every write of a month's renewal, and of the credit that a monitor waits for, fails in every way: after the
/// message was delivered again, every account was renewed once, and every monitor was paid for once or suspended
/// with one event. A suspended monitor resumes in the month in which its credit arrives.
#[tokio::test]
async fn a_month_is_renewed_once_whatever_crashes() {
    months_are_renewed_whatever_crashes(1).await;
}

/// The same with a second fault of the same kind when the message is delivered again.
#[tokio::test]
async fn a_month_is_renewed_once_whatever_crashes_twice() {
    months_are_renewed_whatever_crashes(2).await;
}

/// The stream record of a credit is lost, and the process that recovers it from the rows dies at any write and runs
/// again: the monitor that waits for the credit resumes.
#[tokio::test]
async fn a_credit_whose_record_was_lost_resumes_monitors() {
    let (mut faults, mut histories) = (vec![None], 0);
    while let Some(fault) = faults.pop() {
        let case = format!("{fault:?}");
        let mut process = TestProcess::open(now()).await;
        let (id, key) = prepared(&process, 1).await;
        process.run_until_idle().await;
        let february = Period::of(process.now()).next();
        process.pass(february.start().signed_duration_since(process.now()).num_seconds());
        process.renew_month(id).await;
        process.run_until_idle().await;
        months_are_complete(&mut process, (id, &key, 1), 1, &case).await;
        // The stream shows only the second of these changes, and it grants nothing.
        grant_one(&process, id).await;
        let free = json!({ "operation": "api.get" });
        let consume = ApiRequest::new(Method::POST, "/api/v3/credits/consume", &key);
        let spent = process.call(&consume.under("free").with(&free)).await;
        assert_eq!(spent.0, 201, "{spent:?}");
        let last = process.fixture.records().await.into_iter().rfind(|record| {
            let account = record.image.clone().and_then(|image| account_image(image).unwrap());
            account.is_some_and(|account| account.id == id)
        });
        let last = [last.unwrap()];
        match fault {
            Some(fault) => {
                process.inject(fault);
                process.project_records(&last).await;
                process.clear_faults();
                assert_eq!(process.project_records(&last).await, None, "{case}");
            }
            None => {
                process.clear_faults();
                assert_eq!(process.project_records(&last).await, None);
                let writes = process.steps().0;
                assert!(writes >= 3, "{writes}");
                faults = FaultAt::all(writes, 0).into_iter().map(Some).collect();
            }
        }
        process.run_renewal_queue().await;
        let paid = (Some(february), None);
        assert_eq!(monitor_states(&process, id).await, [paid, paid], "{case}");
        let expected = ["monitor.suspended second", "monitor.resumed second"];
        assert_eq!(monitor_events(&process, &key).await, expected, "{case}");
        histories += 1;
    }
    count(&format!("lost credits: {histories} histories"));
}
