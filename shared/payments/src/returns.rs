use super::till::After;
use super::{PaymentId, Till};
use domain::{Decline, Fingerprint, Purchase, Refusal, Stage, Step};
use store::{ClaimsOf, Errand, Fault, Moment, Unsettled, system_key};

impl Till<'_> {
    /// Decides that a purchase has failed, by taking the key under which it would be granted: after that no
    /// process grants it. False when a process holds the key in order to grant it.
    ///
    /// # Errors
    /// [`Unsettled::Failed`] when the table does not serve.
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

    /// The money was taken and the credits can't be given, so the money goes back. That is decided first, and the
    /// row says so before the provider is asked: no process grants what another is refunding.
    pub(super) async fn give_back(
        &self,
        purchase: Purchase,
        refusal: Option<&Refusal>,
        moment: Moment,
    ) -> Result<After, Unsettled> {
        let why = refusal.map(Refusal::to_string);
        tracing::error!(purchase = %purchase.id.transaction, why, "paid and not grantable; refunding");
        if !self.decide_failed(&purchase, moment).await? {
            return Err(Unsettled::InProgress);
        }
        let returning = Purchase { to_return: purchase.payment.is_some(), ..purchase };
        match self.save(returning, Stage::Failed(Decline::plain("refunded")), moment).await? {
            After::Enough(failed) if failed.next() == Step::Return => Ok(After::Again(failed, Step::Return)),
            After::Enough(failed) => Ok(After::Enough(failed)),
            After::Again(known, next) => Ok(After::Again(known, next)),
        }
    }

    /// A payment has succeeded after its purchase was told to have failed: the money goes back.
    pub(super) async fn paid_too_late(
        &self,
        purchase: Purchase,
        payment: PaymentId,
        moment: Moment,
    ) -> Result<After, Unsettled> {
        tracing::warn!(purchase = %purchase.id.transaction, "paid after it was told to have failed; refunding");
        if !self.decide_failed(&purchase, moment).await? {
            return Err(Unsettled::InProgress);
        }
        let returning = Purchase { to_return: true, payment: Some(payment), ..purchase };
        self.ledger.note(Errand::Purchase(returning.id), returning.look_at(moment.now)).await?;
        match self.ledger.save_purchase(&returning).await? {
            Some(saved) => Ok(After::Enough(self.return_money(saved).await?.into())),
            None => Err(Fault::Busy.into()),
        }
    }

    /// Gives the money of a failed purchase back, once however often it is asked.
    pub(super) async fn return_money(&self, purchase: Purchase) -> Result<Purchase, Unsettled> {
        if let Some(payment) = &purchase.payment {
            self.provider.refund(payment).await?;
        }
        let returned = Purchase { to_return: false, ..purchase };
        match self.ledger.save_purchase(&returned).await? {
            Some(saved) => Ok(saved),
            // Another process has written it: if it still says so, the money is returned once more, which gives
            // nothing more.
            None => Ok(self.again(&returned).await?),
        }
    }
}
