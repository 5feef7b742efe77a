use super::Till;
use domain::{
    Amount, Cause, Decline, News, Purchase, PurchaseId, Recharge, RechargeFailure, RechargeState, Stage,
};
use store::{Fault, Moment};

impl Till<'_> {
    /// Tells its owner of a purchase that has failed; one of auto-recharge is told as such.
    pub(super) async fn tell_of(&self, purchase: &Purchase, moment: Moment) -> Result<(), Fault> {
        let Stage::Failed(decline) = &purchase.stage else { return Ok(()) };
        if purchase.cause == Cause::AutoRecharge {
            return Ok(());
        }
        let news = News::PurchaseFailed(purchase.clone().into(), decline.clone());
        self.ledger.tell(purchase.id.account, &news, moment).await
    }

    /// Tells its owner of a payment that failed, and that auto-recharge has switched itself off if it has.
    pub(super) async fn tell_failed(
        &self,
        id: PurchaseId,
        (recharge, next): (&Recharge, &Recharge),
        credits: Amount,
        moment: Moment,
    ) -> Result<(), Fault> {
        let until = match &next.state {
            RechargeState::Paused { until, .. } => Some(*until),
            RechargeState::Ready | RechargeState::Charging { .. } | RechargeState::Stopped { .. } => None,
        };
        let failure = RechargeFailure {
            transaction: id.transaction,
            credits,
            method: recharge.payment_method.as_str().to_owned(),
            decline: next.failure.clone().unwrap_or_else(|| Decline::plain("unknown")),
            failures: next.failures,
            next: until.filter(|_| next.enabled),
        };
        if recharge.enabled && !next.enabled {
            let cause = failure.decline.reason.as_str();
            tracing::warn!(account = %id.account, cause, "auto-recharge has switched itself off");
        }
        let is_off = !next.enabled;
        self.ledger.tell(id.account, &News::RechargeFailed(failure.into()), moment).await?;
        if is_off {
            let news = News::RechargeOff { after: id.transaction };
            self.ledger.tell(id.account, &news, moment).await?;
        }
        Ok(())
    }
}
