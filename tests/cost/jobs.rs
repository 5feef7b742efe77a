//! What scheduled jobs cost: requests of one job, from which the rate of a deployment follows, and the first call of a test
//! clock.

use std::sync::Arc;

use axum::body::Body;
use chrono::{DateTime, Duration, Utc};
use domain::{
    Account, AccountId, Attempt, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey, Mode,
    Operation, OrgId,
};
use http::Request;
use jobs::Jobs;
use ports::NoQueue;
use scrip_http::{App, finish};
use store::{Claim, Job, random};
use tests::{TestLedger, TestProcess, Units, moment};
use tower::ServiceExt;

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// An account with holds that end after a minute.
async fn holds(fixture: &TestLedger, count: usize) -> AccountId {
    let id = fixture.open(300, now()).await;
    let details = Details { expires_at: Some(now() + Duration::seconds(60)), ..Details::default() };
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    let charge = Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
    let decide = |account: &Account, attempt: &Attempt| domain::hold(account, &charge, attempt);
    for number in 0..count {
        let name = format!("hold-{number}");
        let key = ClaimKey::Caller(IdempotencyKey::try_from(name.clone()).unwrap());
        let asked = Fingerprint(name);
        fixture.ledger.settle(id, Claim::new(&key, &asked, &details), moment(now()), decide).await.unwrap();
    }
    id
}

/// The requests of the job of an account whose holds have ended: some for the account, and twelve for each hold.
#[tokio::test]
async fn the_job_of_an_account_takes_some_requests_for_each_ended_hold() {
    let mut requests = Vec::new();
    for count in [0, 1, 2, 10] {
        let mut fixture = TestLedger::new().await;
        let id = holds(&fixture, count).await;
        fixture.project().await;
        let (ledger, meter) = fixture.metered();
        let settings = fixture.settings();
        let activity = fixture.activity();
        let jobs = Jobs { ledger: &ledger, settings: &settings, activity: &activity, tasks: &NoQueue };
        jobs.run_account_job(id, moment(now() + Duration::seconds(61))).await.unwrap();
        let Units { requests: sent, .. } = meter.take();
        requests.push(sent);
    }
    eprintln!("requests of an account's job with 0, 1, 2 and 10 ended holds: {requests:?}");
    assert!(requests[0] <= 8, "{requests:?}");
    assert!(requests[3] - requests[2] <= 8 * 12, "{requests:?}");
}

/// A process whose requests to the ledger are counted moves the clock of a test ledger for the first time.
async fn first_move(others: usize) -> Units {
    let process = TestProcess::open(now()).await;
    let (live, _) = process.customer(100).await;
    let test = AccountId { mode: Mode::Test, ..live };
    let key = process.api_key(test).await;
    for _ in 0..others {
        let other = AccountId { org: OrgId::new(now(), random()), mode: Mode::Live };
        process.fixture.ledger.schedule(Job::Calendar(other), now()).await.unwrap();
    }
    for minutes in [5, 50] {
        process
            .fixture
            .ledger
            .schedule(Job::Recharge(test), now() + Duration::minutes(minutes))
            .await
            .unwrap();
    }
    let (ledger, meter) = process.fixture.metered();
    let app = App { ledger, ..Arc::into_inner(process.start()).unwrap() };
    let request = Request::post("/api/v3/test-clock").header("authorization", format!("Bearer {key}"));
    let request = request.header("content-type", "application/json");
    let request = request.body(Body::from(r#"{"advanceSeconds": 600}"#)).unwrap();
    let answer = finish(local::functions(), Arc::new(app)).oneshot(request).await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    let units = meter.take();
    let left = process.fixture.restarted().own_due_jobs(test, now() + Duration::days(1)).await.unwrap();
    assert_eq!(left.iter().map(|stored| stored.job).collect::<Vec<_>>(), [Job::Recharge(test)]);
    units
}

/// The first move of a test clock finds the account's own jobs, and reads none of others.
#[tokio::test]
async fn the_first_move_of_a_test_clock_reads_no_jobs_of_others() {
    assert_eq!(first_move(400).await, first_move(0).await);
}
