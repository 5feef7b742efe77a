//! Alerts: the settings of an account, its alert state, and the events that follow from changes of its balance.

use chrono::Duration;

use crate::event::outbox::PendingEvent;
use crate::event::watch::{AlertStateItem, Watch};
use crate::schedule::jobs::Job;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use domain::{Account, AccountId, AlertSettings, AlertState, BalanceLevel, Notification, Receipt};
use ports::Moment;

/// How often another process may write the alert state first: at most two projectors read the same records.
const ATTEMPTS_MAX: u32 = 16;

/// How many changes without events may precede a check of the account; where there are more, the projector emits them.
const CHANGES_MAX: u64 = 100;

/// After how many seconds a check that was not possible is repeated.
const AGAIN_SECONDS: i64 = 60;

/// The maximum number of events in one write.
const EVENTS_MAX: usize = 32;

/// One change of an account.
#[derive(Clone, Debug)]
pub struct AccountChange {
    /// The level of the balance after it.
    pub level: BalanceLevel,
    /// The notification about the change itself, if it has one.
    pub notification: Option<Notification>,
}

impl AccountChange {
    /// The changes that rows have made, in order. A batch is one change with several rows.
    #[must_use]
    pub fn of_receipts(receipts: &[Receipt]) -> Vec<Self> {
        let batch = |receipt: &Receipt| receipt.details.batch.as_ref().map(|place| place.batch);
        let next_receipts = receipts.iter().skip(1).map(Some).chain([None]);
        let is_last = |(receipt, follower): &(&Receipt, Option<&Receipt>)| {
            batch(receipt).is_none() || follower.and_then(batch) != batch(receipt)
        };
        let lasts = receipts.iter().zip(next_receipts).filter(is_last).map(|(receipt, _)| receipt);
        lasts
            .map(|receipt| Self {
                level: BalanceLevel::after(receipt),
                notification: Notification::of(receipt),
            })
            .collect()
    }
}

/// The next alert state of an account, and the notifications that are emitted with it.
struct AlertStep {
    state: AlertState,
    notifications: Vec<PendingEvent>,
    /// Whether there are more than fit into one write.
    more: bool,
}

/// The events of the notifications that follow from one level.
fn events_of(level: BalanceLevel, notifications: &[Notification]) -> Vec<PendingEvent> {
    let source = |place| format!("change {} {place}", level.sequence);
    let numbered = notifications.iter().enumerate();
    numbered.map(|(place, notification)| PendingEvent::new(source(place), notification, level.at)).collect()
}

impl Ledger {
    /// The alert settings of an account; the default ones where none are saved.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn alerts(&self, account: AccountId) -> Result<AlertSettings, Fault> {
        let item = self.table.get(&Key::Alerts(account), "read alerts").await?;
        Ok(item.map(|item| decode("alerts", item)).transpose()?.unwrap_or_default())
    }

    /// Saves alert settings with their revision incremented and returns them; `None` when another process has saved
    /// them since they were read. New ones have revision 0.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_alerts(
        &self,
        account: AccountId,
        alerts: AlertSettings,
    ) -> Result<Option<AlertSettings>, Fault> {
        let known = Some(alerts.revision).filter(|revision| *revision > 0);
        let next = AlertSettings { revision: alerts.revision.saturating_add(1), ..alerts };
        let item = with_key(&Key::Alerts(account), &next)?;
        let saved = self.table.replace(item, known, "save alerts").await?;
        let saved = saved || self.alerts(account).await? == next;
        Ok(saved.then_some(next))
    }

    /// Emits the events that follow from changes of an account, in the order of their numbers. Changes that were
    /// processed before emit nothing: the events and the alert state are one write. It begins with `known`, as it was
    /// read before, and reads again where another process has written since. Returns the revision of the alert state.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn emit_changes(
        &self,
        account: AccountId,
        changes: &[AccountChange],
        known: Option<Watch>,
        moment: Moment,
    ) -> Result<u64, Fault> {
        self.advance_alerts(account, known, moment, |state, alerts| {
            let mut step = AlertStep { state: state.clone(), notifications: vec![], more: false };
            for AccountChange { level, notification } in changes {
                if EVENTS_MAX <= step.notifications.len() {
                    step.more = true;
                    break;
                }
                let (next, emitted) = step.state.after_change(alerts, *level, notification.clone());
                step.state = next;
                step.notifications.extend(events_of(*level, &emitted));
            }
            step
        })
        .await
    }

    /// Checks the alerts of an account as it is now: its owner has set other thresholds, or a cool-down may be over.
    /// Changes without events come first. Where there are too many of them, or their rows do not exist yet, the projector
    /// emits them by the same settings, and a scheduled job repeats the check.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn check_alerts(&self, account: &Account, moment: Moment) -> Result<(), Fault> {
        if !self.emit_missed(account, moment).await? {
            let due = moment.now.checked_add_signed(Duration::try_seconds(AGAIN_SECONDS).unwrap_or_default());
            return self.schedule(Job::Calendar(account.id), due.unwrap_or(moment.now)).await.map(|_| ());
        }
        let level = BalanceLevel { at: moment.now, ..BalanceLevel::of(account) };
        self.advance_alerts(account.id, None, moment, |state, alerts| {
            let (state, notifications) = state.check(alerts, level);
            AlertStep { state, notifications: events_of(level, &notifications), more: false }
        })
        .await?;
        // The cool-down may be longer than when its job was scheduled.
        let Watch { alerts, state, .. } = self.watch(account.id, true).await?;
        if let Some(due) = state.check_at(&alerts).filter(|due| moment.now < *due) {
            self.schedule(Job::Calendar(account.id), due).await?;
        }
        Ok(())
    }

    /// Emits the events of changes that have none yet, by their rows; `false` when that is not possible.
    async fn emit_missed(&self, account: &Account, moment: Moment) -> Result<bool, Fault> {
        let after = account.sequence.saturating_add(1);
        let watermark = self.projected_through(account.id).await?;
        if CHANGES_MAX < account.sequence.saturating_sub(watermark.notified_through()) {
            return Ok(false);
        }
        let now = account.floor().time().max(moment.now);
        let mut missed = self.missed_entries(account.id, &watermark, now).await?;
        let missed = match missed.slice(after).await {
            Err(Fault::Corrupt { .. }) => return Ok(false),
            missed => missed?.receipts,
        };
        if !missed.is_empty() {
            self.emit_changes(account.id, &AccountChange::of_receipts(&missed), None, moment).await?;
        }
        Ok(true)
    }

    /// Returns the revision of the alert state afterwards.
    async fn advance_alerts(
        &self,
        account: AccountId,
        mut known: Option<Watch>,
        moment: Moment,
        step: impl Fn(&AlertState, &AlertSettings) -> AlertStep + Send + Sync,
    ) -> Result<u64, Fault> {
        let mut attempts = 0u32;
        while attempts < ATTEMPTS_MAX {
            let Watch { alerts, state: before, outbox, .. } = match known.take() {
                Some(known) => known,
                None => self.watch(account, true).await?,
            };
            if let Some(outbox) = outbox {
                self.empty_outbox(account, &Key::AlertState(account), outbox, moment).await?;
            }
            let AlertStep { mut state, notifications, more } = step(&before, &alerts);
            if state == before {
                return Ok(before.revision);
            }
            state.revision = before.revision.saturating_add(1);
            if let Some(due) = state.check_at(&alerts) {
                self.schedule(Job::Calendar(account), due).await?;
            }
            let out = self.outbox(account, notifications).await?;
            let revision = state.revision;
            let key = Key::AlertState(account);
            let item = with_key(&key, &AlertStateItem { state, out: out.clone() })?;
            let known_revision = Some(before.revision).filter(|revision| *revision > 0);
            if !self.table.replace(item, known_revision, "save an alert state").await? {
                attempts = attempts.saturating_add(1);
                continue;
            }
            if let Some(outbox) = out {
                self.empty_outbox(account, &key, outbox, moment).await?;
            }
            if !more {
                return Ok(revision);
            }
        }
        Err(Fault::Busy)
    }
}
