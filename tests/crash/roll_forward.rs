//! Roll-forwards, when the processes that add them up die or their writes are lost, and when accounts cannot be counted yet.

use chrono::{DateTime, Utc};
use domain::{Account, AccountId, Allowance, Credits, Mode, OrgId, Period, PlanId};
use http::Method;
use jobs::RenewalTask;
use serde_json::{Value, json};
use store::DirectoryEntry;
use tests::{ApiRequest, FaultAt, TestProcess, WriteFault};

const JANUARY: &str = "/admin/v1/reports/roll-forward?month=2024-01";

fn start() -> DateTime<Utc> {
    "2024-01-20T10:30:00Z".parse().unwrap()
}

/// A process of February with three customers, who have used credits and bought some in January.
async fn february() -> (TestProcess, String, Vec<AccountId>) {
    let mut process = TestProcess::open(start()).await;
    let operator = process.operator().await;
    let mut accounts = vec![];
    for number in 0..3 {
        let (account, key) = process.customer(100).await;
        let body = json!({ "operation": "verification.standard", "quantity": 101 + number });
        let bought = json!({ "package": "starter", "paymentMethod": "card_1" });
        assert_eq!(process.buy(&key, "purchase", &bought).await.0, 201);
        let request = ApiRequest::new(Method::POST, "/api/v3/credits/consume", &key);
        assert_eq!(process.call(&request.under("debit").with(&body)).await.0, 201);
        accounts.push(account);
    }
    process.pass(15 * 86_400);
    for account in &accounts {
        process.renew_month(*account).await;
    }
    process.project().await;
    (process, operator, accounts)
}

async fn ask(process: &TestProcess, operator: &str) -> (u16, Value) {
    let (status, answer) = process.read_as("admin", JANUARY, operator).await;
    (status, answer["data"].clone())
}

/// The columns of the sum of all buckets.
fn total(report: &Value) -> Value {
    report["currencies"][0]["total"].clone()
}

/// Three allowances of 100 credits at £5.98, all used; three purchases of £49, of which 1, 2 and 3 of 500 credits are used.
fn expected() -> Value {
    json!({
        "opening": 0, "sold": 3 * (598 + 4_900), "used": 3 * 598 + 10 + 20 + 29, "expired": 0, "refunded": 0,
        "disputed": 0, "adjusted": 0, "closing": 3 * 4_900 - 59
    })
}

fn january() -> Period {
    Period::of(start())
}

/// Performs the task of an account's shard in a new process; whether it succeeded.
async fn perform(process: &TestProcess, account: AccountId) -> bool {
    let app = process.start_as("renewal");
    let task = RenewalTask::RollForward { month: january(), shard: DirectoryEntry::shard(account) };
    renewal::perform(&app, task, app.clock.moment()).await.is_ok()
}

/// The first task of each account fails in one of its writes: the value of its month, and the part of its shard.
#[tokio::test]
async fn each_account_is_added_once_whatever_happens_to_the_processes() {
    for fault in WriteFault::EACH.into_iter().chain([WriteFault::SentTwice]) {
        let (process, operator, accounts) = february().await;
        for (number, account) in accounts.iter().enumerate() {
            process.inject(FaultAt::Write(number, fault));
            perform(&process, *account).await;
            process.clear_faults();
            assert!(perform(&process, *account).await, "{fault:?}");
            assert!(perform(&process, *account).await, "{fault:?}");
        }
        let (status, progress) = ask(&process, &operator).await;
        assert_eq!((status, &progress["organisations"]), (202, &json!(3)), "{fault:?}: {progress}");
        process.run_renewal_queue().await;
        let (status, report) = ask(&process, &operator).await;
        assert_eq!((status, &report["organisations"]), (200, &json!(3)), "{fault:?}: {report}");
        assert_eq!(total(&report), expected(), "{fault:?}");
        assert_eq!(ask(&process, &operator).await, (200, report));
    }
}

/// Two processes perform the same task at the same time.
#[tokio::test]
async fn rival_tasks_add_an_account_once() {
    let (process, operator, accounts) = february().await;
    for account in accounts {
        let (one, other) = tokio::join!(perform(&process, account), perform(&process, account));
        assert!(one && other);
    }
    ask(&process, &operator).await;
    process.run_renewal_queue().await;
    let (status, report) = ask(&process, &operator).await;
    assert_eq!((status, total(&report)), (200, expected()));
}

/// Every task is sent twice, and the requests for the report are repeated meanwhile.
#[tokio::test]
async fn repeated_requests_and_tasks_change_nothing() {
    let (process, operator, _) = february().await;
    for _ in 0..3 {
        assert_eq!(ask(&process, &operator).await.0, 202);
    }
    process.run_renewal_queue().await;
    let (status, report) = ask(&process, &operator).await;
    assert_eq!((status, total(&report)), (200, expected()));
}

/// An account that is not closed yet, because its transactions are not projected, does not delay the others, and is counted
/// by a later request.
#[tokio::test]
async fn an_account_that_is_not_closed_waits() {
    let (mut process, operator, _) = february().await;
    let late = AccountId { org: OrgId::new(start(), 7), mode: Mode::Live };
    let plan = PlanId::try_from("professional".to_owned()).unwrap();
    let allowance = Allowance::Monthly(Credits::try_from(100).unwrap());
    let opened = Account::open(late, plan, allowance, start());
    process.start().ledger.open(&opened).await.unwrap();
    assert_eq!(ask(&process, &operator).await.0, 202);
    process.run_renewal_queue().await;
    let (status, progress) = ask(&process, &operator).await;
    assert_eq!((status, &progress["organisations"]), (202, &json!(3)));
    let waiting = json!([{ "organisationId": late.org.to_string(), "reason": "notClosed" }]);
    assert_eq!(progress["waiting"], waiting);
    process.run_renewal_queue().await;
    let app = process.start();
    app.ledger.catch_up(late, app.clock.moment()).await.unwrap();
    process.project().await;
    assert_eq!(ask(&process, &operator).await.0, 202);
    process.run_renewal_queue().await;
    let (status, report) = ask(&process, &operator).await;
    assert_eq!((status, &report["organisations"]), (200, &json!(4)), "{report}");
    let sub = &report["currencies"][0]["buckets"][0];
    assert_eq!((&sub["sold"], &sub["closing"]), (&json!(4 * 598), &json!(598)));
}

/// Two processes value the same months at the same time, and a value that is stored is never replaced.
#[tokio::test]
async fn a_value_is_stored_once() {
    let (process, operator, accounts) = february().await;
    ask(&process, &operator).await;
    process.run_renewal_queue().await;
    let activity = process.fixture.activity();
    let stored = activity.latest_month_value(accounts[0], january()).await.unwrap().unwrap();
    let mut other = stored.clone();
    other.lots.clear();
    other.unpriced = 4_711;
    assert_eq!(activity.keep_month_value(accounts[0], other).await.unwrap(), stored);
}
