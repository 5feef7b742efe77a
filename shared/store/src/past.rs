use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};

use super::item::{RowItem, decode};
use super::key::row_partition;
use super::{Fault, Ledger};
use domain::{Account, AccountId, Balance, EntryId, Period, Receipt, renewal_id};

/// How many rows after an instant are looked at for the first entry after it. Rows lie by id and are told
/// by number, and the two differ by requests that were under way together (decision 5); in as many rows
/// the one with the lowest number is found.
const AHEAD: i32 = 256;

/// How many times as many are looked at where all of them took effect before it: ids that a host's clock has
/// put ahead of their time.
const PAGES_MAX: usize = 4;

/// How many rows before an instant are looked at first for the last entry before it.
const CLOSE_BY: i32 = 16;

/// Which rows of a month.
#[derive(Clone, Copy)]
enum Range {
    /// From this id on, rising.
    From(EntryId),
    /// Below this id, falling.
    Below(EntryId),
}

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
        let later = self.rows_after(account.id, (month, from), at).await?;
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
            None => self.numbered(account.id, (month, from), wanted).await?,
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
        let next = Period::of(at).next();
        let first = later.iter().filter(|row| at < row.entry.at).map(|row| row.sequence).min();
        if account.period < next {
            return Ok(first);
        }
        // The next month's renewal comes before all that followed, also before requests that it overtook.
        let renewal = self.transaction(account.id, renewal_id(account.id, next)).await?;
        let renewal = renewal.ok_or(Fault::Busy)?.sequence;
        Ok(Some(first.map_or(renewal, |first| first.min(renewal))))
    }

    /// The row with a number, of a month and with an id below `upper`: it lies close by.
    async fn numbered(
        &self,
        account: AccountId,
        (month, upper): (Period, EntryId),
        wanted: u64,
    ) -> Result<Option<Receipt>, Fault> {
        for limit in [CLOSE_BY, AHEAD.saturating_mul(4)] {
            let rows = self.rows_of(account, month, Range::Below(upper), limit).await?;
            if let Some(row) = rows.into_iter().find(|row| row.sequence == wanted) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The rows of a month from an id on, as far as the first that took effect after `at` can lie.
    async fn rows_after(
        &self,
        account: AccountId,
        (month, mut from): (Period, EntryId),
        at: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Fault> {
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let rows = self.rows_of(account, month, Range::From(from), AHEAD).await?;
            let is_last = rows.len() < usize::try_from(AHEAD).unwrap_or(usize::MAX);
            let is_found = rows.iter().any(|row| at < row.entry.at);
            from = rows.last().map_or(from, |last| last.entry.id.next());
            found.extend(rows);
            if is_last || is_found {
                return Ok(found);
            }
        }
        // So many ids are ahead of their times that nobody can say now.
        Err(Fault::Busy)
    }

    async fn rows_of(
        &self,
        account: AccountId,
        month: Period,
        range: Range,
        limit: i32,
    ) -> Result<Vec<Receipt>, Fault> {
        let (condition, id, forward) = match range {
            Range::From(id) => ("sk >= :id", id, true),
            Range::Below(id) => ("sk < :id", id, false),
        };
        let text = |text: String| AttributeValue::S(text);
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression(format!("pk = :pk AND {condition}"))
            .expression_attribute_values(":pk", text(row_partition(account, month)))
            .expression_attribute_values(":id", text(id.bare()))
            .scan_index_forward(forward)
            .limit(limit)
            .send()
            .await
            .map_err(|error| Fault::unavailable("read a balance of the past")(error.into()))?;
        let rows = answer.items.unwrap_or_default().into_iter();
        rows.map(|item| Ok(decode::<RowItem>("a transaction", item)?.receipt())).collect()
    }
}
