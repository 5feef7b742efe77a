//! The state of the simulated provider: its charges, in memory and in a journal.

use std::collections::HashMap;
use std::io;

use super::charge::{ChargeState, SimulatedCharge};
use super::outcome::MethodOutcome;
use crate::{ChargeOrder, NoAnswer, PurchaseId};
use domain::EntryId;

/// Stores a charge permanently, before its event is sent. The last stored charge of a purchase is valid.
pub type Journal = Box<dyn Fn(&SimulatedCharge) -> io::Result<()> + Send + Sync>;

/// What the provider assumes about an order without a charge in memory.
pub enum ChargeMemory {
    /// There is no charge, because memory is complete: it has the charges of this process and, in `earlier`, of previous
    /// ones. For the local machine.
    Complete {
        /// The charges in the journal, oldest first. A purchase may occur more than once.
        earlier: Vec<SimulatedCharge>,
        /// Where charges are stored; `None` to keep them only in memory.
        journal: Option<Journal>,
    },
    /// The charge is derived from the payment method, because another process may have made it; all processes derive the same
    /// charge. Authentication, refunds and cancellation are known only to the process that made both the charge and the
    /// change. For functions in Lambda, whose containers share no state.
    Derived,
}

/// The charges in memory.
pub(super) struct SimulatedState {
    charges: Vec<SimulatedCharge>,
    places: HashMap<PurchaseId, usize>,
    /// `None` when unknown charges are derived.
    complete: Option<Option<Journal>>,
}

impl SimulatedState {
    /// The maximum number of charges in memory when unknown charges are derived: a few megabytes. A full memory is cleared.
    const DERIVED_MAX: usize = 10_000;

    /// The state, and the charges that were in progress when the previous process ended. They are finished now, and their
    /// events are still to be sent.
    pub(super) fn new(memory: ChargeMemory) -> (Self, Vec<SimulatedCharge>) {
        let (earlier, complete) = match memory {
            ChargeMemory::Complete { earlier, journal } => (earlier, Some(journal)),
            ChargeMemory::Derived => (Vec::new(), None),
        };
        let mut state = Self { charges: Vec::new(), places: HashMap::new(), complete };
        earlier.into_iter().for_each(|charge| state.insert(charge));
        let mut finished = Vec::new();
        for charge in &mut state.charges {
            let after = charge.state.clone().finished();
            if charge.state != after {
                charge.state = after;
                finished.push(charge.clone());
            }
        }
        (state, finished)
    }

    pub(super) fn is_derived(&self) -> bool {
        self.complete.is_none()
    }

    pub(super) fn get(&self, purchase: PurchaseId) -> Option<&SimulatedCharge> {
        self.charges.get(*self.places.get(&purchase)?)
    }

    /// The latest charge of a transaction.
    pub(super) fn of_transaction(&self, transaction: EntryId) -> Option<&SimulatedCharge> {
        self.charges.iter().rev().find(|charge| charge.transaction == transaction)
    }

    /// The charge of an order, from memory or derived.
    pub(super) fn recall(&self, order: &ChargeOrder) -> Option<SimulatedCharge> {
        let known = self.get(order.purchase).cloned();
        known.or_else(|| {
            let outcome = MethodOutcome::of(order);
            let state = ChargeState::derived(outcome).filter(|_| self.is_derived())?;
            Some(SimulatedCharge { state, ..SimulatedCharge::of(order, outcome) })
        })
    }

    /// Stores a charge. Nothing changes when it cannot be stored.
    pub(super) fn put(&mut self, charge: SimulatedCharge) -> Result<(), NoAnswer> {
        if let Some(Some(journal)) = &self.complete {
            journal(&charge).map_err(|error| NoAnswer(format!("its journal cannot be written: {error}")))?;
        }
        self.insert(charge);
        Ok(())
    }

    /// All charges, newest first.
    pub(super) fn all(&self) -> Vec<SimulatedCharge> {
        self.charges.iter().rev().cloned().collect()
    }

    fn insert(&mut self, charge: SimulatedCharge) {
        let purchase = charge.purchase();
        if let Some(known) = self.places.get(&purchase).and_then(|place| self.charges.get_mut(*place)) {
            *known = charge;
            return;
        }
        if self.is_derived() && self.charges.len() >= Self::DERIVED_MAX {
            self.charges.clear();
            self.places.clear();
        }
        self.places.insert(purchase, self.charges.len());
        self.charges.push(charge);
    }
}
