//! The simulated payment provider: the payment method's name decides the result of a charge.

mod charge;
mod events;
mod outcome;
mod shared;
mod state;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::charge::PaymentName;
pub use self::charge::{
    ChargeChangeError, ChargeConflict, ChargeState, DisputeAction, PartialRefund, SimulatedCharge,
    SimulatedDispute,
};
use self::events::ChargeChange;
pub use self::events::{EventSender, SignedEvent};
use self::outcome::MethodOutcome;
use self::shared::SharedProvider;
use self::state::SimulatedState;
pub use self::state::{ChargeMemory, Journal};
use super::{
    ChargeOrder, CustomerId, EventRejected, MoneyRefund, NoAnswer, Payment, PaymentId, PaymentStatus,
    Provider, ProviderEvent, RefundAnswer, Reversals,
};
use domain::{EntryId, OrgId};

/// How long a charge with `card_slow` takes.
const SLOW: Duration = Duration::from_secs(5);

/// The simulated payment provider. The payment method decides the result of an order:
///
/// | method | result |
/// |---|---|
/// | `card_declined` | declined: `card_declined`, `generic_decline` |
/// | `card_insufficient_funds` | declined: `card_declined`, `insufficient_funds` |
/// | `card_authentication` | waits until authenticated; off session declined: `authentication_required` |
/// | `card_timeout_charged` | charged; the first call gets no answer |
/// | `card_timeout_uncharged` | not charged; no call gets an answer |
/// | `card_slow` | charged, after 5 seconds |
/// | any other `card_…` | charged |
/// | any other | declined: `payment_method_unknown` |
///
/// A clone shares the state of its original.
#[derive(Clone)]
pub struct Simulated(Arc<SharedProvider>);

impl Simulated {
    /// A provider with the given memory, whose customers authenticate on pages under `payments_url`. With a sender it sends
    /// events, first those of slow charges that were in progress when the previous process ended.
    #[must_use]
    pub fn new(memory: ChargeMemory, payments_url: String, sender: Option<EventSender>) -> Self {
        let (state, finished) = SimulatedState::new(memory);
        let shared = SharedProvider { state: Mutex::new(state), payments_url, sender };
        let mut state = shared.state();
        for charge in finished {
            if let Err(no_answer) = shared.store(&mut state, &charge, ChargeChange::Payment) {
                tracing::warn!(
                    cause = &no_answer as &dyn Error,
                    "the event of a finished charge is sent at the next start"
                );
            }
        }
        drop(state);
        Self(Arc::new(shared))
    }

    /// The provider for the test keys of a deployment. Containers share no state, so it derives charges from their payment
    /// methods. Customers cannot authenticate there, so the URL is not a page.
    #[must_use]
    pub fn without_memory() -> Self {
        Self::new(ChargeMemory::Derived, "https://payments.invalid".to_owned(), None)
    }

    /// Every charge, including declined ones, newest first, without slow ones that are in progress.
    #[must_use]
    pub fn charges(&self) -> Vec<SimulatedCharge> {
        let all = self.0.state().all();
        all.into_iter().filter(|charge| charge.state != ChargeState::Processing).collect()
    }

    /// Authenticates a waiting payment as its customer. A payment that has succeeded does not change, and its event is sent
    /// again.
    ///
    /// # Errors
    /// [`ChargeChangeError`] when there is no such charge, or it does not wait for its customer.
    pub fn authenticate(&self, transaction: EntryId) -> Result<SimulatedCharge, ChargeChangeError> {
        self.0.change(transaction, ChargeChange::Payment, SimulatedCharge::authenticate)
    }

    /// Opens a dispute as the customer, or decides it as the customer's bank. A repeated action sends the event again, as real
    /// providers do.
    ///
    /// # Errors
    /// [`ChargeChangeError`] when there is no such charge, or its state does not allow the action.
    pub fn dispute(
        &self,
        transaction: EntryId,
        action: DisputeAction,
    ) -> Result<SimulatedCharge, ChargeChangeError> {
        self.dispute_part(transaction, action, None)
    }

    /// As [`Simulated::dispute`], about an amount in minor units; `None` for all of the payment.
    ///
    /// # Errors
    /// As [`Simulated::dispute`].
    pub fn dispute_part(
        &self,
        transaction: EntryId,
        action: DisputeAction,
        amount: Option<u64>,
    ) -> Result<SimulatedCharge, ChargeChangeError> {
        self.0.change(transaction, ChargeChange::Dispute, |charge| charge.disputed(action, amount))
    }

    /// Refunds an amount in minor units in the provider's dashboard; `None` for all that is left.
    ///
    /// # Errors
    /// [`ChargeChangeError`] when there is no such charge, or the amount cannot be refunded.
    pub fn refund_amount(
        &self,
        transaction: EntryId,
        amount: Option<u64>,
    ) -> Result<SimulatedCharge, ChargeChangeError> {
        self.0.change(transaction, ChargeChange::Refund, |charge| match amount {
            Some(amount) => charge.refund_part(None, amount),
            None => charge.refund(),
        })
    }

    /// Fails the refunds of a payment, as the customer's bank.
    ///
    /// # Errors
    /// [`ChargeChangeError`] when there is no such charge, or nothing was refunded.
    pub fn fail_refunds(&self, transaction: EntryId) -> Result<SimulatedCharge, ChargeChangeError> {
        self.0.change(transaction, ChargeChange::Refund, SimulatedCharge::fail_refunds)
    }
}

#[async_trait]
impl Provider for Simulated {
    async fn create_customer(&self, _: OrgId, _: &str) -> Result<Option<CustomerId>, NoAnswer> {
        Ok(None)
    }

    /// An order for the same purchase with another price or method gets no answer: nothing is charged, and the earlier charge
    /// can still be found.
    async fn charge(&self, order: &ChargeOrder) -> Result<Payment, NoAnswer> {
        let outcome = MethodOutcome::of(order);
        if outcome == MethodOutcome::SilentUncharged {
            return Err(NoAnswer("it did not answer".to_owned()));
        }
        let (charge, is_new) = self.0.order(order, outcome)?;
        let charge = match charge.state {
            ChargeState::Processing => self.finish(order).await?,
            ChargeState::Waiting
            | ChargeState::Succeeded
            | ChargeState::Failed(_)
            | ChargeState::Cancelled => charge,
        };
        if is_new && outcome == MethodOutcome::SilentCharged {
            return Err(NoAnswer("it did not answer".to_owned()));
        }
        Ok(self.0.payment_of(&charge))
    }

    async fn find(&self, order: &ChargeOrder) -> Result<Option<Payment>, NoAnswer> {
        let found = self.0.state().recall(order);
        Ok(found.map(|charge| self.0.payment_of(&charge)))
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, NoAnswer> {
        Ok(self.0.payment_by_id(id))
    }

    async fn cancel(&self, id: &PaymentId) -> Result<Payment, NoAnswer> {
        let cancelled = self.0.change_by_id(id, ChargeChange::Payment, |charge| {
            if charge.state == ChargeState::Waiting {
                charge.state = ChargeState::Cancelled;
            }
            Ok(())
        });
        let cancelled = cancelled.map_err(|undone| NoAnswer(undone.to_string()))?;
        if let Some(charge) = cancelled {
            return Ok(self.0.payment_of(&charge));
        }
        let mut payment =
            self.0.payment_by_id(id).ok_or_else(|| NoAnswer(format!("it has no payment {}", id.0)))?;
        if matches!(payment.status, PaymentStatus::Action(_)) {
            payment.status = PaymentStatus::Cancelled;
        }
        Ok(payment)
    }

    async fn refund(&self, id: &PaymentId) -> Result<(), NoAnswer> {
        let changed = self.0.change_by_id(id, ChargeChange::Refund, SimulatedCharge::refund);
        if changed.map_err(|undone| NoAnswer(undone.to_string()))?.is_some() {
            return Ok(());
        }
        match self.0.payment_by_id(id).map(|payment| payment.status) {
            Some(PaymentStatus::Succeeded | PaymentStatus::Refunded) => Ok(()),
            Some(
                PaymentStatus::Processing
                | PaymentStatus::Action(_)
                | PaymentStatus::Failed(_)
                | PaymentStatus::Cancelled,
            )
            | None => Err(NoAnswer(format!("it has taken no money by a payment {}", id.0))),
        }
    }

    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, NoAnswer> {
        let part = |charge: &mut SimulatedCharge| charge.refund_part(Some(&refund.name), refund.amount);
        match self.0.change_by_id(id, ChargeChange::Refund, part) {
            Ok(Some(_)) => Ok(RefundAnswer::Made),
            Err(ChargeChangeError::ChargeConflict(problem)) => Ok(RefundAnswer::Refused(problem.to_string())),
            Err(undone) => Err(NoAnswer(undone.to_string())),
            Ok(None) => match self.0.payment_by_id(id) {
                Some(payment) if payment.status == PaymentStatus::Succeeded => Ok(RefundAnswer::Made),
                Some(_) | None => Err(NoAnswer(format!("it has taken no money by a payment {}", id.0))),
            },
        }
    }

    /// Without a complete memory, the refunds and disputes of other processes are unknown.
    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, NoAnswer> {
        let state = self.0.state();
        let known = PaymentName::read(id).and_then(|name| state.get(name.purchase));
        let known = known.filter(|_| !state.is_derived());
        Ok(known.map(|charge| Reversals {
            refunded: charge.amount_refunded(),
            disputes: charge.provider_dispute().into_iter().collect(),
        }))
    }

    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<ProviderEvent>, NoAnswer> {
        let mut events = Vec::new();
        let changed = |charge: &SimulatedCharge| charge.changed_at.is_none_or(|at| since <= at);
        for charge in self.charges().into_iter().filter(changed) {
            if let Some((disputed, outcome)) = charge.provider_dispute() {
                events.push(ProviderEvent::DisputeOpened(disputed.clone()));
                events.extend(outcome.map(|outcome| ProviderEvent::DisputeClosed(disputed, outcome)));
            }
            if charge.amount_refunded() > 0 {
                events.push(ProviderEvent::Refunded(charge.id()));
            }
        }
        Ok(events)
    }

    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<ProviderEvent>, EventRejected> {
        match &self.0.sender {
            Some(sender) => sender.read(signature, body, now),
            None => Err(EventRejected::Forged("the simulated provider sends no events here")),
        }
    }
}

impl Simulated {
    /// Waits until a slow charge is finished. It finishes even if the caller stops waiting.
    async fn finish(&self, order: &ChargeOrder) -> Result<SimulatedCharge, NoAnswer> {
        let (shared, order) = (self.0.clone(), order.clone());
        let made = tokio::spawn(async move {
            tokio::time::sleep(SLOW).await;
            shared.finish(&order)
        });
        made.await.map_err(|error| NoAnswer(error.to_string()))?
    }
}
