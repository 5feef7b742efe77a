use domain::{
    Bought, Credits, Details, Dispute, EntryId, Fingerprint, Purchase, Receipt, Reference, Stage,
    dispute_lost, dispute_opened, dispute_won,
};
use store::{Claim, Errand, Fault, Moment, Unsettled, system_key};

use super::{DisputeId, Disputed, Event, Outcome, PaymentId, Till};

/// How often one event may lose the race for a purchase's row.
pub(super) const ATTEMPTS_MAX: u32 = 8;

impl Till<'_> {
    /// Takes an event of the provider, whenever it comes and however often.
    ///
    /// # Errors
    /// As [`Ledger::settle`](store::Ledger::settle); the event should then be sent again.
    pub async fn on_event(&self, event: &Event, moment: Moment) -> Result<(), Unsettled> {
        match event {
            Event::Payment(payment) => self.hear(payment, moment).await.map(|_| ()),
            Event::DisputeOpened(disputed) => self.dispute_opened(disputed, moment).await,
            Event::DisputeClosed(disputed, outcome) => {
                self.dispute_closed((disputed, *outcome), moment).await
            }
            Event::Refunded(payment) => self.payment_refunded(payment, moment).await,
        }
    }

    /// A customer disputes a payment: what is left of what it paid for is set aside, in proportion to the money
    /// that is disputed (contract, rule 10). Heard twice, or after the end, it changes nothing.
    ///
    /// # Errors
    /// As [`Till::on_event`].
    pub async fn dispute_opened(&self, disputed: &Disputed, moment: Moment) -> Result<(), Unsettled> {
        let Some(purchase) = self.paid_by(&disputed.payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        self.open_dispute(disputed, purchase, moment).await.map(|_| ())
    }

    /// A dispute has ended. When its beginning was not heard of, it is booked first: events come in any
    /// order.
    ///
    /// # Errors
    /// As [`Till::on_event`].
    pub async fn dispute_closed(
        &self,
        (disputed, outcome): (&Disputed, Outcome),
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let Some(purchase) = self.paid_by(&disputed.payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        let purchase = self.close_dispute((disputed, outcome), purchase, moment).await?;
        // A refund may have taken less because of the dispute.
        self.follow_refunds(purchase, moment).await.map(|_| ())
    }

    pub(super) async fn close_dispute(
        &self,
        (disputed, outcome): (&Disputed, Outcome),
        purchase: Purchase,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        let (purchase, is_ours) = self.open_dispute(disputed, purchase, moment).await?;
        let dispute = &disputed.dispute;
        let known = purchase.disputes.get(&dispute.0).copied().filter(|known| known.closed.is_none());
        let opened = known.filter(|_| is_ours).and_then(|known| Some((known, known.opened?)));
        let Some((known, opened)) = opened else { return Ok(purchase) };
        let opened = self.entry(&purchase, opened).await?.entry;
        let bought = self.bought(&purchase, known).await?;
        let name = format!("dispute/{}/closed", dispute.0);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = about(&purchase, dispute);
        let settled = self.ledger.settle(
            purchase.id.account,
            Claim::new(&key, &asked, &details),
            moment,
            |account, head| match outcome {
                Outcome::Won => dispute_won(account, &opened, head),
                Outcome::Lost => dispute_lost(account, &bought, &opened, head),
            },
        );
        let closed = Some(settled.await?.receipt.entry.id);
        let news = Dispute { closed, lost: outcome == Outcome::Lost, ..known };
        self.remember(purchase, dispute, news).await
    }

    /// The purchase behind a payment, finished: a dispute or a refund may be heard of before the payment itself.
    pub(super) async fn paid_by(
        &self,
        payment: &PaymentId,
        moment: Moment,
    ) -> Result<Option<Purchase>, Unsettled> {
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

    /// Sets aside what is left, unless that was done; and whether the dispute is on the purchase's row. The row
    /// says first which dispute does it and how many credits it is about, so that disputes and refunds together
    /// never take more than was bought; then it is posted, once, under a key of the dispute's; and then the row
    /// remembers the entry, for longer than keys live.
    pub(super) async fn open_dispute(
        &self,
        disputed: &Disputed,
        purchase: Purchase,
        moment: Moment,
    ) -> Result<(Purchase, bool), Unsettled> {
        let dispute = &disputed.dispute;
        let purchase = match self.reserve(disputed, purchase, moment).await? {
            (purchase, true) => purchase,
            (purchase, false) => {
                tracing::warn!(dispute = dispute.0, "nothing of its payment is left to dispute; left alone");
                return Ok((purchase, false));
            }
        };
        let known = purchase.disputes.get(&dispute.0).copied().unwrap_or_default();
        if known.opened.is_some() {
            return Ok((purchase, true));
        }
        self.pause_recharge_for_dispute(purchase.id.account, dispute, moment).await?;
        let bought = self.bought(&purchase, known).await?;
        let name = format!("dispute/{}/opened", dispute.0);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = about(&purchase, dispute);
        let settled = self.ledger.settle(
            purchase.id.account,
            Claim::new(&key, &asked, &details),
            moment,
            |account, head| dispute_opened(account, &bought, head),
        );
        let opened = Some(settled.await?.receipt.entry.id);
        Ok((self.remember(purchase, dispute, Dispute { opened, ..known }).await?, true))
    }

    /// The purchase with the dispute in its row; false when other disputes and refunds have taken all of its money.
    /// A dispute of less than one credit's price stands there too, because the next one or a refund may make up the
    /// credit with it. A scheduled job finishes what is begun here.
    async fn reserve(
        &self,
        disputed: &Disputed,
        mut purchase: Purchase,
        moment: Moment,
    ) -> Result<(Purchase, bool), Unsettled> {
        let name = &disputed.dispute.0;
        for attempt in 0..ATTEMPTS_MAX {
            if purchase.disputes.contains_key(name) {
                return Ok((purchase, true));
            }
            let price = purchase.offer.price;
            let amount = disputed.amount.filter(|amount| amount.currency() == price.currency());
            let amount = amount.map(|amount| amount.amount()).filter(|amount| *amount < price.amount());
            if purchase.undisputed() == 0 {
                return Ok((purchase, false));
            }
            let credits = purchase.disputed_credits(amount);
            if attempt == 0 {
                self.ledger.note(Errand::Purchase(purchase.id), purchase.look_at(moment.now)).await?;
            }
            let dispute = Dispute { amount, credits: Some(credits), ..Dispute::default() };
            purchase.disputes.insert(name.clone(), dispute);
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok((saved, true));
            }
            purchase = self.again(&purchase).await?;
        }
        Err(Fault::Busy.into())
    }

    pub(super) async fn again(&self, purchase: &Purchase) -> Result<Purchase, Fault> {
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

    /// What a dispute is about.
    async fn bought(&self, purchase: &Purchase, dispute: Dispute) -> Result<Bought, Unsettled> {
        let credits = dispute.credits.unwrap_or_else(|| purchase.offer.credits.into());
        self.part_of(purchase, credits).await
    }

    /// So many credits of what a purchase brought.
    pub(super) async fn part_of(&self, purchase: &Purchase, credits: Credits) -> Result<Bought, Unsettled> {
        match purchase.stage {
            Stage::Approved(entry) => Ok(purchase.bought(&self.entry(purchase, entry).await?.entry, credits)),
            Stage::Pending(_) | Stage::Failed(_) => {
                Err(Fault::corrupt("a purchase", "its money is taken back and it was never approved").into())
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
