//! The grant of credits that were paid for.

use super::{Checkout, StepResult};
use domain::{
    BOUGHT_BY_AUTO_RECHARGE, Details, Fingerprint, PaymentDetails, Purchase, PurchaseCause, PurchaseStatus,
    Reference, grant,
};
use store::{Claim, Moment, Settled, Unsettled, system_key};

impl Checkout<'_> {
    /// Grants a paid purchase. Returns the money if it cannot be granted, or was decided to have failed.
    pub(super) async fn approve(&self, purchase: Purchase, moment: Moment) -> Result<StepResult, Unsettled> {
        match Box::pin(self.grant(&purchase, moment)).await {
            Ok(settled) => {
                self.save(purchase, PurchaseStatus::Approved(settled.receipt.entry.id), moment).await
            }
            Err(Unsettled::Refused(refusal)) => {
                Box::pin(self.restore_credits(purchase, Some(&refusal), moment)).await
            }
            Err(Unsettled::KeyReused) => Box::pin(self.restore_credits(purchase, None, moment)).await,
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Posts the grant: exactly once for any number of processes, because all of them post under one key.
    async fn grant(&self, purchase: &Purchase, moment: Moment) -> Result<Settled, Unsettled> {
        let Purchase { id, offer, .. } = purchase;
        let details = Details {
            price_version: Some(offer.version),
            service: offer.service,
            paid: Some(PaymentDetails::by(purchase)),
            description: description(purchase),
            key_id: purchase.key_id,
            super_admin: purchase.super_admin,
            requested_by: purchase.requested_by,
            request_id: purchase.request_id.clone(),
            ..Details::default()
        };
        let name = format!("purchase/{}", id.transaction);
        let key = system_key(&name)?;
        let wanted = purchase.grant();
        let asked = Fingerprint(name);
        self.ledger
            .settle(id.account, Claim::new(&key, &asked, &details), moment, |account, attempt| {
                grant(account, &wanted, attempt)
            })
            .await
    }
}

fn description(purchase: &Purchase) -> Option<Reference> {
    let cause = match purchase.cause {
        PurchaseCause::Caller => return None,
        PurchaseCause::AutoRecharge => BOUGHT_BY_AUTO_RECHARGE,
    };
    Reference::try_from(cause.to_owned()).ok()
}
