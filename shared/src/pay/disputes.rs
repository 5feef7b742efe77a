use crate::domain::{
    Bought, Details, Dispute, EntryId, Fingerprint, Purchase, Receipt, Reference, Stage, dispute_lost,
    dispute_opened, dispute_won,
};
use crate::store::{Fault, Moment, Unsettled, system_key};

use super::{DisputeId, Outcome, PaymentId, Till};

/// How often one event may lose the race for a purchase's row.
const ATTEMPTS_MAX: u32 = 8;

impl Till<'_> {
    /// A customer disputes a payment: what is left of what it paid for is set aside (contract, rule 10).
    /// Heard twice, or after the end, it changes nothing.
    ///
    /// # Errors
    /// As [`Ledger::settle`](crate::store::Ledger::settle); the event should then be sent again.
    pub async fn dispute_opened(
        &self,
        dispute: &DisputeId,
        payment: &PaymentId,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let Some(purchase) = self.disputed(payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        self.set_aside(dispute, purchase, moment).await.map(|_| ())
    }

    /// A dispute has ended. When its beginning was not heard of, it is booked first: events come in any
    /// order.
    ///
    /// # Errors
    /// As [`Till::dispute_opened`].
    pub async fn dispute_closed(
        &self,
        (dispute, outcome): (&DisputeId, Outcome),
        payment: &PaymentId,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let Some(purchase) = self.disputed(payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        let Some(purchase) = self.set_aside(dispute, purchase, moment).await? else { return Ok(()) };
        let known = purchase.disputes.get(&dispute.0).copied().filter(|known| known.closed.is_none());
        let Some((known, opened)) = known.and_then(|known| Some((known, known.opened?))) else {
            return Ok(());
        };
        let opened = self.entry(&purchase, opened).await?.entry;
        let bought = self.bought(&purchase).await?;
        let name = format!("dispute/{}/closed", dispute.0);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = about(&purchase, dispute);
        let settled =
            self.ledger.settle(purchase.id.account, (&key, &asked, &details), moment, |account, head| {
                match outcome {
                    Outcome::Won => dispute_won(account, &opened, head),
                    Outcome::Lost => dispute_lost(account, &bought, &opened, head),
                }
            });
        let closed = Some(settled.await?.receipt.entry.id);
        let news = Dispute { closed, lost: outcome == Outcome::Lost, ..known };
        self.remember(purchase, dispute, news).await.map(|_| ())
    }

    /// The purchase behind a payment, finished: a dispute may be heard of before the payment itself.
    async fn disputed(&self, payment: &PaymentId, moment: Moment) -> Result<Option<Purchase>, Unsettled> {
        let Some(payment) = self.provider.payment(payment).await? else { return Ok(None) };
        // A test ledger may have a clock of its own.
        let moment = match payment.purchase {
            Some(purchase) => self.ledger.moment_of(purchase.account, moment).await?,
            None => moment,
        };
        let purchase = self.hear(&payment, moment).await?;
        // What has failed was given back, or never taken.
        Ok(purchase.filter(|purchase| matches!(purchase.stage, Stage::Approved(_))))
    }

    /// Sets aside what is left, unless that was done. The purchase's row says first whose dispute does it, so
    /// that two never do; then it is posted, once, under a key of the dispute's; and then the row remembers
    /// the entry, for longer than keys live.
    async fn set_aside(
        &self,
        dispute: &DisputeId,
        purchase: Purchase,
        moment: Moment,
    ) -> Result<Option<Purchase>, Unsettled> {
        let Some(purchase) = self.reserve(dispute, purchase).await? else {
            tracing::warn!(dispute = dispute.0, "its payment is disputed by another one; left alone");
            return Ok(None);
        };
        if purchase.disputes.get(&dispute.0).is_some_and(|known| known.opened.is_some()) {
            return Ok(Some(purchase));
        }
        self.pause_recharge_for_dispute(purchase.id.account, dispute, moment).await?;
        let bought = self.bought(&purchase).await?;
        let name = format!("dispute/{}/opened", dispute.0);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = about(&purchase, dispute);
        let settled =
            self.ledger.settle(purchase.id.account, (&key, &asked, &details), moment, |account, head| {
                dispute_opened(account, &bought, head)
            });
        let opened = Some(settled.await?.receipt.entry.id);
        self.remember(purchase, dispute, Dispute { opened, ..Dispute::default() }).await.map(Some)
    }

    /// The purchase with the dispute in its row; `None` when another one is at it, or has taken what was
    /// left.
    async fn reserve(
        &self,
        dispute: &DisputeId,
        mut purchase: Purchase,
    ) -> Result<Option<Purchase>, Unsettled> {
        for _ in 0..ATTEMPTS_MAX {
            if purchase.disputes.contains_key(&dispute.0) {
                return Ok(Some(purchase));
            }
            if !purchase.may_be_disputed(&dispute.0) {
                return Ok(None);
            }
            purchase.disputes.insert(dispute.0.clone(), Dispute::default());
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok(Some(saved));
            }
            purchase = self.again(&purchase).await?;
        }
        Err(Fault::Busy.into())
    }

    async fn again(&self, purchase: &Purchase) -> Result<Purchase, Fault> {
        let known = self.ledger.purchase(purchase.id).await?;
        known.ok_or_else(|| Fault::corrupt("a purchase", "it is gone"))
    }

    async fn remember(
        &self,
        mut purchase: Purchase,
        dispute: &DisputeId,
        news: Dispute,
    ) -> Result<Purchase, Unsettled> {
        for _ in 0..ATTEMPTS_MAX {
            purchase.disputes.insert(dispute.0.clone(), news);
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok(saved);
            }
            purchase = self.again(&purchase).await?;
            if purchase.disputes.get(&dispute.0).is_some_and(|known| known.closed.is_some()) {
                return Ok(purchase);
            }
        }
        Err(Fault::Busy.into())
    }

    async fn bought(&self, purchase: &Purchase) -> Result<Bought, Unsettled> {
        match purchase.stage {
            Stage::Approved(entry) => Ok(Bought::by(&self.entry(purchase, entry).await?.entry)),
            Stage::Pending(_) | Stage::Failed(_) => {
                Err(Fault::corrupt("a purchase", "it is disputed and was never approved").into())
            }
        }
    }

    /// An entry of the purchase's account. One that has landed and has no row yet has one soon.
    async fn entry(&self, purchase: &Purchase, entry: EntryId) -> Result<Receipt, Unsettled> {
        let receipt = self.ledger.transaction(purchase.id.account, entry).await?;
        receipt.ok_or(Unsettled::InProgress)
    }
}

/// What the record says beside the credits.
fn about(purchase: &Purchase, dispute: &DisputeId) -> Details {
    Details {
        resource_id: Reference::try_from(purchase.id.transaction.to_string()).ok(),
        description: Reference::try_from(format!("Dispute {}", dispute.0)).ok(),
        ..Details::default()
    }
}
