use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::domain::{AccountId, Currency, EntryId, Mode, Money, OrgId, Reference};
use crate::pay::{Decline, DisputeId, Order, PaymentId, PurchaseId};

/// A charge as the simulated company has it, and a line of its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Charge {
    /// Whose credits it buys.
    pub organisation: OrgId,
    /// Real credits or a test key's. The money is simulated in both.
    pub mode: Mode,
    /// The purchase.
    pub transaction: EntryId,
    /// How much.
    pub price: Money,
    /// The payment method that it was ordered with.
    pub method: Reference,
    /// Nobody was there to authenticate it.
    pub off_session: bool,
    /// What became of it.
    pub state: State,
    /// All of it was given back.
    pub refunded: bool,
    /// What the customer's bank says against it.
    pub dispute: Option<Dispute>,
    /// When it was first wanted.
    pub created_at: DateTime<Utc>,
}

/// What became of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum State {
    /// It is being made.
    Processing,
    /// It waits for its customer.
    Waiting,
    /// The money is taken.
    Succeeded,
    /// It was refused.
    Failed(Decline),
    /// It was given up.
    Cancelled,
}

/// How far a dispute has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Dispute {
    /// It is not decided.
    Open,
    /// The money stays.
    Won,
    /// The money is gone.
    Lost,
}

/// What a dispute is told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisputeAction {
    /// The customer disputes the payment.
    Open,
    /// The customer's bank decides for us.
    Win,
    /// The customer's bank decides for the customer.
    Lose,
}

/// Why a charge does not change so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotNow(pub &'static str);

impl Charge {
    /// What an order comes to by its rule, at once.
    pub(super) fn of(order: &Order, rule: Rule) -> Self {
        let PurchaseId { account, transaction } = order.purchase;
        Self {
            organisation: account.org,
            mode: account.mode,
            transaction,
            price: order.price,
            method: order.method.clone(),
            off_session: order.off_session,
            state: State::of(rule),
            refunded: false,
            dispute: None,
            created_at: order.made_at,
        }
    }

    /// What it pays for.
    #[must_use]
    pub fn purchase(&self) -> PurchaseId {
        PurchaseId {
            account: AccountId { org: self.organisation, mode: self.mode },
            transaction: self.transaction,
        }
    }

    /// Whether an order asks for just this charge.
    pub(super) fn is_of(&self, order: &Order) -> bool {
        self.purchase() == order.purchase && self.price == order.price && self.method == order.method
    }

    pub(super) fn named(&self) -> Named {
        let rule = Rule::of_method(&self.method, self.off_session);
        Named { rule, price: self.price, purchase: self.purchase() }
    }

    pub(super) fn id(&self) -> PaymentId {
        self.named().id()
    }

    pub(super) fn dispute_id(&self) -> DisputeId {
        DisputeId(format!("dp_sim_{}", self.transaction.bare()))
    }

    /// The customer has authenticated it.
    pub(super) fn authenticate(&mut self) -> Result<(), NotNow> {
        match self.state {
            State::Waiting | State::Succeeded => self.state = State::Succeeded,
            State::Processing | State::Failed(_) | State::Cancelled => {
                return Err(NotNow("this payment does not wait for its customer"));
            }
        }
        Ok(())
    }

    /// Gives all of it back, once.
    pub(super) fn refund(&mut self) -> Result<(), NotNow> {
        match (&self.state, self.dispute) {
            (State::Succeeded, Some(Dispute::Open)) => {
                Err(NotNow("the payment is disputed and can't be refunded until that is decided"))
            }
            // The bank has given the money back already.
            (State::Succeeded, Some(Dispute::Lost)) => Ok(()),
            (State::Succeeded, Some(Dispute::Won) | None) => {
                self.refunded = true;
                Ok(())
            }
            (State::Processing | State::Waiting | State::Failed(_) | State::Cancelled, _) => {
                Err(NotNow("no money of this payment was taken"))
            }
        }
    }

    /// Opens or ends its dispute. What has happened already is no error.
    pub(super) fn disputed(&mut self, action: DisputeAction) -> Result<(), NotNow> {
        let after = match action {
            DisputeAction::Open => Dispute::Open,
            DisputeAction::Win => Dispute::Won,
            DisputeAction::Lose => Dispute::Lost,
        };
        match (self.dispute, action) {
            (Some(before), _) if before == after => Ok(()),
            (None, DisputeAction::Open) if self.state == State::Succeeded && !self.refunded => {
                self.dispute = Some(after);
                Ok(())
            }
            (Some(Dispute::Open), DisputeAction::Win | DisputeAction::Lose) => {
                self.dispute = Some(after);
                Ok(())
            }
            (None, DisputeAction::Open) => Err(NotNow("only money that was taken and kept can be disputed")),
            (None, DisputeAction::Win | DisputeAction::Lose) => Err(NotNow("the payment is not disputed")),
            (Some(_), _) => Err(NotNow("the dispute is decided")),
        }
    }
}

impl State {
    /// What an order comes to at once.
    pub(super) fn of(rule: Rule) -> Self {
        match (rule.decline(), rule) {
            (Some(decline), _) => Self::Failed(decline),
            (None, Rule::NeedsCustomer) => Self::Waiting,
            (None, Rule::Slow) => Self::Processing,
            (None, _) => Self::Succeeded,
        }
    }

    /// What an order that was sent elsewhere has come to; `None` when it makes no charge.
    pub(super) fn by_now(rule: Rule) -> Option<Self> {
        (rule != Rule::SilentUncharged).then(|| Self::of(rule).done())
    }

    /// What it is once the company has done its part.
    pub(super) fn done(self) -> Self {
        if self == Self::Processing { Self::Succeeded } else { self }
    }
}

/// What a payment's id tells by itself, so that a process that did not make the payment can answer
/// for it: `pay_sim_{rule}_{currency}{minor units}_{mode}_{organisation}_{transaction}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) rule: Rule,
    pub(super) price: Money,
    pub(super) purchase: PurchaseId,
}

impl Named {
    const PREFIX: &str = "pay_sim_";

    pub(super) fn id(&self) -> PaymentId {
        let PurchaseId { account, transaction } = self.purchase;
        PaymentId(format!(
            "{}{}_{}{}_{}_{}_{}",
            Self::PREFIX,
            self.rule.word(),
            self.price.currency().code(),
            self.price.amount(),
            account.mode.as_str(),
            account.org.bare(),
            transaction.bare()
        ))
    }

    /// `None` for an id that is none of ours.
    pub(super) fn read(id: &PaymentId) -> Option<Self> {
        let words: Vec<_> = id.0.strip_prefix(Self::PREFIX)?.split('_').collect();
        let [rule, price, mode, org, transaction] = words.try_into().ok()?;
        let (currency, amount) = price.split_at_checked(3)?;
        let currency = Currency::try_from(currency.to_owned()).ok()?;
        let mode = [Mode::Live, Mode::Test].into_iter().find(|known| known.as_str() == mode)?;
        let named = Self {
            rule: Rule::from_word(rule)?,
            price: Money::new(amount.parse().ok()?, currency).ok()?,
            purchase: PurchaseId {
                account: AccountId { org: OrgId::try_from(format!("org_{org}")).ok()?, mode },
                transaction: EntryId::from_bare(transaction)?,
            },
        };
        // One id, one spelling.
        (named.id() == *id).then_some(named)
    }
}
