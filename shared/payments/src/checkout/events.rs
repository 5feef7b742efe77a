//! Notifications about purchases that failed.

use super::Checkout;
use domain::{
    Amount, AutoRecharge, AutoRechargeFailure, AutoRechargeState, Decline, Notification, Purchase,
    PurchaseCause, PurchaseId, PurchaseStatus,
};
use store::{Fault, Moment};

/// The settings of auto-recharge before and after a payment.
#[derive(Clone, Copy)]
pub(crate) struct RechargeOutcome<'a> {
    pub(crate) before: &'a AutoRecharge,
    pub(crate) after: &'a AutoRecharge,
}

impl Checkout<'_> {
    /// Emits `purchase.failed` for a failed purchase. A purchase of auto-recharge has its own event.
    pub(super) async fn emit_failed(&self, purchase: &Purchase, moment: Moment) -> Result<(), Fault> {
        let PurchaseStatus::Failed(decline) = &purchase.status else { return Ok(()) };
        if purchase.cause == PurchaseCause::AutoRecharge {
            return Ok(());
        }
        let notification = Notification::PurchaseFailed(purchase.clone().into(), decline.clone());
        self.ledger.emit(purchase.id.account, &notification, moment).await
    }

    /// Emits `auto_recharge.failed`, and a second event if auto-recharge has switched itself off.
    pub(crate) async fn emit_recharge_failed(
        &self,
        id: PurchaseId,
        RechargeOutcome { before, after }: RechargeOutcome<'_>,
        credits: Amount,
        moment: Moment,
    ) -> Result<(), Fault> {
        let until = match &after.state {
            AutoRechargeState::Paused { until, .. } => Some(*until),
            AutoRechargeState::Ready
            | AutoRechargeState::Charging { .. }
            | AutoRechargeState::Stopped { .. } => None,
        };
        let failure = AutoRechargeFailure {
            transaction: id.transaction,
            credits,
            method: before.payment_method.as_str().to_owned(),
            decline: after.failure.clone().unwrap_or_else(|| Decline::plain("unknown")),
            failures: after.failures,
            next: until.filter(|_| after.enabled),
        };
        if before.enabled && !after.enabled {
            let cause = failure.decline.reason.as_str();
            tracing::warn!(account = %id.account, cause, "auto-recharge has switched itself off");
        }
        let is_off = !after.enabled;
        self.ledger.emit(id.account, &Notification::RechargeFailed(failure.into()), moment).await?;
        if is_off {
            let notification = Notification::RechargeOff { after: id.transaction };
            self.ledger.emit(id.account, &notification, moment).await?;
        }
        Ok(())
    }
}
