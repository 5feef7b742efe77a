//! The projector behind a hot account: Lambda's lanes of a stream's shard, in simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use chrono::{DateTime, TimeDelta, Utc};
use domain::AccountId;
use futures_util::future::{join, join_all};
use jobs::RenewalTask;
use jobs::projection::{Others, ROW_GRACE, Record, project};
use ports::{NoBus, Queue, QueueError};
use scrip_payments::RechargeRequest;
use store::{Activity, JOB_SHARDS, Job, Ledger, Moment};
use tokio::time::{Instant, sleep};

use crate::Limiter;
use crate::ledger::NO_SETTINGS;

/// How long a record takes from its write to the function.
const STREAM_DELAY: Duration = Duration::from_millis(150);

/// How often Lambda reads a stream that has no new records.
const POLL: Duration = Duration::from_millis(250);

/// What the start of an invocation costs.
const INVOCATION: Duration = Duration::from_millis(10);

/// The deployment of the projector, which says how many records a batch has at most.
const DEPLOYMENT: &str = include_str!("../../functions/projector/function.yaml");

/// How many batches of a shard run at the same time.
const LANES: usize = 10;

/// When the first recharge of each account was requested. The queue is away at first.
#[derive(Clone, Default)]
pub(crate) struct Recharges {
    requested: Arc<Mutex<BTreeMap<AccountId, Instant>>>,
    away_until: Option<Instant>,
}

impl Recharges {
    /// A queue that accepts nothing until then.
    pub(crate) fn away_until(until: Instant) -> Self {
        Self { away_until: Some(until), ..Self::default() }
    }
}

#[async_trait]
impl Queue<RechargeRequest> for Recharges {
    async fn send(&self, request: &RechargeRequest, _: u16) -> Result<(), QueueError> {
        if self.away_until.is_some_and(|until| Instant::now() < until) {
            return Err(QueueError("the queue is away".to_owned()));
        }
        self.requested.lock().unwrap().entry(request.account).or_insert_with(Instant::now);
        Ok(())
    }
}

struct NoTasks;

#[async_trait]
impl Queue<RenewalTask> for NoTasks {
    async fn send(&self, _: &RenewalTask, _: u16) -> Result<(), QueueError> {
        Ok(())
    }
}

/// The simulated time.
#[derive(Clone, Copy)]
pub(crate) struct SimulatedClock {
    pub(crate) start: Instant,
    pub(crate) epoch: DateTime<Utc>,
}

impl SimulatedClock {
    pub(crate) fn moment(self) -> Moment {
        let now = self.epoch + TimeDelta::from_std(self.start.elapsed()).unwrap();
        let now = DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap();
        Moment { now, wall: now }
    }
}

/// The projector, and the records that it will get.
pub(crate) struct HotProjector {
    pub(crate) clock: SimulatedClock,
    pub(crate) limiter: Limiter,
    pub(crate) ledger: Ledger,
    pub(crate) activity: Activity,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
    pub(crate) accounts: Vec<AccountId>,
    pub(crate) recharges: Recharges,
    /// How many records there will be.
    pub(crate) expected: AtomicU64,
}

#[derive(Default)]
pub(crate) struct Followed {
    pub(crate) records: u64,
    pub(crate) lag: Duration,
    pub(crate) took: Duration,
    /// The records that were delivered again.
    pub(crate) again: u64,
}

impl HotProjector {
    /// Projects records as Lambda does: batches of the deployment's size, the records of an account in one of [`LANES`] lanes.
    pub(crate) async fn follow(&self) -> Followed {
        let stream = self.streams.list_streams().table_name("ledger").send().await.unwrap();
        let stream = stream.streams()[0].stream_arn().unwrap().to_owned();
        let described = self.streams.describe_stream().stream_arn(&stream).send().await.unwrap();
        let shard = described.stream_description().unwrap().shards()[0].shard_id().unwrap().to_owned();
        let begin = self.streams.get_shard_iterator().stream_arn(&stream).shard_id(shard);
        let begin = begin.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let mut iterator = begin.shard_iterator;
        let lanes: Vec<Lane> = (0..LANES).map(|_| Lane::default()).collect();
        let done = Mutex::new(false);
        let reader = async {
            let mut read_records = 0;
            while read_records < self.expected.load(Ordering::Relaxed) && !*done.lock().unwrap() {
                let read = self.streams.get_records().shard_iterator(iterator.take().unwrap());
                let read = read.limit(1_000).send().await.unwrap();
                iterator = read.next_shard_iterator().map(str::to_owned);
                let count = read.records().len();
                for (account, number, record) in debits(read.records()) {
                    read_records += 1;
                    let lane = self.accounts.iter().position(|known| *known == account).unwrap() % LANES;
                    lanes[lane].0.lock().unwrap().push_back((account, number, record));
                }
                if count == 0 {
                    sleep(POLL).await;
                } else {
                    sleep(Duration::from_millis(5)).await;
                }
            }
            *done.lock().unwrap() = true;
        };
        let start = Instant::now();
        let working = lanes.iter().map(|lane| self.work(lane, &done));
        let ((), worked) = join(reader, join_all(working)).await;
        let mut followed = Followed { took: start.elapsed(), ..Followed::default() };
        for lane in worked {
            followed.records += lane.records;
            followed.lag = followed.lag.max(lane.lag);
            followed.again += lane.again;
        }
        followed
    }

    async fn work(&self, lane: &Lane, done: &Mutex<bool>) -> Followed {
        let most = batch_size();
        let mut followed = Followed::default();
        loop {
            let batch: Vec<_> = {
                let mut waiting = lane.0.lock().unwrap();
                let visible = waiting.iter().take(most).take_while(|(account, number, _)| {
                    self.commit(*account, *number).elapsed() >= STREAM_DELAY
                });
                let count = visible.count();
                waiting.drain(..count).collect()
            };
            if batch.is_empty() {
                if *done.lock().unwrap() && lane.0.lock().unwrap().is_empty() {
                    return followed;
                }
                sleep(Duration::from_millis(10)).await;
                continue;
            }
            sleep(INVOCATION).await;
            let others = Others {
                activity: &self.activity,
                settings: &NO_SETTINGS,
                bus: &NoBus,
                recharges: &self.recharges,
                tasks: &NoTasks,
                moment: self.clock.moment(),
                grace: ROW_GRACE,
            };
            let records = batch.iter().map(|(_, _, record)| record.clone());
            let failed = Box::pin(project(&self.ledger, &others, records)).await;
            let done = failed.and_then(|failed| batch.iter().position(|(.., record)| record.place == failed));
            let mut batch = batch;
            // Lambda delivers the record that failed and those after it again.
            for again in batch.split_off(done.unwrap_or(batch.len())).into_iter().rev() {
                lane.0.lock().unwrap().push_front(again);
                followed.again += 1;
            }
            for (account, number, _) in batch {
                followed.records += 1;
                followed.lag = followed.lag.max(self.commit(account, number).elapsed());
            }
        }
    }

    /// How many projection jobs are scheduled.
    pub(crate) async fn jobs(&self) -> usize {
        let (mut jobs, end) = (0, self.clock.moment().now + TimeDelta::hours(1));
        for shard in 0..JOB_SHARDS {
            let page = self.ledger.due_page(shard, None, end, 1_000).await.unwrap();
            assert!(page.is_end);
            jobs += page.jobs.iter().filter(|scheduled| matches!(scheduled.job, Job::Projection(_))).count();
        }
        jobs
    }

    fn commit(&self, account: AccountId, number: u64) -> Instant {
        self.limiter.committed_at(&account.to_string(), number).unwrap()
    }

    /// The longest time from an account's crossing to the request of its recharge.
    pub(crate) async fn recharge_delay(&self, crossing: usize) -> Option<Duration> {
        let requested = self.recharges.requested.lock().unwrap().clone();
        // The first transaction is the month's allowance; the one after `crossing` debits is below the threshold.
        let number = u64::try_from(crossing).unwrap() + 2;
        let delays = requested.iter().filter_map(|(account, at)| {
            let crossed = self.limiter.committed_at(&account.to_string(), number)?;
            Some(at.duration_since(crossed))
        });
        delays.max()
    }
}

/// The first `BatchSize` of the deployment: that of the accounts' records.
fn batch_size() -> usize {
    let line = DEPLOYMENT.lines().find_map(|line| line.trim().strip_prefix("BatchSize: "));
    line.unwrap().parse().unwrap()
}

/// The records that wait for one lane: their accounts, numbers, and contents.
#[derive(Default)]
struct Lane(Mutex<VecDeque<(AccountId, u64, Record)>>);

/// The records of debits.
fn debits(records: &[aws_sdk_dynamodbstreams::types::Record]) -> Vec<(AccountId, u64, Record)> {
    let ours = records.iter().filter_map(|record| {
        let change = record.dynamodb()?;
        let image = change.new_image.clone()?;
        let account = image.get("pk")?.as_s().ok()?.strip_prefix("ACCT#")?.parse().ok()?;
        let number: u64 = image.get("seq")?.as_n().ok()?.parse().ok()?;
        let place = change.sequence_number()?.to_owned();
        (number > 1).then_some((account, number, Record { place, image: Some(image.into()) }))
    });
    ours.collect()
}
