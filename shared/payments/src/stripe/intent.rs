//! The PaymentIntent: a payment in Stripe's format, in responses and in events.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Decline, Payment, PaymentId, PaymentStatus, PurchaseId};
use domain::{Currency, EntryId, Money};

/// The fields of a PaymentIntent that are read.
#[derive(Debug, Deserialize)]
pub(super) struct PaymentIntent {
    pub(super) id: String,
    amount: u64,
    currency: String,
    status: IntentStatus,
    metadata: Option<BTreeMap<String, String>>,
    last_payment_error: Option<PaymentError>,
    next_action: Option<IntentAction>,
    latest_charge: Option<IntentCharge>,
}

/// The status of a PaymentIntent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum IntentStatus {
    #[serde(alias = "requires_source")]
    RequiresPaymentMethod,
    RequiresConfirmation,
    #[serde(alias = "requires_source_action")]
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
    /// A status of a later API version, which is treated as not final.
    #[serde(other)]
    Unknown,
}

/// Why a payment was declined, in a PaymentIntent or in an error.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PaymentError {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct IntentAction {
    redirect_to_url: Option<ActionRedirect>,
}

#[derive(Debug, Deserialize)]
struct ActionRedirect {
    url: Option<String>,
}

/// The charge of a PaymentIntent: the whole object if it was expanded, or else its id.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum IntentCharge {
    Id(String),
    Object { id: String, receipt_url: Option<String>, refunded: Option<bool> },
}

/// The error for an amount or currency that is not supported.
#[derive(Debug, thiserror::Error)]
#[error("the amount or the currency of the payment {0} is not supported")]
pub(super) struct UnsupportedMoney(String);

impl PaymentIntent {
    /// The purchase in the metadata; `None` when the payment is not ours.
    pub(super) fn purchase(&self) -> Option<PurchaseId> {
        let metadata = self.metadata.as_ref()?;
        let account = metadata.get("account")?.parse().ok()?;
        let transaction = EntryId::try_from(metadata.get("transaction")?.clone()).ok()?;
        Some(PurchaseId { account, transaction })
    }

    /// The payment in our terms.
    ///
    /// # Errors
    /// [`UnsupportedMoney`].
    pub(super) fn payment(self) -> Result<Payment, UnsupportedMoney> {
        let (purchase, status) = (self.purchase(), self.status());
        let currency = Currency::try_from(self.currency.to_ascii_uppercase()).ok();
        let price = currency.and_then(|currency| Money::new(self.amount, currency).ok());
        let price = price.ok_or_else(|| UnsupportedMoney(self.id.clone()))?;
        let receipt = self.latest_charge.map(IntentCharge::receipt);
        Ok(Payment { id: Some(PaymentId(self.id)), purchase, price, status, receipt })
    }

    fn status(&self) -> PaymentStatus {
        match self.status {
            IntentStatus::Succeeded if self.latest_charge.as_ref().is_some_and(IntentCharge::is_refunded) => {
                PaymentStatus::Refunded
            }
            IntentStatus::Succeeded => PaymentStatus::Succeeded,
            IntentStatus::Canceled => PaymentStatus::Cancelled,
            IntentStatus::RequiresAction => PaymentStatus::Action(self.link().unwrap_or_default()),
            // Our payments have a payment method from the start, so one without it and without an error is in progress.
            IntentStatus::RequiresPaymentMethod => match &self.last_payment_error {
                Some(error) => PaymentStatus::Failed(error.decline()),
                None => PaymentStatus::Processing,
            },
            IntentStatus::Processing
            | IntentStatus::RequiresConfirmation
            | IntentStatus::RequiresCapture
            | IntentStatus::Unknown => PaymentStatus::Processing,
        }
    }

    fn link(&self) -> Option<String> {
        self.next_action.as_ref()?.redirect_to_url.as_ref()?.url.clone()
    }
}

impl PaymentError {
    /// The decline in our terms.
    pub(super) fn decline(&self) -> Decline {
        let reason = self.code.as_ref().or(self.kind.as_ref());
        Decline {
            reason: reason.map_or_else(|| "payment_failed".to_owned(), Clone::clone),
            decline_code: self.decline_code.clone(),
        }
    }
}

impl IntentCharge {
    fn receipt(self) -> String {
        match self {
            Self::Id(id) | Self::Object { id, receipt_url: None, .. } => id,
            Self::Object { receipt_url: Some(url), .. } => url,
        }
    }

    fn is_refunded(&self) -> bool {
        matches!(self, Self::Object { refunded: Some(true), .. })
    }
}
