//! A charge of the simulated provider, with its refunds and its dispute.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::outcome::MethodOutcome;
use crate::{
    ChargeOrder, Decline, DisputeId, DisputeOutcome, NoAnswer, PaymentId, ProviderDispute, PurchaseId,
};
use domain::{AccountId, Currency, EntryId, Mode, Money, OrgId, Reference};

/// A charge of the simulated provider, and a line of its journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SimulatedCharge {
    /// The organisation.
    pub organisation: OrgId,
    /// Live or test credits. The money is simulated in both modes.
    pub mode: Mode,
    /// The transaction of the purchase.
    pub transaction: EntryId,
    /// The charged amount.
    pub price: Money,
    /// The payment method of the order.
    pub method: Reference,
    /// The customer was not present.
    pub off_session: bool,
    /// The state of the charge.
    pub state: ChargeState,
    /// All of it is refunded.
    pub refunded: bool,
    /// The partial refunds, and a full one after a partial one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub refunds: Vec<PartialRefund>,
    /// The state of the dispute, if there is one.
    pub dispute: Option<SimulatedDispute>,
    /// The disputed amount in minor units; `None` for all of the charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disputed: Option<u64>,
    /// When the charge last changed, in system time; `None` when that is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<DateTime<Utc>>,
    /// When the charge was first ordered.
    pub created_at: DateTime<Utc>,
}

/// A partial refund.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartialRefund {
    /// The name in our order; `None` for a refund in the provider's dashboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The amount in minor units.
    pub amount: u64,
}

/// The state of a charge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ChargeState {
    /// In progress.
    Processing,
    /// Waiting for the customer to authenticate it.
    Waiting,
    /// The money is taken.
    Succeeded,
    /// Declined.
    Failed(Decline),
    /// Cancelled while it waited for the customer.
    Cancelled,
}

/// The state of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SimulatedDispute {
    /// Not decided yet.
    Open,
    /// The merchant keeps the money.
    Won,
    /// The customer gets the money.
    Lost,
}

/// A change of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DisputeAction {
    /// The customer disputes the payment.
    Open,
    /// The customer's bank decides for the merchant.
    Win,
    /// The customer's bank decides for the customer.
    Lose,
}

/// Why the state of a charge does not allow a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ChargeConflict(pub &'static str);

/// Why a charge could not be changed.
#[derive(Debug, thiserror::Error)]
pub enum ChargeChangeError {
    /// There is no charge for the transaction.
    #[error("no charge was made for this transaction")]
    Unknown,
    /// The charge's state does not allow the change.
    #[error(transparent)]
    ChargeConflict(#[from] ChargeConflict),
    /// The change could not be stored.
    #[error(transparent)]
    Silent(#[from] NoAnswer),
}

impl SimulatedCharge {
    /// The charge that an order creates.
    pub(super) fn of(order: &ChargeOrder, outcome: MethodOutcome) -> Self {
        let PurchaseId { account, transaction } = order.purchase;
        Self {
            organisation: account.org,
            mode: account.mode,
            transaction,
            price: order.price,
            method: order.method.clone(),
            off_session: order.off_session,
            state: ChargeState::of(outcome),
            refunded: false,
            refunds: Vec::new(),
            dispute: None,
            disputed: None,
            changed_at: None,
            created_at: order.made_at,
        }
    }

    /// The purchase that the charge pays for.
    #[must_use]
    pub fn purchase(&self) -> PurchaseId {
        PurchaseId {
            account: AccountId { org: self.organisation, mode: self.mode },
            transaction: self.transaction,
        }
    }

    /// Whether an order has the same terms as this charge.
    pub(super) fn is_of(&self, order: &ChargeOrder) -> bool {
        self.purchase() == order.purchase && self.price == order.price && self.method == order.method
    }

    pub(super) fn name(&self) -> PaymentName {
        let outcome = MethodOutcome::of_method(&self.method, self.off_session);
        PaymentName { outcome, price: self.price, purchase: self.purchase() }
    }

    pub(super) fn id(&self) -> PaymentId {
        self.name().id()
    }

    /// The dispute as the provider reports it, with its outcome.
    pub(super) fn provider_dispute(&self) -> Option<(ProviderDispute, Option<DisputeOutcome>)> {
        let outcome = match self.dispute? {
            SimulatedDispute::Open => None,
            SimulatedDispute::Won => Some(DisputeOutcome::Won),
            SimulatedDispute::Lost => Some(DisputeOutcome::Lost),
        };
        let amount = self.disputed.unwrap_or_else(|| self.price.amount());
        let amount = Money::new(amount, self.price.currency()).ok();
        Some((ProviderDispute { dispute: self.dispute_id(), payment: self.id(), amount }, outcome))
    }

    pub(super) fn dispute_id(&self) -> DisputeId {
        DisputeId(format!("dp_sim_{}", self.transaction.bare()))
    }

    /// Authenticates the payment.
    pub(super) fn authenticate(&mut self) -> Result<(), ChargeConflict> {
        match self.state {
            ChargeState::Waiting | ChargeState::Succeeded => self.state = ChargeState::Succeeded,
            ChargeState::Processing | ChargeState::Failed(_) | ChargeState::Cancelled => {
                return Err(ChargeConflict("this payment does not wait for its customer"));
            }
        }
        Ok(())
    }

    /// The refunded total in minor units.
    #[must_use]
    pub fn amount_refunded(&self) -> u64 {
        let parts = self.refunds.iter().fold(0u64, |sum, part| sum.saturating_add(part.amount));
        if self.refunded { self.price.amount() } else { parts }
    }

    /// The amount that can still be refunded, in minor units, without the amount of a lost dispute.
    fn refundable(&self) -> u64 {
        let lost = match self.dispute {
            Some(SimulatedDispute::Lost) => self.disputed.unwrap_or_else(|| self.price.amount()),
            Some(SimulatedDispute::Open | SimulatedDispute::Won) | None => 0,
        };
        self.price.amount().saturating_sub(self.amount_refunded()).saturating_sub(lost)
    }

    /// Refunds all that is left, once.
    pub(super) fn refund(&mut self) -> Result<(), ChargeConflict> {
        match self.refundable() {
            0 => self.may_refund(),
            left => self.refund_part(None, left),
        }
    }

    /// Refunds an amount, once per name.
    pub(super) fn refund_part(&mut self, name: Option<&str>, amount: u64) -> Result<(), ChargeConflict> {
        if name.is_some() && self.refunds.iter().any(|part| part.name.as_deref() == name) {
            return Ok(());
        }
        self.may_refund()?;
        if amount == 0 || self.refundable() < amount {
            return Err(ChargeConflict("the amount is more than what is left of the payment"));
        }
        if !self.refunds.is_empty() || amount < self.price.amount() || name.is_some() {
            self.refunds.push(PartialRefund { name: name.map(str::to_owned), amount });
        }
        self.refunded = self.amount_refunded().max(amount) == self.price.amount();
        Ok(())
    }

    /// Fails all refunds.
    pub(super) fn fail_refunds(&mut self) -> Result<(), ChargeConflict> {
        if self.amount_refunded() == 0 {
            return Err(ChargeConflict("nothing of this payment was refunded"));
        }
        (self.refunded, self.refunds) = (false, Vec::new());
        Ok(())
    }

    fn may_refund(&self) -> Result<(), ChargeConflict> {
        match (&self.state, self.dispute) {
            (ChargeState::Succeeded, Some(SimulatedDispute::Open)) => Err(ChargeConflict(
                "the payment is disputed and cannot be refunded until the dispute is closed",
            )),
            (ChargeState::Succeeded, Some(SimulatedDispute::Won | SimulatedDispute::Lost) | None) => Ok(()),
            (
                ChargeState::Processing
                | ChargeState::Waiting
                | ChargeState::Failed(_)
                | ChargeState::Cancelled,
                _,
            ) => Err(ChargeConflict("no money of this payment was taken")),
        }
    }

    /// Opens or decides the dispute. A repeated action is not an error.
    pub(super) fn disputed(
        &mut self,
        action: DisputeAction,
        amount: Option<u64>,
    ) -> Result<(), ChargeConflict> {
        let left = self.price.amount().saturating_sub(self.amount_refunded());
        if amount.is_some_and(|amount| amount == 0 || left < amount) {
            return Err(ChargeConflict("more than was taken and kept of the payment can't be disputed"));
        }
        let after = match action {
            DisputeAction::Open => SimulatedDispute::Open,
            DisputeAction::Win => SimulatedDispute::Won,
            DisputeAction::Lose => SimulatedDispute::Lost,
        };
        match (self.dispute, action) {
            (Some(before), _) if before == after => Ok(()),
            (None, DisputeAction::Open) if self.state == ChargeState::Succeeded && !self.refunded => {
                self.dispute = Some(after);
                let is_whole = left == self.price.amount() && amount.is_none_or(|amount| amount == left);
                self.disputed = (!is_whole).then(|| amount.unwrap_or(left));
                Ok(())
            }
            (Some(SimulatedDispute::Open), DisputeAction::Win | DisputeAction::Lose) => {
                self.dispute = Some(after);
                Ok(())
            }
            (None, DisputeAction::Open) => {
                Err(ChargeConflict("only money that was taken and kept can be disputed"))
            }
            (None, DisputeAction::Win | DisputeAction::Lose) => {
                Err(ChargeConflict("the payment is not disputed"))
            }
            (Some(_), _) => Err(ChargeConflict("the dispute is decided")),
        }
    }
}

impl ChargeState {
    /// The state of a new charge.
    pub(super) fn of(outcome: MethodOutcome) -> Self {
        match (outcome.decline(), outcome) {
            (Some(decline), _) => Self::Failed(decline),
            (None, MethodOutcome::NeedsCustomer) => Self::Waiting,
            (None, MethodOutcome::Slow) => Self::Processing,
            (None, _) => Self::Succeeded,
        }
    }

    /// The state of a charge that another process made, finished; `None` when the outcome makes no charge.
    pub(super) fn derived(outcome: MethodOutcome) -> Option<Self> {
        (outcome != MethodOutcome::SilentUncharged).then(|| Self::of(outcome).finished())
    }

    /// The state after a slow charge has finished.
    pub(super) fn finished(self) -> Self {
        if self == Self::Processing { Self::Succeeded } else { self }
    }
}

/// The content of a payment's id, from which any process can derive the payment:
/// `pay_sim_{outcome}_{currency}{minor units}_{mode}_{organisation}_{transaction}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PaymentName {
    pub(super) outcome: MethodOutcome,
    pub(super) price: Money,
    pub(super) purchase: PurchaseId,
}

impl PaymentName {
    const PREFIX: &str = "pay_sim_";

    pub(super) fn id(&self) -> PaymentId {
        let PurchaseId { account, transaction } = self.purchase;
        PaymentId(format!(
            "{}{}_{}{}_{}_{}_{}",
            Self::PREFIX,
            self.outcome.word(),
            self.price.currency().code(),
            self.price.amount(),
            account.mode.as_str(),
            account.org.bare(),
            transaction.bare()
        ))
    }

    /// Parses an id; `None` when it is not one of this provider.
    pub(super) fn read(id: &PaymentId) -> Option<Self> {
        let words: Vec<_> = id.0.strip_prefix(Self::PREFIX)?.split('_').collect();
        let [outcome, price, mode, org, transaction] = words.try_into().ok()?;
        let (currency, amount) = price.split_at_checked(3)?;
        let currency = Currency::try_from(currency.to_owned()).ok()?;
        let mode = [Mode::Live, Mode::Test].into_iter().find(|known| known.as_str() == mode)?;
        let name = Self {
            outcome: MethodOutcome::from_word(outcome)?,
            price: Money::new(amount.parse().ok()?, currency).ok()?,
            purchase: PurchaseId {
                account: AccountId { org: OrgId::try_from(format!("org_{org}")).ok()?, mode },
                transaction: EntryId::from_bare(transaction)?,
            },
        };
        // Only the canonical spelling is an id.
        (name.id() == *id).then_some(name)
    }
}
