//! What the clones of the simulated provider share: its state, and the changes of a charge under one lock.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::charge::{ChargeChangeError, ChargeConflict, ChargeState, PaymentName, SimulatedCharge};
use super::events::{ChargeChange, EventSender};
use super::outcome::MethodOutcome;
use super::state::SimulatedState;
use crate::{ChargeOrder, NoAnswer, Payment, PaymentId, PaymentStatus, PurchaseId};
use domain::EntryId;

/// What the clones share.
pub(super) struct SharedProvider {
    pub(super) state: Mutex<SimulatedState>,
    /// The base URL of the pages where customers authenticate: `/{transaction}/authenticate` is appended.
    pub(super) payments_url: String,
    /// `None` when the provider sends no events and accepts none.
    pub(super) sender: Option<EventSender>,
}

impl SharedProvider {
    pub(super) fn state(&self) -> MutexGuard<'_, SimulatedState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The charge of an order, and whether it is new. One lock covers lookup and creation, so concurrent equal orders find
    /// the same charge.
    pub(super) fn order(
        &self,
        order: &ChargeOrder,
        outcome: MethodOutcome,
    ) -> Result<(SimulatedCharge, bool), NoAnswer> {
        let mut state = self.state();
        if let Some(known) = state.get(order.purchase) {
            if !known.is_of(order) {
                return Err(NoAnswer("the purchase was ordered before with other terms".to_owned()));
            }
            return Ok((known.clone(), false));
        }
        let charge = SimulatedCharge::of(order, outcome);
        self.store(&mut state, &charge, ChargeChange::Payment)?;
        Ok((charge, true))
    }

    pub(super) fn finish(&self, order: &ChargeOrder) -> Result<SimulatedCharge, NoAnswer> {
        let mut state = self.state();
        let Some(known) = state.recall(order) else {
            return Err(NoAnswer("it has no such payment".to_owned()));
        };
        let charge = SimulatedCharge { state: known.state.clone().finished(), ..known.clone() };
        if charge != known {
            self.store(&mut state, &charge, ChargeChange::Payment)?;
        }
        Ok(charge)
    }

    pub(super) fn change(
        &self,
        transaction: EntryId,
        what: ChargeChange,
        change: impl FnOnce(&mut SimulatedCharge) -> Result<(), ChargeConflict>,
    ) -> Result<SimulatedCharge, ChargeChangeError> {
        let mut state = self.state();
        let mut charge = state.of_transaction(transaction).ok_or(ChargeChangeError::Unknown)?.clone();
        change(&mut charge)?;
        self.store(&mut state, &charge, what)?;
        Ok(charge)
    }

    /// Changes a payment by its id; `None` when it is not in memory. A change without effect is not stored.
    pub(super) fn change_by_id(
        &self,
        id: &PaymentId,
        what: ChargeChange,
        change: impl FnOnce(&mut SimulatedCharge) -> Result<(), ChargeConflict>,
    ) -> Result<Option<SimulatedCharge>, ChargeChangeError> {
        let mut state = self.state();
        let known = PaymentName::read(id).and_then(|name| state.get(name.purchase));
        let Some(known) = known.filter(|charge| charge.id() == *id).cloned() else { return Ok(None) };
        let mut charge = known.clone();
        change(&mut charge)?;
        if charge != known {
            self.store(&mut state, &charge, what)?;
        }
        Ok(Some(charge))
    }

    /// Stores a charge, then sends its event; under one lock, so that events are sent in order.
    pub(super) fn store(
        &self,
        state: &mut SimulatedState,
        charge: &SimulatedCharge,
        what: ChargeChange,
    ) -> Result<(), NoAnswer> {
        let changed_at = self.sender.as_ref().map(|sender| (sender.now)());
        state.put(SimulatedCharge { changed_at, ..charge.clone() })?;
        if let Some(sender) = &self.sender {
            sender.send(charge, &self.payment_of(charge), what);
        }
        Ok(())
    }

    pub(super) fn payment_of(&self, charge: &SimulatedCharge) -> Payment {
        self.payment(&charge.name(), &charge.state, charge.refunded)
    }

    /// A payment by its id: from memory, or derived from the outcome in the id.
    pub(super) fn payment_by_id(&self, id: &PaymentId) -> Option<Payment> {
        let name = PaymentName::read(id)?;
        let state = self.state();
        match state.get(name.purchase) {
            Some(charge) => (charge.id() == *id).then(|| self.payment_of(charge)),
            None => {
                let state = ChargeState::derived(name.outcome).filter(|_| state.is_derived())?;
                Some(self.payment(&name, &state, false))
            }
        }
    }

    pub(super) fn payment(&self, name: &PaymentName, state: &ChargeState, refunded: bool) -> Payment {
        let PurchaseId { transaction, .. } = name.purchase;
        let status = match state {
            ChargeState::Processing => PaymentStatus::Processing,
            ChargeState::Waiting => {
                PaymentStatus::Action(format!("{}/{transaction}/authenticate", self.payments_url))
            }
            ChargeState::Succeeded if refunded => PaymentStatus::Refunded,
            ChargeState::Succeeded => PaymentStatus::Succeeded,
            ChargeState::Failed(decline) => PaymentStatus::Failed(decline.clone()),
            ChargeState::Cancelled => PaymentStatus::Cancelled,
        };
        let receipt = (*state == ChargeState::Succeeded).then(|| format!("rcpt_{}", transaction.bare()));
        Payment { id: Some(name.id()), purchase: Some(name.purchase), price: name.price, status, receipt }
    }
}
