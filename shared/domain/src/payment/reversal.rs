//! Refunds and disputes of a purchase's payment.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ledger::lot::POOL;
use crate::operation::consume::NewEntry;
use crate::operation::place::Arrivals;
use crate::{
    Account, Attempt, Credits, Direction, Entry, EntryId, KeyId, Money, Operation, Posting, Purchase,
    PurchasedCredits, Reference, Refusal,
};

/// The refunds of a purchase's payment: the refunded money, and the credits taken back for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Refunds {
    /// Minor units that were refunded in all.
    pub amount: u64,
    /// Credits that were taken back for them in all.
    pub credits: Credits,
    /// The number of steps that changed the two. Each step is posted once, under a key of its own.
    pub steps: u32,
    /// The next step, while it is being posted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<RefundStep>,
    /// The entry of the latest step that moved credits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<EntryId>,
    /// Refunds ordered by operators, the earliest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub orders: Vec<RefundOrder>,
}

/// The totals of [`Refunds`] after one more step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundStep {
    /// Minor units that were refunded in all.
    pub amount: u64,
    /// Credits that are taken back for them in all.
    pub credits: Credits,
    /// The operator's order that the step belongs to, if one led to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<EntryId>,
}

/// A refund of money that an operator ordered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RefundOrder {
    /// Its id, which the payment provider also knows.
    pub id: EntryId,
    /// Minor units.
    pub amount: u64,
    /// The operator's reason, a free text.
    pub reason: Reference,
    /// The operator's key.
    pub by: KeyId,
    /// When it was ordered.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub at: DateTime<Utc>,
    /// Its state.
    pub state: RefundState,
    /// The step that took the credits back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u32>,
}

/// The state of an operator's refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum RefundState {
    /// The provider has not confirmed it.
    Open,
    /// The provider has refunded the money.
    Made,
    /// The provider refused it with this code. Nothing was refunded.
    Refused(String),
}

/// The totals of a purchase's open and lost disputes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct DisputeTotals {
    money: u64,
    credits: Credits,
}

impl Purchase {
    /// The maximum number of operators' refunds of one purchase.
    pub const ORDERS_MAX: usize = 50;

    /// The credits that belong to `money` minor units of the price: in proportion, rounded down, and all
    /// credits for the whole price.
    #[must_use]
    pub fn credits_for(&self, money: u64) -> Credits {
        let price = u128::from(self.offer.price.amount());
        let all = u128::from(u64::from(self.offer.credits));
        let part = u128::from(money).min(price).checked_mul(all).and_then(|part| part.checked_div(price));
        let part = part.and_then(|part| u64::try_from(part).ok());
        part.and_then(|part| Credits::try_from(part).ok()).unwrap_or_else(|| self.offer.credits.into())
    }

    /// The credits that a new dispute of `money` minor units concerns (`None`: the whole price). Refunds and
    /// disputes together never concern more credits than were bought.
    #[must_use]
    pub fn disputed_credits(&self, money: Option<u64>) -> Credits {
        let money = money.unwrap_or_else(|| self.offer.price.amount());
        let (disputed, refunds) = (self.disputed(), self.refund_totals());
        let all = disputed.money.saturating_add(refunds.amount).saturating_add(money);
        self.credits_for(all)
            .less(disputed.credits)
            .and_then(|rest| rest.less(refunds.credits))
            .unwrap_or_default()
    }

    /// The step that brings the refunds to `refunded` minor units in all; `None` when that is already booked.
    #[must_use]
    pub fn refund_due(&self, refunded: u64) -> Option<RefundStep> {
        let refunded = refunded.min(self.offer.price.amount());
        let disputed = self.disputed();
        let credits = self.credits_for(refunded.saturating_add(disputed.money));
        let credits = credits.less(disputed.credits).unwrap_or_default();
        let known = &self.refunds;
        let more = refunded.saturating_sub(known.amount);
        // A refund's event can arrive before the answer to its order. An event of less money is of another refund.
        let waits = |order: &&RefundOrder| order.step.is_none() && order.is_wanted() && order.amount <= more;
        let order = known.orders.iter().rfind(waits).map(|order| order.id);
        ((known.amount, known.credits) != (refunded, credits)).then_some(RefundStep {
            amount: refunded,
            credits,
            order,
        })
    }

    /// The refunds after the open step was posted as `entry`.
    #[must_use]
    pub fn refund_booked(&self, step: RefundStep, entry: Option<EntryId>) -> Refunds {
        let known = &self.refunds;
        let steps = known.steps.saturating_add(1);
        let mut orders = known.orders.clone();
        for order in &mut orders {
            if order.step.is_none() && (order.state == RefundState::Made || step.order == Some(order.id)) {
                order.step = Some(steps);
            }
        }
        let entry = entry.or(known.entry);
        Refunds { amount: step.amount, credits: step.credits, steps, open: None, entry, orders }
    }

    /// Whether the provider has made the refund that an operator ordered, and its credits are taken back.
    #[must_use]
    pub fn is_refund_booked(&self, order: EntryId) -> bool {
        let is_booked = |known: &RefundOrder| {
            known.id == order && known.state == RefundState::Made && known.step.is_some()
        };
        self.refunds.orders.iter().any(is_booked)
    }

    /// The refunds when the provider reports no more than is booked: orders with state `Made` are part of it.
    #[must_use]
    pub fn refunds_booked(&self) -> Refunds {
        let mut refunds = self.refunds.clone();
        for order in &mut refunds.orders {
            if order.step.is_none() && order.state == RefundState::Made {
                order.step = Some(refunds.steps);
            }
        }
        refunds
    }

    /// The minor units that can still be refunded: neither refunded, disputed nor ordered to be refunded.
    #[must_use]
    pub fn refundable(&self) -> u64 {
        let waits = self.refunds.orders.iter().filter(|order| order.step.is_none() && order.is_wanted());
        let ordered = waits.fold(0u64, |sum, order| sum.saturating_add(order.amount));
        self.undisputed().saturating_sub(ordered)
    }

    /// The minor units of its price that are neither refunded nor disputed.
    #[must_use]
    pub fn undisputed(&self) -> u64 {
        let gone = self.refund_totals().amount.saturating_add(self.disputed().money);
        self.offer.price.amount().saturating_sub(gone)
    }

    /// Whether it has an open dispute.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.disputes.values().any(|dispute| dispute.closed.is_none())
    }

    /// Whether a refund or a dispute was begun and is not booked, or a payment still has to be refunded.
    #[must_use]
    pub fn has_open_reversal(&self) -> bool {
        let is_open = |order: &RefundOrder| order.state == RefundState::Open;
        self.to_return
            || self.refunds.open.is_some()
            || self.refunds.orders.iter().any(is_open)
            || self
                .refunds
                .orders
                .iter()
                .any(|order| order.state == RefundState::Made && order.step.is_none())
            || self.disputes.values().any(|dispute| dispute.opened.is_none())
    }

    /// The credits that a refund or a dispute of `credits` concerns, given the entry that granted the purchase. Credits
    /// of the lot that other refunds and disputes have taken do not count.
    #[must_use]
    pub fn bought(&self, granted: &Entry, credits: Credits) -> PurchasedCredits {
        let others = self.refund_totals().credits.plus(self.disputed().credits).unwrap_or(Credits::MAX);
        let others = others.less(credits).unwrap_or_default();
        let PurchasedCredits { lot, terms, .. } = PurchasedCredits::by(granted);
        let lot = lot.map(|(id, most)| (id, most.less(others).unwrap_or_default().min(credits)));
        PurchasedCredits { credits, lot: lot.filter(|(_, most)| !most.is_zero()), terms }
    }

    /// The totals of the refunds, including the open step.
    fn refund_totals(&self) -> RefundStep {
        let Refunds { amount, credits, open, .. } = &self.refunds;
        open.unwrap_or(RefundStep { amount: *amount, credits: *credits, order: None })
    }

    /// The totals of open and lost disputes.
    fn disputed(&self) -> DisputeTotals {
        let status = self.disputes.values().filter(|dispute| dispute.closed.is_none() || dispute.lost);
        status.fold(DisputeTotals::default(), |sum, dispute| {
            let money = dispute.amount.unwrap_or_else(|| self.offer.price.amount());
            let credits = dispute.credits.unwrap_or_else(|| self.offer.credits.into());
            DisputeTotals {
                money: sum.money.saturating_add(money),
                credits: sum.credits.plus(credits).unwrap_or(Credits::MAX),
            }
        })
    }
}

impl Refunds {
    /// The minor units that operators' refunds have refunded; at least those that are booked.
    #[must_use]
    pub fn ordered(&self) -> u64 {
        let made = self.orders.iter().filter(|order| order.state == RefundState::Made);
        made.fold(0u64, |sum, order| sum.saturating_add(order.amount)).max(self.amount)
    }
}

impl RefundOrder {
    /// Whether its money was or will be refunded.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        match self.state {
            RefundState::Open | RefundState::Made => true,
            RefundState::Refused(_) => false,
        }
    }

    /// Checks that an operator can order a refund of `amount` minor units of a purchase; `None` for everything
    /// left. Returns the amount.
    ///
    /// # Errors
    /// [`Refusal::NotEligible`], [`Refusal::PurchaseRefunded`], [`Refusal::MoreThanPaid`].
    pub fn checked(purchase: &Purchase, amount: Option<u64>) -> Result<u64, Refusal> {
        if purchase.is_disputed() {
            return Err(Refusal::NotEligible(
                "the payment is disputed and cannot be refunded until the dispute is closed",
            ));
        }
        if purchase.refunds.orders.len() >= Purchase::ORDERS_MAX {
            return Err(Refusal::NotEligible(
                "this purchase already has the maximum of 50 refunds; refund the rest at the payment provider, \
                 and its credits are taken back",
            ));
        }
        let left = purchase.refundable();
        let currency = purchase.offer.price.currency();
        let Ok(refundable) = Money::new(left, currency) else {
            let wanted = purchase.refunds.orders.iter().filter(|order| order.is_wanted());
            return Err(Refusal::PurchaseRefunded {
                currency,
                refunds: wanted.map(|order| order.id).collect(),
            });
        };
        let amount = amount.unwrap_or(left);
        if (1..=left).contains(&amount) { Ok(amount) } else { Err(Refusal::MoreThanPaid { refundable }) }
    }
}

/// Decides a failed refund of the payment: the `bought.credits` that were taken back for it return to the
/// purchase's lot. They first settle outstanding credits, and are set aside with an open dispute of the
/// purchase.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn payment_restored(
    account: &Account,
    bought: &PurchasedCredits,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    if !crate::operation::grant::fits(account, bought.credits) {
        return Err(Refusal::BalanceLimit);
    }
    let mut arrivals = Arrivals::new(account, attempt);
    let lot = bought.lot.map_or(POOL, |(lot, _)| lot);
    let rest = arrivals.disputed(lot, bought.credits);
    arrivals.plain_purchase(lot, rest)?;
    let effects = arrivals.effects();
    let new = NewEntry {
        operation: Operation::own("credit.refund_failed"),
        direction: Direction::Credit,
        amount: bought.credits,
        moves: arrivals.moves,
    };
    let entry = attempt.entry(account, new);
    Ok(Posting { entry, guards: arrivals.guards, effects })
}
