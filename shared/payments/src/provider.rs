//! The payment provider port, and the values that cross it.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use domain::{Money, OrgId, Payment, PaymentId, PurchaseId, Reference};
use store::{Fault, Unsettled};

/// A payment provider.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Creates a customer for an organisation and returns its id, which is stored and sent with every order; `None` when the
    /// provider needs no customers. A repeated call may create another customer.
    ///
    /// # Errors
    /// [`NoAnswer`] when the provider did not answer.
    async fn create_customer(&self, org: OrgId, name: &str) -> Result<Option<CustomerId>, NoAnswer>;

    /// Charges, once per transaction for any number of equal orders within
    /// [`REPEATABLE_HOURS`](domain::REPEATABLE_HOURS). A declined payment is a result:
    /// [`PaymentStatus::Failed`](domain::PaymentStatus::Failed).
    ///
    /// # Errors
    /// [`NoAnswer`]: the charge may have been made.
    async fn charge(&self, order: &ChargeOrder) -> Result<Payment, NoAnswer>;

    /// Looks up the payment of an order, for when it may not be charged again. `None` only when it is certain that no charge
    /// exists. A charge in progress is not visible, so for an order that could be repeated within the last hour, finding
    /// nothing is [`NoAnswer`].
    ///
    /// # Errors
    /// [`NoAnswer`] when the result is not certain.
    async fn find(&self, order: &ChargeOrder) -> Result<Option<Payment>, NoAnswer>;

    /// A payment by the provider's id; `None` when there is none.
    ///
    /// # Errors
    /// [`NoAnswer`] when the provider did not answer.
    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, NoAnswer>;

    /// Cancels a payment that waits for its customer, and returns its state after that. A payment that had succeeded is not
    /// cancelled.
    ///
    /// # Errors
    /// [`NoAnswer`] when the provider did not answer.
    async fn cancel(&self, id: &PaymentId) -> Result<Payment, NoAnswer>;

    /// Refunds all of a payment. A repeated call refunds nothing more.
    ///
    /// # Errors
    /// [`NoAnswer`]: the money may have been refunded.
    async fn refund(&self, id: &PaymentId) -> Result<(), NoAnswer>;

    /// Refunds a part of a payment, once per name for any number of calls.
    ///
    /// # Errors
    /// [`NoAnswer`]: the money may have been refunded.
    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, NoAnswer>;

    /// The refunds and disputes of a payment as they are now; `None` when this process cannot know them.
    ///
    /// # Errors
    /// [`NoAnswer`] when the provider did not answer.
    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, NoAnswer>;

    /// The events about refunds and disputes since a time, in any order, possibly with earlier ones.
    ///
    /// # Errors
    /// [`NoAnswer`] when the provider did not answer.
    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<ProviderEvent>, NoAnswer>;

    /// Verifies the signature and age of an event and reads it; `None` for an event that is not handled.
    ///
    /// # Errors
    /// [`EventRejected`] when the event is forged, or cannot be verified now.
    async fn event(
        &self,
        signature: &str,
        body: &[u8],
        now: DateTime<Utc>,
    ) -> Result<Option<ProviderEvent>, EventRejected>;
}

/// The provider gave no answer that says what happened: unreachable, too slow, or invalid.
#[derive(Debug, thiserror::Error)]
#[error("the result of the call to the payment provider is unknown: {0}")]
pub struct NoAnswer(pub String);

/// Why an event of the provider was not read.
#[derive(Debug, thiserror::Error)]
pub enum EventRejected {
    /// It is not from the provider, too old, or incomplete. Nothing in it can be trusted.
    #[error("{0}")]
    Forged(&'static str),
    /// It cannot be verified now; the provider should send it again.
    #[error(transparent)]
    Later(#[from] NoAnswer),
}

/// The provider's id of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerId(pub String);

/// The provider's id of a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisputeId(pub String);

/// An order for a charge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChargeOrder {
    /// The account and the purchase: together the charge's idempotency key.
    pub purchase: PurchaseId,
    /// The provider's id of the organisation.
    pub customer: Option<CustomerId>,
    /// The provider's id of the payment method.
    pub method: Reference,
    /// The amount to charge.
    pub price: Money,
    /// The text for the customer's bank statement and receipt.
    pub description: String,
    /// The customer is not present: a payment that needs authentication fails.
    pub off_session: bool,
    /// When the charge was first ordered, in system time, to match the provider's clock.
    pub made_at: DateTime<Utc>,
    /// The provider's id of the payment, once it is known.
    pub payment: Option<PaymentId>,
}

/// An event of the provider. Events arrive in any order and may repeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ProviderEvent {
    /// A payment has changed; this is its state at that time.
    Payment(Payment),
    /// The customer disputes a payment.
    DisputeOpened(ProviderDispute),
    /// A dispute has closed, with its outcome.
    DisputeClosed(ProviderDispute, DisputeOutcome),
    /// A refund of a payment was made or has changed. [`Provider::reversals`] has the total.
    Refunded(PaymentId),
}

/// A dispute about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderDispute {
    /// The provider's id of the dispute.
    pub dispute: DisputeId,
    /// The disputed payment.
    pub payment: PaymentId,
    /// The disputed amount; `None` for all of the payment.
    pub amount: Option<Money>,
}

/// An order to refund a part of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyRefund {
    /// Our name of the refund: letters, digits and `_`.
    pub name: String,
    /// The amount in minor units.
    pub amount: u64,
}

/// The provider's answer to an order for a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundAnswer {
    /// The refund was made.
    Made,
    /// The refund was refused for this reason; nothing was refunded.
    Refused(String),
}

/// The refunds and disputes of a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reversals {
    /// The refunded total in minor units, without refunds that failed.
    pub refunded: u64,
    /// The disputes, with their outcomes if they are closed.
    pub disputes: Vec<(ProviderDispute, Option<DisputeOutcome>)>,
}

/// The outcome of a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DisputeOutcome {
    /// The merchant keeps the money.
    Won,
    /// The customer gets the money.
    Lost,
}

impl From<NoAnswer> for Unsettled {
    fn from(no_answer: NoAnswer) -> Self {
        Self::Failed(Fault::Unavailable { doing: "ask the payment provider", source: no_answer.into() })
    }
}
