//! Disputes: sets credits aside when a dispute opens, and returns or takes them when it closes.

use domain::{
    Credits, Details, Dispute, EntryId, Fingerprint, Purchase, PurchaseStatus, PurchasedCredits, Receipt,
    Reference, dispute_lost, dispute_opened, dispute_won,
};
use store::{Claim, Fault, Job, Moment, Unsettled, system_key};

use super::{Checkout, DisputeId, DisputeOutcome, PaymentId, ProviderDispute, ProviderEvent};

/// How often a change is retried when another process changes the purchase's row.
pub(super) const ATTEMPTS_MAX: u32 = 8;

/// Whether a dispute is recorded on its purchase's row.
pub(super) enum Reservation {
    /// The row has the dispute.
    Recorded(Purchase),
    /// Other disputes and refunds have taken all of the purchase's money.
    NothingLeft(Purchase),
}

impl Reservation {
    pub(super) fn into_purchase(self) -> Purchase {
        match self {
            Self::Recorded(purchase) | Self::NothingLeft(purchase) => purchase,
        }
    }
}

impl Checkout<'_> {
    /// Handles an event of the provider, in any order and any number of times.
    ///
    /// # Errors
    /// As [`Ledger::settle`](store::Ledger::settle); the provider should then send the event again.
    pub async fn on_event(&self, event: &ProviderEvent, moment: Moment) -> Result<(), Unsettled> {
        match event {
            ProviderEvent::Payment(payment) => self.on_payment_event(payment, moment).await.map(|_| ()),
            ProviderEvent::DisputeOpened(disputed) => self.dispute_opened(disputed, moment).await,
            ProviderEvent::DisputeClosed(disputed, outcome) => {
                self.dispute_closed(disputed, *outcome, moment).await
            }
            ProviderEvent::Refunded(payment) => self.payment_refunded(payment, moment).await,
        }
    }

    /// Opens a dispute: sets aside what is left of the purchased credits, in proportion to the disputed money (contract,
    /// rule 10). A repeated event, or one after the dispute has closed, changes nothing.
    ///
    /// # Errors
    /// As [`Checkout::on_event`].
    pub async fn dispute_opened(&self, disputed: &ProviderDispute, moment: Moment) -> Result<(), Unsettled> {
        let Some(purchase) = self.purchase_of(&disputed.payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        self.open_dispute(disputed, purchase, moment).await.map(|_| ())
    }

    /// Closes a dispute. It is opened first if that event has not arrived: events arrive in any order.
    ///
    /// # Errors
    /// As [`Checkout::on_event`].
    pub async fn dispute_closed(
        &self,
        disputed: &ProviderDispute,
        outcome: DisputeOutcome,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let Some(purchase) = self.purchase_of(&disputed.payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        let purchase = self.close_dispute(disputed, outcome, purchase, moment).await?;
        // Refunds may have taken less because of the dispute.
        self.reconcile_refunds(purchase, moment).await.map(|_| ())
    }

    pub(super) async fn close_dispute(
        &self,
        disputed: &ProviderDispute,
        outcome: DisputeOutcome,
        purchase: Purchase,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        let purchase = match self.open_dispute(disputed, purchase, moment).await? {
            Reservation::Recorded(purchase) => purchase,
            Reservation::NothingLeft(purchase) => return Ok(purchase),
        };
        let dispute = &disputed.dispute;
        let known = purchase.disputes.get(&dispute.0).copied().filter(|known| known.closed.is_none());
        let opened = known.and_then(|known| Some((known, known.opened?)));
        let Some((known, opened)) = opened else { return Ok(purchase) };
        let opened = self.entry(&purchase, opened).await?.entry;
        let bought = self.bought(&purchase, known).await?;
        let name = format!("dispute/{}/closed", dispute.0);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = details_of(&purchase, dispute);
        let settled = self.ledger.settle(
            purchase.id.account,
            Claim::new(&key, &asked, &details),
            moment,
            |account, attempt| match outcome {
                DisputeOutcome::Won => dispute_won(account, &bought, &opened, attempt),
                DisputeOutcome::Lost => dispute_lost(account, &bought, &opened, attempt),
            },
        );
        let closed = Some(settled.await?.receipt.entry.id);
        let known = Dispute { closed, lost: outcome == DisputeOutcome::Lost, ..known };
        self.save_dispute(purchase, dispute, known).await
    }

    /// The approved purchase of a payment. The state of the payment is applied first, because events of disputes and refunds
    /// may arrive before those of the payment.
    pub(super) async fn purchase_of(
        &self,
        payment: &PaymentId,
        moment: Moment,
    ) -> Result<Option<Purchase>, Unsettled> {
        let Some(payment) = self.provider.payment(payment).await? else { return Ok(None) };
        let moment = match payment.purchase {
            Some(purchase) => self.ledger.moment_of(purchase.account, moment).await?,
            None => moment,
        };
        let purchase = self.on_payment_event(&payment, moment).await?;
        // The money of a failed purchase was returned or never taken.
        Ok(purchase.filter(|purchase| matches!(purchase.status, PurchaseStatus::Approved(_))))
    }

    /// Sets credits aside, unless that is done. First the dispute and its credits are recorded on the purchase's row, so that
    /// disputes and refunds together never take more than was bought. Then the entry is posted, exactly once, under the key
    /// of the dispute. Then the row records the entry, because rows outlive keys.
    pub(super) async fn open_dispute(
        &self,
        disputed: &ProviderDispute,
        purchase: Purchase,
        moment: Moment,
    ) -> Result<Reservation, Unsettled> {
        let dispute = &disputed.dispute;
        let purchase = match self.reserve(disputed, purchase, moment).await? {
            Reservation::Recorded(purchase) => purchase,
            Reservation::NothingLeft(purchase) => {
                tracing::warn!(dispute = dispute.0, "no money of the payment is left to dispute; ignored");
                return Ok(Reservation::NothingLeft(purchase));
            }
        };
        let known = purchase.disputes.get(&dispute.0).copied().unwrap_or_default();
        if known.opened.is_some() {
            return Ok(Reservation::Recorded(purchase));
        }
        self.pause_recharge_for_dispute(purchase.id.account, dispute, moment).await?;
        let bought = self.bought(&purchase, known).await?;
        let name = format!("dispute/{}/opened", dispute.0);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = details_of(&purchase, dispute);
        let settled = self.ledger.settle(
            purchase.id.account,
            Claim::new(&key, &asked, &details),
            moment,
            |account, attempt| dispute_opened(account, &bought, attempt),
        );
        let opened = Some(settled.await?.receipt.entry.id);
        let purchase = self.save_dispute(purchase, dispute, Dispute { opened, ..known }).await?;
        Ok(Reservation::Recorded(purchase))
    }

    /// Records the dispute on the purchase's row, even if its amount is below the price of one credit, because it may add up
    /// to a credit with another dispute or refund. A scheduled job finishes what is started here.
    async fn reserve(
        &self,
        disputed: &ProviderDispute,
        mut purchase: Purchase,
        moment: Moment,
    ) -> Result<Reservation, Unsettled> {
        let name = &disputed.dispute.0;
        for attempt in 0..ATTEMPTS_MAX {
            if purchase.disputes.contains_key(name) {
                return Ok(Reservation::Recorded(purchase));
            }
            let price = purchase.offer.price;
            let amount = disputed.amount.filter(|amount| amount.currency() == price.currency());
            let amount = amount.map(|amount| amount.amount()).filter(|amount| *amount < price.amount());
            if purchase.undisputed() == 0 {
                return Ok(Reservation::NothingLeft(purchase));
            }
            let credits = purchase.disputed_credits(amount);
            if attempt == 0 {
                self.ledger.schedule(Job::Purchase(purchase.id), purchase.check_at(moment.now)).await?;
            }
            let dispute = Dispute { amount, credits: Some(credits), ..Dispute::default() };
            purchase.disputes.insert(name.clone(), dispute);
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok(Reservation::Recorded(saved));
            }
            purchase = self.reload(&purchase).await?;
        }
        Err(Fault::Busy.into())
    }

    /// Stores a dispute on the purchase's row, unless the stored dispute is closed.
    async fn save_dispute(
        &self,
        mut purchase: Purchase,
        dispute: &DisputeId,
        known: Dispute,
    ) -> Result<Purchase, Unsettled> {
        for _ in 0..ATTEMPTS_MAX {
            purchase.disputes.insert(dispute.0.clone(), known);
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok(saved);
            }
            purchase = self.reload(&purchase).await?;
            if purchase.disputes.get(&dispute.0).is_some_and(|known| known.closed.is_some()) {
                return Ok(purchase);
            }
        }
        Err(Fault::Busy.into())
    }

    /// The credits that a dispute concerns.
    async fn bought(&self, purchase: &Purchase, dispute: Dispute) -> Result<PurchasedCredits, Unsettled> {
        let credits = dispute.credits.unwrap_or_else(|| purchase.offer.credits.into());
        self.bought_part(purchase, credits).await
    }

    /// A number of the credits that a purchase granted.
    pub(super) async fn bought_part(
        &self,
        purchase: &Purchase,
        credits: Credits,
    ) -> Result<PurchasedCredits, Unsettled> {
        match purchase.status {
            PurchaseStatus::Approved(entry) => {
                Ok(purchase.bought(&self.entry(purchase, entry).await?.entry, credits))
            }
            PurchaseStatus::Pending(_) | PurchaseStatus::Failed(_) => {
                Err(Fault::corrupt("a purchase", "its money is taken back and it was never approved").into())
            }
        }
    }

    /// An entry of the purchase's account. One that is committed but not projected yet has a row soon.
    async fn entry(&self, purchase: &Purchase, entry: EntryId) -> Result<Receipt, Unsettled> {
        let receipt = self.ledger.transaction(purchase.id.account, entry).await?;
        receipt.ok_or(Unsettled::InProgress)
    }
}

/// The details of an entry for a dispute.
fn details_of(purchase: &Purchase, dispute: &DisputeId) -> Details {
    Details {
        resource_id: Reference::try_from(purchase.id.transaction.to_string()).ok(),
        description: Reference::try_from(format!("Dispute {}", dispute.0)).ok(),
        ..Details::default()
    }
}
