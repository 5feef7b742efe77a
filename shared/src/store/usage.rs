use std::collections::BTreeMap;

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Fault;
use super::activity::Activity;
use super::item::{decode, with_key};
use super::key::{Key, usage_partition};
use crate::domain::{AccountId, Period, Reference, Spent, Usage};

/// How often a counter may be lost to somebody else who counts.
const ATTEMPTS_MAX: u32 = 16;

/// How many bytes of a customer's or member's name a key takes; longer names go by their digest.
const NAME_BYTES_MAX: usize = 900;

/// How many counters are written side by side: each is an item of its own.
const COUNTERS_AT_ONCE: usize = 32;

/// How many counters a look into a month brings at once.
const AT_ONCE: i32 = 200;

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
        let key = Key::Usage(account, Period::of(noon(day)), place(day, of));
        for _ in 0..ATTEMPTS_MAX {
            let known = self.get(&key, "read usage").await?;
            let known: Option<UsageItem> = known.map(|item| decode("usage", item)).transpose()?;
            let seen = known.as_ref().map(|known| known.through);
            let mut usage = known.map(|known| known.usage).unwrap_or_default();
            let mut through = seen.unwrap_or(0);
            for one in spent.iter().filter(|one| seen.unwrap_or(0) < one.sequence) {
                usage.add(one);
                through = through.max(one.sequence);
            }
            if Some(through) == seen {
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

    /// What an account has used in a month, by day and by whom.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn usage(&self, account: AccountId, month: Period) -> Result<Vec<DayUsage>, Fault> {
        let (mut days, mut after) = (Vec::new(), None);
        loop {
            let partition = usage_partition(account, month);
            let (items, more) = self.items(partition, (after, true), AT_ONCE, "read usage").await?;
            after = None;
            for item in items {
                let sk = item.get("sk").and_then(|sk| sk.as_s().ok()).cloned().unwrap_or_default();
                let UsageItem { name, usage, .. } = decode("usage", item)?;
                let mut words = sk.splitn(3, '#');
                let day = words.next().and_then(|day| day.parse().ok());
                let day = day.and_then(|day| month.start().date_naive().with_day(day));
                let day = day.ok_or_else(|| Fault::corrupt("usage", "its day"))?;
                let of = match (words.next(), name) {
                    (Some("c"), Some(name)) => UsageOf::Customer(name),
                    (Some("m"), Some(name)) => UsageOf::Member(name),
                    (_, _) => UsageOf::All,
                };
                days.push(DayUsage { day, of, usage });
                after = Some(sk).filter(|_| more);
            }
            if after.is_none() {
                return Ok(days);
            }
        }
    }
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
