//! Projects the records of one account.

use std::error::Error;

use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, AutoRechargeAction, BalanceLevel, Direction, Entry, LotChange, Notification,
    PendingRollup, Receipt, RollupRecord, RollupTally,
};
use futures_util::future::{join3, try_join};
use scrip_payments::RechargeRequest;
use store::{
    AccountChange, ChainRows, CompletedEntries, Fault, Job, Ledger, Notified, SLICE_ROWS, Watch, Watermark,
};
use store::{Slice, WatermarkStep};

use super::budgets::BudgetChanges;
use super::records::{AccountState, earlier_of};
use super::runaways::KeySpendings;
use super::skip::{log_skipped, skip};
use super::{LEFT_TO_JOB, Others, ProjectionError};
use crate::RenewalTask;

/// The records of one account.
#[derive(Clone, Copy)]
pub(super) struct AccountRecords<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) others: &'a Others<'a>,
    pub(super) id: AccountId,
}

/// What transactions add to rollups, to the records of lots, to budgets and to what keys spend.
#[derive(Default)]
struct CountedChanges {
    records: Vec<RollupRecord>,
    lots: Vec<LotChange>,
    budgets: BudgetChanges,
    keys: KeySpendings,
}

impl CountedChanges {
    fn add(&mut self, receipts: &[Receipt]) {
        self.records.extend(receipts.iter().map(RollupRecord::of));
        self.lots.extend(receipts.iter().flat_map(LotChange::of));
        self.budgets.add(receipts);
        self.keys.add(receipts);
    }
}

/// Complete rows of an account.
#[derive(Default)]
pub(super) struct AccountRows {
    rows: ChainRows,
    /// The changes, from which events are derived.
    changes: Vec<AccountChange>,
    counted: CountedChanges,
    time: DateTime<Utc>,
    /// Whether the account may be able to spend more: credits, a new month, or another plan.
    credited: bool,
}

impl AccountRecords<'_> {
    /// Projects states of the account, in the order of the stream. Returns the record to deliver again, with those after
    /// it: the first one whose row could not be written, or for which not even a job could be scheduled.
    pub(super) async fn project(self, mut states: Vec<AccountState>) -> Option<String> {
        let newest = states.last()?.account.clone();
        // Changes that are no entries show the last entry again.
        states.dedup_by_key(|state| state.account.sequence);
        let first = states.first()?.place.clone();
        let accounts: Vec<_> = states.iter().map(|state| state.account.clone()).collect();
        let (completed, watermark, (watch, notified)) = join3(
            self.ledger.complete_all(&accounts, self.others.grace),
            self.ledger.last_watermark(self.id),
            self.watch(&newest),
        )
        .await;
        let completed = match completed {
            Ok(completed) => completed,
            Err(fault) => {
                self.log_unwritten(&first, &fault);
                return Some(first);
            }
        };
        let mut rows = AccountRows::default();
        let mut unwritten = None;
        for (state, entries) in states.into_iter().zip(completed) {
            match entries {
                Ok(Some(entries)) => rows.add(&state.account, entries),
                Ok(None) => (),
                Err(fault) => {
                    unwritten = self.skip_or_deliver_again(state, &fault).await;
                    if unwritten.is_some() {
                        break;
                    }
                }
            }
        }
        // Rows and chain do not need what is watched. Events do, so emitting them reads it again and says why it fails.
        let followed = match watermark {
            Ok(watermark) => self.follow(rows, watermark, watch.ok()).await,
            Err(fault) => Err(fault.into()),
        };
        let unscheduled = match followed.and(notified) {
            Ok(()) => None,
            Err(error) => self.leave_to_job(first, &error).await,
        };
        unwritten.into_iter().chain(unscheduled).reduce(earlier_of)
    }

    /// What is watched of the account. Notifies auto-recharge, which looks at the newest state and waits for no row.
    async fn watch(self, newest: &Account) -> (Result<Watch, Fault>, Result<(), ProjectionError>) {
        let watch = self.ledger.watch(self.id, false).await;
        let notified = match &watch {
            Ok(watch) => self.notify_recharge(newest, watch).await,
            Err(_) => Ok(()),
        };
        (watch, notified)
    }

    /// Notifies auto-recharge if the account needs it. A superfluous message does nothing.
    pub(super) async fn notify_recharge(
        self,
        account: &Account,
        watch: &Watch,
    ) -> Result<(), ProjectionError> {
        let Some(recharge) = &watch.recharge else { return Ok(()) };
        if recharge.action(account, account.floor().time()) != AutoRechargeAction::Rest {
            self.others.recharges.send(&RechargeRequest { account: self.id }, 0).await?;
        }
        Ok(())
    }

    /// Sends a renewal task for the account's monitors, if it has any.
    pub(super) async fn notify_monitors(self) -> Result<(), ProjectionError> {
        if self.ledger.is_monitored(self.id).await? {
            let task = RenewalTask::Monitors { account: self.id, after: None };
            self.others.tasks.send(&task, 0).await?;
        }
        Ok(())
    }

    async fn follow(
        self,
        rows: AccountRows,
        watermark: Watermark,
        watch: Option<Watch>,
    ) -> Result<(), ProjectionError> {
        let Some(through) = rows.rows.keys().next_back().copied() else { return Ok(()) };
        let credited = rows.credited;
        let followed = match self.recover(&rows, watermark).await {
            Ok(watermark) => self.emit_count_and_advance(rows, watermark, watch).await,
            Err((watermark, error)) => {
                // Requests that resolve a lost answer wait for the watermark, and not for events.
                if last_run(&rows.rows) <= watermark.through().saturating_add(1) {
                    let notified = watermark.notified().clone();
                    let step = WatermarkStep { watermark, through, notified };
                    self.ledger.advance_watermark(self.id, step, &rows.rows, rows.time).await?;
                }
                Err(error)
            }
        };
        let monitored = if credited { self.notify_monitors().await } else { Ok(()) };
        followed.and(monitored)
    }

    /// Projects transactions whose records the stream has lost, if they are few. Returns the watermark that the rows
    /// follow.
    async fn recover(
        self,
        rows: &AccountRows,
        watermark: Watermark,
    ) -> Result<Watermark, (Watermark, ProjectionError)> {
        let first = last_run(&rows.rows);
        let mut watermark = match self.ledger.watermark_for(self.id, first, watermark).await {
            Ok(watermark) => watermark,
            Err(fault) => return Err((Watermark::default(), fault.into())),
        };
        let lost = first.saturating_sub(1).saturating_sub(watermark.notified_through());
        if lost > u64::try_from(SLICE_ROWS).unwrap_or(u64::MAX) {
            return Err((watermark, ProjectionError::Behind { lost }));
        }
        while watermark.notified_through().saturating_add(1) < first {
            watermark = match self.project_slice(&watermark, first, rows.time).await {
                Ok(next) => next,
                Err(error) => return Err((watermark, error)),
            };
        }
        Ok(watermark)
    }

    async fn project_slice(
        self,
        watermark: &Watermark,
        below: u64,
        now: DateTime<Utc>,
    ) -> Result<Watermark, ProjectionError> {
        let mut missed = self.ledger.missed_entries(self.id, watermark, now).await?;
        let slice = match missed.slice(below).await {
            Err(fault) if fault.is_unreadable() && self.ledger.complete_skipped(self.id).await? => {
                self.ledger.missed_entries(self.id, watermark, now).await?.slice(below).await?
            }
            slice => slice?,
        };
        self.follow_slice(watermark.clone(), slice, now).await
    }

    /// Projects a slice of transactions that follow a watermark.
    pub(super) async fn follow_slice(
        self,
        watermark: Watermark,
        Slice { rows, receipts }: Slice,
        now: DateTime<Utc>,
    ) -> Result<Watermark, ProjectionError> {
        let (known, through) = (watermark.notified_through(), rows.keys().next_back());
        tracing::warn!(account = %self.id, known, through, "the stream has lost records; their rows are projected");
        let mut counted = CountedChanges::default();
        counted.add(&receipts);
        let changes = AccountChange::of_receipts(&receipts);
        let notified = self.emit_and_count(&watermark, &changes, &counted, None).await?;
        // Check for credits before the watermark advances: these rows are not checked again.
        if receipts.iter().any(|receipt| pays(&receipt.entry)) {
            self.notify_monitors().await?;
        }
        let through = through.copied().unwrap_or(known);
        let notified = Notified { through, ..notified };
        let step = WatermarkStep { watermark, through, notified };
        Ok(self.ledger.advance_watermark(self.id, step, &rows, now).await?)
    }

    async fn emit_count_and_advance(
        self,
        rows: AccountRows,
        watermark: Watermark,
        watch: Option<Watch>,
    ) -> Result<(), ProjectionError> {
        let AccountRows { rows, changes, counted, time, .. } = rows;
        let through = rows.keys().next_back().copied().unwrap_or_default();
        // A read that was behind may have missed what the watermark knows.
        let watch = watch.filter(|watch| watermark.notified().alerts <= watch.state.revision);
        let emitted = self.emit_and_count(&watermark, &changes, &counted, watch).await;
        let notified = match &emitted {
            Ok(notified) => Notified { through, ..notified.clone() },
            Err(_) => watermark.notified().clone(),
        };
        let step = WatermarkStep { watermark, through, notified };
        self.ledger.advance_watermark(self.id, step, &rows, time).await?;
        emitted.map(|_| ())
    }

    /// Emits the events of changes and counts their usage. Repeating it changes nothing. Returns what is notified
    /// afterwards, without its number.
    async fn emit_and_count(
        self,
        watermark: &Watermark,
        changes: &[AccountChange],
        counted: &CountedChanges,
        watch: Option<Watch>,
    ) -> Result<Notified, ProjectionError> {
        let emitted = self.ledger.emit_changes(self.id, changes, watch, self.others.moment);
        let (alerts, pending) = try_join(emitted, self.count(watermark.notified(), counted)).await?;
        self.follow_budgets(&counted.budgets).await?;
        let through = watermark.notified_through();
        let (rates, runaways) = counted.keys.counted(&watermark.notified().rates, through);
        self.follow_runaways(&runaways).await?;
        Ok(Notified { through, alerts, pending, rates })
    }

    async fn count(
        self,
        notified: &Notified,
        CountedChanges { records, lots, .. }: &CountedChanges,
    ) -> Result<Option<PendingRollup>, Fault> {
        let tally = RollupTally::of(notified.pending.clone(), notified.through, records);
        let totals = self.others.activity.count_totals(self.id, &tally.totals);
        let named = self.others.activity.count(self.id, &tally.named);
        let (totals, named, lots) =
            join3(totals, named, self.others.activity.count_lots(self.id, lots)).await;
        totals.and(named).and(lots)?;
        Ok(tally.pending)
    }

    /// Skips the record of a state whose row cannot be written because an item is unreadable; returns the record where it
    /// has to be delivered again.
    async fn skip_or_deliver_again(self, state: AccountState, fault: &Fault) -> Option<String> {
        let AccountState { place, image, .. } = state;
        if fault.is_unreadable() && skip(self.ledger, &place, image, fault).await.is_ok() {
            return None;
        }
        self.log_unwritten(&place, fault);
        Some(place)
    }

    fn log_unwritten(self, place: &str, fault: &Fault) {
        let fault = fault as &dyn Error;
        tracing::error!(account = %self.id, place, fault, "a row could not be written; its record is delivered again");
    }

    /// Leaves the account to its projection job, or until an unreadable item is repaired. Returns the record where not even
    /// the job could be scheduled.
    async fn leave_to_job(self, place: String, error: &ProjectionError) -> Option<String> {
        if error.is_unreadable() {
            log_skipped(self.id, error);
            return None;
        }
        tracing::warn!(account = %self.id, cause = error as &dyn Error, "{LEFT_TO_JOB}");
        let fault =
            self.ledger.schedule_in_minute(Job::Projection(self.id), self.others.moment.wall).await.err()?;
        tracing::error!(account = %self.id, fault = &fault as &dyn Error, "its projection job could not be scheduled");
        Some(place)
    }
}

impl AccountRows {
    fn add(&mut self, account: &Account, entries: CompletedEntries) {
        let CompletedEntries { rows, receipts, time } = entries;
        self.credited |= account.last.as_ref().is_some_and(pays);
        // One row decides: only batches have several, and they emit no event.
        let notification = receipts.first().and_then(Notification::of);
        self.changes.push(AccountChange { level: BalanceLevel::of(account), notification });
        self.counted.add(&receipts);
        self.rows.extend(rows);
        self.time = time.max(self.time);
    }
}

/// Whether an entry may let the account spend more. A change to an unlimited plan is a debit, but the plan pays for
/// everything.
pub(super) fn pays(entry: &Entry) -> bool {
    entry.direction == Direction::Credit || entry.switch.is_some()
}

/// The first number of the last run of rows without a gap.
fn last_run(rows: &ChainRows) -> u64 {
    let mut numbers = rows.keys().rev().copied();
    let last = numbers.next().unwrap_or_default();
    numbers.fold(last, |first, number| if number.saturating_add(1) == first { number } else { first })
}
