//! Rebuilds an account's rollups and the records of its lots from its rows: compares them with what is stored, and writes the right ones.
//!
//! The projector may keep counting meanwhile. A rollup of a day or month that is over never changes again. One of the
//! present day or month is compared with the rows through the watermark's number, or through its own number where the
//! projector has counted ahead of the watermark. Each write requires that the number of the rollup is unchanged, and is
//! followed by another comparison with a watermark that is read after it: a total that the projector has meanwhile counted
//! into the wrong rollup is then missing, and is found. A projector that was misled by a number that was too high, or by
//! wrong pending sums, ends within a known time; after that time the comparison is made once more.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use chrono::{DateTime, NaiveDate, Utc};

use crate::activity::activity_table::Activity;
use crate::activity::lots::CountedLots;
use crate::activity::rollups::{Counted, MonthOf, RollupKind, month_of};
use crate::chain::watermark::Watermark;
use crate::repair::rollup_compare::{Compared, Comparison, Pair};
use crate::repair::rollup_report::{MonthRollupName, RollupName, RollupProblem, RollupReport};
use crate::repair::rollup_sums::{ClosedMonth, ClosedSums, NamePart, RowSums};
use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, day_rollup_partition, month_rollup_partition};
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use domain::{Account, AccountId, LotChange, PendingRollup, Period, RollupRecord};

/// How often what changes meanwhile is compared.
pub(super) const ROUNDS_MAX: u32 = 32;

/// The pause between two comparisons, in which the projector moves the watermark.
const PAUSE: Duration = Duration::from_millis(50);

/// Which rollups are rebuilt.
#[derive(Clone, Copy, Debug)]
pub struct RollupRebuild {
    /// The account.
    pub account: AccountId,
    /// Whether the right rollups are written; otherwise they are only compared.
    pub is_written: bool,
    /// The present time.
    pub now: DateTime<Utc>,
    /// How long a projector may work on one batch; zero if none is running. One that met a number that was too high has
    /// skipped what it was to count, or one that met wrong pending sums adds to them: the rollup is compared again after
    /// this time.
    pub projection: Duration,
}

/// A rebuild of some of an account's rollups.
pub(super) struct RunningRebuild<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) activity: &'a Activity,
    pub(super) account: Account,
    pub(super) of: RollupRebuild,
    pub(super) sums: RowSums,
    /// The records of lots.
    pub(super) lots: CountedLots,
    /// The watermark whose number is that of the last row that was added.
    pub(super) watermark: Watermark,
    /// The days with rows.
    days: BTreeSet<NaiveDate>,
    /// The next month whose names are to be compared.
    month: Period,
    /// How often it has waited for a watermark that was about to move.
    pub(super) waits: u32,
    /// Whether a projector may have been misled by what was wrong.
    pub(super) is_misleading: bool,
    pub(super) report: RollupReport,
}

/// A month to compare.
struct MonthNames {
    month: Period,
    /// Whether transactions may still be added.
    is_open: bool,
    names: BTreeMap<MonthOf, Counted>,
}

impl Ledger {
    /// Compares the rollups and the records of lots of an account with its rows, and if wanted writes the right ones. `None` when there is no such
    /// account. `progress` is called with the number of transactions so far.
    ///
    /// It reads each row once, 1,000 at a time, and each rollup once. Memory is bounded by one day's rollup, 250,000
    /// cells of one month's customers and members, and the records of all lots; where a month has more, the rows are read several times.
    ///
    /// # Errors
    /// When the table does not answer, or a row is missing or unreadable. It may be run again at any time.
    pub async fn rebuild_rollups(
        &self,
        activity: &Activity,
        of: RollupRebuild,
        mut progress: impl FnMut(u64) + Send,
    ) -> Result<Option<RollupReport>, Fault> {
        let Some(account) = self.account(of.account).await? else { return Ok(None) };
        let (mut report, mut part) = (RollupReport::default(), Some(NamePart::ALL));
        while let Some(names) = part {
            let mut run = RunningRebuild {
                ledger: self,
                activity,
                account: account.clone(),
                of,
                sums: RowSums::of(names),
                lots: CountedLots::default(),
                watermark: Watermark::default(),
                days: BTreeSet::new(),
                month: Period::of(of.account.org.time()),
                waits: 0,
                is_misleading: false,
                report: std::mem::take(&mut report),
            };
            run.run(&mut progress).await?;
            part = run.sums.part.rest();
            report = run.report;
        }
        Ok(Some(report))
    }
}

impl RunningRebuild<'_> {
    async fn run(&mut self, progress: &mut (impl FnMut(u64) + Send)) -> Result<(), Fault> {
        let id = self.of.account;
        // The names that are compared again.
        let mut names = BTreeSet::new();
        for _ in 0..ROUNDS_MAX {
            let watermark = self.ledger.projected_through(id).await?;
            self.advance(watermark, progress).await?;
            let mut again = self.compare_pending().await?;
            if self.sums.part.is_first() && again == Comparison::Done {
                again = self.compare_open_day().await?;
            }
            let left = self.compare_open_month(&names).await?;
            self.report.through = self.sums.through;
            if again == Comparison::Done && left.is_empty() {
                self.compare_lots().await?;
                return self.compare_other_days().await;
            }
            self.report.unsettled = left.len().max(1);
            names = left;
            let is_misleading = std::mem::take(&mut self.is_misleading);
            tokio::time::sleep(if is_misleading { self.of.projection.max(PAUSE) } else { PAUSE }).await;
        }
        Ok(())
    }

    /// Adds the rows through a watermark's number. Days and months that end are compared.
    async fn advance(
        &mut self,
        watermark: Watermark,
        progress: &mut (impl FnMut(u64) + Send),
    ) -> Result<(), Fault> {
        self.report.unsettled = 0;
        self.sums.ahead.clear();
        let (through, after) = (watermark.notified_through(), pending_after(&watermark));
        self.read_account(through).await?;
        let now = self.last_time();
        let mut rows = self.ledger.missed_entries(self.of.account, &self.watermark, now).await?;
        while self.sums.through < through {
            for receipt in rows.slice(through.saturating_add(1)).await?.receipts {
                self.lots.add(&LotChange::of(&receipt));
                let closed = self.sums.add(RollupRecord::of(&receipt), after);
                self.days.extend(self.sums.day);
                self.compare_closed(closed).await?;
            }
            progress(self.sums.through);
        }
        self.sums.count_pending_through(after);
        self.watermark = watermark;
        Ok(())
    }

    /// Reads the account again if it is known only up to a lower number than this.
    pub(super) async fn read_account(&mut self, number: u64) -> Result<(), Fault> {
        if self.account.sequence < number
            && let Some(account) = self.ledger.account(self.of.account).await?
        {
            self.account = account;
        }
        Ok(())
    }

    /// A time no earlier than the last transaction. The clock of a ledger may have been moved.
    pub(super) fn last_time(&self) -> DateTime<Utc> {
        self.account.floor().time().max(self.of.now)
    }

    async fn compare_closed(&mut self, closed: ClosedSums) -> Result<(), Fault> {
        if let Some(closed) = closed.day.filter(|_| self.sums.part.is_first()) {
            let key = Key::DayRollup(self.of.account, closed.day);
            let pair = Pair {
                key: &key,
                name: RollupName::Day(closed.day),
                compared: Compared::Closed,
                right: Some(closed.counted),
                item: self.activity.table.get(&key, "read a rollup").await?,
            };
            self.compare_until_done(pair).await?;
        }
        if let Some(ClosedMonth { month, names }) = closed.names {
            self.compare_months_before(month).await?;
            // The names of a month that was open in an earlier round are compared once more.
            self.compare_month(MonthNames { month, is_open: false, names }).await?;
            self.month = self.month.max(month.next());
        }
        Ok(())
    }

    /// Compares months without transactions.
    async fn compare_months_before(&mut self, month: Period) -> Result<(), Fault> {
        while self.month < month {
            let names = BTreeMap::new();
            self.compare_month(MonthNames { month: self.month, is_open: false, names }).await?;
            self.month = self.month.next();
        }
        Ok(())
    }

    /// Compares what is pending beside the watermark.
    async fn compare_pending(&mut self) -> Result<Comparison, Fault> {
        let Some(stored) = &self.watermark.notified().pending else { return Ok(Comparison::Done) };
        let through = self.watermark.notified_through();
        let right = (stored.after < through).then(|| PendingRollup {
            after: stored.after,
            last: through,
            day: self.sums.day.unwrap_or(stored.day),
            rollup: self.sums.pending.clone(),
        });
        let is_right = right.as_ref().is_some_and(|right| {
            (right.last, right.day) == (stored.last, stored.day) && right.rollup.has_sums_of(&stored.rollup)
        });
        if is_right {
            return Ok(Comparison::Done);
        }
        self.differs(RollupName::Pending, RollupProblem::Sums);
        if !self.of.is_written {
            return Ok(Comparison::Done);
        }
        self.is_misleading = true;
        let next = self.watermark.with_pending(right);
        self.ledger.move_watermark(self.of.account, &self.watermark, &next).await?;
        Ok(Comparison::Again)
    }

    async fn compare_open_day(&mut self) -> Result<Comparison, Fault> {
        let Some(day) = self.sums.day else { return Ok(Comparison::Done) };
        let key = Key::DayRollup(self.of.account, day);
        let item = self.activity.table.get(&key, "read a rollup").await?;
        let right = Some(self.sums.counted.clone()).filter(|counted| counted.through.is_some());
        let name = RollupName::Day(day);
        self.compare(&Pair { key: &key, name, compared: Compared::Day(day), right, item }).await
    }

    /// Compares all names of the present month, or in a later round those in `again`; returns those to be compared again.
    async fn compare_open_month(&mut self, again: &BTreeSet<MonthOf>) -> Result<BTreeSet<MonthOf>, Fault> {
        let Some(day) = self.sums.day else { return Ok(BTreeSet::new()) };
        let month = month_of(day);
        if self.month <= month {
            self.compare_months_before(month).await?;
            self.month = month.next();
            let names = self.sums.names.clone();
            return self.compare_month(MonthNames { month, is_open: true, names }).await;
        }
        let mut left = BTreeSet::new();
        for of in again.iter().filter(|of| of.month == month) {
            let item = self.activity.table.get(&of.key(self.of.account), "read a rollup").await?;
            let right = self.sums.names.get(of).cloned();
            left.extend(self.compare_open_name(of.clone(), right, item).await?);
        }
        Ok(left)
    }

    /// Compares all rollups of a month's customers and members; returns those to be compared again.
    async fn compare_month(&mut self, of: MonthNames) -> Result<BTreeSet<MonthOf>, Fault> {
        let MonthNames { month, is_open, mut names } = of;
        let mut again = BTreeSet::new();
        for kind in [RollupKind::Customer, RollupKind::Member] {
            for shard in self.account.row_shards.all() {
                let partition = month_rollup_partition(self.of.account, month, kind.letter(), shard);
                let mut query = Some(ItemQuery::all(partition.clone()));
                while let Some(next) = query.take() {
                    let page = self.activity.table.query(next, "read rollups").await?;
                    for item in page.items {
                        let name = sort_key(&item).unwrap_or_default().to_owned();
                        let of = MonthOf { month, kind, shard, name };
                        if self.sums.part.has(&of.name) {
                            let right = names.remove(&of);
                            again.extend(self.compare_name(of, is_open, right, Some(item)).await?);
                        }
                    }
                    query = page.last.map(|last| ItemQuery::all(partition.clone()).continued(Some(last)));
                }
            }
        }
        for (of, right) in names {
            // It may have been written since its page was read.
            let item = self.activity.table.get(&of.key(self.of.account), "read a rollup").await?;
            again.extend(self.compare_name(of, is_open, Some(right), item).await?);
        }
        Ok(again)
    }

    async fn compare_name(
        &mut self,
        of: MonthOf,
        is_open: bool,
        right: Option<Counted>,
        item: Option<StoredItem>,
    ) -> Result<Option<MonthOf>, Fault> {
        if is_open {
            return self.compare_open_name(of, right, item).await;
        }
        let key = of.key(self.of.account);
        let name = RollupName::Month(MonthRollupName(of));
        self.compare_until_done(Pair { key: &key, name, compared: Compared::Closed, right, item }).await?;
        Ok(None)
    }

    async fn compare_open_name(
        &mut self,
        of: MonthOf,
        right: Option<Counted>,
        item: Option<StoredItem>,
    ) -> Result<Option<MonthOf>, Fault> {
        let key = of.key(self.of.account);
        let name = RollupName::Month(MonthRollupName(of.clone()));
        let pair = Pair { key: &key, name, compared: Compared::Month(&of), right, item };
        let again = self.compare(&pair).await? == Comparison::Again;
        Ok(again.then_some(of))
    }

    /// Finds rollups of days without a transaction. What lies after the present day may be counted ahead.
    async fn compare_other_days(&mut self) -> Result<(), Fault> {
        if !self.sums.part.is_first() {
            return Ok(());
        }
        let partition = day_rollup_partition(self.of.account);
        let mut query = Some(ItemQuery::all(partition.clone()));
        while let Some(next) = query.take() {
            let page = self.activity.table.query(next, "read rollups").await?;
            for item in page.items {
                let day = sort_key(&item).and_then(|day| day.parse::<NaiveDate>().ok());
                let Some(day) = day.filter(|day| !self.days.contains(day)) else { continue };
                let number = Counted::read(&item).ok().and_then(|counted| counted.through);
                let is_ahead = number.is_some_and(|number| self.sums.through < number);
                if is_ahead && self.sums.day.is_none_or(|open| open < day) {
                    continue;
                }
                let key = Key::DayRollup(self.of.account, day);
                let name = RollupName::Day(day);
                let pair =
                    Pair { key: &key, name, compared: Compared::Closed, right: None, item: Some(item) };
                self.compare_until_done(pair).await?;
            }
            query = page.last.map(|last| ItemQuery::all(partition.clone()).continued(Some(last)));
        }
        Ok(())
    }
}

/// After which number transactions are pending. Without pending sums that can be read, all are counted.
fn pending_after(watermark: &Watermark) -> u64 {
    let through = watermark.notified_through();
    let after = watermark.notified().pending.as_ref().map(|pending| pending.after);
    after.filter(|after| *after <= through).unwrap_or(through)
}
