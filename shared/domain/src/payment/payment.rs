use serde::{Deserialize, Serialize};

use crate::{Money, PaymentId, PurchaseId};

/// A payment as the company that takes it has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Its name; none for one that was refused before it was made.
    pub id: Option<PaymentId>,
    /// What it pays for; none for payments that are not ours.
    pub purchase: Option<PurchaseId>,
    /// How much.
    pub price: Money,
    /// What became of it.
    pub standing: Standing,
    /// The provider's receipt or invoice, by name or link.
    pub receipt: Option<String>,
}

/// What became of a payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The money is taken.
    Succeeded,
    /// The provider needs time.
    Processing,
    /// The customer has to do something, at this link.
    Action(String),
    /// It was refused, for good.
    Failed(Decline),
    /// It was given up before it was taken.
    Cancelled,
    /// The money was taken and given back.
    Refunded,
}

/// Why a payment was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decline {
    /// In a word: `card_declined`, `insufficient_funds`, `authentication_required`.
    pub reason: String,
    /// The bank's own code, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub decline_code: Option<String>,
}
