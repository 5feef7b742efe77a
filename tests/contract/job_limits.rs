//! The limits of scheduled jobs: what the code assumes of the template, and how its limits depend on each other.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Purchase;
use jobs::{CALL_INTERVAL, CALL_OVERHEAD, JobBudget, LATE_TIME, POSTPONE_TIME, WORK_TIME, job_budget};
use reconcile::Call;
use scrip_payments::PURCHASE_TIME;
use store::{JOB_SHARDS, JobKind};

fn template() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/reconcile/function.yaml");
    fs::read_to_string(path).unwrap()
}

/// The values of a setting, in the order of the template.
fn values(template: &str, name: &str) -> Vec<String> {
    let lines = template.lines().filter_map(|line| line.trim().strip_prefix(name));
    lines.map(|value| value.trim().trim_matches('\'').to_owned()).collect()
}

fn longest_job() -> TimeDelta {
    let longest = JobKind::ALL.map(|kind| job_budget(kind).timeout).into_iter().max().unwrap();
    TimeDelta::from_std(longest).unwrap()
}

/// A call ends before the function's timeout, so a job is never cut off without being postponed.
#[test]
fn a_call_ends_before_the_functions_timeout() {
    let timeout = values(&template(), "Timeout:");
    let [timeout] = timeout.as_slice() else { panic!("{timeout:?}") };
    let timeout = TimeDelta::seconds(timeout.parse().unwrap());
    assert!(WORK_TIME + longest_job() + CALL_OVERHEAD <= timeout);
    // Lambda tries a call that failed once more, while the next ones run: that does no harm, and ends soon.
    assert!(timeout <= CALL_INTERVAL * 2);
}

/// The next call of a shard begins after the present one has begun its last job.
#[test]
fn two_calls_of_a_shard_begin_no_job_at_the_same_time() {
    assert!(WORK_TIME < CALL_INTERVAL);
    // So of a job at most two runs overlap: the second call finds it at most once.
    assert!(longest_job() < CALL_INTERVAL);
}

/// The lease on a purchase is longer than a job: when another process takes the purchase over, the job has ended.
#[test]
fn a_job_ends_before_the_lease_on_its_purchase() {
    let begin = DateTime::<Utc>::UNIX_EPOCH;
    let lease = Purchase::lease(begin) - begin;
    for kind in [JobKind::Purchase, JobKind::Recharge] {
        assert!(TimeDelta::from_std(job_budget(kind).timeout).unwrap() < lease, "{kind:?}");
    }
}

/// A purchase ends by its own deadline before the function's timeout, API Gateway's 30 seconds, the budget of a job, and
/// the lease that other processes wait for.
#[test]
fn a_purchase_ends_before_whatever_would_cut_it_off() {
    let parameters = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/stack/parameters.yaml");
    let timeout = values(&fs::read_to_string(parameters).unwrap(), "Timeout:");
    let [timeout] = timeout.as_slice() else { panic!("{timeout:?}") };
    let function = Duration::from_secs(timeout.parse().unwrap());
    let lease = Purchase::lease(DateTime::UNIX_EPOCH) - DateTime::UNIX_EPOCH;
    assert!(PURCHASE_TIME + Duration::from_secs(2) <= function && function < Duration::from_secs(30));
    assert!(PURCHASE_TIME < lease.to_std().unwrap());
    for kind in [JobKind::Purchase, JobKind::Recharge] {
        assert!(PURCHASE_TIME + Duration::from_secs(2) <= job_budget(kind).timeout, "{kind:?}");
    }
}

/// A job that failed comes back when no call can still run it, and before it counts as late.
#[test]
fn a_postponed_job_comes_back_after_the_call_that_postponed_it() {
    assert!(WORK_TIME + longest_job() < POSTPONE_TIME);
    assert!(CALL_INTERVAL + longest_job() < LATE_TIME);
}

/// No account can take all slots of a kind.
#[test]
fn every_kind_has_a_budget_that_one_account_cannot_use_up() {
    for kind in JobKind::ALL {
        let JobBudget { at_once, per_account, timeout } = job_budget(kind);
        assert!(1 <= per_account && per_account * 2 <= at_once, "{kind:?}");
        assert!(1 <= timeout.as_secs(), "{kind:?}");
    }
}

/// The template calls every shard once a minute, and the poll.
#[test]
fn every_shard_is_called_every_minute() {
    let template = template();
    let calls = values(&template, "Input:");
    let calls: Vec<Call> = calls.iter().map(|input| serde_json::from_str(input).unwrap()).collect();
    let rates = values(&template, "ScheduleExpression:");
    let mut shards = BTreeSet::new();
    for (call, rate) in calls.iter().zip(&rates) {
        match call {
            Call::Jobs { shard } => {
                assert!(shards.insert(*shard), "{shard} is called twice");
                assert_eq!(rate, "rate(1 minute)");
            }
            Call::Poll => assert_eq!(rate, "rate(1 hour)"),
        }
    }
    assert_eq!(shards, (0..JOB_SHARDS).collect());
    assert_eq!((calls.len(), rates.len()), (shards.len() + 1, shards.len() + 1), "and one poll");
    assert_eq!(CALL_INTERVAL, TimeDelta::minutes(1));
}
