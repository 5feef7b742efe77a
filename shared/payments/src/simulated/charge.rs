use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::rule::Rule;
use crate::{Decline, DisputeId, Disputed, Order, Outcome, PaymentId, PurchaseId};
use domain::{AccountId, Currency, EntryId, Mode, Money, OrgId, Reference};

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
    /// What was given back in parts, or in one after a part was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<Returned>,
    /// What the customer's bank says against it.
    pub dispute: Option<Dispute>,
    /// Minor units that the dispute is about; none for all of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<u64>,
    /// When it was last changed, by the machine's own clock; none when that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<DateTime<Utc>>,
    /// When it was first wanted.
    pub created_at: DateTime<Utc>,
}

/// A part of a charge that was given back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Returned {
    /// The name that it was ordered under; none for what the company did by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Minor units.
    pub amount: u64,
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
            refunds: Vec::new(),
            dispute: None,
            disputed: None,
            changed_at: None,
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

    /// Its dispute as it is told.
    pub(super) fn told_dispute(&self) -> Option<(Disputed, Option<Outcome>)> {
        let outcome = match self.dispute? {
            Dispute::Open => None,
            Dispute::Won => Some(Outcome::Won),
            Dispute::Lost => Some(Outcome::Lost),
        };
        let amount = self.disputed.unwrap_or_else(|| self.price.amount());
        let amount = Money::new(amount, self.price.currency()).ok();
        Some((Disputed { dispute: self.dispute_id(), payment: self.id(), amount }, outcome))
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

    /// How many minor units were given back in all.
    #[must_use]
    pub fn amount_refunded(&self) -> u64 {
        let parts = self.refunds.iter().fold(0u64, |sum, part| sum.saturating_add(part.amount));
        if self.refunded { self.price.amount() } else { parts }
    }

    /// How many minor units the company can still give back: the bank has taken what a lost dispute was about.
    fn refundable(&self) -> u64 {
        let lost = match self.dispute {
            Some(Dispute::Lost) => self.disputed.unwrap_or_else(|| self.price.amount()),
            Some(Dispute::Open | Dispute::Won) | None => 0,
        };
        self.price.amount().saturating_sub(self.amount_refunded()).saturating_sub(lost)
    }

    /// Gives all that is left of it back, once.
    pub(super) fn refund(&mut self) -> Result<(), NotNow> {
        match self.refundable() {
            0 => self.may_refund(),
            left => self.refund_part(None, left),
        }
    }

    /// Gives a part of it back; under one name once.
    pub(super) fn refund_part(&mut self, name: Option<&str>, amount: u64) -> Result<(), NotNow> {
        if name.is_some() && self.refunds.iter().any(|part| part.name.as_deref() == name) {
            return Ok(());
        }
        self.may_refund()?;
        if amount == 0 || self.refundable() < amount {
            return Err(NotNow("more than is left of the payment can't be refunded"));
        }
        if !self.refunds.is_empty() || amount < self.price.amount() || name.is_some() {
            self.refunds.push(Returned { name: name.map(str::to_owned), amount });
        }
        self.refunded = self.amount_refunded().max(amount) == self.price.amount();
        Ok(())
    }

    /// The customer's bank sends all refunds back.
    pub(super) fn fail_refunds(&mut self) -> Result<(), NotNow> {
        if self.amount_refunded() == 0 {
            return Err(NotNow("nothing of this payment was refunded"));
        }
        (self.refunded, self.refunds) = (false, Vec::new());
        Ok(())
    }

    fn may_refund(&self) -> Result<(), NotNow> {
        match (&self.state, self.dispute) {
            (State::Succeeded, Some(Dispute::Open)) => {
                Err(NotNow("the payment is disputed and can't be refunded until that is decided"))
            }
            (State::Succeeded, Some(Dispute::Won | Dispute::Lost) | None) => Ok(()),
            (State::Processing | State::Waiting | State::Failed(_) | State::Cancelled, _) => {
                Err(NotNow("no money of this payment was taken"))
            }
        }
    }

    /// Opens or ends its dispute. What has happened already is no error.
    pub(super) fn disputed(&mut self, action: DisputeAction, amount: Option<u64>) -> Result<(), NotNow> {
        let left = self.price.amount().saturating_sub(self.amount_refunded());
        if amount.is_some_and(|amount| amount == 0 || left < amount) {
            return Err(NotNow("more than was taken and kept of the payment can't be disputed"));
        }
        let after = match action {
            DisputeAction::Open => Dispute::Open,
            DisputeAction::Win => Dispute::Won,
            DisputeAction::Lose => Dispute::Lost,
        };
        match (self.dispute, action) {
            (Some(before), _) if before == after => Ok(()),
            (None, DisputeAction::Open) if self.state == State::Succeeded && !self.refunded => {
                self.dispute = Some(after);
                let is_whole = left == self.price.amount() && amount.is_none_or(|amount| amount == left);
                self.disputed = (!is_whole).then(|| amount.unwrap_or(left));
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
