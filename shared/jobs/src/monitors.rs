use std::error::Error;

use super::{Calendar, Task, Unfinished};
use domain::{
    Account, AccountId, Consume, EntryId, Fingerprint, Head, Monitor, MonitorId, News, Period, Quantity,
    Reference, Refusal, Suspension, Watch, Watched, charge_month,
};
use store::{Claim, Errand, Fault, MONITORS_AT_ONCE, Moment, MonitorEvent, Taken, Unsettled, system_key};

/// How often somebody else may take a subject, or write a monitor, before we are told to come again.
const ATTEMPTS_MAX: u32 = 8;

/// Why a monitor was not made.
#[derive(Debug, thiserror::Error)]
pub enum NotMade {
    /// Another monitor watches the same. Nothing was charged.
    #[error("{0} watches the same operation and resource")]
    Taken(MonitorId),
    /// Refused, with nothing charged; or not settled yet.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
}

impl NotMade {
    /// Once it is written down that a monitor is wanted, a fault must not be told as "nothing was charged".
    fn in_doubt(self) -> Self {
        match self {
            Self::Unsettled(Unsettled::Failed(fault)) => {
                tracing::warn!(fault = &fault as &dyn Error, "a monitor is left to its errand");
                Self::Unsettled(Unsettled::InProgress)
            }
            Self::Taken(_) | Self::Unsettled(_) => self,
        }
    }
}

/// Debits that could not be paid on one page. The same and more can't be either; what credits set aside for
/// a service can't pay, those for every service can't.
#[derive(Default)]
struct Beyond(Vec<Consume>);

impl Beyond {
    fn covers(&self, request: &Consume) -> bool {
        self.0.iter().any(|refused| {
            refused.amount <= request.amount
                && (refused.service == request.service || request.service.is_none())
        })
    }
}

impl From<Fault> for NotMade {
    fn from(fault: Fault) -> Self {
        Self::Unsettled(fault.into())
    }
}

impl Calendar<'_> {
    /// Makes a monitor: it is written down, takes its subject, is charged for this month, and goes on.
    /// Whatever crashes, somebody finishes it, and sent again it is the same monitor; whether it was made before.
    ///
    /// # Errors
    /// [`NotMade`]; it is then as if nobody had asked, unless the store could not say.
    pub async fn make_monitor(
        &self,
        account: AccountId,
        wanted: &Monitor,
        moment: Moment,
    ) -> Result<(Monitor, bool), NotMade> {
        let id = Watched { account, monitor: wanted.id };
        let known = self.ledger.monitor(id).await?;
        if let Some(made) = known.as_ref().filter(|known| known.stage != Watch::Pending) {
            return Ok((made.clone(), true));
        }
        if known.is_none() {
            self.ledger.list_monitored(account).await?;
            self.expect(Errand::Monitor(id), moment).await?;
            self.ledger.begin_monitor(account, wanted).await?;
        }
        // From here on somebody may make it, whatever becomes of this sending.
        let made = self.finish_monitor(id, moment).await.map_err(NotMade::in_doubt)?;
        made.map(|made| (made, false)).ok_or(NotMade::Unsettled(Unsettled::InProgress))
    }

    /// Goes on with a monitor that is being made; as it is when it is made already, `None` when there is
    /// none.
    ///
    /// # Errors
    /// As [`Calendar::make_monitor`].
    pub async fn finish_monitor(&self, id: Watched, moment: Moment) -> Result<Option<Monitor>, NotMade> {
        let account = id.account;
        for _ in 0..ATTEMPTS_MAX {
            let Some(monitor) = self.ledger.monitor(id).await? else { return Ok(None) };
            if monitor.stage != Watch::Pending {
                return Ok(Some(monitor));
            }
            if let Some(other) = self.take_subject(account, &monitor).await? {
                if self.ledger.forget_monitor(account, &monitor).await? {
                    return Err(NotMade::Taken(other));
                }
                continue;
            }
            let (month, charge) = match self.charge(account, &monitor, moment).await {
                Ok(charged) => charged,
                Err(Unsettled::Refused(refusal)) => {
                    // Somebody else may have been luckier meanwhile.
                    if !self.ledger.forget_monitor(account, &monitor).await? {
                        continue;
                    }
                    self.ledger.free_subject(account, &monitor.subject(), monitor.id).await?;
                    return Err(Unsettled::Refused(refusal).into());
                }
                Err(unsettled) => return Err(unsettled.into()),
            };
            let made = monitor.charged(month, charge);
            if let Some(made) = self.ledger.save_monitor(account, &made).await? {
                return Ok(Some(made));
            }
            // It is paid for, so it is not to be forgotten: whoever was refused has taken it away.
            self.ledger.begin_monitor(account, &made).await?;
            if let Some(other) = self.take_subject(account, &made).await?
                && self.ledger.forget_monitor(account, &made).await?
            {
                return Err(NotMade::Taken(other));
            }
        }
        Err(Fault::Busy.into())
    }

    /// Takes the subject of a monitor; whose it is when it is another one's that goes on.
    async fn take_subject(&self, account: AccountId, monitor: &Monitor) -> Result<Option<MonitorId>, Fault> {
        let subject = monitor.subject();
        for _ in 0..ATTEMPTS_MAX {
            let other = match self.ledger.take_subject(account, &subject, monitor.id).await? {
                Taken::Ours => return Ok(None),
                Taken::By(other) => other,
            };
            let known = self.ledger.monitor(Watched { account, monitor: other }).await?;
            if known.is_some_and(|known| !matches!(known.stage, Watch::Ended { .. })) {
                return Ok(Some(other));
            }
            if self.ledger.take_subject_over(account, &subject, other, monitor.id).await? {
                return Ok(None);
            }
        }
        Err(Fault::Busy)
    }

    /// Ends a monitor; as it then is, `None` when there is none. One that has ended stays as it is.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn end_monitor(&self, id: Watched, moment: Moment) -> Result<Option<Monitor>, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(monitor) = self.ledger.monitor(id).await? else { return Ok(None) };
            match monitor.stage {
                Watch::Pending => return Ok(None),
                Watch::Ended { .. } => return Ok(Some(monitor)),
                Watch::Active | Watch::Suspended { .. } => (),
            }
            if let Some(ended) = self.ledger.save_monitor(id.account, &monitor.ended(moment.now)).await? {
                self.ledger.free_subject(id.account, &ended.subject(), ended.id).await?;
                return Ok(Some(ended));
            }
        }
        Err(Fault::Busy)
    }

    /// Charges a page of the monitors of an account, and sends for the rest.
    ///
    /// # Errors
    /// When the store or the queue does not serve; it should then be asked again.
    pub(super) async fn charge_monitors(
        &self,
        account: AccountId,
        after: Option<MonitorId>,
        moment: Moment,
    ) -> Result<(), Unfinished> {
        let next = self.charge_page(account, after, moment).await?;
        if next.is_some() {
            self.tasks.send(&Task::Monitors { account, after: next }, 0).await?;
        }
        Ok(())
    }

    /// Charges the monitors of an account that are not paid for this month, the oldest first, and suspends
    /// those that can't be paid; a page of them, and after which the rest are.
    ///
    /// # Errors
    /// When the store does not serve, or somebody else is charging one; it should then be asked again.
    pub async fn charge_page(
        &self,
        account: AccountId,
        after: Option<MonitorId>,
        moment: Moment,
    ) -> Result<Option<MonitorId>, Unsettled> {
        let moment = self.ledger.moment_of(account, moment).await?;
        let page = self.ledger.monitors(account, after, MONITORS_AT_ONCE).await?;
        let mut beyond = Beyond::default();
        for monitor in page.monitors.iter().filter(|monitor| monitor.owes(moment.now).is_some()) {
            let id = Watched { account, monitor: monitor.id };
            Box::pin(self.renew_monitor(id, &mut beyond, moment)).await?;
        }
        Ok(page.next)
    }

    /// Charges one monitor for this month, or suspends it; as it is now, for a page is read some time before.
    async fn renew_monitor(&self, id: Watched, beyond: &mut Beyond, moment: Moment) -> Result<(), Unsettled> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(monitor) = self.ledger.monitor(id).await? else { return Ok(()) };
            // One that is being made is charged by whoever makes it.
            if monitor.stage == Watch::Pending || monitor.owes(moment.now).is_none() {
                return Ok(());
            }
            let charged = self.try_charge(id.account, &monitor, beyond, moment).await?;
            let was_suspended = matches!(monitor.stage, Watch::Suspended { .. });
            let saved = match charged {
                Ok((month, charge)) if was_suspended => {
                    let resumed = monitor.charged(month, charge);
                    let news = MonitorEvent { news: News::MonitorResumed, moment };
                    self.ledger.save_monitor_and_tell(id.account, &resumed, news).await?
                }
                Ok((month, charge)) => {
                    self.ledger.save_monitor(id.account, &monitor.charged(month, charge)).await?
                }
                Err(_) if was_suspended => return Ok(()),
                Err(why) => {
                    let suspended = monitor.suspended(why, moment.now);
                    let news = MonitorEvent { news: News::MonitorSuspended, moment };
                    self.ledger.save_monitor_and_tell(id.account, &suspended, news).await?
                }
            };
            if saved.is_some() {
                return Ok(());
            }
        }
        Err(Fault::Busy.into())
    }

    /// The charge of the present month; or why it can't be paid.
    async fn try_charge(
        &self,
        account: AccountId,
        monitor: &Monitor,
        beyond: &mut Beyond,
        moment: Moment,
    ) -> Result<Result<(Period, EntryId), Suspension>, Unsettled> {
        let request = match self.price(monitor, moment).await? {
            Ok((_, request)) => request,
            Err(refusal) => return Ok(Err(Suspension::from(&refusal))),
        };
        if beyond.covers(&request) {
            return Ok(Err(Suspension::InsufficientCredits));
        }
        match self.charge(account, monitor, moment).await {
            Ok(charged) => Ok(Ok(charged)),
            Err(Unsettled::Refused(refusal)) => {
                if let Refusal::InsufficientCredits { .. } = refusal {
                    beyond.0.push(request.clone());
                }
                Ok(Err(Suspension::from(&refusal)))
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// What a month of a monitor costs: the price's version and the debit. The rules may have no price.
    async fn price(
        &self,
        monitor: &Monitor,
        moment: Moment,
    ) -> Result<Result<(u32, Consume), Refusal>, Unsettled> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        let name = Reference::try_from(monitor.operation.as_str().to_owned());
        let name = name.map_err(|source| Fault::Corrupt { what: "a monitor", source: source.into() })?;
        Ok(catalogue.prices.monthly(&name, moment.now).and_then(|(operation, price)| {
            let request = Consume::priced(operation, price, Quantity::ONE, monitor.on_behalf.service)?;
            Ok((price.version, request))
        }))
    }

    /// Charges the present month of a monitor: once, whoever asks and however often. Where the month has turned
    /// since the request reached us, the new one is charged, and which one it was comes back.
    async fn charge(
        &self,
        account: AccountId,
        monitor: &Monitor,
        moment: Moment,
    ) -> Result<(Period, EntryId), Unsettled> {
        let (version, request) = self.price(monitor, moment).await??;
        let details = monitor.details(version);
        let mut month = Period::of(moment.now);
        for _ in 0..ATTEMPTS_MAX {
            let name = monitor.subject().charge(month);
            let (key, asked) = (system_key(&name)?, Fingerprint(name));
            let decide = |account: &Account, head: &Head| charge_month(account, (&request, month), head);
            match self.ledger.spend(account, Claim::new(&key, &asked, &details), moment, decide).await {
                Ok(settled) => return Ok((month, settled.receipt.entry.id)),
                Err(Unsettled::Refused(Refusal::MonthOver)) => month = month.next(),
                Err(unsettled) => return Err(unsettled),
            }
        }
        Err(Fault::Busy.into())
    }
}
