use serde::Deserialize;

use super::super::intent::PaymentError;
use super::super::{Decline, PaymentId};

/// What an answer means for what was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning {
    /// It was done.
    Done,
    /// It was refused, for good: nothing was charged and nothing will be.
    Refused,
    /// It may have been done.
    Silent,
    /// We are refused, not the customer: nothing is said of what was asked, and someone has to look.
    Mend,
}

/// The body of an answer that is no success.
#[derive(Debug, Default, Deserialize)]
pub(super) struct ErrorBody {
    error: Option<ApiError>,
}

#[derive(Debug, Deserialize)]
struct ApiError {
    #[serde(flatten)]
    why: PaymentError,
    param: Option<String>,
    payment_intent: Option<Named>,
}

#[derive(Debug, Deserialize)]
struct Named {
    id: String,
}

/// Parameters that the customer's order has given; what is wrong with others is ours.
const ORDERED: [&str; 5] = ["amount", "currency", "customer", "payment_method", "payment_method_data"];

/// Codes without a parameter that concern us and not the order.
const OURS: [&str; 9] = [
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

/// Codes of a charge that another call is at work on, whatever status they come with.
const BUSY: [&str; 3] = ["idempotency_key_in_use", "lock_timeout", "rate_limit"];

/// The code of what does not exist.
const MISSING: &str = "resource_missing";

/// What an answer means. The table of <https://docs.stripe.com/api/errors>, read with one question: may
/// it have been done? What is not known to be a refusal is no refusal.
pub(super) fn meaning(status: u16, body: &ErrorBody) -> Meaning {
    let is = |codes: &[&str]| body.code().is_some_and(|code| codes.contains(&code));
    match (status, body.kind(), body.param()) {
        (200, _, _) => Meaning::Done,
        (_, _, _) if is(&BUSY) => Meaning::Silent,
        // Our key: wrong, expired, or not allowed to do this.
        (401 | 403, _, _) => Meaning::Mend,
        // The card was refused, or would have to be authenticated by someone who is not there.
        (402, Some(_), _) => Meaning::Refused,
        // The key was used for another order: whatever became of that one, this one is unknown.
        (400, Some("idempotency_error"), _) => Meaning::Mend,
        (404, Some("invalid_request_error"), _) if is(&[MISSING]) => Meaning::Refused,
        // No such address: this is not the API.
        (404, _, _) => Meaning::Mend,
        // The parameters did not pass, so nothing was begun.
        (400, Some("invalid_request_error"), Some(param)) if ORDERED.contains(&param) => Meaning::Refused,
        (400, Some("invalid_request_error"), None) if !is(&OURS) => Meaning::Refused,
        (400, Some("invalid_request_error"), _) => Meaning::Mend,
        // 409: the same order is being worked on. 429: too many calls. 5xx, and all else.
        (_, _, _) => Meaning::Silent,
    }
}

impl ErrorBody {
    /// Reads one; an empty one when it is none.
    pub(super) fn read(body: &[u8]) -> Self {
        serde_json::from_slice(body).unwrap_or_default()
    }

    pub(super) fn kind(&self) -> Option<&str> {
        self.error.as_ref()?.why.kind.as_deref()
    }

    pub(super) fn code(&self) -> Option<&str> {
        self.error.as_ref()?.why.code.as_deref()
    }

    /// Whether what was named does not exist.
    pub(super) fn is_missing(&self) -> bool {
        self.code() == Some(MISSING)
    }

    /// The parameter that is wrong, without what is within it: `payment_method_data[card]` is
    /// `payment_method_data`.
    pub(super) fn param(&self) -> Option<&str> {
        let param = self.error.as_ref()?.param.as_deref()?;
        param.split('[').next()
    }

    /// The payment that was made and refused.
    pub(super) fn payment(&self) -> Option<PaymentId> {
        Some(PaymentId(self.error.as_ref()?.payment_intent.as_ref()?.id.clone()))
    }

    /// The refusal in our words.
    pub(super) fn decline(&self) -> Decline {
        self.error.as_ref().map_or_else(|| PaymentError::default().decline(), |error| error.why.decline())
    }
}
