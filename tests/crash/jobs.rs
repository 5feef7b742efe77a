//! A scheduled job that is not finished stays in the list of jobs, whichever write of `reconcile` a crash comes at.

use chrono::{DateTime, Utc};
use serde_json::json;
use tests::{CallFault, FaultAt, TestProcess, WriteFault, unique};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A customer's purchase waits for an authentication, `reconcile` runs with some faults, and then the customer pays. No
/// event of the provider arrives and the caller does not repeat the request, so only the purchase's job finds the payment.
/// Returns the numbers of writes and of provider calls of `reconcile`.
async fn a_purchase_is_finished(process: &mut TestProcess, faults: &[FaultAt]) -> (usize, usize) {
    process.clear_faults();
    let (account, key) = process.customer(0).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_authentication" });
    assert_eq!(process.buy(&key, &unique(), &body).await.0, 202);
    process.pass(70);
    process.inject_all(faults);
    process.reconcile().await;
    let steps = process.steps();
    process.clear_faults();
    let listed = process.fixture.ledger.next_job_due().await.unwrap();
    assert!(listed.is_some(), "{faults:?}: the job is lost");
    let charges = process.provider.charges();
    let charge = charges.iter().find(|charge| charge.purchase().account == account).unwrap();
    process.provider.authenticate(charge.transaction).unwrap();
    process.run_until_idle().await;
    let taken = process.taken(account);
    assert_eq!(taken.len(), 1, "{faults:?}");
    assert_eq!(process.granted(account).await, taken, "{faults:?}: a paid purchase was forgotten");
    steps
}

const CRASHES: [WriteFault; 2] = [WriteFault::CrashBefore, WriteFault::CrashAfter];

/// The job of a purchase that still waits is due again later: the next job is listed before the present one is removed.
#[tokio::test]
async fn a_job_that_is_due_again_survives_every_crash() {
    let mut process = TestProcess::open(now()).await;
    let (writes, _) = a_purchase_is_finished(&mut process, &[]).await;
    assert!(writes >= 3, "{writes}");
    for number in 0..writes {
        for crash in CRASHES {
            a_purchase_is_finished(&mut process, &[FaultAt::Write(number, crash)]).await;
        }
    }
}

/// The job of a purchase that fails, because a call of the provider gets no answer, is postponed in the same way.
#[tokio::test]
async fn a_job_that_fails_survives_every_crash() {
    let mut process = TestProcess::open(now()).await;
    let (_, calls) = a_purchase_is_finished(&mut process, &[]).await;
    assert!(calls >= 1, "{calls}");
    for call in 0..calls {
        let lost = FaultAt::Call(call, CallFault::RequestLost);
        let (writes, _) = a_purchase_is_finished(&mut process, &[lost]).await;
        for number in 0..writes {
            for crash in CRASHES {
                a_purchase_is_finished(&mut process, &[lost, FaultAt::Write(number, crash)]).await;
            }
        }
    }
}
