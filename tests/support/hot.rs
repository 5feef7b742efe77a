//! A hot account under DynamoDB's limits: callers that debit it, and the projector behind them, in simulated time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Config;
use domain::{
    Account, AccountId, Allowance, AutoRecharge, AutoRechargeState, Batch, ClaimKey, Consume, Credits,
    Details, Fingerprint, IdempotencyKey, Mode, Operation, OrgId, Period, PlanId, batch, consume,
};
use futures_util::future::{join, join_all};
use jobs::projection::project_missed;
use local::engine::Engine;
use store::{Activity, Claim, Ledger, random};
use tokio::time::{Instant, sleep, sleep_until};

use crate::hot_projector::{HotProjector, Recharges, SimulatedClock};
use crate::{Limiter, Limits, UnitMeter, Units, others};

/// How long a caller waits after a refusal, as `Retry-After` says.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// What is simulated.
#[derive(Clone, Copy, Debug)]
pub struct HotLoad {
    /// The number of accounts; debits go round them.
    pub accounts: usize,
    /// The number of callers, each of which waits for its answer.
    pub callers: usize,
    /// The number of processes that the callers are spread over.
    pub processes: usize,
    /// The debits a second of all callers together; as many as they can when `None`.
    pub rate: Option<f64>,
    /// The number of requests that debit.
    pub debits: usize,
    /// The rows that each of them makes: more than one for a batch.
    pub rows: usize,
    /// The limits of the tables.
    pub limits: Limits,
    /// For how long the queue of auto-recharge is away at first.
    pub queue_away: Duration,
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
    /// How many records were delivered again.
    pub again: u64,
    /// How many projection jobs were scheduled.
    pub jobs: usize,
    /// The units of the projector.
    pub background: Units,
    /// The requests that were throttled.
    pub throttled: u64,
    /// The units of the callers.
    pub foreground: Units,
    /// The highest number of entries without a row at one time, of the first account.
    pub unwritten: u64,
    /// Whether an audit of the first account finds it sound, with all rows.
    pub audited: bool,
    /// How many shards the rows of the first account are spread over in the end.
    pub shards: u8,
}

/// The tables, and what observes them.
struct HotTables {
    /// A connection without limits.
    free: Config,
    callers: Vec<Ledger>,
    caller_units: UnitMeter,
    projector: HotProjector,
    projector_units: UnitMeter,
}

/// Simulates a load. Call it in a runtime of one thread whose clock is paused.
pub async fn simulate(load: HotLoad) -> HotFigures {
    let tables = HotTables::open(load).await;
    let mut figures = HotFigures::default();
    let (made, followed) = match load.projector_waits {
        true => {
            let made = tables.debit(load).await;
            (made, tables.projector.follow().await)
        }
        false => join(tables.debit(load), tables.projector.follow()).await,
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
    figures.again = followed.again;
    figures.background = tables.projector_units.take();
    figures.foreground = tables.caller_units.take();
    figures.throttled = tables.projector.limiter.throttled();
    figures.recharge = tables.projector.recharge_delay(load.crossing).await;
    figures.jobs = tables.projector.jobs().await;
    // The row of what opened the account is not counted.
    figures.unwritten = tables.projector.limiter.take_unwritten().saturating_sub(1);
    let process = Ledger::new(&tables.free, "ledger");
    let account = process.account(tables.projector.accounts[0]).await.unwrap().unwrap();
    figures.shards = account.row_shards.count();
    let report =
        process.audit(account.id, tables.projector.clock.moment().now, |_| ()).await.unwrap().unwrap();
    figures.audited = report.findings.is_empty() && report.added_up;
    figures
}

struct Made {
    answers: Vec<Duration>,
    refused: u64,
    took: Duration,
}

impl HotTables {
    async fn open(load: HotLoad) -> Self {
        let engine = Engine::temporary().unwrap();
        let limiter = Limiter::on(engine.http_client(), Some(load.limits));
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
        let projector = HotProjector {
            clock,
            limiter: limiter.clone(),
            ledger: Ledger::new(&projector, "ledger"),
            activity: Activity::new(&projector, "activity"),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
            accounts,
            recharges: Recharges::away_until(clock.start + load.queue_away),
            expected: AtomicU64::new(u64::try_from(load.debits).unwrap()),
        };
        Self {
            free: config,
            callers: (0..load.processes).map(|_| Ledger::new(&metered(&caller_units), "ledger")).collect(),
            caller_units,
            projector,
            projector_units,
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
                match self.debit_once(&self.callers[caller % load.processes], number, load.rows).await {
                    true => answers.push(sent.elapsed()),
                    false => {
                        refused += 1;
                        self.projector.expected.fetch_sub(1, Ordering::Relaxed);
                        sleep(RETRY_AFTER).await;
                    }
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

    async fn debit_once(&self, process: &Ledger, number: usize, rows: usize) -> bool {
        let id = self.projector.accounts[number % self.projector.accounts.len()];
        let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
        let request = Consume { operation, amount: Credits::try_from(1).unwrap(), service: None };
        let items = Batch { items: vec![Some(request.clone()); rows], atomic: true };
        let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("hot-{number:08}")).unwrap());
        let (details, fingerprint) = (Details::default(), Fingerprint("x".to_owned()));
        let claim = Claim::new(&key, &fingerprint, &details);
        let decide = |account: &_, attempt: &_| match rows {
            1 => consume(account, &request, attempt),
            _ => batch(account, &items, attempt),
        };
        Box::pin(process.spend(id, claim, self.projector.clock.moment(), decide)).await.is_ok()
    }
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
