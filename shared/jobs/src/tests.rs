//! A month's round for a million organisations, in simulated time: the very code of the round, on a
//! directory and a queue in memory. Workers die in the midst of a page, messages come twice, hosts' clocks
//! are behind, and the round is finished all the same, at a pace that the tables bear.

#![expect(clippy::arithmetic_side_effects, reason = "a test that overflows fails, as it should")]

use std::collections::{BTreeMap, BinaryHeap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::{Instant, sleep};

use super::round::{Register, begin, go_on};
use ports::{Queue, QueueError};

use super::{Task, Unfinished};
use domain::{AccountId, EntryId, Mode, OrgId, Period};
use store::{Fault, Listed, Progress, SHARDS};

/// How many accounts are turned at once: the queue's `MaximumConcurrency` in template.yaml.
const WORKERS: usize = 16;

/// What a turn takes: a read and two writes, one after the other.
const TURN: Duration = Duration::from_millis(20);

/// After how long a message that was taken and not deleted comes again (template.yaml).
const VISIBILITY: Duration = Duration::from_secs(360);

/// The same seed, the same story.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33).checked_rem(sides).unwrap_or(0)
    }
}

/// The directory, how far the rounds are, and what was done.
struct World {
    /// The accounts of each part, in their order.
    directory: Vec<Vec<AccountId>>,
    rounds: Mutex<BTreeMap<(Period, u8), Progress>>,
    /// How often each account's month was turned or found turned: per part, by place.
    turned: Mutex<Vec<Vec<u8>>>,
    /// How many turns each second of the round has seen.
    pace: Mutex<BTreeMap<u64, u64>>,
    queue: Mutex<BinaryHeap<std::cmp::Reverse<(Instant, u64, Message)>>>,
    sent: AtomicU64,
    /// One in so many steps is made by a worker that dies before it sends for the next page.
    lost: u64,
    dice: Mutex<Dice>,
    start: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    month: Period,
    shard: u8,
}

impl World {
    fn new(organisations: u64, lost: u64) -> Self {
        let mut directory = vec![Vec::new(); usize::from(SHARDS)];
        for number in 0..organisations {
            let org = OrgId::from(EntryId::derived(
                "2024-01-01T00:00:00Z".parse().unwrap(),
                u128::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835).to_be_bytes(),
            ));
            for mode in [Mode::Live, Mode::Test] {
                let account = AccountId { org, mode };
                directory[usize::from(Listed::shard(account))].push(account);
            }
        }
        for part in &mut directory {
            part.sort_unstable();
        }
        let turned = directory.iter().map(|part| vec![0; part.len()]).collect();
        Self {
            directory,
            rounds: Mutex::default(),
            turned: Mutex::new(turned),
            pace: Mutex::default(),
            queue: Mutex::default(),
            sent: AtomicU64::new(0),
            lost,
            dice: Mutex::new(Dice(1)),
            start: Instant::now(),
        }
    }

    fn put(&self, message: Message, after: Duration) {
        let number = self.sent.fetch_add(1, Ordering::Relaxed);
        self.queue.lock().unwrap().push(std::cmp::Reverse((Instant::now() + after, number, message)));
    }

    /// The next message that may be taken now.
    fn take(&self) -> Option<Message> {
        let mut queue = self.queue.lock().unwrap();
        let std::cmp::Reverse((due, _, _)) = queue.peek()?;
        if Instant::now() < *due {
            return None;
        }
        queue.pop().map(|std::cmp::Reverse((_, _, message))| message)
    }

    fn is_done(&self, month: Period) -> bool {
        let rounds = self.rounds.lock().unwrap();
        (0..SHARDS).all(|shard| rounds.get(&(month, shard)).is_some_and(|progress| progress.done))
    }
}

#[async_trait]
impl Register for World {
    async fn progress(&self, month: Period, shard: u8) -> Result<Progress, Fault> {
        Ok(self.rounds.lock().unwrap().get(&(month, shard)).copied().unwrap_or_default())
    }

    async fn page(&self, shard: u8, progress: Progress, limit: i32) -> Result<(Vec<Listed>, bool), Fault> {
        let part = &self.directory[usize::from(shard)];
        let from = progress.after.map_or(0, |after| part.partition_point(|account| *account <= after));
        let to = part.len().min(from + usize::try_from(limit).unwrap());
        let page = part[from..to].iter().map(|account| Listed { account: *account, monitored: false });
        Ok((page.collect(), to == part.len()))
    }

    async fn turn(&self, Listed { account, .. }: Listed) -> Result<(), Unfinished> {
        sleep(TURN).await;
        let shard = usize::from(Listed::shard(account));
        let place = self.directory[shard].binary_search(&account).unwrap();
        let turns = &mut self.turned.lock().unwrap()[shard][place];
        *turns = turns.saturating_add(1);
        *self.pace.lock().unwrap().entry(self.start.elapsed().as_secs()).or_default() += 1;
        Ok(())
    }

    async fn step(&self, month: Period, shard: u8, next: Progress) -> Result<bool, Fault> {
        let mut rounds = self.rounds.lock().unwrap();
        let known = rounds.entry((month, shard)).or_default();
        if known.revision != next.revision {
            return Ok(false);
        }
        *known = Progress { revision: next.revision + 1, ..next };
        Ok(true)
    }
}

#[async_trait]
impl Queue<Task> for World {
    async fn send(&self, task: &Task, after_seconds: u16) -> Result<(), QueueError> {
        let Task::Round { month, shard } = *task else {
            return Err(QueueError("no monitors here".to_owned()));
        };
        if after_seconds > 0 || self.dice.lock().unwrap().roll(self.lost) > 0 {
            self.put(Message { month, shard }, Duration::from_secs(after_seconds.into()));
        }
        Ok(())
    }
}

/// How unkind the world is: one in so many.
#[derive(Clone, Copy, Debug)]
struct Luck {
    /// Messages whose worker dies at some time of its work.
    dies: u64,
    /// Messages that come twice.
    twice: u64,
    /// Steps whose worker dies before it sends for the next page.
    lost: u64,
}

/// A worker for as long as the round lasts: takes messages, does what they say, and deletes them.
async fn worker(world: Arc<World>, month: Period, luck: Luck, seed: u64) {
    let mut dice = Dice(seed);
    let start: DateTime<Utc> = month.start();
    while !world.is_done(month) {
        let Some(message) = world.take() else {
            sleep(Duration::from_millis(100)).await;
            continue;
        };
        if dice.roll(luck.twice) == 0 {
            world.put(message, Duration::from_millis(dice.roll(2_000)));
        }
        // This host's clock is up to five minutes off.
        let skew = TimeDelta::seconds(i64::try_from(dice.roll(600)).unwrap() - 300);
        let now = start + TimeDelta::from_std(world.start.elapsed()).unwrap() + skew;
        let work = go_on(world.as_ref(), world.as_ref(), (message.month, message.shard), now);
        if dice.roll(luck.dies) == 0 {
            // It dies somewhere on its way through the page, and the message comes again.
            let life = Duration::from_millis(dice.roll(5_000));
            if tokio::time::timeout(life, work).await.is_ok() && dice.roll(2) == 0 {
                continue;
            }
            world.put(message, VISIBILITY);
        } else {
            work.await.unwrap();
        }
    }
}

/// How a round went.
#[derive(Debug)]
struct Told {
    minutes: u64,
    messages: u64,
    most_a_second: u64,
    turned_again: u64,
}

/// A whole round, with a sweep every hour, which also starts chains anew that were lost between a step
/// and its message.
async fn round(organisations: u64, luck: Luck) -> Told {
    let world = Arc::new(World::new(organisations, luck.lost));
    let month = Period::try_from("2024-02".to_owned()).unwrap();
    assert_eq!(begin(world.as_ref(), world.as_ref(), month).await.unwrap(), SHARDS);
    let workers: Vec<_> = (0..WORKERS)
        .map(|number| tokio::spawn(worker(world.clone(), month, luck, u64::try_from(number).unwrap() + 7)))
        .collect();
    let sweeps = world.clone();
    let sweep = tokio::spawn(async move {
        while !sweeps.is_done(month) {
            sleep(Duration::from_secs(3_600)).await;
            begin(sweeps.as_ref(), sweeps.as_ref(), month).await.unwrap();
        }
    });
    for worker in workers {
        worker.await.unwrap();
    }
    let minutes = world.start.elapsed().as_secs() / 60;
    sweep.abort();
    // Whoever asks again finds nothing to do.
    assert_eq!(begin(world.as_ref(), world.as_ref(), month).await.unwrap(), 0);
    let turned = world.turned.lock().unwrap();
    let all = turned.iter().flatten();
    assert!(all.clone().all(|turns| *turns > 0), "no account was passed over");
    let most_a_second = world.pace.lock().unwrap().values().copied().max().unwrap_or(0);
    let turned_again = all.map(|turns| u64::from(*turns) - 1).sum();
    Told { minutes, messages: world.sent.load(Ordering::Relaxed), most_a_second, turned_again }
}

/// A million organisations, two ledgers each, in a world without mishaps: done within the hour, at most
/// 16 at a time, each account once.
#[tokio::test(start_paused = true)]
async fn a_million_organisations_begin_their_month_within_the_hour() {
    let told = round(1_000_000, Luck { dies: u64::MAX, twice: u64::MAX, lost: u64::MAX }).await;
    tell(&format!("a million organisations, no mishaps: {told:?}"));
    assert!(told.minutes < 60, "{told:?}");
    assert!(told.most_a_second <= 16 * 50, "{told:?}");
    assert_eq!(told.turned_again, 0, "{told:?}");
    assert!(told.messages < 11_000, "{told:?}");
}

/// Where one message in twelve dies with its worker, one in twelve comes twice and one chain in fifty steps
/// breaks off, nobody is passed over, and what is done again stays a small part.
#[tokio::test(start_paused = true)]
async fn a_round_is_finished_whoever_dies() {
    let told = round(100_000, Luck { dies: 12, twice: 12, lost: 50 }).await;
    tell(&format!(
        "a hundred thousand organisations, 1 in 12 dies, 1 in 12 comes twice, 1 in 50 breaks off: {told:?}"
    ));
    assert!(told.turned_again > 0, "somebody has died: {told:?}");
    assert!(told.turned_again < 200_000 / 2, "{told:?}");
    assert!(told.minutes < 360, "a sweep finds what has broken off: {told:?}");
    assert!(told.most_a_second <= 16 * 50, "{told:?}");
}

/// Tells figures past the test harness, which keeps what tests print to itself.
fn tell(figures: &str) {
    use std::io::Write;

    std::io::stderr().write_all(format!("{figures}\n").as_bytes()).unwrap();
}
