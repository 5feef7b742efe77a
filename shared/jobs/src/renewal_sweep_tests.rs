//! A renewal sweep for a million organisations in simulated time: the code of the sweep, on a directory and a queue in
//! memory. Workers crash within a page, messages are delivered twice, clocks are wrong, and the sweep still finishes, at
//! a rate that the tables sustain.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};

use super::renewal_sweep::{RenewalDirectory, ShardRenewal, renew_page, start};
use ports::{Queue, QueueError};

use super::{JobError, RenewalTask};
use domain::{AccountId, EntryId, Mode, OrgId, Period};
use store::{DIRECTORY_SHARDS, DirectoryEntry, Fault, SweepProgress};

/// How many accounts are renewed at once: the queue's `MaximumConcurrency` in template.yaml.
const WORKERS: usize = 16;

/// How long one renewal takes: a read and two writes in sequence.
const RENEWAL: Duration = Duration::from_millis(20);

/// After how long a message that was received and not deleted is delivered again (template.yaml).
const VISIBILITY: Duration = Duration::from_secs(360);

/// A random number generator: the same seed gives the same numbers.
struct SweepRandom(u64);

impl SweepRandom {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).checked_rem(sides).unwrap_or(0)
    }
}

/// A directory and a queue in memory, with a record of what was done.
struct DirectoryInMemory {
    /// The accounts of each shard, in order.
    directory: Vec<Vec<AccountId>>,
    progress: Mutex<BTreeMap<ShardRenewal, SweepProgress>>,
    /// How often each account was renewed, per shard and index.
    renewed: Mutex<Vec<Vec<u8>>>,
    /// How many renewals happened in each second of the sweep.
    rate: Mutex<BTreeMap<u64, u64>>,
    queue: Mutex<BinaryHeap<std::cmp::Reverse<(Instant, u64, ShardRenewal)>>>,
    sent: AtomicU64,
    /// One in this many steps loses the next task, because its worker crashes before sending it.
    lost: u64,
    random: Mutex<SweepRandom>,
    start: Instant,
}

impl DirectoryInMemory {
    fn new(organisations: u64, lost: u64) -> Self {
        let mut directory = vec![Vec::new(); usize::from(DIRECTORY_SHARDS)];
        for number in 0..organisations {
            let org = OrgId::from(EntryId::derived(
                "2024-01-01T00:00:00Z".parse().unwrap(),
                u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes(),
            ));
            for mode in [Mode::Live, Mode::Test] {
                let account = AccountId { org, mode };
                directory[usize::from(DirectoryEntry::shard(account))].push(account);
            }
        }
        for shard in &mut directory {
            shard.sort_unstable();
        }
        let renewed = directory.iter().map(|shard| vec![0; shard.len()]).collect();
        Self {
            directory,
            progress: Mutex::default(),
            renewed: Mutex::new(renewed),
            rate: Mutex::default(),
            queue: Mutex::default(),
            sent: AtomicU64::new(0),
            lost,
            random: Mutex::new(SweepRandom(1)),
            start: Instant::now(),
        }
    }

    fn put(&self, message: ShardRenewal, after: Duration) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.queue.lock().unwrap().push(std::cmp::Reverse((Instant::now() + after, number, message)));
    }

    /// The next message that is visible now.
    fn take(&self) -> Option<ShardRenewal> {
        let mut queue = self.queue.lock().unwrap();
        let std::cmp::Reverse((due, _, _)) = queue.peek()?;
        if Instant::now() < *due {
            return None;
        }
        queue.pop().map(|std::cmp::Reverse((_, _, message))| message)
    }

    fn is_done(&self, month: Period) -> bool {
        let progress = self.progress.lock().unwrap();
        (0..DIRECTORY_SHARDS)
            .all(|shard| progress.get(&ShardRenewal { month, shard }).is_some_and(|known| known.done))
    }
}

#[async_trait]
impl RenewalDirectory for DirectoryInMemory {
    async fn progress(&self, renewal: ShardRenewal) -> Result<SweepProgress, Fault> {
        Ok(self.progress.lock().unwrap().get(&renewal).copied().unwrap_or_default())
    }

    async fn page(
        &self,
        shard: u8,
        progress: SweepProgress,
        limit: i32,
    ) -> Result<(Vec<DirectoryEntry>, bool), Fault> {
        let accounts = &self.directory[usize::from(shard)];
        let from = progress.after.map_or(0, |after| accounts.partition_point(|account| *account <= after));
        let to = accounts.len().min(from + usize::try_from(limit).unwrap());
        let page =
            accounts[from..to].iter().map(|account| DirectoryEntry { account: *account, monitored: false });
        Ok((page.collect(), to == accounts.len()))
    }

    async fn renew(&self, DirectoryEntry { account, .. }: DirectoryEntry) -> Result<(), JobError> {
        sleep(RENEWAL).await;
        let shard = usize::from(DirectoryEntry::shard(account));
        let place = self.directory[shard].binary_search(&account).unwrap();
        let count = &mut self.renewed.lock().unwrap()[shard][place];
        *count = count.saturating_add(1);
        *self.rate.lock().unwrap().entry(self.start.elapsed().as_secs()).or_default() += 1;
        Ok(())
    }

    async fn record_step(&self, renewal: ShardRenewal, next: SweepProgress) -> Result<bool, Fault> {
        let mut progress = self.progress.lock().unwrap();
        let known = progress.entry(renewal).or_default();
        if known.revision != next.revision {
            return Ok(false);
        }
        *known = SweepProgress { revision: next.revision + 1, ..next };
        Ok(true)
    }
}

#[async_trait]
impl Queue<RenewalTask> for DirectoryInMemory {
    async fn send(&self, task: &RenewalTask, after_seconds: u16) -> Result<(), QueueError> {
        let RenewalTask::Round { month, shard } = *task else {
            return Err(QueueError("this test has no monitors".to_owned()));
        };
        if after_seconds > 0 || self.random.lock().unwrap().roll(self.lost) > 0 {
            self.put(ShardRenewal { month, shard }, Duration::from_secs(after_seconds.into()));
        }
        Ok(())
    }
}

/// How often things fail: one in this many.
#[derive(Clone, Copy, Debug)]
struct FailureRates {
    /// Messages whose worker crashes while it handles them.
    crashes: u64,
    /// Messages that are delivered twice.
    duplicates: u64,
    /// Steps whose worker crashes before it sends the next task.
    lost: u64,
}

/// A worker until the sweep ends: it receives messages, runs their tasks, and deletes them.
async fn worker(directory: Arc<DirectoryInMemory>, month: Period, rates: FailureRates, seed: u64) {
    let mut random = SweepRandom(seed);
    let start: DateTime<Utc> = month.start();
    while !directory.is_done(month) {
        let Some(message) = directory.take() else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        if random.roll(rates.duplicates) == 0 {
            directory.put(message, Duration::from_millis(random.roll(2_000)));
        }
        // The clock of this host is wrong by up to five minutes.
        let skew = TimeDelta::seconds(i64::try_from(random.roll(600)).unwrap() - 300);
        let now = start + TimeDelta::from_std(directory.start.elapsed()).unwrap() + skew;
        let work = renew_page(directory.as_ref(), directory.as_ref(), message, now);
        if random.roll(rates.crashes) == 0 {
            // The worker crashes somewhere in the page, and the message is delivered again.
            let life = Duration::from_millis(random.roll(5_000));
            if tokio::time::timeout(life, work).await.is_ok() && random.roll(2) == 0 {
                continue;
            }
            directory.put(message, VISIBILITY);
        } else {
            work.await.unwrap();
        }
    }
}

/// The figures of a sweep.
#[derive(Debug)]
struct SweepFigures {
    minutes: u64,
    messages: u64,
    peak_per_second: u64,
    repeated: u64,
}

/// Runs a whole sweep. Every hour it is started again, which restarts chains that lost their next task.
async fn sweep(organisations: u64, rates: FailureRates) -> SweepFigures {
    let directory = Arc::new(DirectoryInMemory::new(organisations, rates.lost));
    let month = Period::try_from("2024-02".to_owned()).unwrap();
    assert_eq!(start(directory.as_ref(), directory.as_ref(), month).await.unwrap(), DIRECTORY_SHARDS);
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| {
            tokio::spawn(worker(directory.clone(), month, rates, u64::try_from(number).unwrap() + 7))
        })
        .collect();
    let hourly = directory.clone();
    let restarts = tokio::spawn(async move {
        while !hourly.is_done(month) {
            sleep(Duration::from_secs(3_600)).await;
            start(hourly.as_ref(), hourly.as_ref(), month).await.unwrap();
        }
    });
    for worker in workers {
        worker.await.unwrap();
    }
    let minutes = directory.start.elapsed().as_secs() / 60;
    restarts.abort();
    assert_eq!(start(directory.as_ref(), directory.as_ref(), month).await.unwrap(), 0);
    let renewed = directory.renewed.lock().unwrap();
    let all = renewed.iter().flatten();
    assert!(all.clone().all(|count| *count > 0), "every account was renewed");
    let peak_per_second = directory.rate.lock().unwrap().values().copied().max().unwrap_or(0);
    let repeated = all.map(|count| u64::from(*count) - 1).sum();
    SweepFigures { minutes, messages: directory.sent.load(Ordering::Relaxed), peak_per_second, repeated }
}

/// Without failures, a sweep over a million organisations with two ledgers each takes less than an hour, with at most 16
/// concurrent workers, and renews each account once.
#[tokio::test(start_paused = true)]
async fn a_million_organisations_are_renewed_within_the_hour() {
    let rates = FailureRates { crashes: u64::MAX, duplicates: u64::MAX, lost: u64::MAX };
    let figures = sweep(1_000_000, rates).await;
    report(&format!("a million organisations, no failures: {figures:?}"));
    assert!(figures.minutes < 60, "{figures:?}");
    assert!(figures.peak_per_second <= 16 * 50, "{figures:?}");
    assert_eq!(figures.repeated, 0, "{figures:?}");
    assert!(figures.messages < 11_000, "{figures:?}");
}

/// One message in twelve crashes its worker, one in twelve is delivered twice, and one step in fifty loses its next task:
/// every account is renewed, and repeated work stays a small part.
#[tokio::test(start_paused = true)]
async fn a_sweep_finishes_although_workers_crash() {
    let figures = sweep(100_000, FailureRates { crashes: 12, duplicates: 12, lost: 50 }).await;
    report(&format!(
        "a hundred thousand organisations, 1 in 12 crashes, 1 in 12 is a duplicate, 1 in 50 is lost: {figures:?}"
    ));
    assert!(figures.repeated > 0, "workers have crashed: {figures:?}");
    assert!(figures.repeated < 200_000 / 2, "{figures:?}");
    assert!(figures.minutes < 360, "the hourly sweep restarts lost chains: {figures:?}");
    assert!(figures.peak_per_second <= 16 * 50, "{figures:?}");
}

/// Prints figures although the test harness captures output.
fn report(figures: &str) {
    use std::io::Write;

    std::io::stderr().write_all(format!("{figures}\n").as_bytes()).unwrap();
}
