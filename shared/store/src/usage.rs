use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Fault;
use super::activity::Activity;
use super::item::{decode, with_key};
use super::key::{Key, usage_partition};
use domain::{AccountId, Period, Reference, Spent, Usage};

/// How often a counter may be lost to somebody else who counts.
const ATTEMPTS_MAX: u32 = 16;

/// How many bytes of a customer's or member's name a key takes; longer names go by their digest.
const NAME_BYTES_MAX: usize = 900;

/// How many counters are written side by side: each is an item of its own.
const COUNTERS_AT_ONCE: usize = 32;

/// How many counters a look into a month brings at once.
const AT_ONCE: i32 = 200;

/// Over how many partitions the counters of a month are spread: DynamoDB gives each 1,000 writes a second, and a
/// large customer's debits may each name another customer of theirs.
const SHARDS: u8 = 16;

/// How many reads of one partition a look into a month takes at most: 10,000 counters of each.
const READS_MAX: u32 = 50;

/// Whose usage it is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageOf {
    /// All of it.
    All,
    /// What was done on behalf of a customer.
    Customer(String),
    /// What a member of staff did.
    Member(String),
}

/// A day's usage, by the day in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// The day.
    pub day: NaiveDate,
    /// Whose.
    pub of: UsageOf,
    /// How much.
    pub usage: Usage,
}

/// What an account has used in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthUsage {
    /// By day and by whom, in that order.
    pub days: Vec<DayUsage>,
    /// Whether these are all; there may be more than one look reads.
    pub is_complete: bool,
}

#[derive(Serialize, Deserialize)]
struct UsageItem {
    /// The number of the last transaction that it counts: what is delivered again is not counted again.
    through: u64,
    /// The customer or member, whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    usage: Usage,
}

impl Activity {
    /// Counts what transactions of an account have used, in the order of their numbers: each once, however
    /// often it is counted. Every counter knows through which number it counts.
    ///
    /// # Errors
    /// When the table does not serve; then all of them are to be counted again.
    pub async fn count(&self, account: AccountId, spent: &[Spent]) -> Result<(), Fault> {
        let mut counters: BTreeMap<(NaiveDate, UsageOf), Vec<&Spent>> = BTreeMap::new();
        for one in spent {
            let named = |name: &Option<Reference>| name.as_ref().map(|name| name.as_str().to_owned());
            let customer = named(&one.customer).map(UsageOf::Customer);
            let member = named(&one.member).map(UsageOf::Member);
            for of in [Some(UsageOf::All), customer, member].into_iter().flatten() {
                counters.entry((one.at.date_naive(), of)).or_default().push(one);
            }
        }
        let counters: Vec<_> = counters.into_iter().collect();
        for counters in counters.chunks(COUNTERS_AT_ONCE) {
            let counted =
                counters.iter().map(|((day, of), spent)| self.count_one(account, (*day, of), spent));
            try_join_all(counted).await?;
        }
        Ok(())
    }

    async fn count_one(
        &self,
        account: AccountId,
        (day, of): (NaiveDate, &UsageOf),
        spent: &[&Spent],
    ) -> Result<(), Fault> {
        let (month, place) = (Period::of(noon(day)), place(day, of));
        let key = Key::Usage(account, month, Some(shard_of(&place)), place.clone());
        for _ in 0..ATTEMPTS_MAX {
            let known = self.counter(&key).await?;
            let seen = known.as_ref().map(|known| known.through);
            // A counter that was kept before they were spread stays as it is, and this one counts on from there.
            let before = match seen {
                Some(seen) => seen,
                None => {
                    let old = self.counter(&Key::Usage(account, month, None, place.clone())).await?;
                    old.map_or(0, |old| old.through)
                }
            };
            let mut usage = known.map(|known| known.usage).unwrap_or_default();
            let mut through = before;
            for one in spent.iter().filter(|one| before < one.sequence) {
                usage.add(one);
                through = through.max(one.sequence);
            }
            if through == before {
                return Ok(());
            }
            let name = match of {
                UsageOf::All => None,
                UsageOf::Customer(name) | UsageOf::Member(name) => Some(name.clone()),
            };
            let item = with_key(&key, &UsageItem { through, name, usage })?;
            if self.replace(item, seen.map(|seen| ("through", seen)), "count usage").await? {
                return Ok(());
            }
        }
        Err(Fault::Busy)
    }

    async fn counter(&self, key: &Key<'_>) -> Result<Option<UsageItem>, Fault> {
        let item = self.get(key, "read usage").await?;
        item.map(|item| decode("usage", item)).transpose()
    }

    /// What an account has used in a month, by day and by whom.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn usage(&self, account: AccountId, month: Period) -> Result<MonthUsage, Fault> {
        let shards = std::iter::once(None).chain((0..SHARDS).map(Some));
        let read = shards.map(|shard| self.usage_of_shard(account, month, shard));
        let mut is_complete = true;
        let mut days: BTreeMap<(NaiveDate, UsageOf), Usage> = BTreeMap::new();
        for (some, complete) in try_join_all(read).await? {
            is_complete &= complete;
            for DayUsage { day, of, usage } in some {
                days.entry((day, of)).or_default().join(&usage);
            }
        }
        let days = days.into_iter().map(|((day, of), usage)| DayUsage { day, of, usage });
        Ok(MonthUsage { days: days.collect(), is_complete })
    }

    /// The counters of one partition, and whether these are all.
    async fn usage_of_shard(
        &self,
        account: AccountId,
        month: Period,
        shard: Option<u8>,
    ) -> Result<(Vec<DayUsage>, bool), Fault> {
        let (mut days, mut after) = (Vec::new(), None);
        for _ in 0..READS_MAX {
            let partition = usage_partition(account, month, shard);
            let (items, more) = self.items(partition, (after, true), AT_ONCE, "read usage").await?;
            after = None;
            for item in items {
                let sk = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
                days.push(read(month, &sk, decode("usage", item)?)?);
                after = Some(sk).filter(|_| more);
            }
            if after.is_none() {
                return Ok((days, true));
            }
        }
        Ok((days, false))
    }
}

fn read(month: Period, sk: &str, item: UsageItem) -> Result<DayUsage, Fault> {
    let UsageItem { name, usage, .. } = item;
    let mut words = sk.splitn(3, '#');
    let day = words.next().and_then(|day| day.parse().ok());
    let day = day.and_then(|day| month.start().date_naive().with_day(day));
    let day = day.ok_or_else(|| Fault::corrupt("usage", "its day"))?;
    let of = match (words.next(), name) {
        (Some("c"), Some(name)) => UsageOf::Customer(name),
        (Some("m"), Some(name)) => UsageOf::Member(name),
        (_, _) => UsageOf::All,
    };
    Ok(DayUsage { day, of, usage })
}

/// In which partition of its month a counter is. A counter stays one item: what it counts it counts once.
fn shard_of(place: &str) -> u8 {
    let first = Sha256::digest(place).first().copied().unwrap_or(0);
    first.checked_rem(SHARDS).unwrap_or(0)
}

fn noon(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(12, 0, 0).unwrap_or_default().and_utc()
}

/// Where a counter is in its month.
fn place(day: NaiveDate, of: &UsageOf) -> String {
    let short = |name: &str| {
        if name.len() <= NAME_BYTES_MAX { name.to_owned() } else { format!("{:x?}", Sha256::digest(name)) }
    };
    let day = day.day();
    match of {
        UsageOf::All => format!("{day:02}"),
        UsageOf::Customer(name) => format!("{day:02}#c#{}", short(name)),
        UsageOf::Member(name) => format!("{day:02}#m#{}", short(name)),
    }
}
