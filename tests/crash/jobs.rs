//! A scheduled job that is not finished stays in the list of jobs, whichever write of `reconcile` a crash comes at.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use domain::AccountId;
use ports::NoQueue;
use scrip_http::App;
use serde_json::json;
use store::Job;
use tests::{FaultAt, TestProcess, WriteFault, unique};

const CRASHES: [WriteFault; 2] = [WriteFault::CrashBefore, WriteFault::CrashAfter];

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// Ends the faults and returns an account's jobs.
async fn listed(process: &TestProcess, account: AccountId) -> Vec<Job> {
    process.clear_faults();
    let jobs = process.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await;
    jobs.into_iter().map(|known| known.job).filter(|job| job.account() == account).collect()
}

/// The job of a purchase that still waits is due again later: the next job is listed before the present one is removed. The
/// customer pays after the crash, no event of the provider arrives, and the caller does not repeat the request, so only the
/// job finds the payment.
#[tokio::test]
async fn a_job_that_is_due_again_survives_every_crash() {
    let mut process = TestProcess::open(now()).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_authentication" });
    let (mut number, mut was_reached) = (0, true);
    while was_reached {
        was_reached = false;
        for crash in CRASHES {
            let case = format!("write {number}, {crash:?}");
            let (account, key) = process.customer(0).await;
            assert_eq!(process.buy(&key, &unique(), &body).await.0, 202, "{case}");
            process.pass(70);
            process.inject(FaultAt::Write(number, crash));
            process.reconcile().await;
            was_reached |= number < process.steps().0;
            assert_ne!(listed(&process, account).await, [], "{case}: the job is lost");
            let charges = process.provider.charges();
            let charge = charges.iter().find(|charge| charge.purchase().account == account).unwrap();
            process.provider.authenticate(charge.transaction).unwrap();
            process.run_until_idle().await;
            let taken = process.taken(account);
            assert_eq!((taken.len(), process.granted(account).await), (1, taken), "{case}");
        }
        number += 1;
    }
    assert!(number > 3, "{number}");
}

/// A job that fails is postponed: it is listed again before it is removed.
#[tokio::test]
async fn a_job_that_fails_survives_every_crash() {
    let process = TestProcess::open(now()).await;
    let (mut number, mut was_reached) = (0, true);
    while was_reached {
        was_reached = false;
        for crash in CRASHES {
            let case = format!("write {number}, {crash:?}");
            let (account, _) = process.customer(0).await;
            let job = Job::Webhooks(account);
            process.fixture.ledger.schedule(job, process.now()).await.unwrap();
            process.inject(FaultAt::Write(number, crash));
            let app = App { deliveries: Arc::new(NoQueue), ..Arc::into_inner(process.start()).unwrap() };
            reconcile::tick(&app, app.clock.moment()).await.ok();
            was_reached |= number < process.steps().0;
            assert!(listed(&process, account).await.contains(&job), "{case}: the job is lost");
            for done in process.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await {
                process.fixture.ledger.remove_job(&done).await.unwrap();
            }
        }
        number += 1;
    }
    assert!(number > 2, "{number}");
}
