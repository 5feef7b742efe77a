//! Statements of closed months, when the process that makes them dies or its writes are lost.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use domain::AccountId;
use http::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, FaultAt, TestProcess, WriteFault};

const PATH: &str = "/api/v3/credits/statements";

fn start() -> DateTime<Utc> {
    "2024-01-20T10:30:00Z".parse().unwrap()
}

/// A process of March, whose customer has used credits in January and February, and the customer's key.
async fn march() -> (TestProcess, String) {
    let (process, _, key) = march_of_account().await;
    (process, key)
}

async fn march_of_account() -> (TestProcess, AccountId, String) {
    let mut process = TestProcess::open(start()).await;
    let (account, key) = process.customer(100).await;
    for month in 0..2 {
        let body = json!({ "operation": "verification.standard", "quantity": 7 });
        let name = format!("debit-{month}");
        let request = ApiRequest::new(Method::POST, "/api/v3/credits/consume", &key);
        let request = request.under(&name).with(&body);
        let (status, answer) = process.call(&request).await;
        assert_eq!(status, 201, "{answer}");
        process.pass(21 * 86_400);
        process.renew_month(account).await;
    }
    process.project().await;
    (process, account, key)
}

async fn read(process: &TestProcess, key: &str, month: &str) -> (u16, Value) {
    let (status, answer) = process.read_as("statements", &format!("{PATH}/{month}"), key).await;
    (status, answer["data"].clone())
}

/// Wherever the first request dies, the next one answers, and what it answers stays.
#[tokio::test]
async fn a_statement_is_made_whatever_happens_to_the_process() {
    for number in 0..2 {
        for fault in WriteFault::EACH {
            let (process, key) = march().await;
            process.inject(FaultAt::Write(number, fault));
            let (status, first) = read(&process, &key, "2024-02").await;
            process.clear_faults();
            let (_, february) = read(&process, &key, "2024-02").await;
            let (_, january) = read(&process, &key, "2024-01").await;
            assert_eq!(
                february["buckets"]["subscription"]["used"],
                json!(7),
                "{number} {fault:?}: {february}"
            );
            assert_eq!(january["ledger"]["closingHash"], february["ledger"]["openingHash"]);
            if status == 200 {
                assert_eq!(first, february, "{number} {fault:?}");
            }
            for _ in 0..2 {
                assert_eq!(read(&process, &key, "2024-02").await, (200, february.clone()));
                assert_eq!(read(&process, &key, "2024-01").await, (200, january.clone()));
            }
            assert_eq!(read(&process, &key, "2024-03").await.0, 404);
        }
    }
}

/// Two processes make the same statements at the same time: both answer the ones that are stored.
#[tokio::test]
async fn processes_that_make_the_same_statement_agree() {
    let (process, key) = march().await;
    let (one, other) = tokio::join!(read(&process, &key, "2024-02"), read(&process, &key, "2024-02"));
    assert_eq!((one.0, &one), (200, &other));
    assert_eq!(read(&process, &key, "2024-02").await, one);
}

/// Transactions of February are in the ledger, and neither chained nor counted: January is not closed yet.
#[tokio::test]
async fn a_month_is_closed_once_a_later_transaction_is_projected() {
    let mut process = TestProcess::open(start()).await;
    let (account, key) = process.customer(100).await;
    process.project().await;
    assert_eq!(read(&process, &key, "2024-01").await.0, 404);
    process.pass(20 * 86_400);
    process.renew_month(account).await;
    assert_eq!(read(&process, &key, "2024-01").await.0, 404);
    process.project().await;
    assert_eq!(read(&process, &key, "2024-01").await.0, 200);
}

/// A month whose last transactions are chained and not counted yet is not closed: their usage would be missing.
#[tokio::test]
async fn a_month_is_closed_once_all_of_it_is_counted() {
    let (process, account, key) = march_of_account().await;
    let (_, listed) = process.read_as("statements", PATH, &key).await;
    assert_eq!(listed["data"].as_array().unwrap().len(), 2, "{listed}");
    let counted = process.fixture.items(&format!("MARK#{account}")).await.remove(0);
    // Of five transactions the first is counted, an allowance, then all of January, then all.
    for (through, january, february) in [("1", 404, 404), ("3", 200, 404), ("5", 200, 200)] {
        let mut behind = counted.clone();
        behind.insert("told".to_owned(), AttributeValue::N(through.to_owned()));
        process.fixture.write(&behind).await;
        for (month, status) in [("2024-01", january), ("2024-02", february)] {
            assert_eq!(read(&process, &key, month).await.0, status, "{month}, counted through {through}");
        }
    }
}

/// A request makes at most 24 statements, and the next one goes on.
#[tokio::test]
async fn years_of_statements_are_made_by_several_requests() {
    let mut process = TestProcess::open(start()).await;
    let (account, key) = process.customer(100).await;
    for _ in 0..26 {
        process.pass(365 * 86_400 / 12);
        process.renew_month(account).await;
    }
    process.project().await;
    let (_, listed) = process.read_as("statements", PATH, &key).await;
    let months = listed["data"].as_array().unwrap().len();
    assert!(months > 24, "{listed}");
    let path = listed["data"][0]["path"].as_str().unwrap();
    let (status, answer) = process.read_as("statements", path, &key).await;
    assert_eq!((status, &answer["error"]["code"]), (503, &json!("TEMPORARILY_UNAVAILABLE")));
    let (status, answer) = process.read_as("statements", path, &key).await;
    assert_eq!(status, 200, "{answer}");
}
