//! The values of accounts' unused credits by month, in the activity table: one item a month, written once.

use crate::activity::activity_table::Activity;
use crate::table::attribute::text;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, month_value_partition};
use crate::table::query::{ItemQuery, SortKeys};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AccountId, MonthValue, Period};

/// The attribute of the record's text: JSON.
const TEXT: &str = "text";

fn read(item: &StoredItem) -> Result<MonthValue, Fault> {
    match item.get(TEXT) {
        Some(AttributeValue::S(text)) => {
            serde_json::from_str(text).map_err(|error| Fault::corrupt("the value of a month", error))
        }
        Some(_) | None => Err(Fault::corrupt("the value of a month", "its text")),
    }
}

impl Activity {
    /// The latest value up to a month, strongly consistent. Costs a read unit for each 4 KB; a lot takes about 0.1 KB.
    ///
    /// # Errors
    /// When the table does not answer; when the record is unreadable.
    pub async fn latest_month_value(
        &self,
        account: AccountId,
        month: Period,
    ) -> Result<Option<MonthValue>, Fault> {
        let keys = SortKeys::Below(month.next().to_string());
        let query = ItemQuery::new(month_value_partition(account), keys).falling().limit(1);
        let page = self.table.query(query, "read the value of a month").await?;
        page.items.first().map(read).transpose()
    }

    /// The values of an account's months after one of them, the earliest first, at most `limit`; and whether
    /// there are more.
    ///
    /// # Errors
    /// As [`Activity::latest_month_value`].
    pub async fn month_values(
        &self,
        account: AccountId,
        after: Option<Period>,
        limit: i32,
    ) -> Result<(Vec<MonthValue>, bool), Fault> {
        let keys = after.map_or(SortKeys::All, |after| SortKeys::After(after.to_string()));
        let query = ItemQuery::new(month_value_partition(account), keys).limit(limit);
        let page = self.table.query(query, "read the values of months").await?;
        let values = page.items.iter().map(read).collect::<Result<_, Fault>>()?;
        Ok((values, page.last.is_some()))
    }

    /// Stores the value of a month unless it has one, and returns the one that is stored: the first.
    ///
    /// # Errors
    /// As [`Activity::latest_month_value`].
    pub async fn keep_month_value(&self, account: AccountId, value: MonthValue) -> Result<MonthValue, Fault> {
        let written =
            serde_json::to_string(&value).map_err(|error| Fault::corrupt("the value of a month", error))?;
        let mut item = Key::MonthValue(account, value.month).attributes();
        item.insert(TEXT.to_owned(), text(&written));
        match self.table.put_new(item, "write the value of a month").await? {
            Some(first) => read(&first),
            None => Ok(value),
        }
    }
}
