//! A backlog of scheduled jobs that drains while unrelated jobs fall due, in simulated time.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    AccountId, Allowance, Amount, ClaimKey, Consume, Credits, Currency, Details, EntryId, Fingerprint,
    IdempotencyKey, Mode, Money, Offer, Operation, OrgId, PlanId, Purchase, PurchaseId, Reference,
};
use jobs::{CALL_INTERVAL, ShardRun};
use scrip_http::{App, Clock};
use store::{Claim, JOB_SHARDS, Job, JobKind, Organisation, RemainderId, random};
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::{Dice, SimulatedClock, TestProcess, moment};

/// How long DynamoDB takes for an answer.
const ANSWER: Duration = Duration::from_millis(5);

/// How long the payment provider takes for an answer: longer than Scrip waits for it, which is 18 seconds for a charge.
const SLOW_PROVIDER: Duration = Duration::from_secs(23);

/// How many minutes a run may take.
const MINUTES_MAX: u32 = 600;

/// A backlog: half of it belongs to one account, the rest to an account for each job. Beside it, purchases are pending
/// at a payment provider that is slow and has no answer, and accounts that have nothing to do with either have holds
/// that end.
#[derive(Clone, Copy, Debug)]
pub struct Backlog {
    /// How many jobs are due at the beginning.
    pub jobs: usize,
    /// How many purchases are pending.
    pub purchases: usize,
    /// How many holds end, each of an account of its own.
    pub holds: usize,
    /// In how many minutes they end.
    pub minutes: u32,
    /// Every how many minutes the calls of all shards are killed while they run; 0 for never.
    pub killed_every: u32,
}

/// How a backlog drained.
#[derive(Clone, Debug)]
pub struct BacklogRun {
    /// After how long the last job of the backlog was done, in simulated time.
    pub drained_after: TimeDelta,
    /// How long after its end each hold was released, in whole seconds, the longest last.
    pub released_after: Vec<i64>,
    /// How many writes the database received.
    pub writes: usize,
}

impl Backlog {
    /// Runs all shards every minute, as the template does, until the backlog is gone and every hold is released. The
    /// runtime must have one thread, and its clock must be paused.
    pub async fn drain(&self, start: DateTime<Utc>) -> BacklogRun {
        let mut process = TestProcess::open(start).await;
        let holds = self.fill(&process, start).await;
        process.project().await;
        process.clear_faults();
        process.faults.delay(ANSWER);
        process.delay_provider(SLOW_PROVIDER);
        let clock = SimulatedClock::at(start);
        let (mut calls, mut drained) = (JoinSet::new(), None);
        for minute in 1..=MINUTES_MAX {
            for shard in 0..JOB_SHARDS {
                let app = App { clock: Arc::new(clock), ..Arc::into_inner(process.start()).unwrap() };
                calls.spawn(async move { app.dispatcher().run_shard(shard).await.unwrap() });
            }
            let is_killed = self.killed_every > 0 && minute % self.killed_every == 0;
            self.pass_minute(&mut calls, is_killed).await;
            if drained.is_none() && is_drained(&process, start).await {
                drained = Some(clock.now().signed_duration_since(start));
            }
            if let Some(drained_after) = drained
                && self.minutes < minute
            {
                calls.join_all().await;
                let released_after = released(&mut process, &holds, clock.now()).await;
                return BacklogRun { drained_after, released_after, writes: process.faults.writes() };
            }
        }
        panic!("the backlog is not drained after {MINUTES_MAX} minutes");
    }

    /// Lets a minute pass. Calls that are killed end after half of it.
    async fn pass_minute(&self, calls: &mut JoinSet<ShardRun>, is_killed: bool) {
        let minute = CALL_INTERVAL.to_std().unwrap();
        let half = minute / 2;
        sleep(half).await;
        if is_killed {
            calls.shutdown().await;
        }
        sleep(minute - half).await;
    }

    /// Stores the jobs, the purchases and the holds. Returns the accounts with holds, and when these end.
    async fn fill(&self, process: &TestProcess, start: DateTime<Utc>) -> Vec<(AccountId, DateTime<Utc>)> {
        let (ledger, mut dice) = (&process.fixture.ledger, Dice(7));
        let long_ago = start - TimeDelta::minutes(1);
        let busy = someone(start);
        for number in 0..self.jobs {
            let account = if number % 2 == 0 { busy } else { someone(start) };
            let of = EntryId::new(start, random());
            ledger.schedule(Job::Remainder(RemainderId { account, of }), long_ago).await.unwrap();
        }
        for _ in 0..self.purchases {
            let account = someone(start);
            process.fixture.settings().add_organisation(&organisation(account, start)).await.unwrap();
            let id = PurchaseId { account, transaction: EntryId::new(start, random()) };
            let price = Money::new(4_900, Currency::GBP).unwrap();
            let credits = Amount::try_from(500).unwrap();
            let offer = Offer { credits, price, service: None, package: None, version: 1 };
            let method = Reference::try_from("card_1".to_owned()).unwrap();
            ledger.begin_purchase(&Purchase::begun(id, offer, method, start)).await.unwrap();
            ledger.schedule(Job::Purchase(id), long_ago).await.unwrap();
        }
        let mut holds = Vec::new();
        for _ in 0..self.holds {
            let seconds = dice.roll(u64::from(self.minutes) * 60);
            let ends = start + TimeDelta::seconds(i64::try_from(seconds).unwrap() + 1);
            holds.push((hold(process, start, ends).await, ends));
        }
        holds
    }
}

/// An account that does not exist.
fn someone(start: DateTime<Utc>) -> AccountId {
    AccountId { org: OrgId::new(start, random()), mode: Mode::Live }
}

fn organisation(account: AccountId, start: DateTime<Utc>) -> Organisation {
    Organisation {
        self_service_plans: true,
        ..Organisation::new(account.org, "Own", PlanId("professional".into()), Allowance::Unlimited, start)
    }
}

/// Whether no job of the backlog is stored any more. Those of purchases come back later.
async fn is_drained(process: &TestProcess, start: DateTime<Utc>) -> bool {
    for shard in 0..JOB_SHARDS {
        let page = process.fixture.ledger.due_page(shard, None, start, 1_000).await.unwrap();
        if page.jobs.iter().any(|stored| stored.job.kind() == JobKind::Remainder) {
            return false;
        }
    }
    true
}

/// An account with a hold that ends at a time, and the job that releases it.
async fn hold(process: &TestProcess, start: DateTime<Utc>, ends: DateTime<Utc>) -> AccountId {
    let (ledger, account) = (&process.fixture.ledger, process.fixture.open(10, start).await);
    let charge = Consume {
        operation: Operation::try_from("verification.standard".to_owned()).unwrap(),
        amount: Credits::try_from(3).unwrap(),
        service: None,
    };
    let details = Details { expires_at: Some(ends), ..Details::default() };
    let key = ClaimKey::Caller(IdempotencyKey::try_from("hold".to_owned()).unwrap());
    let fingerprint = Fingerprint("hold".to_owned());
    let claim = Claim::new(&key, &fingerprint, &details);
    ledger.schedule(Job::Calendar(account), ends).await.unwrap();
    let held = ledger
        .settle(account, claim, moment(start), |account, attempt| domain::hold(account, &charge, attempt));
    held.await.unwrap();
    account
}

/// How many seconds after its end each hold was released.
async fn released(
    process: &mut TestProcess,
    holds: &[(AccountId, DateTime<Utc>)],
    now: DateTime<Utc>,
) -> Vec<i64> {
    process.project().await;
    let mut after = Vec::new();
    for (account, ends) in holds {
        let rows = process.fixture.rows(*account, now).await;
        let release = rows.iter().find(|row| row.entry.operation.as_str() == "credit.release").unwrap();
        after.push(release.entry.at.signed_duration_since(*ends).num_seconds());
    }
    after.sort_unstable();
    after
}
