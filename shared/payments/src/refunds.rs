//! Refunds: keeps the credits that are taken back in step with the money that the provider has refunded.

use super::disputes::ATTEMPTS_MAX;
use super::{Checkout, MoneyRefund, NoAnswer, PaymentId, RefundAnswer, Reversals};
use domain::{
    Amount, Credits, Details, EntryId, Fingerprint, Purchase, PurchaseId, PurchaseStatus, Reference,
    RefundOrder, RefundState, RefundStep, Refunds, Refusal, payment_refunded, payment_restored,
};
use store::{Claim, Fault, Job, Moment, Unsettled, system_key};

/// The maximum number of steps to match the provider's refunds. More than one is needed when money is refunded meanwhile.
const STEPS_MAX: u32 = 8;

impl Checkout<'_> {
    /// Handles a new or changed refund: takes back the credits for all money that is refunded now, as far as that is not
    /// done. A repeated or late event changes nothing.
    ///
    /// # Errors
    /// As [`Checkout::on_event`].
    pub async fn payment_refunded(&self, payment: &PaymentId, moment: Moment) -> Result<(), Unsettled> {
        let Some(purchase) = self.purchase_of(payment, moment).await? else { return Ok(()) };
        let moment = self.ledger.moment_of(purchase.id.account, moment).await?;
        self.reconcile_refunds(purchase, moment).await.map(|_| ())
    }

    /// Refunds money of a purchase by order of an operator, and takes back its credits. The order is stored on the purchase's
    /// row before the provider is called, so that a scheduled job finishes both after a crash. Returns the purchase in its
    /// last known state.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] when the money is not refunded; [`Unsettled::Failed`] when the table is unavailable.
    pub async fn refund_purchase(
        &self,
        purchase: Purchase,
        order: RefundOrder,
        amount: Option<u64>,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        let id = order.id;
        let purchase = self.place_order(purchase, order, amount, moment).await?;
        let known = purchase.id;
        match Box::pin(self.reverse(purchase, moment)).await {
            Ok(purchase) => unless_refused(purchase, id),
            Err(unsettled) => {
                if let Unsettled::InProgress = unsettled
                    && let Some(booked) =
                        self.finished_by_another(known, |now| now.is_refund_booked(id)).await
                {
                    return Ok(booked);
                }
                tracing::warn!(purchase = %known.transaction, %unsettled, "a refund is left to its scheduled job");
                let purchase = self.ledger.purchase(known).await?;
                unless_refused(purchase.ok_or_else(|| Fault::corrupt("a purchase", "it is gone"))?, id)
            }
        }
    }

    /// Finishes the refunds and disputes of a purchase: money to return, refunds that operators ordered, and the refunds and
    /// disputes that the provider has.
    ///
    /// # Errors
    /// As [`Checkout::on_event`]; the call should then be retried.
    pub async fn reverse(&self, mut purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        if purchase.to_return {
            return self.return_money(purchase).await;
        }
        let Some(payment) = purchase.payment.clone() else { return Ok(purchase) };
        while let Some(order) = purchase.refunds.orders.iter().find(|order| order.state == RefundState::Open)
        {
            let wanted = MoneyRefund { name: order.id.to_string(), amount: order.amount };
            let (id, answer) = (order.id, self.provider.refund_part(&payment, &wanted).await?);
            purchase = self.record_answer(purchase, id, &answer).await?;
        }
        if let Some(Reversals { disputes, .. }) = self.provider.reversals(&payment).await? {
            for (disputed, outcome) in &disputes {
                purchase = match outcome {
                    Some(outcome) => self.close_dispute(disputed, *outcome, purchase, moment).await?,
                    None => self.open_dispute(disputed, purchase, moment).await?.into_purchase(),
                };
            }
        }
        self.reconcile_refunds(purchase, moment).await
    }

    /// Takes credits back, or restores them, until they match the money that the provider has refunded.
    pub(super) async fn reconcile_refunds(
        &self,
        mut purchase: Purchase,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        for _ in 0..STEPS_MAX {
            if purchase.refunds.open.is_some() {
                purchase = self.book_step(purchase, moment).await?;
                continue;
            }
            let refunded = self.refunded(&purchase).await?;
            let refunds = match purchase.refund_due(refunded) {
                Some(step) => Refunds { open: Some(step), ..purchase.refunds.clone() },
                None if purchase.has_open_reversal() && !purchase.to_return => purchase.refunds_booked(),
                None => return Ok(purchase),
            };
            if refunds == purchase.refunds {
                return Ok(purchase);
            }
            self.ledger.schedule(Job::Purchase(purchase.id), purchase.check_at(moment.now)).await?;
            let next = Purchase { refunds, ..purchase };
            purchase = match self.ledger.save_purchase(&next).await? {
                Some(saved) => saved,
                None => self.reload(&next).await?,
            };
        }
        Err(Fault::Busy.into())
    }

    /// The refunded money in minor units: from the provider, or from the operators' orders when the provider cannot say.
    async fn refunded(&self, purchase: &Purchase) -> Result<u64, NoAnswer> {
        let reversals = match &purchase.payment {
            Some(payment) => self.provider.reversals(payment).await?,
            None => None,
        };
        Ok(reversals.map_or_else(|| purchase.refunds.ordered(), |reversals| reversals.refunded))
    }

    /// Posts the step that is recorded on the row, exactly once under its own key, and records that it is posted.
    async fn book_step(&self, mut purchase: Purchase, moment: Moment) -> Result<Purchase, Unsettled> {
        let (Some(step), number) = (purchase.refunds.open, purchase.refunds.steps.saturating_add(1)) else {
            return Ok(purchase);
        };
        let entry = self.post_step(&purchase, step, number, moment).await?;
        for _ in 0..ATTEMPTS_MAX {
            if purchase.refunds.steps >= number {
                return Ok(purchase);
            }
            let next = Purchase { refunds: purchase.refund_booked(step, entry), ..purchase };
            if let Some(saved) = self.ledger.save_purchase(&next).await? {
                return Ok(saved);
            }
            purchase = self.reload(&next).await?;
        }
        Err(Fault::Busy.into())
    }

    async fn post_step(
        &self,
        purchase: &Purchase,
        step: RefundStep,
        number: u32,
        moment: Moment,
    ) -> Result<Option<EntryId>, Unsettled> {
        let before = purchase.refunds.credits;
        let name = format!("purchase/{}/refund/{number}", purchase.id.transaction);
        let (key, asked) = (system_key(&name)?, Fingerprint(name));
        let details = details_of(purchase, step);
        let (account, claim) = (purchase.id.account, Claim::new(&key, &asked, &details));
        let amount = |credits: Credits| Amount::try_from(credits.get()).ok();
        if purchase.refunds.amount < step.amount {
            // Pause before the balance falls: the fall would make auto-recharge charge the same card.
            self.pause_recharge_for_refund(purchase.id, number, moment).await?;
        }
        let taken = step.credits.less(before).and_then(amount);
        let restored = before.less(step.credits).and_then(amount);
        let settled = match (taken, restored) {
            (Some(taken), _) => {
                let bought = self.bought_part(purchase, taken.into()).await?;
                let decide = self.ledger.settle(account, claim, moment, |account, attempt| {
                    payment_refunded(account, &bought, attempt)
                });
                decide.await?
            }
            (None, Some(restored)) => {
                let bought = self.bought_part(purchase, restored.into()).await?;
                let decide = self.ledger.settle(account, claim, moment, |account, attempt| {
                    payment_restored(account, &bought, attempt)
                });
                decide.await?
            }
            (None, None) => return Ok(None),
        };
        Ok(Some(settled.receipt.entry.id))
    }

    /// Stores an operator's order on the purchase's row, unless it is stored.
    async fn place_order(
        &self,
        mut purchase: Purchase,
        order: RefundOrder,
        amount: Option<u64>,
        moment: Moment,
    ) -> Result<Purchase, Unsettled> {
        for _ in 0..ATTEMPTS_MAX {
            if purchase.refunds.orders.iter().any(|known| known.id == order.id) {
                return Ok(purchase);
            }
            let amount = RefundOrder::checked(&purchase, amount)?;
            self.ledger.schedule(Job::Purchase(purchase.id), purchase.check_at(moment.now)).await?;
            purchase.refunds.orders.push(RefundOrder { amount, ..order.clone() });
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok(saved);
            }
            purchase = self.reload(&purchase).await?;
        }
        Err(Fault::Busy.into())
    }

    /// Records the provider's answer to an order.
    async fn record_answer(
        &self,
        mut purchase: Purchase,
        id: EntryId,
        answer: &RefundAnswer,
    ) -> Result<Purchase, Unsettled> {
        let state = match answer {
            RefundAnswer::Made => RefundState::Made,
            RefundAnswer::Refused(reason) => RefundState::Refused(reason.clone()),
        };
        for _ in 0..ATTEMPTS_MAX {
            let order = purchase.refunds.orders.iter_mut().find(|order| order.id == id);
            let Some(order) = order.filter(|order| order.state == RefundState::Open) else {
                return Ok(purchase);
            };
            order.state = state.clone();
            if let Some(saved) = self.ledger.save_purchase(&purchase).await? {
                return Ok(saved);
            }
            purchase = self.reload(&purchase).await?;
        }
        Err(Fault::Busy.into())
    }

    /// A purchase whose money can be refunded; `None` when there is no such purchase.
    ///
    /// # Errors
    /// [`Unsettled::Refused`] for a purchase that was not paid.
    pub async fn refundable(&self, id: PurchaseId) -> Result<Option<Purchase>, Unsettled> {
        let Some(purchase) = self.ledger.purchase(id).await? else { return Ok(None) };
        match purchase.status {
            PurchaseStatus::Approved(_) => Ok(Some(purchase)),
            PurchaseStatus::Pending(_) | PurchaseStatus::Failed(_) => {
                Err(Refusal::NotEligible("this purchase was not paid, so there is no money to refund").into())
            }
        }
    }
}

/// The purchase, unless the provider refused the order.
fn unless_refused(purchase: Purchase, id: EntryId) -> Result<Purchase, Unsettled> {
    let order = purchase.refunds.orders.iter().find(|order| order.id == id);
    match order.map(|order| &order.state) {
        Some(RefundState::Refused(reason)) => Err(Refusal::RefundRefused(reason.clone()).into()),
        Some(RefundState::Open | RefundState::Made) | None => Ok(purchase),
    }
}

/// The details of an entry for a refund: the purchase, the operator and the reason.
fn details_of(purchase: &Purchase, step: RefundStep) -> Details {
    let order = purchase.refunds.orders.iter().find(|order| step.order == Some(order.id));
    let description = order.map_or("Refund by the payment provider", |order| order.reason.as_str());
    Details {
        resource_id: Reference::try_from(purchase.id.transaction.to_string()).ok(),
        description: Reference::try_from(description.to_owned()).ok(),
        super_admin: order.map(|order| order.by),
        ..Details::default()
    }
}
