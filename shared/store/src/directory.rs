use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::item::{decode, with_key};
use super::key::{Item, Key};
use super::{Fault, Ledger, random};
use domain::{AccountId, Period};

/// Over how many partitions the directory of accounts is spread. Each is gone through by itself, so this
/// is also how many of a month's renewals can be under way at once.
pub const SHARDS: u8 = 64;

/// For how many days it is remembered how far a month's round came.
const ROUND_DAYS: i64 = 400;

/// An account, as the directory has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Which.
    pub account: AccountId,
    /// Whether it has, or had, monitors.
    pub monitored: bool,
}

/// How far a month's round of renewals has come in one part of the directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The last account that was gone past; none at the beginning.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<AccountId>,
    /// Whether it is through.
    #[serde(default)]
    pub done: bool,
    /// How many steps it has made. Two who go through the same part make one step together.
    pub revision: u64,
}

#[derive(Serialize, Deserialize)]
struct RoundItem {
    #[serde(flatten)]
    progress: Progress,
    /// Whose step it was. Two who make the same step are told apart, so that one of them stops.
    by: String,
    #[serde(with = "chrono::serde::ts_seconds")]
    ttl: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct ListedItem {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    mon: bool,
}

fn partition(shard: u8) -> String {
    format!("DIR#{shard:02}")
}

impl Listed {
    /// In which part of the directory an account is, `0..`[`SHARDS`].
    #[must_use]
    pub fn shard(account: AccountId) -> u8 {
        let digest = Sha256::digest(account.org.bare());
        digest.first().and_then(|first| first.checked_rem(SHARDS)).unwrap_or(0)
    }

    fn key(account: AccountId) -> Key<'static> {
        Key::Listed(partition(Self::shard(account)), account)
    }
}

impl Ledger {
    /// Adds an account to the directory; one that is there stays as it is.
    pub(super) async fn list_account(&self, account: AccountId) -> Result<(), Fault> {
        let item = with_key(&Listed::key(account), &ListedItem { mon: false })?;
        self.put_new(item, "list an account").await.map(|_| ())
    }

    /// Notes that an account has monitors.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn list_monitored(&self, account: AccountId) -> Result<(), Fault> {
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Listed::key(account).attributes()));
        let update = update.update_expression("SET mon = :yes");
        let update = update.expression_attribute_values(":yes", AttributeValue::Bool(true));
        let listed = update.send().await;
        listed.map(|_| ()).map_err(|error| Fault::unavailable("list a monitored account")(error.into()))
    }

    /// Whether an account has, or had, monitors. One that the directory does not have, because it was opened
    /// before there was one, is added.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn is_monitored(&self, account: AccountId) -> Result<bool, Fault> {
        let Some(item) = self.get(&Listed::key(account), false, "look into the directory").await? else {
            self.list_account(account).await?;
            return Ok(false);
        };
        Ok(decode::<ListedItem>("a listed account", item)?.mon)
    }

    /// The accounts of one part of the directory that follow `after`, and whether they are its last.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn listed(
        &self,
        shard: u8,
        after: Option<AccountId>,
        limit: i32,
    ) -> Result<(Vec<Listed>, bool), Fault> {
        let text = |text: String| AttributeValue::S(text);
        let mut query = self.client.query().table_name(&self.table).limit(limit);
        query = query.expression_attribute_values(":pk", text(partition(shard)));
        query = match after {
            Some(after) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", text(after.to_string())),
            None => query.key_condition_expression("pk = :pk"),
        };
        let answer = query.send().await;
        let answer = answer.map_err(|error| Fault::unavailable("read the directory")(error.into()))?;
        let is_last = answer.last_evaluated_key.is_none();
        let items = answer.items.unwrap_or_default().into_iter();
        Ok((items.filter_map(read).collect(), is_last))
    }

    /// How far the round of a month is in one part of the directory.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn round(&self, month: Period, shard: u8) -> Result<Progress, Fault> {
        Ok(self.round_item(month, shard).await?.map(|known| known.progress).unwrap_or_default())
    }

    async fn round_item(&self, month: Period, shard: u8) -> Result<Option<RoundItem>, Fault> {
        let item = self.get(&Key::Round(month, format!("{shard:02}")), true, "read a round").await?;
        item.map(|item| decode("a round", item)).transpose()
    }

    /// Notes a step of a round, which then has a revision one higher; false when somebody has made it
    /// since `next` was read.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn step_round(&self, month: Period, shard: u8, next: Progress) -> Result<bool, Fault> {
        let seen = Some(next.revision).filter(|revision| *revision > 0);
        let progress = Progress { revision: next.revision.saturating_add(1), ..next };
        let days = Duration::try_days(ROUND_DAYS).unwrap_or_default();
        let ttl = month.start().checked_add_signed(days).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let by = format!("{:032x}", random());
        let step = RoundItem { progress, by: by.clone(), ttl };
        let item = with_key(&Key::Round(month, format!("{shard:02}")), &step)?;
        let saved = self.replace(item, seen, "note a step of a round").await?;
        // The SDK may have sent it twice: then the first sending has made the step, for us.
        Ok(saved || self.round_item(month, shard).await?.is_some_and(|known| known.by == by))
    }
}

/// A line of the directory. One that does not read must not hide those that do.
fn read(item: Item) -> Option<Listed> {
    let account = match item.get("sk") {
        Some(AttributeValue::S(name)) => name.parse().ok(),
        Some(_) | None => None,
    };
    let Some(account) = account else {
        tracing::error!(place = ?item.get("sk"), "a line of the directory does not read");
        return None;
    };
    // Where nobody can say whether it has monitors, they are looked for.
    let monitored = decode::<ListedItem>("a listed account", item).map_or(true, |listed| listed.mon);
    Some(Listed { account, monitored })
}
