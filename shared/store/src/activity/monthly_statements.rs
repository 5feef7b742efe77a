//! Monthly statements, in the activity table: one item a month, written once.

use crate::activity::activity_table::Activity;
use crate::table::attribute::{sort_key, text};
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, monthly_statement_partition};
use crate::table::query::{ItemQuery, SortKeys};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AccountId, Period};

/// The attribute of the statement's text.
const TEXT: &str = "text";

/// A monthly statement as stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredMonthlyStatement {
    /// Its month.
    pub month: Period,
    /// Its text, byte for byte as it was first made.
    pub text: String,
}

impl StoredMonthlyStatement {
    fn read(item: &StoredItem) -> Result<Self, Fault> {
        let month = sort_key(item).and_then(|month| Period::try_from(month.to_owned()).ok());
        let month = month.ok_or_else(|| Fault::corrupt("a monthly statement", "its month"))?;
        match item.get(TEXT) {
            Some(AttributeValue::S(text)) => Ok(Self { month, text: text.clone() }),
            Some(_) | None => Err(Fault::corrupt("a monthly statement", "its text")),
        }
    }
}

impl Activity {
    /// The statement of a month; `None` where it was not made yet, or less than a second ago. It never changes, so the
    /// read is eventually consistent: half a read unit for each 4 KB.
    ///
    /// # Errors
    /// When the table does not answer; when the statement is unreadable.
    pub async fn monthly_statement(
        &self,
        account: AccountId,
        month: Period,
    ) -> Result<Option<StoredMonthlyStatement>, Fault> {
        let key = Key::MonthlyStatement(account, month);
        let item = self.table.read(&key, false, "read a monthly statement").await?;
        item.as_ref().map(StoredMonthlyStatement::read).transpose()
    }

    /// The latest statement up to a month, strongly consistent.
    ///
    /// # Errors
    /// As [`Activity::monthly_statement`].
    pub async fn latest_monthly_statement(
        &self,
        account: AccountId,
        month: Period,
    ) -> Result<Option<StoredMonthlyStatement>, Fault> {
        let keys = SortKeys::Below(month.next().to_string());
        let query = ItemQuery::new(monthly_statement_partition(account), keys).falling().limit(1);
        let page = self.table.query(query, "read a monthly statement").await?;
        page.items.first().map(StoredMonthlyStatement::read).transpose()
    }

    /// Stores a statement unless its month has one, and returns the one that is stored: the first.
    ///
    /// # Errors
    /// As [`Activity::monthly_statement`].
    pub async fn keep_monthly_statement(
        &self,
        account: AccountId,
        statement: StoredMonthlyStatement,
    ) -> Result<StoredMonthlyStatement, Fault> {
        let mut item = Key::MonthlyStatement(account, statement.month).attributes();
        item.insert(TEXT.to_owned(), text(&statement.text));
        match self.table.put_new(item, "write a monthly statement").await? {
            Some(first) => StoredMonthlyStatement::read(&first),
            None => Ok(statement),
        }
    }
}
