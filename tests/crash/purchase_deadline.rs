//! A purchase is answered in time, however late the payment provider and the tables are, and what is cut off is finished.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::AccountId;
use http::Method;
use scrip_payments::PURCHASE_TIME;
use serde_json::{Value, json};
use tests::{AlarmLog, ApiRequest, CallFault, FaultAt, Late, ProviderCall, TestProcess, count, unique};
use tokio::time::Instant;

use super::payments::is_one_to_one;

/// How long each answer of the tables takes while they are well. Meanwhile the simulated time stands still for the engine.
const ANSWER: Duration = Duration::from_millis(5);

/// The runtime's timers have whole milliseconds.
const TICK: Duration = Duration::from_millis(2);

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn starter(method: &str) -> Value {
    json!({ "package": "starter", "paymentMethod": method })
}

async fn open() -> TestProcess {
    let process = TestProcess::open(now()).await;
    process.faults.delay(ANSWER);
    process
}

/// Sends a purchase, which is answered before its deadline.
async fn buy(process: &TestProcess, key: &str, name: &str, method: &str, case: &str) -> (u16, Value) {
    let begun = Instant::now();
    let answer = process.buy(key, name, &starter(method)).await;
    assert!(begun.elapsed() <= PURCHASE_TIME + TICK, "{case}: {:?}", begun.elapsed());
    answer
}

/// Ends the delays, finishes everything and repeats the request: it was charged once at most. Returns the last status.
async fn finish(
    process: &mut TestProcess,
    customer: (AccountId, &str),
    name: &str,
    method: &str,
    mut answers: Vec<(u16, Value)>,
) -> u16 {
    let case = format!("{method}: {answers:?}");
    process.delay_calls(&[]);
    process.faults.delay(ANSWER);
    process.pass(70);
    process.run_until_idle().await;
    let (account, key) = customer;
    let (status, body) = buy(process, key, name, method, &case).await;
    answers.push((status, body));
    let payments = is_one_to_one(process, account, &answers, &case).await;
    // After two charges that never arrived the purchase has failed.
    let possible: &[(u16, usize)] = if method == "card_1" { &[(201, 1), (402, 0)] } else { &[(402, 0)] };
    assert!(possible.contains(&(status, payments)), "{case}: {status}, {payments} payments");
    status
}

/// Every way in which one call, or all of them, can be late.
fn delays() -> Vec<Vec<(ProviderCall, Late)>> {
    use ProviderCall::{Charge, CreateCustomer, Find};
    let mut delays = Vec::new();
    for seconds in [4, 17, 3_600] {
        let time = Duration::from_secs(seconds);
        for late in [Late::Request(time), Late::Answer(time)] {
            delays.extend([CreateCustomer, Charge, Find].map(|call| vec![(call, late)]));
            delays.push([CreateCustomer, Charge, Find].map(|call| (call, late)).into());
        }
    }
    delays
}

/// The provider is late at each step of the first request and of its repetition.
#[tokio::test(start_paused = true)]
async fn a_late_provider_leaves_the_purchase_pending_and_it_is_finished() {
    let mut process = open().await;
    let mut histories = 0;
    for method in ["card_1", "card_declined"] {
        for first in delays() {
            for second in [&first, &vec![]] {
                let case = format!("{method}, {first:?}, then {second:?}");
                let (account, key) = process.customer(0).await;
                process.forget_events();
                process.clear_faults();
                let name = unique();
                process.delay_calls(&first);
                let mut answers = vec![buy(&process, &key, &name, method, &case).await];
                assert!([201, 202, 402].contains(&answers[0].0), "{case}: {answers:?}");
                process.pass(70);
                process.delay_calls(second);
                answers.push(buy(&process, &key, &name, method, &case).await);
                assert!([201, 202, 402].contains(&answers[1].0), "{case}: {answers:?}");
                let status = finish(&mut process, (account, &key), &name, method, answers).await;
                assert!(!second.is_empty() || method != "card_1" || status == 201, "{case}: {status}");
                histories += 1;
            }
        }
    }
    count(&format!("late provider: {histories} histories"));
}

/// After a charge without an answer the next request looks for it, and charges again: each call is within its own limit,
/// and together they are not.
#[tokio::test(start_paused = true)]
async fn several_calls_of_one_request_have_one_deadline() {
    let mut process = open().await;
    let (account, key) = process.customer(0).await;
    let name = unique();
    process.inject(FaultAt::Call(0, CallFault::RequestLost));
    let first = buy(&process, &key, &name, "card_1", "lost").await;
    assert_eq!(first.0, 202);
    process.clear_faults();
    process.pass(70);
    let late = |call, seconds| (call, Late::Answer(Duration::from_secs(seconds)));
    process.delay_calls(&[
        late(ProviderCall::CreateCustomer, 4),
        late(ProviderCall::Find, 60),
        late(ProviderCall::Charge, 17),
    ]);
    let second = buy(&process, &key, &name, "card_1", "late").await;
    assert_eq!(second.0, 202, "{second:?}");
    let status = finish(&mut process, (account, &key), &name, "card_1", vec![first, second]).await;
    assert_eq!(status, 201);
}

/// The tables are slow: the request is cut off after each of its reads and writes, and once between them.
#[tokio::test(start_paused = true)]
async fn slow_tables_cut_a_purchase_off_anywhere() {
    let mut process = open().await;
    let mut statuses = std::collections::BTreeMap::<u16, usize>::new();
    // A call of the SDK takes eight seconds at most. With about a second an answer, the charge is on its way when time is up.
    for millis in (150..8_000).step_by(150).chain((850..1_700).step_by(25)) {
        let (account, key) = process.customer(0).await;
        process.forget_events();
        process.clear_faults();
        let name = unique();
        let case = format!("{millis} ms an answer");
        process.faults.delay(Duration::from_millis(millis));
        let answer = buy(&process, &key, &name, "card_1", &case).await;
        assert!([201, 202, 503].contains(&answer.0), "{case}: {answer:?}");
        *statuses.entry(answer.0).or_default() += 1;
        let status = finish(&mut process, (account, &key), &name, "card_1", vec![answer]).await;
        assert_eq!(status, 201, "{case}");
    }
    count(&format!("slow tables: {statuses:?}"));
    assert_eq!(statuses.len(), 3, "{statuses:?}");
}

/// The first request is cut off while the charge is made; then every write and every call of the next one fails in every
/// way.
#[tokio::test(start_paused = true)]
async fn what_was_cut_off_is_finished_whatever_fails_then() {
    let mut process = open().await;
    let late = [(ProviderCall::Charge, Late::Answer(Duration::from_secs(3_600)))];
    let (mut faults, mut histories) = (vec![None], 0);
    while let Some(fault) = faults.pop() {
        let (account, key) = process.customer(0).await;
        process.forget_events();
        process.clear_faults();
        let (name, case) = (unique(), format!("{fault:?}"));
        process.delay_calls(&late);
        let first = buy(&process, &key, &name, "card_1", &case).await;
        assert_eq!(first.0, 202, "{case}");
        process.delay_calls(&[]);
        process.pass(70);
        match fault {
            Some(fault) => process.inject(fault),
            None => process.clear_faults(),
        }
        let second = buy(&process, &key, &name, "card_1", &case).await;
        if fault.is_none() {
            let (writes, calls) = process.steps();
            assert!(writes >= 4 && calls == 1, "{writes} writes, {calls} calls");
            faults.extend(FaultAt::all(writes, calls).into_iter().map(Some));
        }
        let status = finish(&mut process, (account, &key), &name, "card_1", vec![first, second]).await;
        assert_eq!(status, 201, "{case}");
        histories += 1;
    }
    count(&format!("cut off, then a fault: {histories} histories"));
}

/// A charge of auto-recharge has the same deadline, and is made once.
#[tokio::test(start_paused = true)]
async fn auto_recharge_ends_in_time_and_charges_once() {
    for late in delays() {
        let mut process = open().await;
        let (account, key) = process.customer(0).await;
        let settings = json!({ "enabled": true, "threshold": 100, "amount": 500, "paymentMethod": "card_1" });
        let change = ApiRequest::new(Method::PUT, "/api/v3/credits/auto-recharge", &key).with(&settings);
        assert_eq!(process.call(&change).await.0, 200);
        process.delay_calls(&late);
        let begun = Instant::now();
        process.run_recharge(account).await;
        assert!(begun.elapsed() <= PURCHASE_TIME + TICK, "{late:?}");
        process.delay_calls(&[]);
        process.run_until_idle().await;
        let taken = process.taken(account);
        assert_eq!((taken.len(), &taken), (1, &process.granted(account).await), "{late:?}");
    }
}

/// A scheduled job stores what it knows and gives the lease back before its budget cuts it off.
#[tokio::test(start_paused = true)]
async fn a_job_ends_by_itself() {
    let mut process = open().await;
    let (account, key) = process.customer(0).await;
    let name = unique();
    process.inject(FaultAt::Call(0, CallFault::RequestLost));
    let first = buy(&process, &key, &name, "card_1", "lost").await;
    process.clear_faults();
    process.pass(70);
    let late = Late::Answer(Duration::from_secs(3_600));
    process.delay_calls(&[(ProviderCall::Find, late), (ProviderCall::Charge, late)]);
    let (log, guard) = AlarmLog::capture();
    process.reconcile().await;
    assert_eq!(log.warnings("timed out"), Vec::<String>::new());
    drop(guard);
    // Its lease is given back, so the next request continues at once.
    process.delay_calls(&[]);
    let second = buy(&process, &key, &name, "card_1", "after the job").await;
    assert_eq!(second.0, 201, "{second:?}");
    let status = finish(&mut process, (account, &key), &name, "card_1", vec![first, second]).await;
    assert_eq!(status, 201);
}
