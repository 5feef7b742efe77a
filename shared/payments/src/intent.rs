//! A payment as Stripe writes it: the PaymentIntent, in answers and in events.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Decline, Payment, PaymentId, PurchaseId, Standing};
use domain::{Currency, EntryId, Money};

/// What we read of a PaymentIntent.
#[derive(Debug, Deserialize)]
pub(super) struct Intent {
    pub(super) id: String,
    amount: u64,
    currency: String,
    status: Status,
    metadata: Option<BTreeMap<String, String>>,
    last_payment_error: Option<PaymentError>,
    next_action: Option<NextAction>,
    latest_charge: Option<Charge>,
}

/// Where a PaymentIntent stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    #[serde(alias = "requires_source")]
    RequiresPaymentMethod,
    RequiresConfirmation,
    #[serde(alias = "requires_source_action")]
    RequiresAction,
    Processing,
    RequiresCapture,
    Canceled,
    Succeeded,
    /// One that a later version has; not final, as far as we know.
    #[serde(other)]
    Unknown,
}

/// Why a payment was refused, in a PaymentIntent and in an error alike.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct PaymentError {
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) code: Option<String>,
    pub(super) decline_code: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NextAction {
    redirect_to_url: Option<Redirect>,
}

#[derive(Debug, Deserialize)]
struct Redirect {
    url: Option<String>,
}

/// The charge that a PaymentIntent has led to: whole where we have asked for that, else its name.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Charge {
    Name(String),
    Whole { id: String, receipt_url: Option<String>, refunded: Option<bool> },
}

/// An amount or a currency that no payment of ours has.
#[derive(Debug, thiserror::Error)]
#[error("the payment {0} is of an amount or a currency that we don't know")]
pub(super) struct Unknown(String);

impl Intent {
    /// What it pays for; `None` when it is not ours.
    pub(super) fn purchase(&self) -> Option<PurchaseId> {
        let metadata = self.metadata.as_ref()?;
        let account = metadata.get("account")?.parse().ok()?;
        let transaction = EntryId::try_from(metadata.get("transaction")?.clone()).ok()?;
        Some(PurchaseId { account, transaction })
    }

    /// The payment that it is.
    ///
    /// # Errors
    /// [`Unknown`].
    pub(super) fn payment(self) -> Result<Payment, Unknown> {
        let (purchase, standing) = (self.purchase(), self.standing());
        let currency = Currency::try_from(self.currency.to_ascii_uppercase()).ok();
        let price = currency.and_then(|currency| Money::new(self.amount, currency).ok());
        let price = price.ok_or_else(|| Unknown(self.id.clone()))?;
        let receipt = self.latest_charge.map(Charge::receipt);
        Ok(Payment { id: Some(PaymentId(self.id)), purchase, price, standing, receipt })
    }

    fn standing(&self) -> Standing {
        match self.status {
            Status::Succeeded if self.latest_charge.as_ref().is_some_and(Charge::is_refunded) => {
                Standing::Refunded
            }
            Status::Succeeded => Standing::Succeeded,
            Status::Canceled => Standing::Cancelled,
            Status::RequiresAction => Standing::Action(self.link().unwrap_or_default()),
            // Ours carry their payment method from the start: one that lacks it and has not failed is
            // still on its way.
            Status::RequiresPaymentMethod => match &self.last_payment_error {
                Some(error) => Standing::Failed(error.decline()),
                None => Standing::Processing,
            },
            Status::Processing | Status::RequiresConfirmation | Status::RequiresCapture | Status::Unknown => {
                Standing::Processing
            }
        }
    }

    fn link(&self) -> Option<String> {
        self.next_action.as_ref()?.redirect_to_url.as_ref()?.url.clone()
    }
}

impl PaymentError {
    /// The refusal in our words.
    pub(super) fn decline(&self) -> Decline {
        let reason = self.code.as_ref().or(self.kind.as_ref());
        Decline {
            reason: reason.map_or_else(|| "payment_failed".to_owned(), Clone::clone),
            decline_code: self.decline_code.clone(),
        }
    }
}

impl Charge {
    fn receipt(self) -> String {
        match self {
            Self::Name(id) | Self::Whole { id, receipt_url: None, .. } => id,
            Self::Whole { receipt_url: Some(url), .. } => url,
        }
    }

    fn is_refunded(&self) -> bool {
        matches!(self, Self::Whole { refunded: Some(true), .. })
    }
}
