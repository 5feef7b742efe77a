use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};

use super::item::{RowItem, decode};
use super::key::row_partition;
use super::{Cursor, Fault, Ledger, Query};
use crate::domain::{Account, AccountId, Balance, EntryId, Period, Receipt};

/// How many rows after an instant are looked at for the first entry after it. Rows lie by id and are told
/// by number, and the two differ by requests that were under way together (decision 5); in as many rows
/// the one with the lowest number is found.
const AHEAD: i32 = 256;

impl Ledger {
    /// What an account held at `at`, and the number of the last entry before it: the ledger as numbered, up
    /// to the first entry that took effect after `at`, and what time had done by then. `account` is as it
    /// is now, with all that is due written down. `None` before its first entry.
    ///
    /// It takes a bounded number of reads, however long the ledger: the rows around one instant.
    ///
    /// # Errors
    /// [`Fault::Busy`] when the rows of that instant are being written; when the table does not serve.
    pub async fn balance_at(
        &self,
        account: &Account,
        at: DateTime<Utc>,
    ) -> Result<Option<(Balance, u64)>, Fault> {
        // Callers name whole seconds, and an entry of that second is told with it.
        let from = at.checked_add_signed(Duration::try_seconds(1).unwrap_or_default()).unwrap_or(at);
        let (month, from) = (Period::of(at), EntryId::first_at(from));
        let later = self.rows_from(account.id, month, from).await?;
        let Some(next) = self.first_after(account, &later, at).await? else {
            // An entry whose row is being written could not be told from one before.
            let is_later = account.last.as_ref().is_some_and(|last| at < last.at);
            return if is_later {
                Err(Fault::Busy)
            } else {
                Ok(Some((account.balance(at), account.sequence)))
            };
        };
        let Some(wanted) = next.checked_sub(1).filter(|last| *last > 0) else { return Ok(None) };
        let near = later.into_iter().find(|row| row.sequence == wanted);
        let last = match near {
            Some(row) => Some(row),
            None => {
                let cursor = Cursor::new(next, from.min(EntryId::first_at(month.next().start())).before());
                let page = self.statement(account.id, &Query::default(), (Some(cursor), 1), at).await?;
                page.receipts.into_iter().next().filter(|row| row.sequence == wanted)
            }
        };
        let last = last.ok_or(Fault::Busy)?;
        Ok(Some((last.balance.aged(at), last.sequence)))
    }

    /// The number of the first entry that took effect after `at`, of which `later` are the rows of its month;
    /// `None` when there is none yet.
    async fn first_after(
        &self,
        account: &Account,
        later: &[Receipt],
        at: DateTime<Utc>,
    ) -> Result<Option<u64>, Fault> {
        let end = Period::of(at).next().start();
        let first = later.iter().filter(|row| at < row.entry.at && row.entry.at < end);
        if let Some(first) = first.map(|row| row.sequence).min() {
            return Ok(Some(first));
        }
        if account.period.start() < end {
            return Ok(None);
        }
        // The next month's renewal is the first of all that followed, also of requests that it overtook.
        let next = self.rows_from(account.id, Period::of(end), EntryId::first_at(end)).await?;
        next.iter().map(|row| row.sequence).min().ok_or(Fault::Busy).map(Some)
    }

    /// The rows of a month from an id on, in the order of their ids.
    async fn rows_from(
        &self,
        account: AccountId,
        month: Period,
        from: EntryId,
    ) -> Result<Vec<Receipt>, Fault> {
        let text = |text: String| AttributeValue::S(text);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk AND sk >= :from")
            .expression_attribute_values(":pk", text(row_partition(account, month)))
            .expression_attribute_values(":from", text(from.bare()))
            .limit(AHEAD)
            .send()
            .await
            .map_err(|error| Fault::unavailable("read a balance of the past")(error.into()))?;
        let rows = answer.items.unwrap_or_default().into_iter();
        rows.map(|item| Ok(decode::<RowItem>("a transaction", item)?.receipt())).collect()
    }
}
