//! The return of money for which no credits can be granted.

use super::{Checkout, StepResult};
use crate::PaymentId;
use domain::{Decline, Fingerprint, Purchase, PurchaseStatus, PurchaseStep, Refusal};
use store::{ClaimsOf, Fault, Job, Moment, Unsettled, system_key};

impl Checkout<'_> {
    /// Decides that a purchase has failed, by claiming the key under which it would be granted: after that no process can
    /// grant it. Returns false when another process has claimed the key in order to grant the purchase.
    ///
    /// # Errors
    /// [`Unsettled::Failed`] when the table is unavailable.
    pub async fn decide_failed(&self, purchase: &Purchase, moment: Moment) -> Result<bool, Unsettled> {
        let name = format!("purchase/{}", purchase.id.transaction);
        let (key, asked) = (system_key(&name)?, Fingerprint(format!("{name}/failed")));
        let of = ClaimsOf::Account(purchase.id.account);
        match self.ledger.claim_once(of, &key, &asked, moment).await {
            Ok(_) => Ok(true),
            Err(Unsettled::KeyReused) => Ok(false),
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Returns the money of a paid purchase that cannot be granted. The failure is decided and stored before the provider
    /// is called, so no process grants what another is refunding.
    pub(super) async fn restore_credits(
        &self,
        purchase: Purchase,
        refusal: Option<&Refusal>,
        moment: Moment,
    ) -> Result<StepResult, Unsettled> {
        let why = refusal.map(Refusal::to_string);
        tracing::error!(purchase = %purchase.id.transaction, why, "paid but cannot be granted; refunding");
        if !self.decide_failed(&purchase, moment).await? {
            return Err(Unsettled::InProgress);
        }
        let returning = Purchase { to_return: purchase.payment.is_some(), ..purchase };
        match self.save(returning, PurchaseStatus::Failed(Decline::plain("refunded")), moment).await? {
            StepResult::Done(failed) if failed.next() == PurchaseStep::Return => {
                Ok(StepResult::Next(failed, PurchaseStep::Return))
            }
            StepResult::Done(failed) => Ok(StepResult::Done(failed)),
            StepResult::Next(known, next) => Ok(StepResult::Next(known, next)),
        }
    }

    /// Returns the money of a payment that succeeded after its purchase was reported as failed.
    pub(super) async fn paid_too_late(
        &self,
        purchase: Purchase,
        payment: PaymentId,
        moment: Moment,
    ) -> Result<StepResult, Unsettled> {
        tracing::warn!(purchase = %purchase.id.transaction, "paid after it was reported as failed; refunding");
        if !self.decide_failed(&purchase, moment).await? {
            return Err(Unsettled::InProgress);
        }
        let returning = Purchase { to_return: true, payment: Some(payment), ..purchase };
        self.ledger.schedule(Job::Purchase(returning.id), returning.check_at(moment.now)).await?;
        match self.ledger.save_purchase(&returning).await? {
            Some(saved) => Ok(StepResult::Done(self.return_money(saved).await?.into())),
            None => Err(Fault::Busy.into()),
        }
    }

    /// Refunds all money of a failed purchase. A repeated call refunds nothing more.
    pub(crate) async fn return_money(&self, purchase: Purchase) -> Result<Purchase, Unsettled> {
        if let Some(payment) = &purchase.payment {
            self.refund_payment(payment).await?;
        }
        let returned = Purchase { to_return: false, ..purchase };
        match self.ledger.save_purchase(&returned).await? {
            Some(saved) => Ok(saved),
            // Another process has changed the row. If it still asks for a refund, that is repeated without effect.
            None => Ok(self.reload(&returned).await?),
        }
    }
}
