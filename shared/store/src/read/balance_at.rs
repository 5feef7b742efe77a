//! The balance of an account at an instant of the past.

use chrono::{DateTime, Duration, Utc};

use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::ledger::Ledger;
use crate::table::query::SortKeys;
use crate::table::row_query::{AccountRows, RowQuery};
use domain::{Account, Balance, EntryId, Period, Receipt, renewal_id};

/// How many rows after an instant are read to find the first entry after it. Rows are stored by id and numbered in the
/// order of the ledger; the two differ by concurrent requests. The lowest number is among this many rows.
const AHEAD: i32 = 256;

/// How often that many rows are read while all of them took effect before the instant, because a host's clock was ahead
/// when it made their ids.
const PAGES_MAX: usize = 4;

/// How many rows before an instant are read first to find the last entry before it.
const CLOSE_BY: i32 = 16;

/// A range of one month's rows.
#[derive(Clone, Copy)]
enum RowRange {
    /// From this id on, rising.
    From(EntryId),
    /// Below this id, falling.
    Below(EntryId),
}

/// Rows of a range, in its order.
struct ReadRows {
    rows: Vec<Receipt>,
    /// Whether the range has no more.
    is_last: bool,
}

impl Ledger {
    /// The balance of an account at `at`, and the number of the last entry before it. It includes the entries before
    /// the first that took effect after `at`, and everything that was due by then. `account` is the current state, with
    /// all that is due posted. `None` before the account's first entry.
    ///
    /// The number of reads is bounded, however long the ledger: only rows around one instant are read.
    ///
    /// # Errors
    /// [`Fault::Busy`] while the rows of that instant are being written; when the table does not answer.
    pub async fn balance_at(
        &self,
        account: &Account,
        at: DateTime<Utc>,
    ) -> Result<Option<(Balance, u64)>, Fault> {
        // Callers name whole seconds, and entries of that second are included.
        let from = at.checked_add_signed(Duration::try_seconds(1).unwrap_or_default()).unwrap_or(at);
        let (month, from) = (Period::of(at), EntryId::first_at(from));
        let rows = AccountRows::of(account);
        let later = self.rows_after(rows, from, at).await?;
        let Some(next) = self.first_after(account, &later, at).await? else {
            // An entry whose row is being written looks like an earlier one.
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
            None => self.numbered_below(rows, month, from, wanted).await?,
        };
        let last = last.ok_or(Fault::Busy)?;
        Ok(Some((last.balance.aged(at), last.sequence)))
    }

    /// The number of the first entry that took effect after `at`; `None` when there is none yet. `later` are the later
    /// rows of `at`'s month.
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
        // The next month's renewal comes before all later entries, also before requests that it overtook.
        let renewal = self.transaction(account.id, renewal_id(account.id, next)).await?;
        let renewal = renewal.ok_or(Fault::Busy)?.sequence;
        Ok(Some(first.map_or(renewal, |first| first.min(renewal))))
    }

    /// The row with the number `wanted`, among the rows of a month that lie just below an id.
    async fn numbered_below(
        &self,
        of: AccountRows,
        month: Period,
        upper: EntryId,
        wanted: u64,
    ) -> Result<Option<Receipt>, Fault> {
        for limit in [CLOSE_BY, AHEAD.saturating_mul(4)] {
            let read = self.rows_of(of, month, RowRange::Below(upper), limit).await?;
            if let Some(row) = read.rows.into_iter().find(|row| row.sequence == wanted) {
                return Ok(Some(row));
            }
        }
        Ok(None)
    }

    /// The rows of `at`'s month from an id on, until one that took effect after `at` is among them.
    async fn rows_after(
        &self,
        of: AccountRows,
        mut from: EntryId,
        at: DateTime<Utc>,
    ) -> Result<Vec<Receipt>, Fault> {
        let mut found = Vec::new();
        for _ in 0..PAGES_MAX {
            let ReadRows { rows, is_last } =
                self.rows_of(of, Period::of(at), RowRange::From(from), AHEAD).await?;
            let is_found = rows.iter().any(|row| at < row.entry.at);
            from = rows.last().map_or(from, |last| last.entry.id.next());
            found.extend(rows);
            if is_last || is_found {
                return Ok(found);
            }
        }
        // Too many ids are ahead of their times to decide.
        Err(Fault::Busy)
    }

    async fn rows_of(
        &self,
        of: AccountRows,
        month: Period,
        range: RowRange,
        limit: i32,
    ) -> Result<ReadRows, Fault> {
        let query = match range {
            RowRange::From(id) => RowQuery::new(of, month, SortKeys::From(id.bare())),
            RowRange::Below(id) => RowQuery::new(of, month, SortKeys::Below(id.bare())).falling(),
        };
        let page = self.table.query_rows(query.limit(Some(limit)), "read a balance of the past").await?;
        let rows = page.items.into_iter().map(receipt).collect::<Result<_, Fault>>()?;
        Ok(ReadRows { rows, is_last: page.end.is_none() })
    }
}
