//! Usage of an account by day, in total and by customer and member.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::activity::activity_table::Activity;
use crate::table::attribute::sort_key;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, usage_partition};
use crate::table::query::ItemQuery;
use domain::{AccountId, Period, Reference, Usage, UsageRecord};

/// How often another process may save a counter first.
const ATTEMPTS_MAX: u32 = 16;

/// How many bytes of a customer's or member's name a key takes. Longer names are replaced by their digest.
const NAME_BYTES_MAX: usize = 900;

/// How many counters are written at the same time. Each is an item of its own.
const COUNTERS_AT_ONCE: usize = 32;

/// How many counters one read of a month returns at most.
const COUNTERS_PER_READ: i32 = 200;

/// How many partitions hold the counters of a month: DynamoDB allows 1,000 writes a second to each, and every debit of a
/// large account may name another customer.
const USAGE_SHARDS: u8 = 16;

/// How many reads of one partition are made for a month at most: 10,000 counters of each.
const READS_MAX: u32 = 50;

/// Whose usage a counter counts.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum UsageOf {
    /// All usage of the account.
    All,
    /// Usage on behalf of a customer.
    Customer(String),
    /// Usage by a member of staff.
    Member(String),
}

/// The usage of a day in UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DayUsage {
    /// The day.
    pub day: NaiveDate,
    /// Whose usage it is.
    pub of: UsageOf,
    /// The usage.
    pub usage: Usage,
}

/// The usage of an account in a month.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MonthUsage {
    /// The usage by day, and for each day by owner.
    pub days: Vec<DayUsage>,
    /// Whether these are all counters; there may be more than one call reads.
    pub is_complete: bool,
}

#[derive(Serialize, Deserialize)]
struct UsageItem {
    /// The number of the last transaction that is counted, so that none is counted twice.
    through: u64,
    /// The whole name of the customer or member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    usage: Usage,
}

/// One counter: a day and whose usage it counts.
type UsageCounter = (NaiveDate, UsageOf);

impl Activity {
    /// Counts the usage of transactions of an account, in the order of their numbers. Each transaction is counted once,
    /// however often this is called: every counter stores the number through which it counts.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count(&self, account: AccountId, spent: &[UsageRecord]) -> Result<(), Fault> {
        let mut counters: BTreeMap<UsageCounter, Vec<&UsageRecord>> = BTreeMap::new();
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
            let counted = counters.iter().map(|(counter, spent)| self.count_one(account, counter, spent));
            try_join_all(counted).await?;
        }
        Ok(())
    }

    async fn count_one(
        &self,
        account: AccountId,
        counter: &UsageCounter,
        spent: &[&UsageRecord],
    ) -> Result<(), Fault> {
        let (day, of) = counter;
        let (month, name) = (Period::of(noon(*day)), counter_name(*day, of));
        let key = Key::Usage(account, month, Some(shard_of(&name)), name.clone());
        for _ in 0..ATTEMPTS_MAX {
            let known = self.counter(&key).await?;
            let seen = known.as_ref().map(|known| known.through);
            // A counter from before shards existed stays unchanged; this one continues from its number.
            let before = match seen {
                Some(seen) => seen,
                None => {
                    let old = self.counter(&Key::Usage(account, month, None, name.clone())).await?;
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
            if self.table.put_if(item, Condition::at("through", seen), "count usage").await? {
                return Ok(());
            }
        }
        Err(Fault::Busy)
    }

    async fn counter(&self, key: &Key<'_>) -> Result<Option<UsageItem>, Fault> {
        let item = self.table.get(key, "read usage").await?;
        item.map(|item| decode("usage", item)).transpose()
    }

    /// The usage of an account in a month, by day and by owner.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn usage(&self, account: AccountId, month: Period) -> Result<MonthUsage, Fault> {
        let shards = std::iter::once(None).chain((0..USAGE_SHARDS).map(Some));
        let read = shards.map(|shard| self.usage_of_shard(account, month, shard));
        let mut is_complete = true;
        let mut days: BTreeMap<UsageCounter, Usage> = BTreeMap::new();
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
        let (mut days, mut start) = (Vec::new(), None);
        for _ in 0..READS_MAX {
            let query = ItemQuery::all(usage_partition(account, month, shard)).limit(COUNTERS_PER_READ);
            let page = self.table.query(query.continued(start), "read usage").await?;
            for item in page.items {
                let name = sort_key(&item).unwrap_or_default().to_owned();
                days.push(read(month, &name, decode("usage", item)?)?);
            }
            start = page.last;
            if start.is_none() {
                return Ok((days, true));
            }
        }
        Ok((days, false))
    }
}

fn read(month: Period, name: &str, item: UsageItem) -> Result<DayUsage, Fault> {
    let mut words = name.splitn(3, '#');
    let day = words.next().and_then(|day| day.parse().ok());
    let day = day.and_then(|day| month.start().date_naive().with_day(day));
    let day = day.ok_or_else(|| Fault::corrupt("usage", "its day"))?;
    let of = match (words.next(), item.name) {
        (Some("c"), Some(name)) => UsageOf::Customer(name),
        (Some("m"), Some(name)) => UsageOf::Member(name),
        (_, _) => UsageOf::All,
    };
    Ok(DayUsage { day, of, usage: item.usage })
}

/// The shard of a month that holds a counter. A counter is one item, so that it counts each transaction once.
fn shard_of(name: &str) -> u8 {
    let first = Sha256::digest(name).first().copied().unwrap_or(0);
    first.checked_rem(USAGE_SHARDS).unwrap_or(0)
}

fn noon(day: NaiveDate) -> DateTime<Utc> {
    day.and_hms_opt(12, 0, 0).unwrap_or_default().and_utc()
}

/// The sort key of a counter in its month.
fn counter_name(day: NaiveDate, of: &UsageOf) -> String {
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
