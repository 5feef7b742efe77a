use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};

use super::chain::number;
use super::key::{Item, Key, row_partition};
use super::project::Rows;
use super::{Fault, Ledger, canonical};
use domain::{AccountId, EntryId, Period, RowText, Span, Tip};

/// How many minutes before the last rows of a chain those that follow are looked for, the shorter way
/// first: ids and numbers differ by requests under way together, and by hosts' clocks.
const MINUTES_BACK: [i64; 2] = [1, 10];

/// How many rows are read back at once for a chain that is behind: some megabytes at most. The next
/// records read on.
const BACK_MAX: usize = 2_000;

/// How far a number is looked for among the rows that follow, as for a statement.
const AHEAD: usize = 256;

/// How many rows more than wanted one read asks for: others may lie among them.
const SPARE: usize = 8;

/// How many months without a row are looked through at once for the first row after a time.
const MONTHS_AT_ONCE: u32 = 12;

/// How many reads may pass by rows that are chained already.
const READS_MAX: u32 = 50;

/// The first row at or after a time.
pub(super) enum Since {
    /// The row of this number.
    Number(u64),
    /// There is none by now.
    NoRow,
    /// There is none before this later time; whether there is one after it was not looked at.
    NotBefore(DateTime<Utc>),
}

/// A row as the table has it, whoever put it there.
pub(super) struct RawRow {
    /// Where it lies: the month of its partition, and what it is sorted by.
    pub(super) place: (Period, String),
    pub(super) item: Item,
}

impl RawRow {
    /// The number that it says.
    pub(super) fn number(&self) -> Option<u64> {
        number(&self.item, "seq")
    }

    /// The id by which it is found; none in a place that no row of ours has.
    pub(super) fn id(&self) -> Option<EntryId> {
        let (month, sort) = &self.place;
        EntryId::from_bare(sort).filter(|id| Period::of(id.time()) == *month)
    }

    pub(super) fn text(&self) -> String {
        canonical::text(&self.item)
    }
}

/// Where the row of an id lies.
pub(super) fn place_of(id: EntryId) -> (Period, String) {
    (Period::of(id.time()), id.bare())
}

/// The rows of an account in the order of their places, month by month, as they are stored.
pub(super) struct RawRows<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    /// The next month to be read, and after which place in it.
    month: Period,
    after: Option<String>,
    /// The last month to be read.
    last: Period,
    /// How many rows one read asks for; as many as fit, unless told.
    at_once: Option<i32>,
}

impl<'a> RawRows<'a> {
    /// All rows of the months `from..=last`.
    pub(super) fn of(ledger: &'a Ledger, account: AccountId, (from, last): (Period, Period)) -> Self {
        Self { ledger, account, month: from, after: None, last, at_once: None }
    }

    /// Those from the time `from` on.
    fn since(ledger: &'a Ledger, account: AccountId, (from, last): (DateTime<Utc>, Period)) -> Self {
        let after = Some(EntryId::first_at(from).before().bare());
        Self { ledger, account, month: Period::of(from), after, last, at_once: None }
    }

    /// Whether a month comes after the last one that is read.
    pub(super) fn ends_before(&self, month: Period) -> bool {
        self.last < month
    }

    /// The next rows; an empty page only for a month without any, `None` after the last.
    pub(super) async fn read(&mut self) -> Result<Option<Vec<RawRow>>, Fault> {
        if self.last < self.month {
            return Ok(None);
        }
        let text = |text: String| AttributeValue::S(text);
        let query = self.ledger.client.query().table_name(&self.ledger.table).consistent_read(true);
        let query = query.expression_attribute_values(":pk", text(row_partition(self.account, self.month)));
        let query = match self.after.take() {
            Some(after) => query
                .key_condition_expression("pk = :pk AND sk > :after")
                .expression_attribute_values(":after", text(after)),
            None => query.key_condition_expression("pk = :pk"),
        };
        let answer = query.set_limit(self.at_once).send().await;
        let answer = answer.map_err(|error| Fault::unavailable("read rows")(error.into()))?;
        let month = self.month;
        match answer.last_evaluated_key.as_ref().and_then(sort) {
            Some(last) => self.after = Some(last),
            None => self.month = self.month.next(),
        }
        let items = answer.items.unwrap_or_default().into_iter();
        Ok(Some(items.filter_map(|item| Some(RawRow { place: (month, sort(&item)?), item })).collect()))
    }
}

fn sort(item: &Item) -> Option<String> {
    match item.get("sk") {
        Some(AttributeValue::S(sort)) => Some(sort.clone()),
        Some(_) | None => None,
    }
}

impl Ledger {
    /// The lowest number of the rows that lie at or after a time, by their ids. Ids and numbers differ by requests
    /// under way together, so some rows are looked at. It makes a bounded number of reads, however many months
    /// before the first such row have none.
    pub(super) async fn number_since(
        &self,
        account: AccountId,
        at: DateTime<Utc>,
        now: DateTime<Utc>,
    ) -> Result<Since, Fault> {
        let from = at.max(Period::of(account.org.time()).start());
        let mut rows = RawRows::since(self, account, (from, Period::of(now)));
        rows.at_once = i32::try_from(AHEAD).ok();
        for _ in 0..MONTHS_AT_ONCE {
            let Some(page) = rows.read().await? else { return Ok(Since::NoRow) };
            if let Some(number) = page.iter().filter_map(RawRow::number).min() {
                return Ok(Since::Number(number));
            }
        }
        // A month of rows that none of ours would be is not read twice.
        let later = rows.month.start();
        Ok(if rows.last < rows.month || later <= from { Since::NoRow } else { Since::NotBefore(later) })
    }

    /// The rows of these ids, and what else lies among them. Rows of consecutive numbers lie close together,
    /// so one read mostly finds them all; what it does not find is asked for by itself.
    pub(super) async fn rows_among(
        &self,
        account: AccountId,
        ids: &[EntryId],
    ) -> Result<BTreeMap<(Period, String), RawRow>, Fault> {
        let mut months: BTreeMap<Period, Vec<EntryId>> = BTreeMap::new();
        for id in ids {
            months.entry(Period::of(id.time())).or_default().push(*id);
        }
        let mut found = BTreeMap::new();
        for (month, ids) in months {
            let (Some(first), Some(last)) = (ids.iter().min(), ids.iter().max()) else { continue };
            let text = |text: String| AttributeValue::S(text);
            let query = self.client.query().table_name(&self.table).consistent_read(true);
            let answer = query
                .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
                .expression_attribute_values(":pk", text(row_partition(account, month)))
                .expression_attribute_values(":first", text(first.bare()))
                .expression_attribute_values(":last", text(last.bare()))
                .limit(i32::try_from(ids.len().saturating_add(SPARE)).unwrap_or(i32::MAX))
                .send()
                .await
                .map_err(|error| Fault::unavailable("read rows")(error.into()))?;
            for item in answer.items.unwrap_or_default() {
                let Some(sort) = sort(&item) else { continue };
                found.insert((month, sort.clone()), RawRow { place: (month, sort), item });
            }
        }
        for id in ids.iter().filter(|id| !found.contains_key(&place_of(**id))).collect::<Vec<_>>() {
            if let Some(item) = self.get(&Key::Row(account, *id), true, "look for a row").await? {
                found.insert(place_of(*id), RawRow { place: place_of(*id), item });
            }
        }
        Ok(found)
    }

    /// Rows that follow the end of a chain, with its next number first if it is found. They lie by id, close
    /// after the last rows of the chain. `now` is no earlier than the last of them.
    pub(super) async fn rows_following(
        &self,
        account: AccountId,
        tip: &Tip,
        now: DateTime<Utc>,
    ) -> Result<Rows, Fault> {
        let next = tip.sequence().saturating_add(1);
        let last = Period::of(now);
        let Some(near) = self.lowest_near(account, tip).await? else {
            let rows = RawRows::of(self, account, (Period::of(account.org.time()), last));
            return followers(rows, next).await;
        };
        for minutes in MINUTES_BACK {
            let back = Duration::try_minutes(minutes).unwrap_or_default();
            let from = near.time().checked_sub_signed(back).unwrap_or_default();
            let found = followers(RawRows::since(self, account, (from, last)), next).await?;
            if found.contains_key(&next) {
                return Ok(found);
            }
        }
        Ok(Rows::new())
    }

    /// The lowest id of the last rows of a chain; `None` at its beginning.
    async fn lowest_near(&self, account: AccountId, tip: &Tip) -> Result<Option<EntryId>, Fault> {
        let before = tip.open.first.checked_sub(1).filter(|before| *before > 0);
        let closed = match before {
            Some(before) => {
                let key = Key::Span(account, Span::first_of(before));
                self.get(&key, true, "read a part of a chain").await?
            }
            None => None,
        };
        let closed = closed.as_ref().and_then(super::chain::full_span);
        let links = closed.iter().flat_map(|span| &span.links).chain(&tip.open.links);
        Ok(links.map(|link| link.id).min())
    }
}

/// The rows from the number `next` on, as far as they have to be read to find it.
async fn followers(mut rows: RawRows<'_>, next: u64) -> Result<Rows, Fault> {
    let mut found = Rows::new();
    for _ in 0..READS_MAX {
        let Some(page) = rows.read().await? else { break };
        for row in page {
            let (Some(number), Some(id)) = (row.number(), row.id()) else { continue };
            if next <= number {
                found.insert(number, RowText { id, text: row.text() });
            }
        }
        if found.len() >= BACK_MAX || found.len() >= AHEAD && !found.contains_key(&next) {
            break;
        }
    }
    Ok(found)
}
