//! A payment as the payment provider reports it.

use serde::{Deserialize, Serialize};

use crate::{Money, PaymentId, PurchaseId};

/// A payment as the payment provider reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its id; `None` for a payment that was refused before it was created.
    pub id: Option<PaymentId>,
    /// The purchase that it pays for; `None` for other payments.
    pub purchase: Option<PurchaseId>,
    /// The amount.
    pub price: Money,
    /// Its status.
    pub status: PaymentStatus,
    /// The provider's receipt or invoice: an id or a link.
    pub receipt: Option<String>,
}

/// The status of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PaymentStatus {
    /// It succeeded.
    Succeeded,
    /// The provider is processing it.
    Processing,
    /// The customer has to act at this link.
    Action(String),
    /// It was declined.
    Failed(Decline),
    /// It was cancelled before it succeeded.
    Cancelled,
    /// It succeeded and was refunded.
    Refunded,
}

/// The reason why a payment was declined.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decline {
    /// The provider's code: `card_declined`, `insufficient_funds`, `authentication_required`.
    pub reason: String,
    /// The bank's code, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}
