//! The meaning of Stripe's responses.

use serde::Deserialize;

use super::intent::PaymentError;
use crate::{Decline, PaymentId};

/// What a response means for the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// The request succeeded.
    Done,
    /// The request was refused finally: nothing was charged and nothing will be.
    Refused,
    /// The request may have succeeded.
    Unknown,
    /// Our key or our request is invalid, independent of the customer. An operator has to act.
    Misconfigured,
}

/// The body of an error response.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    error: Option<StripeApiError>,
}

#[derive(Debug, Deserialize)]
struct StripeApiError {
    #[serde(flatten)]
    why: PaymentError,
    param: Option<String>,
    payment_intent: Option<IntentId>,
}

#[derive(Debug, Deserialize)]
struct IntentId {
    id: String,
}

/// Parameters from the customer's order; an error in any other parameter is ours.
const ORDER_PARAMS: [&str; 5] = ["amount", "currency", "customer", "payment_method", "payment_method_data"];

/// Codes without a parameter that concern our configuration and not the order.
const OUR_CODES: [&str; 9] = [
    "account_invalid",
    "api_key_expired",
    "livemode_mismatch",
    "parameter_missing",
    "parameter_unknown",
    "platform_api_key_expired",
    "secret_key_required",
    "testmode_charges_only",
    "url_invalid",
];

/// Codes of a charge that another call is processing, with any status.
const BUSY: [&str; 3] = ["idempotency_key_in_use", "lock_timeout", "rate_limit"];

/// The code for an object that does not exist.
const MISSING: &str = "resource_missing";

/// The meaning of a response, by <https://docs.stripe.com/api/errors>. Anything that is not a known refusal may have
/// succeeded.
pub(super) fn meaning(status: u16, body: &ErrorBody) -> Meaning {
    let is = |codes: &[&str]| body.code().is_some_and(|code| codes.contains(&code));
    match (status, body.kind(), body.param()) {
        (200, _, _) => Meaning::Done,
        (_, _, _) if is(&BUSY) => Meaning::Unknown,
        // Our key is wrong, expired, or lacks a permission.
        (401 | 403, _, _) => Meaning::Misconfigured,
        // The card was declined, or needs authentication and the customer is not present.
        (402, Some(_), _) => Meaning::Refused,
        // The idempotency key was used for another order, so nothing is known about this one.
        (400, Some("idempotency_error"), _) => Meaning::Misconfigured,
        (404, Some("invalid_request_error"), _) if is(&[MISSING]) => Meaning::Refused,
        // Unknown path: this is not Stripe's API.
        (404, _, _) => Meaning::Misconfigured,
        (400, Some("invalid_request_error"), Some(param)) if ORDER_PARAMS.contains(&param) => {
            Meaning::Refused
        }
        (400, Some("invalid_request_error"), None) if !is(&OUR_CODES) => Meaning::Refused,
        (400, Some("invalid_request_error"), _) => Meaning::Misconfigured,
        // 409: the same order is being processed. 429: too many calls. 5xx, and everything else.
        (_, _, _) => Meaning::Unknown,
    }
}

impl ErrorBody {
    /// Reads an error body; an empty one when it cannot be read.
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.error.as_ref()?.why.kind.as_deref()
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.error.as_ref()?.why.code.as_deref()
    }

    /// Whether the object does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.code() == Some(MISSING)
    }

    /// The invalid parameter without its index: `payment_method_data[card]` is `payment_method_data`.
    pub(super) fn param(&self) -> Option<&str> {
        let param = self.error.as_ref()?.param.as_deref()?;
        param.split('[').next()
    }

    /// The payment that was created and declined.
    pub(super) fn payment(&self) -> Option<PaymentId> {
        Some(PaymentId(self.error.as_ref()?.payment_intent.as_ref()?.id.clone()))
    }

    /// The decline in our terms.
    pub(super) fn decline(&self) -> Decline {
        self.error.as_ref().map_or_else(|| PaymentError::default().decline(), |error| error.why.decline())
    }
}
