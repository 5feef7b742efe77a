//! Monitors: creation, monthly charge, suspension and end.

use std::error::Error;

use super::{JobError, Jobs, RenewalTask};
use domain::{
    Account, AccountId, Attempt, Consume, EntryId, Fingerprint, Monitor, MonitorId, MonitorKey,
    MonitorStatus, Notification, Period, Quantity, Reference, Refusal, SuspensionReason, charge_month,
};
use store::{
    Claim, Fault, Job, MONITORS_AT_ONCE, Moment, MonitorEvent, SubjectHolder, Unsettled, system_key,
};

/// How often a call retries when another process writes the same monitor or subject.
const ATTEMPTS_MAX: u32 = 8;

/// Why a monitor was not created.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// Another monitor has the same operation and resource. Nothing was charged.
    #[error("{0} watches the same operation and resource")]
    Taken(MonitorId),
    /// The charge was refused, or is not settled yet.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
}

impl MonitorError {
    /// After the monitor is stored, a fault does not mean that nothing was charged.
    fn in_doubt(self) -> Self {
        match self {
            Self::Unsettled(Unsettled::Failed(fault)) => {
                tracing::warn!(fault = &fault as &dyn Error, "a monitor is left to its scheduled job");
                Self::Unsettled(Unsettled::InProgress)
            }
            Self::Taken(_) | Self::Unsettled(_) => self,
        }
    }
}

/// Debits of one page that were refused for lack of credits. An equal or larger debit is then refused without a request,
/// and so is one without a service after one with a service, which could use more credits.
#[derive(Default)]
struct Unaffordable(Vec<Consume>);

impl Unaffordable {
    fn includes(&self, request: &Consume) -> bool {
        self.0.iter().any(|refused| {
            refused.amount <= request.amount
                && (refused.service == request.service || request.service.is_none())
        })
    }
}

impl From<Fault> for MonitorError {
    fn from(fault: Fault) -> Self {
        Self::Unsettled(fault.into())
    }
}

/// The result of charging a monitor for a month.
enum MonthlyCharge {
    /// The month is paid by this transaction.
    Paid(Period, EntryId),
    /// It cannot be paid.
    Unpayable(SuspensionReason),
}

impl Jobs<'_> {
    /// Creates a monitor: stores it, claims its subject and charges it for this month. After a crash a scheduled job
    /// finishes it, and a repeated request finds the same monitor. Returns the monitor and whether it existed before.
    ///
    /// # Errors
    /// [`MonitorError`]; then no monitor exists and nothing is charged, unless the error is [`Unsettled::InProgress`].
    pub async fn create_monitor(
        &self,
        account: AccountId,
        wanted: &Monitor,
        moment: Moment,
    ) -> Result<(Monitor, bool), MonitorError> {
        let id = MonitorKey { account, monitor: wanted.id };
        let known = self.ledger.monitor(id).await?;
        if let Some(made) = known.as_ref().filter(|known| known.status != MonitorStatus::Pending) {
            return Ok((made.clone(), true));
        }
        if known.is_none() {
            self.ledger.list_monitored(account).await?;
            self.schedule_check(Job::Monitor(id), moment).await?;
            self.ledger.begin_monitor(account, wanted).await?;
        }
        // From here on another process may finish it, even if this request fails.
        let made = self.finish_monitor(id, moment).await.map_err(MonitorError::in_doubt)?;
        made.map(|made| (made, false)).ok_or(MonitorError::Unsettled(Unsettled::InProgress))
    }

    /// Continues the creation of a monitor. Returns an existing one unchanged, and `None` when there is none.
    ///
    /// # Errors
    /// As [`Jobs::create_monitor`].
    pub async fn finish_monitor(
        &self,
        id: MonitorKey,
        moment: Moment,
    ) -> Result<Option<Monitor>, MonitorError> {
        let account = id.account;
        for _ in 0..ATTEMPTS_MAX {
            let Some(monitor) = self.ledger.monitor(id).await? else { return Ok(None) };
            if monitor.status != MonitorStatus::Pending {
                return Ok(Some(monitor));
            }
            if let Some(other) = self.take_subject(account, &monitor).await? {
                if self.ledger.forget_monitor(account, &monitor).await? {
                    return Err(MonitorError::Taken(other));
                }
                continue;
            }
            let (month, charge) = match self.charge(account, &monitor, moment).await {
                Ok(charged) => charged,
                Err(Unsettled::Refused(refusal)) => {
                    // Another process may have charged it meanwhile.
                    if !self.ledger.forget_monitor(account, &monitor).await? {
                        continue;
                    }
                    self.ledger.free_subject(account, &monitor.subject(), monitor.id).await?;
                    return Err(Unsettled::Refused(refusal).into());
                }
                Err(unsettled) => return Err(unsettled.into()),
            };
            let made = monitor.charged(month, charge);
            if let Some(made) = self.ledger.save_monitor(account, &made, moment).await? {
                return Ok(Some(made));
            }
            // A process whose charge was refused has deleted the monitor, but it is paid, so it is stored again.
            self.ledger.begin_monitor(account, &made).await?;
            if let Some(other) = self.take_subject(account, &made).await?
                && self.ledger.forget_monitor(account, &made).await?
            {
                return Err(MonitorError::Taken(other));
            }
        }
        Err(Fault::Busy.into())
    }

    /// Claims the subject of a monitor. Returns the other monitor when one that has not ended holds it.
    async fn take_subject(&self, account: AccountId, monitor: &Monitor) -> Result<Option<MonitorId>, Fault> {
        let subject = monitor.subject();
        for _ in 0..ATTEMPTS_MAX {
            let other = match self.ledger.take_subject(account, &subject, monitor.id).await? {
                SubjectHolder::Ours => return Ok(None),
                SubjectHolder::By(other) => other,
            };
            let known = self.ledger.monitor(MonitorKey { account, monitor: other }).await?;
            if known.is_some_and(|known| !matches!(known.status, MonitorStatus::Ended { .. })) {
                return Ok(Some(other));
            }
            if self.ledger.take_subject_over(account, &subject, other, monitor.id).await? {
                return Ok(None);
            }
        }
        Err(Fault::Busy)
    }

    /// Ends a monitor and returns it; `None` when there is none. A monitor that has ended does not change.
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn end_monitor(&self, id: MonitorKey, moment: Moment) -> Result<Option<Monitor>, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(monitor) = self.ledger.monitor(id).await? else { return Ok(None) };
            match monitor.status {
                MonitorStatus::Pending => return Ok(None),
                MonitorStatus::Ended { .. } => return Ok(Some(monitor)),
                MonitorStatus::Active | MonitorStatus::Suspended { .. } => (),
            }
            if let Some(ended) =
                self.ledger.save_monitor(id.account, &monitor.ended(moment.now), moment).await?
            {
                self.ledger.free_subject(id.account, &ended.subject(), ended.id).await?;
                return Ok(Some(ended));
            }
        }
        Err(Fault::Busy)
    }

    /// Charges a page of the monitors of an account, and sends a task for the next page.
    ///
    /// # Errors
    /// When the store or the queue is unavailable; the call should then be retried.
    pub(super) async fn charge_monitors(
        &self,
        account: AccountId,
        after: Option<MonitorId>,
        moment: Moment,
    ) -> Result<(), JobError> {
        let next = self.charge_page(account, after, moment).await?;
        if next.is_some() {
            self.tasks.send(&RenewalTask::Monitors { account, after: next }, 0).await?;
        }
        Ok(())
    }

    /// Charges a page of the monitors of an account that are not paid for this month, oldest first, and suspends those
    /// that cannot be paid. Returns the last monitor of the page when there are more.
    ///
    /// # Errors
    /// When the store is unavailable, or another process is charging one; the call should then be retried.
    pub async fn charge_page(
        &self,
        account: AccountId,
        after: Option<MonitorId>,
        moment: Moment,
    ) -> Result<Option<MonitorId>, Unsettled> {
        let moment = self.ledger.moment_of(account, moment).await?;
        let page = self.ledger.monitors(account, after, MONITORS_AT_ONCE).await?;
        // A process may have died after it had saved a monitor.
        for monitor in &page.pending {
            self.ledger.emit_about_monitor(MonitorKey { account, monitor: *monitor }, moment).await?;
        }
        let mut unaffordable = Unaffordable::default();
        for monitor in page.monitors.iter().filter(|monitor| monitor.owes(moment.now).is_some()) {
            let id = MonitorKey { account, monitor: monitor.id };
            Box::pin(self.renew_monitor(id, &mut unaffordable, moment)).await?;
        }
        Ok(page.next)
    }

    /// Charges one monitor for this month, or suspends it. The monitor is read again, because the page may be old.
    async fn renew_monitor(
        &self,
        id: MonitorKey,
        unaffordable: &mut Unaffordable,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(monitor) = self.ledger.monitor(id).await? else { return Ok(()) };
            if monitor.status == MonitorStatus::Pending || monitor.owes(moment.now).is_none() {
                return Ok(());
            }
            let charged = self.try_charge(id.account, &monitor, unaffordable, moment).await?;
            let was_suspended = matches!(monitor.status, MonitorStatus::Suspended { .. });
            let saved = match charged {
                MonthlyCharge::Paid(month, charge) if was_suspended => {
                    let resumed = monitor.charged(month, charge);
                    let notification = MonitorEvent { notification: Notification::MonitorResumed, moment };
                    self.ledger.save_monitor_and_emit(id.account, &resumed, notification).await?
                }
                MonthlyCharge::Paid(month, charge) => {
                    self.ledger.save_monitor(id.account, &monitor.charged(month, charge), moment).await?
                }
                MonthlyCharge::Unpayable(_) if was_suspended => return Ok(()),
                MonthlyCharge::Unpayable(why) => {
                    let suspended = monitor.suspended(why, moment.now);
                    let notification = MonitorEvent { notification: Notification::MonitorSuspended, moment };
                    self.ledger.save_monitor_and_emit(id.account, &suspended, notification).await?
                }
            };
            if saved.is_some() {
                return Ok(());
            }
        }
        Err(Fault::Busy.into())
    }

    /// Charges a monitor for this month, unless it cannot be paid.
    async fn try_charge(
        &self,
        account: AccountId,
        monitor: &Monitor,
        unaffordable: &mut Unaffordable,
        moment: Moment,
    ) -> Result<MonthlyCharge, Unsettled> {
        let request = match self.price(monitor, moment).await {
            Ok((_, request)) => request,
            Err(Unsettled::Refused(refusal)) => return Ok(MonthlyCharge::Unpayable((&refusal).into())),
            Err(unsettled) => return Err(unsettled),
        };
        if unaffordable.includes(&request) {
            return Ok(MonthlyCharge::Unpayable(SuspensionReason::InsufficientCredits));
        }
        match self.charge(account, monitor, moment).await {
            Ok((month, charge)) => Ok(MonthlyCharge::Paid(month, charge)),
            Err(Unsettled::Refused(refusal)) => {
                if let Refusal::InsufficientCredits { .. } = refusal {
                    unaffordable.0.push(request.clone());
                }
                Ok(MonthlyCharge::Unpayable((&refusal).into()))
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// The monthly price of a monitor: the price version and the debit. Refused when its operation has none.
    async fn price(&self, monitor: &Monitor, moment: Moment) -> Result<(u32, Consume), Unsettled> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        let name = Reference::try_from(monitor.operation.as_str().to_owned());
        let name = name.map_err(|source| Fault::Corrupt { what: "a monitor", source: source.into() })?;
        let (operation, price) = catalogue.prices.monthly(&name, moment.now)?;
        Ok((price.version, Consume::priced(operation, price, Quantity::ONE, monitor.on_behalf.service)?))
    }

    /// Charges a monitor for this month, exactly once for any number of calls. If the month has ended since the request
    /// arrived, the next month is charged. Returns the month that was charged.
    async fn charge(
        &self,
        account: AccountId,
        monitor: &Monitor,
        moment: Moment,
    ) -> Result<(Period, EntryId), Unsettled> {
        let (version, request) = self.price(monitor, moment).await?;
        let category = self.settings.catalogue(moment.wall).await?.prices.category(&request.operation);
        let details = domain::Details { category, ..monitor.details(version) };
        let mut month = Period::of(moment.now);
        for _ in 0..ATTEMPTS_MAX {
            let name = monitor.subject().charge(month);
            let (key, asked) = (system_key(&name)?, Fingerprint(name));
            let decide =
                |account: &Account, attempt: &Attempt| charge_month(account, &request, month, attempt);
            match self.ledger.spend(account, Claim::new(&key, &asked, &details), moment, decide).await {
                Ok(settled) => return Ok((month, settled.receipt.entry.id)),
                Err(Unsettled::Refused(Refusal::MonthOver)) => month = month.next(),
                Err(unsettled) => return Err(unsettled),
            }
        }
        Err(Fault::Busy.into())
    }
}
