//! Checkout: drives purchases from the charge to the grant.

mod events;
mod grant;
mod provider_calls;
mod returns;
mod spending;

use std::error::Error;
use std::time::Duration;

use chrono::DateTime;
use ports::Queue;

use super::{Deadline, NoAnswer, Provider, RechargeRequest};
use domain::{Payment, Purchase, PurchaseCause, PurchaseDecision, PurchaseId, PurchaseStatus, PurchaseStep};
use store::{Fault, Job, Ledger, Moment, Settings, Unsettled, random};

pub(super) use events::RechargeOutcome;
pub use store::SpendingToday;

/// The maximum number of steps in one call: find, charge, grant, and some for concurrent changes.
const STEPS_MAX: u32 = 8;

/// How often, and how long apart, a purchase is read while another process finishes it: 300 ms in total, many times
/// what finishing takes.
const READS_MAX: u32 = 12;
const READ_AGAIN: Duration = Duration::from_millis(25);

/// Sells credits. Each step of a purchase is stored before the provider is called, so that any process that finds an
/// unfinished purchase knows what may have happened and finishes it.
///
/// The futures of its steps are large, so they are boxed.
#[derive(Clone, Copy)]
pub struct Checkout<'a> {
    /// The ledger, with the purchases.
    pub ledger: &'a Ledger,
    /// Organisations, packages and exchange rates.
    pub settings: &'a Settings,
    /// The payment provider of this mode.
    pub provider: &'a dyn Provider,
    /// The recharge queue, for automatic purchases that are finished.
    pub recharges: &'a dyn Queue<RechargeRequest>,
    /// When the work for the present request, message or job has to end.
    pub deadline: Deadline,
}

/// The result of one step.
enum StepResult {
    /// Nothing more can be done now.
    Done(Box<Purchase>),
    /// The purchase as it now is, and its next step.
    Next(Box<Purchase>, PurchaseStep),
}

impl Checkout<'_> {
    /// Starts a purchase and drives it as far as possible. The scheduled job is stored before the purchase, and the
    /// purchase before the provider is called, so every purchase that was started is finished.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] with [`Refusal::SpendingLimit`](domain::Refusal::SpendingLimit) when the price exceeds the
    /// organisation's spending limit for today. [`Unsettled::InProgress`] when another process holds the lease.
    /// [`Unsettled::Failed`] when the purchase could not be started in time; nothing was charged. Once the provider may
    /// have been called, there are no errors: the purchase is returned in its last known state, at the deadline at the
    /// latest.
    pub async fn start(&self, purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        let leased_until = Purchase::lease(moment.wall);
        let counted = Some(moment.now.date_naive());
        let started = Purchase { charges: 1, leased_until, counted, ..purchase };
        match self.deadline.work(Box::pin(self.begin(&started, moment))).await?? {
            Some(existing) => self.resume(existing, moment).await,
            None => Ok(Box::pin(self.drive_in_time(started, PurchaseStep::Charge, moment)).await),
        }
    }

    /// Writes a purchase that the provider is then asked to charge; returns the one that exists already under its id.
    async fn begin(&self, started: &Purchase, moment: Moment) -> Result<Option<Purchase>, Unsettled> {
        self.count(started, moment).await?;
        self.ledger.schedule(Job::Purchase(started.id), started.check_at(moment.now)).await?;
        let existing = self.ledger.begin_purchase(started).await?;
        if existing.is_some() {
            self.uncount(started).await;
        }
        Ok(existing)
    }

    /// Continues a purchase that was started.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] when another process holds the lease; [`Unsettled::Failed`] when the table is
    /// unavailable, or too slow for the deadline.
    pub async fn resume(&self, purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        let taken = self.deadline.work(Box::pin(self.take_over(purchase, moment))).await??;
        let next = taken.next();
        match next {
            PurchaseStep::Rest => Ok(taken),
            PurchaseStep::Charge | PurchaseStep::Find | PurchaseStep::Return => {
                Ok(Box::pin(self.drive_in_time(taken, next, moment)).await)
            }
        }
    }

    /// Takes the lease on an unfinished purchase.
    async fn take_over(&self, purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        if purchase.next() == PurchaseStep::Rest {
            // The process that stored the failure may have crashed before it emitted the event.
            self.emit_failed(&purchase, moment).await?;
            return Ok(purchase);
        }
        if purchase.is_leased(moment.wall) {
            return Err(Unsettled::InProgress);
        }
        let looks = purchase.looks.saturating_add(1);
        let leased = Purchase { looks, leased_until: Purchase::lease(moment.wall), ..purchase };
        self.ledger.save_purchase(&leased).await?.ok_or(Unsettled::InProgress)
    }

    /// Drives a purchase as far as possible until the deadline. It may be cut off at any point, as by a crash.
    async fn drive_in_time(&self, known: Purchase, step: PurchaseStep, moment: Moment) -> Purchase {
        let driven = self.deadline.work(Box::pin(self.drive(known.clone(), step, moment))).await;
        let unsettled = match driven {
            Ok(Ok(purchase)) => return purchase,
            Ok(Err(unsettled)) => unsettled,
            Err(cut) => cut.into(),
        };
        let left = Box::pin(self.leave_to_job(known.clone(), &unsettled));
        self.deadline.close(left).await.unwrap_or(known)
    }

    /// The last known state of a purchase that could not be finished now. It stays pending, and its scheduled job finishes
    /// it.
    async fn leave_to_job(&self, known: Purchase, unsettled: &Unsettled) -> Purchase {
        if let Unsettled::InProgress = unsettled
            && let Some(finished) =
                self.finished_by_another(known.id, |now| now.next() == PurchaseStep::Rest).await
        {
            return finished;
        }
        tracing::warn!(purchase = %known.id.transaction, cause = unsettled as &dyn Error, "purchase left to its scheduled job");
        match self.ledger.purchase(known.id).await {
            Ok(Some(purchase)) if purchase.leased_until == known.leased_until => self.release(purchase).await,
            Ok(Some(purchase)) => purchase,
            Ok(None) | Err(_) => known,
        }
    }

    /// The purchase once another process has finished it. The provider's event may be handled at the same moment: waiting
    /// briefly spares the caller a second request.
    pub(super) async fn finished_by_another(
        &self,
        id: PurchaseId,
        is_finished: impl Fn(&Purchase) -> bool,
    ) -> Option<Purchase> {
        for _ in 0..READS_MAX {
            tokio::time::sleep(READ_AGAIN).await;
            let purchase = self.ledger.purchase(id).await.ok()??;
            if is_finished(&purchase) {
                return Some(purchase);
            }
        }
        None
    }

    /// Releases our lease. If that fails, the lease expires.
    async fn release(&self, purchase: Purchase) -> Purchase {
        if purchase.next() == PurchaseStep::Rest {
            return purchase;
        }
        let released = Purchase { leased_until: DateTime::UNIX_EPOCH, ..purchase.clone() };
        match self.ledger.save_purchase(&released).await {
            Ok(Some(released)) => released,
            Ok(None) | Err(_) => purchase,
        }
    }

    /// Applies the state of a payment, from an event or a query. It needs no lease: the state of the payment is a fact,
    /// whatever another process is doing.
    ///
    /// # Errors
    /// As [`Ledger::settle`]; the call should then be retried.
    pub async fn on_payment_event(
        &self,
        payment: &Payment,
        moment: Moment,
    ) -> Result<Option<Purchase>, Unsettled> {
        let Some(id) = payment.purchase else { return Ok(None) };
        let Some(mut purchase) = self.ledger.purchase(id).await? else { return Ok(None) };
        for _ in 0..STEPS_MAX {
            let decision = purchase.decide(payment, moment.now);
            match decision {
                PurchaseDecision::Nothing => return Ok(Some(purchase)),
                // The holder of the lease will find the same.
                PurchaseDecision::Wait(_) if purchase.is_leased(moment.wall) => return Ok(Some(purchase)),
                PurchaseDecision::Grant
                | PurchaseDecision::Fail(_)
                | PurchaseDecision::Wait(_)
                | PurchaseDecision::Charge
                | PurchaseDecision::Cancel(_)
                | PurchaseDecision::Refund(_) => (),
            }
            match Box::pin(self.apply(with_payment(purchase, payment), decision, moment)).await? {
                StepResult::Done(purchase) => return Ok(Some(*purchase)),
                StepResult::Next(next, _) => purchase = *next,
            }
        }
        Err(Fault::Busy.into())
    }

    /// Runs steps until nothing more can be done now.
    async fn drive(
        &self,
        mut purchase: Purchase,
        mut step: PurchaseStep,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        for _ in 0..STEPS_MAX {
            let (known, decision) = match step {
                PurchaseStep::Rest => return Ok(purchase),
                PurchaseStep::Return => return self.return_money(purchase).await,
                PurchaseStep::Charge => Box::pin(self.charge(purchase, moment)).await?,
                PurchaseStep::Find => Box::pin(self.find(purchase, moment)).await?,
            };
            match Box::pin(self.apply(known, decision, moment)).await? {
                StepResult::Done(purchase) => return Ok(*purchase),
                StepResult::Next(next, next_step) => (purchase, step) = (*next, next_step),
            }
        }
        Err(Fault::Busy.into())
    }

    /// Applies a decision to a purchase.
    async fn apply(
        &self,
        purchase: Purchase,
        decision: PurchaseDecision,
        moment: Moment,
    ) -> Result<StepResult, Unsettled> {
        let (purchase, decision) = Box::pin(self.cancelled(purchase, decision, moment)).await;
        let has_failed = matches!(decision, PurchaseDecision::Fail(_));
        let is_granted = has_failed && !Box::pin(self.decide_failed(&purchase, moment)).await?;
        match decision {
            PurchaseDecision::Grant => Box::pin(self.approve(purchase, moment)).await,
            // Another process knows that the purchase is paid, and is granting it.
            PurchaseDecision::Fail(_) if is_granted => Box::pin(self.approve(purchase, moment)).await,
            PurchaseDecision::Fail(decline) => {
                self.save(purchase, PurchaseStatus::Failed(decline), moment).await
            }
            PurchaseDecision::Wait(link) => {
                let waiting = Purchase { leased_until: DateTime::UNIX_EPOCH, ..purchase };
                self.save(waiting, PurchaseStatus::Pending(link), moment).await
            }
            PurchaseDecision::Charge => {
                let counted = Purchase { charges: purchase.charges.saturating_add(1), ..purchase };
                let saved = self.ledger.save_purchase(&counted).await?.ok_or(Unsettled::InProgress)?;
                Ok(StepResult::Next(saved.into(), PurchaseStep::Charge))
            }
            PurchaseDecision::Refund(id) => Box::pin(self.paid_too_late(purchase, id, moment)).await,
            PurchaseDecision::Cancel(_) | PurchaseDecision::Nothing => {
                tracing::error!(purchase = %purchase.id.transaction, "the payment is not the one that was ordered");
                Ok(StepResult::Done(purchase.into()))
            }
        }
    }

    /// Stores the status of a purchase. If another process has changed the purchase, its state is the result.
    async fn save(
        &self,
        purchase: Purchase,
        status: PurchaseStatus,
        moment: Moment,
    ) -> Result<StepResult, Unsettled> {
        let counted = purchase.counted.filter(|_| !matches!(status, PurchaseStatus::Failed(_)));
        let before = Purchase { status, ..purchase };
        let uncounted_by = match before.counted == counted {
            true => before.uncounted_by.clone(),
            false => Some(format!("{:032x}", random())),
        };
        let closed = Purchase { counted, uncounted_by, ..before.clone() };
        let Some(saved) = self.ledger.save_purchase(&closed).await? else {
            let known = self.reload(&closed).await?;
            let next = known.next();
            return Ok(StepResult::Next(known.into(), next));
        };
        if saved.counted != before.counted {
            self.uncount(&before).await;
        }
        if let Err(fault) = self.emit_failed(&saved, moment).await {
            tracing::warn!(purchase = %saved.id.transaction, cause = &fault as &dyn Error, "purchase.failed is left to a scheduled job");
        }
        self.reset_failures_after_top_up(&saved).await;
        if saved.cause == PurchaseCause::AutoRecharge
            && saved.next() == PurchaseStep::Rest
            && let Err(error) = self.recharges.send(&RechargeRequest { account: saved.id.account }, 0).await
        {
            tracing::warn!(account = %saved.id.account, cause = &error as &dyn Error, "auto-recharge is left to its scheduled job");
        }
        Ok(StepResult::Done(saved.into()))
    }

    /// The purchase as it is now stored.
    pub(super) async fn reload(&self, purchase: &Purchase) -> Result<Purchase, Fault> {
        let known = self.ledger.purchase(purchase.id).await?;
        known.ok_or_else(|| Fault::corrupt("a purchase", "it is gone"))
    }
}

/// The purchase with the provider's ids of the payment and its receipt.
fn with_payment(purchase: Purchase, payment: &Payment) -> Purchase {
    Purchase {
        payment: payment.id.clone().or(purchase.payment),
        receipt: payment.receipt.clone().or(purchase.receipt),
        ..purchase
    }
}

/// The decision on a payment, and the purchase with the provider's ids.
fn judged(purchase: Purchase, payment: &Payment, moment: Moment) -> (Purchase, PurchaseDecision) {
    let decision = purchase.decide(payment, moment.now);
    (with_payment(purchase, payment), decision)
}

/// The decision when the provider did not answer.
fn unanswered(no_answer: &NoAnswer) -> PurchaseDecision {
    tracing::warn!(cause = no_answer as &dyn Error, "no answer from the payment provider");
    PurchaseDecision::Wait(None)
}
