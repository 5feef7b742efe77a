//! A hot account under DynamoDB's limits: callers that debit it, and the projector behind them, in simulated time.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_dynamodbstreams::types::ShardIteratorType;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Account, AccountId, Allowance, AutoRecharge, AutoRechargeState, ClaimKey, Consume, Credits, Details,
    Fingerprint, IdempotencyKey, Mode, Operation, OrgId, Period, PlanId, consume,
};
use futures_util::future::{join, join_all};
use jobs::RenewalTask;
use jobs::projection::{Others, ROW_GRACE, Record, project, project_missed};
use local::engine::Engine;
use ports::{NoBus, Queue, QueueError};
use scrip_payments::RechargeRequest;
use store::{Activity, Claim, Ledger, Moment, random};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{Limiter, Limits, UnitMeter, Units, others};

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

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct HotLoad {
    /// The number of accounts; debits go round them.
    pub accounts: usize,
    /// The number of callers, each of which waits for its answer.
    pub callers: usize,
    /// The debits a second of all callers together; as many as they can when `None`.
    pub rate: Option<f64>,
    /// The number of debits.
    pub debits: usize,
    /// Whether the projector starts only once all debits are made.
    pub projector_waits: bool,
    /// The number of debits after which an account falls below the threshold of its auto-recharge.
    pub crossing: usize,
}

/// What was measured. Times are simulated.
#[derive(Clone, Debug, Default)]
pub struct HotFigures {
    /// The debits that were made.
    pub debits: u64,
    /// The debits that were refused for lack of throughput.
    pub refused: u64,
    /// How long the debits took.
    pub took: Duration,
    /// The answer times of the debits, ascending.
    pub answers: Vec<Duration>,
    /// The longest time from a debit to its watermark.
    pub lag: Duration,
    /// The records that the projector followed.
    pub followed: u64,
    /// How long the projector took, from its first record to its last.
    pub followed_in: Duration,
    /// The time from the crossing of the threshold to the request of a recharge; `None` when there was none.
    pub recharge: Option<Duration>,
    /// The units of the projector.
    pub background: Units,
    /// The requests that were throttled.
    pub throttled: u64,
    /// The units of the callers.
    pub foreground: Units,
}

/// When the first recharge of each account was requested.
#[derive(Clone, Default)]
struct Recharges(Arc<Mutex<BTreeMap<AccountId, Instant>>>);

#[async_trait]
impl Queue<RechargeRequest> for Recharges {
    async fn send(&self, request: &RechargeRequest, _: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().entry(request.account).or_insert_with(Instant::now);
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
struct SimulatedClock {
    start: Instant,
    epoch: DateTime<Utc>,
}

impl SimulatedClock {
    fn moment(self) -> Moment {
        let now = self.epoch + TimeDelta::from_std(self.start.elapsed()).unwrap();
        let now = DateTime::from_timestamp_millis(now.timestamp_millis()).unwrap();
        Moment { now, wall: now }
    }
}

/// The tables, and what observes them.
struct HotTables {
    clock: SimulatedClock,
    limiter: Limiter,
    callers: Ledger,
    caller_units: UnitMeter,
    projector: Ledger,
    activity: Activity,
    projector_units: UnitMeter,
    streams: aws_sdk_dynamodbstreams::Client,
    accounts: Vec<AccountId>,
    recharges: Recharges,
}

/// Simulates a load. Call it in a runtime of one thread whose clock is paused.
pub async fn simulate(load: HotLoad) -> HotFigures {
    let tables = HotTables::open(load).await;
    let mut figures = HotFigures::default();
    let (made, followed) = match load.projector_waits {
        true => {
            let made = tables.debit(load).await;
            (made, tables.follow(load).await)
        }
        false => join(tables.debit(load), tables.follow(load)).await,
    };
    let Made { mut answers, refused, took } = made;
    answers.sort_unstable();
    figures.debits = u64::try_from(answers.len()).unwrap();
    figures.refused = refused;
    figures.took = took;
    figures.answers = answers;
    figures.lag = followed.lag;
    figures.followed = followed.records;
    figures.followed_in = followed.took;
    figures.background = tables.projector_units.take();
    figures.foreground = tables.caller_units.take();
    figures.throttled = tables.limiter.throttled();
    figures.recharge = tables.recharge_delay(load).await;
    figures
}

struct Made {
    answers: Vec<Duration>,
    refused: u64,
    took: Duration,
}

#[derive(Default)]
struct Followed {
    records: u64,
    lag: Duration,
    took: Duration,
}

impl HotTables {
    async fn open(load: HotLoad) -> Self {
        let engine = Engine::temporary().unwrap();
        let limiter = Limiter::on(engine.http_client(), Some(Limits::AWS));
        let free = Limiter::on(engine.http_client(), None);
        let config = engine.dynamodb_config().http_client(free.client()).build();
        let client = aws_sdk_dynamodb::Client::from_conf(config.clone());
        let names = local::Tables { ledger: "ledger", settings: "settings", activity: "activity" };
        local::create_tables_keeping_all(&client, names).await.unwrap();
        let metered = |meter: &UnitMeter| {
            let config = engine.dynamodb_config().http_client(limiter.client());
            config.interceptor(meter.clone()).build()
        };
        let (caller_units, projector_units) = (UnitMeter::default(), UnitMeter::default());
        let projector = metered(&projector_units);
        let streams = engine.streams_config().http_client(free.client()).build();
        let clock = SimulatedClock { start: Instant::now(), epoch: "2024-01-15T10:30:00Z".parse().unwrap() };
        let setup = Ledger::new(&config, "ledger");
        let now = clock.epoch;
        let mut accounts = Vec::new();
        for _ in 0..load.accounts {
            let id = AccountId { org: OrgId::new(now, random()), mode: Mode::Live };
            let allowance = Allowance::Monthly(Credits::try_from(10_000_000).unwrap());
            setup.open(&Account::open(id, PlanId("basic".into()), allowance, now)).await.unwrap();
            setup.catch_up(id, clock.moment()).await.unwrap();
            accounts.push(id);
            let crossing = u64::try_from(load.crossing).unwrap();
            let threshold = Credits::try_from(10_000_000 - crossing).unwrap();
            let recharge = AutoRecharge { threshold, ..auto_recharge(Period::of(now)) };
            setup.save_recharge(id, &recharge).await.unwrap();
            // What opened the account is no part of the load.
            let activity = Activity::new(&config, "activity");
            project_missed(&setup, &others(&activity), id, Duration::MAX).await.unwrap();
        }
        Self {
            clock,
            limiter: limiter.clone(),
            callers: Ledger::new(&metered(&caller_units), "ledger"),
            caller_units,
            projector: Ledger::new(&projector, "ledger"),
            activity: Activity::new(&projector, "activity"),
            projector_units,
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
            accounts,
            recharges: Recharges::default(),
        }
    }

    async fn debit(&self, load: HotLoad) -> Made {
        let start = Instant::now();
        let callers = (0..load.callers).map(|caller| async move {
            let (mut answers, mut refused) = (Vec::new(), 0);
            for number in (caller..load.debits).step_by(load.callers) {
                if let Some(rate) = load.rate {
                    let due = Duration::from_secs_f64(f64::from(u32::try_from(number).unwrap()) / rate);
                    sleep_until(start + due).await;
                }
                let sent = Instant::now();
                match self.debit_once(number).await {
                    true => answers.push(sent.elapsed()),
                    false => refused += 1,
                }
            }
            (answers, refused)
        });
        let mut made = Made { answers: vec![], refused: 0, took: Duration::ZERO };
        for (answers, refused) in join_all(callers).await {
            made.answers.extend(answers);
            made.refused += refused;
        }
        made.took = start.elapsed();
        made
    }

    async fn debit_once(&self, number: usize) -> bool {
        let id = self.accounts[number % self.accounts.len()];
        let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
        let request = Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
        let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("hot-{number:08}")).unwrap());
        let (details, fingerprint) = (Details::default(), Fingerprint("x".to_owned()));
        let claim = Claim::new(&key, &fingerprint, &details);
        let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
        Box::pin(self.callers.spend(id, claim, self.clock.moment(), decide)).await.is_ok()
    }

    /// Projects records as Lambda does: batches of the deployment's size, the records of an account in one of [`LANES`] lanes.
    async fn follow(&self, load: HotLoad) -> Followed {
        let stream = self.streams.list_streams().table_name("ledger").send().await.unwrap();
        let stream = stream.streams()[0].stream_arn().unwrap().to_owned();
        let described = self.streams.describe_stream().stream_arn(&stream).send().await.unwrap();
        let shard = described.stream_description().unwrap().shards()[0].shard_id().unwrap().to_owned();
        let begin = self.streams.get_shard_iterator().stream_arn(&stream).shard_id(shard);
        let begin = begin.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await.unwrap();
        let mut iterator = begin.shard_iterator;
        let lanes: Vec<Lane> = (0..LANES).map(|_| Lane::default()).collect();
        let done = Mutex::new(false);
        let wanted = u64::try_from(load.debits).unwrap();
        let reader = async {
            let mut read_records = 0;
            while read_records < wanted && !*done.lock().unwrap() {
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
                bus: &NoBus,
                recharges: &self.recharges,
                tasks: &NoTasks,
                moment: self.clock.moment(),
                grace: ROW_GRACE,
            };
            let records = batch.iter().map(|(_, _, record)| record.clone());
            let failed = Box::pin(project(&self.projector, &others, records)).await;
            assert_eq!(failed, None);
            for (account, number, _) in batch {
                followed.records += 1;
                followed.lag = followed.lag.max(self.commit(account, number).elapsed());
            }
        }
    }

    fn commit(&self, account: AccountId, number: u64) -> Instant {
        self.limiter.committed_at(&account.to_string(), number).unwrap()
    }

    /// The longest time from an account's crossing to the request of its recharge.
    async fn recharge_delay(&self, load: HotLoad) -> Option<Duration> {
        let requested = self.recharges.0.lock().unwrap().clone();
        // The first transaction is the month's allowance; the one after `crossing` debits is below the threshold.
        let number = u64::try_from(load.crossing).unwrap() + 2;
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

/// Auto-recharge of 500 credits as an owner sets it, with a threshold of 0.
pub fn auto_recharge(month: Period) -> AutoRecharge {
    AutoRecharge {
        enabled: true,
        threshold: Credits::ZERO,
        service: None,
        amount: 500.try_into().unwrap(),
        payment_method: "pm_card".to_owned().try_into().unwrap(),
        monthly_limit: None,
        monthly_spend_limit: None,
        debt_limit: Credits::ZERO,
        state: AutoRechargeState::Ready,
        disputed: false,
        refunded: false,
        failures: 0,
        failure: None,
        month,
        bought: Credits::ZERO,
        spent: 0,
        recent: vec![],
        edition: 0,
        revision: 0,
    }
}
