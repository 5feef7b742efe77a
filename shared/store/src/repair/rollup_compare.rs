//! Compares one rollup with what it should be, and writes the right one.

use chrono::NaiveDate;

use crate::activity::rollups::{Counted, MonthOf};
use crate::repair::rollup_report::{RollupDifference, RollupName, RollupProblem};
use crate::repair::rollup_sums::RowSums;
use crate::repair::rollups::{ROUNDS_MAX, RunningRebuild};
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use domain::RollupRecord;

/// How far ahead of the watermark a rollup may count: the projector handles fewer records at once.
const AHEAD_MAX: u64 = 2_000;

/// How often a comparison waits for a watermark that is about to move.
const WAITS_MAX: u32 = 20;

/// A rollup to compare.
#[derive(Clone, Copy)]
pub(super) enum Compared<'a> {
    /// Of a day or month that is over: no transaction is added any more.
    Closed,
    /// Of the present day.
    Day(NaiveDate),
    /// Of a name in the present month.
    Month(&'a MonthOf),
}

/// Whether a rollup has to be compared again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    /// It is right, or reported and not to be written.
    Done,
    /// It was written, or another process writes it.
    Again,
}

/// A stored rollup, and what it should be.
pub(super) struct Pair<'a> {
    pub(super) key: &'a Key<'a>,
    pub(super) name: RollupName,
    pub(super) compared: Compared<'a>,
    /// What it should be through the watermark; `None` where no transaction is counted.
    pub(super) right: Option<Counted>,
    pub(super) item: Option<StoredItem>,
}

impl RunningRebuild<'_> {
    /// Compares a rollup that the projector does not change.
    pub(super) async fn compare_until_done(&mut self, mut pair: Pair<'_>) -> Result<(), Fault> {
        for _ in 0..ROUNDS_MAX {
            if self.compare(&pair).await? == Comparison::Done {
                return Ok(());
            }
            pair.item = self.activity.table.get(pair.key, "read a rollup").await?;
        }
        Err(Fault::Busy)
    }

    /// Compares a rollup, and if wanted writes the right one in its place.
    pub(super) async fn compare(&mut self, pair: &Pair<'_>) -> Result<Comparison, Fault> {
        self.report.compared = self.report.compared.saturating_add(1);
        let stored = pair.item.as_ref().map(Counted::read);
        let ahead = match &stored {
            Some(Ok(stored)) => self.right_ahead(pair, stored).await?,
            Some(Err(_)) | None => None,
        };
        if let Some(Ok(stored)) = &stored
            && self.is_about_to_move(pair, stored)
        {
            return Ok(Comparison::Again);
        }
        let right = ahead.as_ref().or(pair.right.as_ref());
        let Some(problem) = problem(stored.as_ref().map(Result::as_ref), right) else {
            return Ok(Comparison::Done);
        };
        self.differs(pair.name.clone(), problem);
        if !self.of.is_written {
            return Ok(Comparison::Done);
        }
        let number = |counted: Option<&Counted>| counted.and_then(|counted| counted.through);
        let stored = stored.and_then(Result::ok);
        if number(pair.right.as_ref()) < number(stored.as_ref()) && !matches!(pair.compared, Compared::Closed)
        {
            self.is_misleading = true;
        }
        // The rollup of a day begins and ends with totals, so it is set back to where the watermark's pending sums begin.
        let is_day = matches!(pair.compared, Compared::Day(_));
        let next = if is_day { pair.right.as_ref() } else { right };
        let unchanged = Counted::unchanged(pair.item.as_ref());
        match next {
            Some(next) => {
                self.activity.table.put_if(next.item(pair.key)?, unchanged, "write a rollup").await?;
            }
            None => {
                self.activity.table.delete_if(pair.key, unchanged, "delete a rollup").await?;
            }
        }
        Ok(Comparison::Again)
    }

    /// Whether the projector has counted what was pending in its day, and is about to move the watermark. If the watermark
    /// stays for long, the rollup is compared as it is.
    fn is_about_to_move(&mut self, pair: &Pair<'_>, stored: &Counted) -> bool {
        let Compared::Day(day) = pair.compared else { return false };
        let counted = pair.right.as_ref().and_then(|right| right.through);
        let is_through_all = stored.through == Some(self.sums.through) && counted != stored.through;
        let whole = self.sums.day_at(day, self.sums.through);
        let is_moving = is_through_all
            && self.waits < WAITS_MAX
            && whole.is_some_and(|whole| whole.has_sums_of(&stored.rollup));
        self.waits = self.waits.saturating_add(u32::from(is_moving));
        is_moving
    }

    /// What a rollup should be that counts ahead of the watermark; `None` if it does not.
    async fn right_ahead(&mut self, pair: &Pair<'_>, stored: &Counted) -> Result<Option<Counted>, Fault> {
        let number = stored.through.filter(|number| self.sums.through < *number);
        let (Some(number), Compared::Day(_) | Compared::Month(_)) = (number, pair.compared) else {
            return Ok(None);
        };
        if AHEAD_MAX < number.saturating_sub(self.sums.through) || !self.reads_ahead(number).await? {
            return Ok(None);
        }
        Ok(match pair.compared {
            Compared::Closed => None,
            Compared::Day(day) => {
                let rollup = self.sums.day_at(day, number);
                rollup.map(|rollup| Counted { through: Some(number), rollup })
            }
            Compared::Month(of) => self.sums.month_at(of, number),
        })
    }

    /// Reads the rows through a number; `false` if the account has fewer.
    async fn reads_ahead(&mut self, number: u64) -> Result<bool, Fault> {
        let read = |sums: &RowSums| sums.ahead.back().map_or(sums.through, |last| last.sequence);
        if number <= read(&self.sums) {
            return Ok(true);
        }
        self.read_account(number).await?;
        if self.account.sequence < number {
            return Ok(false);
        }
        self.sums.ahead.clear();
        let now = self.last_time();
        let mut rows = self.ledger.missed_entries(self.of.account, &self.watermark, now).await?;
        while read(&self.sums) < number {
            let slice = rows.slice(number.saturating_add(1)).await?;
            self.sums.ahead.extend(slice.receipts.iter().map(RollupRecord::of));
        }
        Ok(true)
    }

    /// Reports a difference, once.
    pub(super) fn differs(&mut self, rollup: RollupName, problem: RollupProblem) {
        let known = self.report.differences.iter().any(|known| known.rollup == rollup);
        if !known {
            self.report.differences.push(RollupDifference { rollup, problem });
        }
    }
}

fn problem(stored: Option<Result<&Counted, &Fault>>, right: Option<&Counted>) -> Option<RollupProblem> {
    let (stored, right) = match (stored, right) {
        (None, None) => return None,
        (None, Some(_)) => return Some(RollupProblem::Missing),
        (Some(Err(_)), _) => return Some(RollupProblem::Unreadable),
        (Some(Ok(_)), None) => return Some(RollupProblem::Surplus),
        (Some(Ok(stored)), Some(right)) => (stored, right),
    };
    if stored.through != right.through {
        let (stored, right) = (stored.through.unwrap_or(0), right.through.unwrap_or(0));
        return Some(RollupProblem::Number { stored, right });
    }
    (!stored.rollup.has_sums_of(&right.rollup)).then_some(RollupProblem::Sums)
}
