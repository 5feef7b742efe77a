//! Scheduled jobs, whatever crashes or is lost: the job of a request is cancelled when the request has finished, and
//! otherwise finishes it; a job whose run or postponement is interrupted stays stored and runs again.

use chrono::{DateTime, Duration, Utc};
use domain::{AccountId, Credits, EntryId, Mode};
use http::Method;
use serde_json::{Value, json};
use store::{Job, JobKind, ScheduledJob};
use tests::{ApiRequest, FaultAt, TestProcess, count};

fn now() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

/// A request that takes a part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Draw {
    CapturePart,
    CaptureAll,
    Release,
    Refund,
}

const DRAWS: [Draw; 4] = [Draw::CapturePart, Draw::CaptureAll, Draw::Release, Draw::Refund];

/// The ledger of a new customer, with a transaction to draw from.
struct Drawn {
    account: AccountId,
    key: String,
    of: EntryId,
    draw: Draw,
}

impl Drawn {
    async fn new(process: &mut TestProcess, draw: Draw, mode: Mode) -> Self {
        let (live, live_key) = process.customer(100).await;
        let account = AccountId { mode, ..live };
        let key = if mode == Mode::Live { live_key } else { process.api_key(account).await };
        let (path, body) = match draw {
            Draw::Refund => ("/api/v3/credits/consume", json!({ "operation": "verification.enhanced" })),
            Draw::CapturePart | Draw::CaptureAll | Draw::Release => {
                ("/api/v3/credits/holds", json!({ "operation": "verification.biometric" }))
            }
        };
        let request = ApiRequest::new(Method::POST, path, &key).under("from").with(&body);
        let made = process.call(&request).await;
        assert_eq!(made.0, 201, "{made:?}");
        process.project().await;
        let of = process.fixture.rows(account, process.now()).await[0].entry.id;
        Self { account, key, of, draw }
    }

    async fn request(&self, process: &TestProcess) -> (u16, Value) {
        let hold = format!("/api/v3/credits/holds/hold_{}", self.of.bare());
        let (path, body) = match self.draw {
            Draw::CapturePart => (format!("{hold}/capture"), json!({ "amount": 1 })),
            Draw::CaptureAll => (format!("{hold}/capture"), json!({})),
            Draw::Release => (format!("{hold}/release"), json!({})),
            Draw::Refund => (
                "/api/v3/credits/refund".to_owned(),
                json!({ "transactionId": self.of.to_string(), "reason": "technical_failure" }),
            ),
        };
        process.call(&ApiRequest::new(Method::POST, &path, &self.key).under("draw").with(&body)).await
    }

    /// The jobs that finish the request and that time will find. Without a clock, a test ledger's own list may keep the
    /// copy of a job whose request died before it began.
    async fn jobs(&self, process: &TestProcess, afterwards: Afterwards) -> Vec<ScheduledJob> {
        let ledger = process.fixture.restarted();
        let mut jobs = process.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await;
        if afterwards == Afterwards::TestClock {
            jobs.extend(ledger.own_due_jobs(self.account, DateTime::<Utc>::MAX_UTC).await.unwrap());
        }
        jobs.retain(|stored| stored.job.kind() == JobKind::Remainder);
        jobs
    }

    /// Checks that the request has one effect or none, exactly one if it was acknowledged, and that nothing of it is
    /// left to be done.
    async fn is_finished(
        &self,
        process: &TestProcess,
        (then, acknowledged): (Afterwards, bool),
        case: &str,
    ) -> usize {
        let rows = process.fixture.rows(self.account, process.now()).await;
        let drawn =
            |row: &&domain::Receipt| row.details.drawn.as_ref().is_some_and(|drawn| drawn.of == self.of);
        let effects = rows.iter().filter(drawn).count();
        assert!(effects <= 1 && usize::from(acknowledged) <= effects, "{case}: {effects} effects");
        let remainder = process.fixture.restarted().remainder(self.account, self.of).await.unwrap();
        let parts = remainder.as_ref().map_or(0, domain::Remainder::parts);
        assert_eq!((parts, remainder.is_none_or(|left| left.open.is_none())), (effects, true), "{case}");
        assert_eq!(self.jobs(process, then).await, [], "{case}");
        effects
    }
}

/// How time goes on after the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Afterwards {
    RealTime,
    /// The ledger gets a test clock, which is moved.
    TestClock,
}

/// Lets some minutes pass, less than the hour of a hold. A job that fails comes back after two minutes.
async fn pass(process: &mut TestProcess, drawn: &Drawn, afterwards: Afterwards) {
    process.clear_faults();
    for _ in 0..4 {
        process.pass(125);
        process.project().await;
        if afterwards == Afterwards::TestClock {
            let body = json!({ "advanceSeconds": 300 });
            let moved = process
                .call(&ApiRequest::new(Method::POST, "/api/v3/test-clock", &drawn.key).with(&body))
                .await;
            assert_eq!((moved.0, &moved.1["data"]["arrived"]), (200, &json!(true)), "{moved:?}");
        }
        process.reconcile().await;
        if drawn.jobs(process, afterwards).await.is_empty() {
            break;
        }
    }
    process.project().await;
}

async fn every_fault(draws: &[Draw], mode: Mode, afterwards: Afterwards) {
    let mut process = TestProcess::open(now()).await;
    let (mut histories, mut effects) = (0, 0);
    for draw in draws.iter().copied() {
        let drawn = Drawn::new(&mut process, draw, mode).await;
        process.clear_faults();
        assert_eq!(drawn.request(&process).await.0, 201, "{draw:?}");
        let writes = process.steps().0;
        // The request is complete, and its job is gone already.
        drawn.is_finished(&process, (afterwards, true), "without a fault").await;
        for fault in FaultAt::all(writes, 0) {
            let case = format!("{draw:?} of a {mode:?} ledger, {fault:?}, {afterwards:?}");
            let drawn = Drawn::new(&mut process, draw, mode).await;
            process.inject(fault);
            let (status, _) = drawn.request(&process).await;
            pass(&mut process, &drawn, afterwards).await;
            effects += drawn.is_finished(&process, (afterwards, status == 201), &case).await;
            histories += 1;
        }
    }
    assert!(histories / 2 < effects, "{effects} of {histories} requests took effect");
    count(&format!("jobs of requests, {mode:?}, {afterwards:?}: {histories} histories"));
}

/// Every write of a capture, a release and a refund fails in every way, and the caller does not retry: the job finishes what was
/// begun, and an answered request leaves no job.
#[tokio::test]
async fn the_job_of_a_request_finishes_it_or_is_cancelled() {
    every_fault(&DRAWS, Mode::Live, Afterwards::RealTime).await;
}

/// The same in a test ledger, whose jobs are stored twice until it has a clock of its own.
#[tokio::test]
async fn a_job_of_a_test_ledger_is_found_by_both_clocks() {
    every_fault(&[Draw::Refund], Mode::Test, Afterwards::RealTime).await;
    every_fault(&[Draw::Refund], Mode::Test, Afterwards::TestClock).await;
}

async fn held(process: &TestProcess, drawn: &Drawn) -> Credits {
    process.fixture.restarted().account(drawn.account).await.unwrap().unwrap().held
}

/// What is interrupted of a stored job.
#[derive(Clone, Copy, Debug)]
enum Interrupted {
    /// Its run, together with two more stored copies.
    Run,
    Postponement,
}

/// A hold that has ended, with three stored copies of the job that releases it.
async fn ended_hold(process: &mut TestProcess, mode: Mode) -> (Drawn, Vec<ScheduledJob>) {
    let drawn = Drawn::new(process, Draw::Release, mode).await;
    process.pass(3_700);
    let (ledger, mut copies) = (process.fixture.restarted(), Vec::new());
    for second in [1, 2, 3] {
        let due = process.now() - Duration::seconds(second);
        copies.push(ledger.schedule(Job::Calendar(drawn.account), due).await.unwrap());
    }
    (drawn, copies)
}

impl Interrupted {
    async fn carry_out(self, process: &TestProcess, copies: &[ScheduledJob]) {
        match self {
            Self::Run => process.reconcile().await,
            Self::Postponement => {
                let app = process.start();
                app.dispatcher().postpone(copies, app.clock.moment()).await.ok();
            }
        }
    }
}

/// Every write of a job's run and of its postponement fails in every way: the job is still stored, and a later run
/// does its work and removes it.
#[tokio::test]
async fn a_job_is_stored_until_its_work_is_done() {
    let mut process = TestProcess::open(now()).await;
    let mut histories = 0;
    for (mode, act) in [
        (Mode::Live, Interrupted::Run),
        (Mode::Live, Interrupted::Postponement),
        (Mode::Test, Interrupted::Run),
        (Mode::Test, Interrupted::Postponement),
    ] {
        let (_, copies) = ended_hold(&mut process, mode).await;
        process.clear_faults();
        act.carry_out(&process, &copies).await;
        let writes = process.steps().0;
        assert!(writes >= 4, "{writes}");
        process.run_until_idle().await;
        for fault in FaultAt::all(writes, 0) {
            let case = format!("{act:?} of a {mode:?} ledger's job, {fault:?}");
            let (drawn, copies) = ended_hold(&mut process, mode).await;
            process.inject(fault);
            act.carry_out(&process, &copies).await;
            process.clear_faults();
            let left = process.fixture.due_jobs(DateTime::<Utc>::MAX_UTC).await;
            assert!(held(&process, &drawn).await.is_zero() || !left.is_empty(), "{case}: the job is lost");
            process.run_until_idle().await;
            assert!(held(&process, &drawn).await.is_zero(), "{case}");
            let ledger = process.fixture.restarted();
            let own = ledger.own_due_jobs(drawn.account, DateTime::<Utc>::MAX_UTC).await.unwrap();
            assert!(own.len() <= 1, "{case}: {own:?}");
            histories += 1;
        }
    }
    count(&format!("runs and postponements of jobs: {histories} histories"));
}

/// A request that schedules an account's job for its minute loses an answer or dies: a repeat leaves one job.
#[tokio::test]
async fn a_job_of_a_minute_is_stored_once_whatever_is_lost() {
    for mode in [Mode::Live, Mode::Test] {
        let process = TestProcess::open(now()).await;
        let (live, _) = process.customer(1).await;
        let job = Job::Calendar(AccountId { mode, ..live });
        let writes = if mode == Mode::Live { 1 } else { 2 };
        for (minute, fault) in (1..).zip(FaultAt::all(writes, 0)) {
            let at = now() + Duration::minutes(minute);
            process.inject(fault);
            let first = process.fixture.restarted().schedule_in_minute(job, at).await;
            process.clear_faults();
            let again = process.fixture.restarted().schedule_in_minute(job, at).await.unwrap();
            assert!(first.is_err() || first.unwrap() == again, "{fault:?}");
            let stored = process.fixture.due_jobs(again.due).await;
            assert_eq!(stored, [again], "{fault:?}");
            process.fixture.ledger.remove_job(&again).await.unwrap();
        }
    }
}
