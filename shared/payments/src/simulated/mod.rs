//! A payment company that lives in the process and does what the payment method's name says.

mod books;
mod charge;
#[cfg(test)]
mod proofs;
mod rule;
#[cfg(test)]
mod tests;
mod voice;

use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

use self::books::Books;
pub use self::books::{Journal, Memory};
use self::charge::Named;
pub use self::charge::{Charge, Dispute, DisputeAction, NotNow, Returned, State};
use self::rule::Rule;
use self::voice::Change;
pub use self::voice::{Notice, Voice};
use super::{
    CustomerId, Event, MoneyRefund, Order, Payment, PaymentId, Provider, PurchaseId, RefundAnswer, Refused,
    Reversals, Silence, Standing,
};
use domain::{EntryId, OrgId};

/// How long `card_slow` takes.
const SLOW: Duration = Duration::from_secs(5);

/// The simulated payment company. What becomes of an order is decided by its payment method:
///
/// | method | what |
/// |---|---|
/// | `card_declined` | refused: `card_declined`, `generic_decline` |
/// | `card_insufficient_funds` | refused: `card_declined`, `insufficient_funds` |
/// | `card_authentication` | waits until authenticated; off session refused: `authentication_required` |
/// | `card_timeout_charged` | charged; the first call is not answered |
/// | `card_timeout_uncharged` | not charged; no call is ever answered |
/// | `card_slow` | charged, after 5 seconds |
/// | any other `card_…` | charged |
/// | any other | refused: `payment_method_unknown` |
///
/// A clone is the same company.
#[derive(Clone)]
pub struct Simulated(Arc<Company>);

struct Company {
    books: Mutex<Books>,
    /// Where customers authenticate: a URL that a transaction's id and `/authenticate` are added to.
    payments_url: String,
    /// Without one, no event is told and none is believed.
    voice: Option<Voice>,
}

/// Why a customer's or a bank's deed could not be done.
#[derive(Debug, thiserror::Error)]
pub enum Undone {
    /// No charge is of that transaction.
    #[error("no charge was made for this transaction")]
    Unknown,
    /// It is not as it would have to be.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// It can't be kept.
    #[error(transparent)]
    Silent(#[from] Silence),
}

impl Simulated {
    /// A company that remembers as `memory` says, and sends customers to a page under
    /// `payments_url`. With a voice it tells events, and first those of charges that were being made
    /// when the process before it ended.
    #[must_use]
    pub fn new(memory: Memory, payments_url: String, voice: Option<Voice>) -> Self {
        let (books, finished) = Books::new(memory);
        let company = Company { books: Mutex::new(books), payments_url, voice };
        let mut books = company.books();
        for charge in finished {
            if let Err(silence) = company.keep(&mut books, &charge, Change::Payment) {
                tracing::warn!(cause = &silence as &dyn Error, "a finished charge is told at the next start");
            }
        }
        drop(books);
        Self(Arc::new(company))
    }

    /// The company of a deployment's test keys: no two containers share it, so it goes by the rule.
    /// Nobody can authenticate there, so the page is none.
    #[must_use]
    pub fn by_rule() -> Self {
        Self::new(Memory::ByRule, "https://payments.invalid".to_owned(), None)
    }

    /// Every charge that was made, also those that were refused; newest first. One that is still
    /// being made is not among them.
    #[must_use]
    pub fn charges(&self) -> Vec<Charge> {
        let all = self.0.books().all();
        all.into_iter().filter(|charge| charge.state != State::Processing).collect()
    }

    /// The customer authenticates a payment that waits for it; one that has succeeded stays as it is,
    /// and is told again.
    ///
    /// # Errors
    /// [`Undone`].
    pub fn authenticate(&self, transaction: EntryId) -> Result<Charge, Undone> {
        self.0.change(transaction, Change::Payment, Charge::authenticate)
    }

    /// The customer disputes a payment, or the customer's bank decides on it. Said again, it is told
    /// again, as companies do.
    ///
    /// # Errors
    /// [`Undone`].
    pub fn dispute(&self, transaction: EntryId, action: DisputeAction) -> Result<Charge, Undone> {
        self.dispute_part(transaction, action, None)
    }

    /// The same about so many minor units of a payment: all of it, when not said.
    ///
    /// # Errors
    /// [`Undone`].
    pub fn dispute_part(
        &self,
        transaction: EntryId,
        action: DisputeAction,
        amount: Option<u64>,
    ) -> Result<Charge, Undone> {
        self.0.change(transaction, Change::Dispute, |charge| charge.disputed(action, amount))
    }

    /// The company refunds so many minor units of a payment by itself: all that is left, when not said.
    ///
    /// # Errors
    /// [`Undone`].
    pub fn give_back(&self, transaction: EntryId, amount: Option<u64>) -> Result<Charge, Undone> {
        self.0.change(transaction, Change::Refund, |charge| match amount {
            Some(amount) => charge.refund_part(None, amount),
            None => charge.refund(),
        })
    }

    /// The customer's bank sends the refunds of a payment back.
    ///
    /// # Errors
    /// [`Undone`].
    pub fn fail_refunds(&self, transaction: EntryId) -> Result<Charge, Undone> {
        self.0.change(transaction, Change::Refund, Charge::fail_refunds)
    }
}

#[async_trait]
impl Provider for Simulated {
    async fn enrol(&self, _: OrgId, _: &str) -> Result<Option<CustomerId>, Silence> {
        Ok(None)
    }

    /// The same purchase at another price or with another method is not answered: as with any
    /// company, nothing is charged then, and what was charged before stays to be found.
    async fn charge(&self, order: &Order) -> Result<Payment, Silence> {
        let rule = Rule::of(order);
        if rule == Rule::SilentUncharged {
            return Err(Silence("it did not answer".to_owned()));
        }
        let (charge, made) = self.0.order(order, rule)?;
        let charge = match charge.state {
            State::Processing => self.finish(order).await?,
            State::Waiting | State::Succeeded | State::Failed(_) | State::Cancelled => charge,
        };
        if made && rule == Rule::SilentCharged {
            return Err(Silence("it did not answer".to_owned()));
        }
        Ok(self.0.payment_of(&charge))
    }

    async fn find(&self, order: &Order) -> Result<Option<Payment>, Silence> {
        let found = self.0.books().recall(order);
        Ok(found.map(|charge| self.0.payment_of(&charge)))
    }

    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, Silence> {
        Ok(self.0.named(id))
    }

    async fn cancel(&self, id: &PaymentId) -> Result<Payment, Silence> {
        let cancelled = self.0.change_named(id, Change::Payment, |charge| {
            if charge.state == State::Waiting {
                charge.state = State::Cancelled;
            }
            Ok(())
        });
        let cancelled = cancelled.map_err(|undone| Silence(undone.to_string()))?;
        if let Some(charge) = cancelled {
            return Ok(self.0.payment_of(&charge));
        }
        let mut payment = self.0.named(id).ok_or_else(|| Silence(format!("it has no payment {}", id.0)))?;
        if matches!(payment.standing, Standing::Action(_)) {
            payment.standing = Standing::Cancelled;
        }
        Ok(payment)
    }

    async fn refund(&self, id: &PaymentId) -> Result<(), Silence> {
        let changed = self.0.change_named(id, Change::Refund, Charge::refund);
        if changed.map_err(|undone| Silence(undone.to_string()))?.is_some() {
            return Ok(());
        }
        match self.0.named(id).map(|payment| payment.standing) {
            Some(Standing::Succeeded | Standing::Refunded) => Ok(()),
            Some(Standing::Processing | Standing::Action(_) | Standing::Failed(_) | Standing::Cancelled)
            | None => Err(Silence(format!("it has taken no money by a payment {}", id.0))),
        }
    }

    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, Silence> {
        let part = |charge: &mut Charge| charge.refund_part(Some(&refund.name), refund.amount);
        match self.0.change_named(id, Change::Refund, part) {
            Ok(Some(_)) => Ok(RefundAnswer::Made),
            Err(Undone::NotNow(problem)) => Ok(RefundAnswer::Refused(problem.to_string())),
            Err(undone) => Err(Silence(undone.to_string())),
            Ok(None) => match self.0.named(id) {
                Some(payment) if payment.standing == Standing::Succeeded => Ok(RefundAnswer::Made),
                Some(_) | None => Err(Silence(format!("it has taken no money by a payment {}", id.0))),
            },
        }
    }

    /// A company that goes by the rule does not know what other processes have done.
    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, Silence> {
        let books = self.0.books();
        let known = Named::read(id).and_then(|named| books.get(named.purchase)).filter(|_| !books.by_rule());
        Ok(known.map(|charge| Reversals {
            refunded: charge.amount_refunded(),
            disputes: charge.told_dispute().into_iter().collect(),
        }))
    }

    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<Event>, Silence> {
        let mut events = Vec::new();
        let changed = |charge: &Charge| charge.changed_at.is_none_or(|at| since <= at);
        for charge in self.charges().into_iter().filter(changed) {
            if let Some((disputed, outcome)) = charge.told_dispute() {
                events.push(Event::DisputeOpened(disputed.clone()));
                events.extend(outcome.map(|outcome| Event::DisputeClosed(disputed, outcome)));
            }
            if charge.amount_refunded() > 0 {
                events.push(Event::Refunded(charge.id()));
            }
        }
        Ok(events)
    }

    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<Event>, Refused> {
        match &self.0.voice {
            Some(voice) => voice.read(signature, body, now),
            None => Err(Refused::Forged("the simulated provider sends no events here")),
        }
    }
}

impl Simulated {
    /// Waits until a slow charge is made. It is made even if nobody waits for it any more.
    async fn finish(&self, order: &Order) -> Result<Charge, Silence> {
        let (company, order) = (self.0.clone(), order.clone());
        let made = tokio::spawn(async move {
            tokio::time::sleep(SLOW).await;
            company.finish(&order)
        });
        made.await.map_err(|error| Silence(error.to_string()))?
    }
}

impl Company {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The charge of an order, and whether it is a new one. There is one lock around looking and
    /// making, so whoever sends the same order meanwhile finds the one charge.
    fn order(&self, order: &Order, rule: Rule) -> Result<(Charge, bool), Silence> {
        let mut books = self.books();
        if let Some(known) = books.get(order.purchase) {
            if !known.is_of(order) {
                return Err(Silence("the purchase was ordered before, at other terms".to_owned()));
            }
            return Ok((known.clone(), false));
        }
        let charge = Charge::of(order, rule);
        self.keep(&mut books, &charge, Change::Payment)?;
        Ok((charge, true))
    }

    fn finish(&self, order: &Order) -> Result<Charge, Silence> {
        let mut books = self.books();
        let Some(known) = books.recall(order) else {
            return Err(Silence("it has no such payment".to_owned()));
        };
        let charge = Charge { state: known.state.clone().done(), ..known.clone() };
        if charge != known {
            self.keep(&mut books, &charge, Change::Payment)?;
        }
        Ok(charge)
    }

    fn change(
        &self,
        transaction: EntryId,
        what: Change,
        change: impl FnOnce(&mut Charge) -> Result<(), NotNow>,
    ) -> Result<Charge, Undone> {
        let mut books = self.books();
        let mut charge = books.of_transaction(transaction).ok_or(Undone::Unknown)?.clone();
        change(&mut charge)?;
        self.keep(&mut books, &charge, what)?;
        Ok(charge)
    }

    /// Changes the payment of that name; `None` when it is not remembered. One that is as it would
    /// be is left alone.
    fn change_named(
        &self,
        id: &PaymentId,
        what: Change,
        change: impl FnOnce(&mut Charge) -> Result<(), NotNow>,
    ) -> Result<Option<Charge>, Undone> {
        let mut books = self.books();
        let known = Named::read(id).and_then(|named| books.get(named.purchase));
        let Some(known) = known.filter(|charge| charge.id() == *id).cloned() else { return Ok(None) };
        let mut charge = known.clone();
        change(&mut charge)?;
        if charge != known {
            self.keep(&mut books, &charge, what)?;
        }
        Ok(Some(charge))
    }

    /// Keeps a charge, then tells of it; under one lock, so that events are told in order.
    fn keep(&self, books: &mut Books, charge: &Charge, what: Change) -> Result<(), Silence> {
        let changed_at = self.voice.as_ref().map(|voice| (voice.now)());
        books.put(Charge { changed_at, ..charge.clone() })?;
        if let Some(voice) = &self.voice {
            voice.tell(charge, &self.payment_of(charge), what);
        }
        Ok(())
    }

    fn payment_of(&self, charge: &Charge) -> Payment {
        self.payment(&charge.named(), &charge.state, charge.refunded)
    }

    /// A payment by its id alone: as it is remembered, or as the rule in its name says.
    fn named(&self, id: &PaymentId) -> Option<Payment> {
        let named = Named::read(id)?;
        let books = self.books();
        match books.get(named.purchase) {
            Some(charge) => (charge.id() == *id).then(|| self.payment_of(charge)),
            None => {
                let state = State::by_now(named.rule).filter(|_| books.by_rule())?;
                Some(self.payment(&named, &state, false))
            }
        }
    }

    fn payment(&self, named: &Named, state: &State, refunded: bool) -> Payment {
        let PurchaseId { transaction, .. } = named.purchase;
        let standing = match state {
            State::Processing => Standing::Processing,
            State::Waiting => Standing::Action(format!("{}/{transaction}/authenticate", self.payments_url)),
            State::Succeeded if refunded => Standing::Refunded,
            State::Succeeded => Standing::Succeeded,
            State::Failed(decline) => Standing::Failed(decline.clone()),
            State::Cancelled => Standing::Cancelled,
        };
        let receipt = (*state == State::Succeeded).then(|| format!("rcpt_{}", transaction.bare()));
        Payment {
            id: Some(named.id()),
            purchase: Some(named.purchase),
            price: named.price,
            standing,
            receipt,
        }
    }
}
