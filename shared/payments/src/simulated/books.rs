use std::collections::HashMap;
use std::io;

use super::charge::{Charge, State};
use super::rule::Rule;
use crate::{Order, PurchaseId, Silence};
use domain::EntryId;

/// Keeps a charge for good, before anybody is told of it. The last that is kept of a purchase holds.
pub type Journal = Box<dyn Fn(&Charge) -> io::Result<()> + Send + Sync>;

/// What is known of an order that this process has no charge of.
pub enum Memory {
    /// There is no charge: this process, and those before it whose charges are `earlier`, made all
    /// that there are. The local machine's kind.
    Remembering {
        /// What the journal kept, oldest first. A purchase may stand there more than once.
        earlier: Vec<Charge>,
        /// Where charges are kept; none when they end with the process.
        journal: Option<Journal>,
    },
    /// What the rule of its payment method says: another process may have made the charge, and two
    /// processes that go by the rule never contradict each other. What a customer, a refund or a
    /// cancellation does to a charge is known at most to the process that did it, and only if that
    /// process made the charge. The kind for functions
    /// in Lambda, whose containers share nothing and come and go.
    ByRule,
}

/// The charges that this process knows of.
pub(super) struct Books {
    charges: Vec<Charge>,
    places: HashMap<PurchaseId, usize>,
    /// None when unknown charges are told by the rule.
    complete: Option<Option<Journal>>,
}

impl Books {
    /// How many charges a process that goes by the rule remembers; past it, it starts again with
    /// none. A few megabytes.
    const BY_RULE_MAX: usize = 10_000;

    /// The books, and the charges that were still being made when the last process ended: the company
    /// went on while nobody looked, and has yet to tell of them.
    pub(super) fn new(memory: Memory) -> (Self, Vec<Charge>) {
        let (earlier, complete) = match memory {
            Memory::Remembering { earlier, journal } => (earlier, Some(journal)),
            Memory::ByRule => (Vec::new(), None),
        };
        let mut books = Self { charges: Vec::new(), places: HashMap::new(), complete };
        earlier.into_iter().for_each(|charge| books.note(charge));
        let mut finished = Vec::new();
        for charge in &mut books.charges {
            let done = charge.state.clone().done();
            if charge.state != done {
                charge.state = done;
                finished.push(charge.clone());
            }
        }
        (books, finished)
    }

    pub(super) fn by_rule(&self) -> bool {
        self.complete.is_none()
    }

    pub(super) fn get(&self, purchase: PurchaseId) -> Option<&Charge> {
        self.charges.get(*self.places.get(&purchase)?)
    }

    /// The latest charge of a transaction.
    pub(super) fn of_transaction(&self, transaction: EntryId) -> Option<&Charge> {
        self.charges.iter().rev().find(|charge| charge.transaction == transaction)
    }

    /// What became of an order.
    pub(super) fn recall(&self, order: &Order) -> Option<Charge> {
        let known = self.get(order.purchase).cloned();
        known.or_else(|| {
            let rule = Rule::of(order);
            let state = State::by_now(rule).filter(|_| self.by_rule())?;
            Some(Charge { state, ..Charge::of(order, rule) })
        })
    }

    /// Keeps a charge as it is now. Nothing has changed when it can't be kept.
    pub(super) fn put(&mut self, charge: Charge) -> Result<(), Silence> {
        if let Some(Some(journal)) = &self.complete {
            journal(&charge).map_err(|error| Silence(format!("its journal can't be written: {error}")))?;
        }
        self.note(charge);
        Ok(())
    }

    /// Newest first.
    pub(super) fn all(&self) -> Vec<Charge> {
        self.charges.iter().rev().cloned().collect()
    }

    fn note(&mut self, charge: Charge) {
        let purchase = charge.purchase();
        if let Some(known) = self.places.get(&purchase).and_then(|place| self.charges.get_mut(*place)) {
            *known = charge;
            return;
        }
        if self.by_rule() && self.charges.len() >= Self::BY_RULE_MAX {
            self.charges.clear();
            self.places.clear();
        }
        self.places.insert(purchase, self.charges.len());
        self.charges.push(charge);
    }
}
