use async_trait::async_trait;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use domain::{Money, OrgId, Payment, PaymentId, PurchaseId, Reference};
use store::{Fault, Unsettled};

/// A company that takes money: one trait, so that the rest does not know which.
#[async_trait]
pub trait Provider: Send + Sync {
    /// Makes an organisation known; the provider's name for it, which is kept and sent with every
    /// order. `None` from a provider that needs none. Asked again, it may make another: ask once.
    ///
    /// # Errors
    /// [`Silence`].
    async fn enrol(&self, org: OrgId, name: &str) -> Result<Option<CustomerId>, Silence>;

    /// Charges, once per transaction however often the same order is sent within
    /// [`REPEATABLE_HOURS`](domain::REPEATABLE_HOURS). A refusal is an answer: [`Standing::Failed`].
    ///
    /// # Errors
    /// [`Silence`]: the charge was made or not.
    async fn charge(&self, order: &Order) -> Result<Payment, Silence>;

    /// What became of an order: what is left when it may be charged no more. `None` only when it is
    /// certain that no charge of it exists: a charge that is still under way can't be seen, so of an
    /// order that could still be repeated, or could an hour ago, nothing found is [`Silence`].
    ///
    /// # Errors
    /// [`Silence`].
    async fn find(&self, order: &Order) -> Result<Option<Payment>, Silence>;

    /// A payment by the provider's own id; `None` when there is none.
    ///
    /// # Errors
    /// [`Silence`].
    async fn payment(&self, id: &PaymentId) -> Result<Option<Payment>, Silence>;

    /// Gives up a payment that waits for its customer; as it is then, which is not cancelled when it
    /// had succeeded before.
    ///
    /// # Errors
    /// [`Silence`].
    async fn cancel(&self, id: &PaymentId) -> Result<Payment, Silence>;

    /// Gives all of a payment back. Asked again, it gives nothing more.
    ///
    /// # Errors
    /// [`Silence`].
    async fn refund(&self, id: &PaymentId) -> Result<(), Silence>;

    /// Refunds a part of a payment, once per name however often it is asked.
    ///
    /// # Errors
    /// [`Silence`]: the money was refunded or not.
    async fn refund_part(&self, id: &PaymentId, refund: &MoneyRefund) -> Result<RefundAnswer, Silence>;

    /// The refunds and disputes of a payment as they are now; `None` when this process can't say.
    ///
    /// # Errors
    /// [`Silence`].
    async fn reversals(&self, id: &PaymentId) -> Result<Option<Reversals>, Silence>;

    /// The events about refunds and disputes since a time, in any order; earlier ones may be among them.
    ///
    /// # Errors
    /// [`Silence`].
    async fn events_since(&self, since: DateTime<Utc>) -> Result<Vec<Event>, Silence>;

    /// Reads an event that the provider has sent, once its signature and age are right; `None` for
    /// one that is of no interest.
    ///
    /// # Errors
    /// [`Refused`].
    async fn event(&self, signature: &str, body: &[u8], now: DateTime<Utc>)
    -> Result<Option<Event>, Refused>;
}

/// No answer that says what happened: away, too slow, or broken.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider did not say what became of it: {0}")]
pub struct Silence(pub String);

/// Why an event was not read.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// Not from the provider, or too old, or not whole: nothing of it may be believed.
    #[error("{0}")]
    Forged(&'static str),
    /// It can't be checked now; it should be sent again.
    #[error(transparent)]
    Later(#[from] Silence),
}

/// The provider's name for an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CustomerId(pub String);

/// The provider's name for a dispute.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DisputeId(pub String);

/// A charge that is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// Whose credits it buys, and the purchase: together the charge's idempotency key.
    pub purchase: PurchaseId,
    /// What the organisation is called by the provider.
    pub customer: Option<CustomerId>,
    /// The organisation's payment method, by the provider's name for it.
    pub method: Reference,
    /// How much.
    pub price: Money,
    /// In words, for the customer's bank statement and receipt.
    pub description: String,
    /// Nobody is there to authenticate it: it fails where that is needed.
    pub off_session: bool,
    /// When it was first wanted, by a clock that goes with the provider's.
    pub made_at: DateTime<Utc>,
    /// The payment, once the provider has named it.
    pub payment: Option<PaymentId>,
}

/// Something that the provider tells by itself, in whatever order and however often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A payment has changed; this is how it was then.
    Payment(Payment),
    /// A payment's customer disputes it.
    DisputeOpened(Disputed),
    /// A dispute has ended; whether the money stays with us.
    DisputeClosed(Disputed, Outcome),
    /// A refund of a payment was made, or has changed. How much was refunded in all, the payment itself tells.
    Refunded(PaymentId),
}

/// A dispute about a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disputed {
    /// The dispute.
    pub dispute: DisputeId,
    /// The payment.
    pub payment: PaymentId,
    /// How much of it is disputed; none for all of it.
    pub amount: Option<Money>,
}

/// A part of a payment that is to be refunded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MoneyRefund {
    /// Our name for it: letters, digits and `_`.
    pub name: String,
    /// Minor units.
    pub amount: u64,
}

/// What a provider makes of a refund.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefundAnswer {
    /// The money is on its way to the customer.
    Made,
    /// It refuses, for this reason in a word: nothing was refunded.
    Refused(String),
}

/// What was taken back from a payment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reversals {
    /// Minor units that were refunded in all, without refunds that came to nothing.
    pub refunded: u64,
    /// Its disputes, with how they ended.
    pub disputes: Vec<(Disputed, Option<Outcome>)>,
}

/// How a dispute ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The money stays.
    Won,
    /// The money is gone.
    Lost,
}

impl From<Silence> for Unsettled {
    /// The provider has to be asked again.
    fn from(silence: Silence) -> Self {
        Self::Failed(Fault::Unavailable { doing: "ask the payment provider", source: silence.into() })
    }
}
