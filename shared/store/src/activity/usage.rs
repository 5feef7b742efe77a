//! Usage of an account by day, in total and by customer and member.

use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures_util::future::{FutureExt, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::activity::activity_table::Activity;
use crate::table::attribute::sort_key;
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, usage_partition};
use crate::table::query::ItemQuery;
use crate::table::requests::ConditionalPut;
use domain::{AccountId, DayTotal, PendingUsage, Period, Reference, Usage, UsageRecord};

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

/// What a counter has counted.
#[derive(Clone, Debug, Default)]
struct Counted {
    /// The number of the last transaction that is counted.
    through: u64,
    usage: Usage,
}

/// One counter: a day and whose usage it counts.
type UsageCounter = (NaiveDate, UsageOf);

impl Activity {
    /// Counts the usage of transactions of an account by customer and member, in the order of their numbers. Each
    /// transaction is counted once, however often this is called: every counter stores the number through which it counts.
    ///
    /// # Errors
    /// When the table does not answer; then all of them have to be counted again.
    pub async fn count(&self, account: AccountId, spent: &[UsageRecord]) -> Result<(), Fault> {
        let mut counters: BTreeMap<UsageCounter, Vec<&UsageRecord>> = BTreeMap::new();
        for one in spent {
            let named = |name: &Option<Reference>| name.as_ref().map(|name| name.as_str().to_owned());
            let customer = named(&one.customer).map(UsageOf::Customer);
            let member = named(&one.member).map(UsageOf::Member);
            for of in [customer, member].into_iter().flatten() {
                counters.entry((one.at.date_naive(), of)).or_default().push(one);
            }
        }
        let counted: Vec<_> =
            counters.iter().map(|(counter, spent)| self.count_one(account, counter, spent).boxed()).collect();
        stream::iter(counted).buffer_unordered(COUNTERS_AT_ONCE).try_collect().await
    }

    async fn count_one(
        &self,
        account: AccountId,
        counter: &UsageCounter,
        spent: &[&UsageRecord],
    ) -> Result<(), Fault> {
        self.count_in(account, counter, |known| {
            let mut usage = known.usage.clone();
            let mut through = known.through;
            for one in spent.iter().filter(|one| known.through < one.sequence) {
                usage.add(one);
                through = through.max(one.sequence);
            }
            (known.through < through).then_some(Counted { through, usage })
        })
        .await
    }

    /// Counts the usage of a day in its counter. A usage that is counted already changes nothing.
    ///
    /// # Errors
    /// When the table does not answer; then it has to be counted again.
    pub async fn count_total(&self, account: AccountId, total: &DayTotal) -> Result<(), Fault> {
        self.count_in(account, &(total.pending.day, UsageOf::All), |known| {
            let usage = total.added_to(&known.usage, known.through)?;
            Some(Counted { through: total.last(), usage })
        })
        .await
    }

    /// Replaces a counter by what `add` makes of it, unless that is `None`.
    async fn count_in(
        &self,
        account: AccountId,
        counter: &UsageCounter,
        add: impl Fn(&Counted) -> Option<Counted> + Send + Sync,
    ) -> Result<(), Fault> {
        let (day, of) = counter;
        let (month, name) = (Period::of(noon(*day)), counter_name(*day, of));
        let key = Key::Usage(account, month, shard_of(&name), name);
        let mut known = self.table.read(&key, false, "read usage").await?;
        for _ in 0..ATTEMPTS_MAX {
            let stored: Option<UsageItem> = known.map(|known| decode("usage", known)).transpose()?;
            let seen = stored.as_ref().map(|stored| stored.through);
            let counted = stored
                .map_or_else(Counted::default, |UsageItem { through, usage, .. }| Counted { through, usage });
            let Some(Counted { through, usage }) = add(&counted) else { return Ok(()) };
            let name = match of {
                UsageOf::All => None,
                UsageOf::Customer(name) | UsageOf::Member(name) => Some(name.clone()),
            };
            let item = with_key(&key, &UsageItem { through, name, usage })?;
            let condition = Condition::at("through", seen);
            known = match self.table.put_or_existing(item, condition, "count usage").await? {
                ConditionalPut::Written => return Ok(()),
                ConditionalPut::Existing(known) => known,
            };
        }
        Err(Fault::Busy)
    }

    /// The usage of an account in a month, by day and by owner. `pending` is what the account's watermark held, as read
    /// before: the counter of its day may have it by now.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn usage(
        &self,
        account: AccountId,
        month: Period,
        pending: Option<&PendingUsage>,
    ) -> Result<MonthUsage, Fault> {
        let read = (0..USAGE_SHARDS).map(|shard| self.usage_of_shard(account, month, shard));
        let mut is_complete = true;
        let mut days: BTreeMap<UsageCounter, Counted> = BTreeMap::new();
        for (some, complete) in try_join_all(read).await? {
            is_complete &= complete;
            days.extend(some);
        }
        if let Some(pending) = pending.filter(|pending| Period::of(noon(pending.day)) == month) {
            let day = days.entry((pending.day, UsageOf::All)).or_default();
            if day.through <= pending.after {
                day.usage.join(&pending.usage);
            }
        }
        let days = days.into_iter().map(|((day, of), Counted { usage, .. })| DayUsage { day, of, usage });
        Ok(MonthUsage { days: days.collect(), is_complete })
    }

    /// The counters of one partition, and whether these are all.
    async fn usage_of_shard(
        &self,
        account: AccountId,
        month: Period,
        shard: u8,
    ) -> Result<(Vec<(UsageCounter, Counted)>, bool), Fault> {
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

fn read(month: Period, name: &str, item: UsageItem) -> Result<(UsageCounter, Counted), Fault> {
    let mut words = name.splitn(3, '#');
    let day = words.next().and_then(|day| day.parse().ok());
    let day = day.and_then(|day| month.start().date_naive().with_day(day));
    let day = day.ok_or_else(|| Fault::corrupt("usage", "its day"))?;
    let of = match (words.next(), item.name) {
        (Some("c"), Some(name)) => UsageOf::Customer(name),
        (Some("m"), Some(name)) => UsageOf::Member(name),
        (_, _) => UsageOf::All,
    };
    Ok(((day, of), Counted { through: item.through, usage: item.usage }))
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
