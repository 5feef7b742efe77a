use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::refused::{Remedy, refusal_code, refusal_details};
use domain::{BadChange, Credits, Decline, Denial, EntryId, MonitorId, Refusal};
use ports::NoRandomness;
use store::{Fault, Unchanged, Unsettled};

/// Why a call was not answered with what it asked.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// No key.
    #[error("send your API key as `Authorization: Bearer <key>`")]
    MissingKey,
    /// A key that was never issued.
    #[error("this API key is not valid; check that it was copied whole")]
    InvalidKey,
    /// A key that may not do this.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The request does not read as one; the problem of each field, by its path.
    #[error("the request is invalid; `details.fields` says what each field must be")]
    Invalid(BTreeMap<String, String>),
    /// A request that moves credits or makes something, without a key.
    #[error(
        "send an `Idempotency-Key` header, a name of your own for this request, so that it can be repeated safely"
    )]
    IdempotencyKeyRequired,
    /// A cursor that was not given for this list.
    #[error("this cursor does not belong to this list and its filters; start again without one")]
    InvalidCursor,
    /// Nothing of that name, here or for this caller.
    #[error("{0}")]
    NotFound(&'static str),
    /// The path exists, with other methods.
    #[error("this path does not take that method; the `Allow` header lists those that it takes")]
    MethodNotAllowed,
    /// The body is over its limit.
    #[error("the body is over {0} bytes; send a smaller one, or split it into several requests")]
    TooLarge(usize),
    /// The body is not JSON.
    #[error("send the body as JSON, with `Content-Type: application/json`")]
    NotJson,
    /// The body is compressed, or encoded otherwise.
    #[error("send the body without `Content-Encoding`: compressed bodies are not accepted")]
    Encoded,
    /// The payment was refused, and nothing was charged.
    #[error("the payment was refused ({}); use another payment method, under a new Idempotency-Key", .1.reason)]
    PaymentFailed(EntryId, Decline),
    /// An adjustment takes more credits than there are. The words are the seed's.
    #[error("Not enough credits to perform this operation")]
    TooFewToTake {
        /// How many credits the adjustment takes.
        required: Credits,
        /// How many credits it could take.
        available: Credits,
    },
    /// Another monitor watches the same.
    #[error(
        "another monitor watches this operation and resource, be it active or suspended; `details.monitorId` names it: go on with it, or delete it first"
    )]
    AlreadyWatched(MonitorId),
    /// What is asked does not go with how things are.
    #[error("{0}")]
    Conflict(&'static str),
    /// A ledger whose account does not read can't be rebuilt from its rows; what is wrong.
    #[error(
        "the rows of this ledger do not suffice to rebuild its account; `details.problems` says what is missing or \
         wrong. Mend that in the table, or run `cargo xtask audit`, and repair it again"
    )]
    NotRepairable(Vec<String>),
    /// Settings are others than those that the request means to change.
    #[error(
        "the settings have changed since you read them; read them again, and send the request with the new ETag in If-Match"
    )]
    PreconditionFailed,
    /// The request was understood, and not settled.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// The catalogue has no room for a change.
    #[error(transparent)]
    CatalogueFull(BadChange),
    /// The store could not answer.
    #[error(transparent)]
    Failed(#[from] Fault),
}

/// What a caller is told.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Told {
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// Stable; a program may match on it.
    pub(super) code: &'static str,
    pub(super) message: String,
    #[serde(skip_serializing_if = "Value::is_null")]
    pub(super) details: Value,
    /// Seconds.
    #[serde(skip)]
    pub(super) retry_after: Option<u32>,
}

impl From<NoRandomness> for ApiError {
    fn from(error: NoRandomness) -> Self {
        Self::Failed(error.into())
    }
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        Self::Unsettled(refusal.into())
    }
}

impl From<Unchanged> for ApiError {
    fn from(unchanged: Unchanged) -> Self {
        let reason = match unchanged {
            Unchanged::Refused(reason) => reason,
            Unchanged::Failed(fault) => return Self::Failed(fault),
        };
        match &reason {
            BadChange::Reserved => Self::field("operation", reason),
            BadChange::Incomplete(missing) => {
                let problem = |field: &&str| ((*field).to_owned(), reason.to_string());
                Self::Invalid(missing.iter().map(problem).collect())
            }
            BadChange::SameCurrency => Self::field("to", reason),
            BadChange::InThePast => Self::field("effectiveFrom", reason),
            BadChange::TooMany { .. } => Self::CatalogueFull(reason),
        }
    }
}

impl ApiError {
    /// One field that does not read.
    pub fn field(path: impl Into<String>, problem: impl ToString) -> Self {
        Self::Invalid(BTreeMap::from([(path.into(), problem.to_string())]))
    }

    /// A key for another side of the house.
    #[must_use]
    pub fn wrong_side(words: &'static str) -> Self {
        Denial::WrongSide(words).into()
    }

    /// Whether it says that an account's own item does not read.
    #[must_use]
    pub fn is_broken_account(&self) -> bool {
        matches!(
            self,
            Self::Failed(Fault::BrokenAccount { .. })
                | Self::Unsettled(Unsettled::Failed(Fault::BrokenAccount { .. }))
        )
    }

    pub(super) fn unwritable(source: serde_json::Error) -> Self {
        Self::Failed(Fault::Corrupt { what: "an answer", source: source.into() })
    }

    /// The status and the stable code that a caller may match on: the one table of both.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingKey => (StatusCode::UNAUTHORIZED, "MISSING_API_KEY"),
            Self::InvalidKey => (StatusCode::UNAUTHORIZED, "INVALID_API_KEY"),
            Self::Denied(Denial::Revoked) => (StatusCode::UNAUTHORIZED, "EXPIRED_API_KEY"),
            Self::Denied(Denial::NoApiAccess) => (StatusCode::FORBIDDEN, "API_ACCESS_NOT_INCLUDED"),
            Self::Denied(Denial::WrongSide(_) | Denial::Lacks(_)) => {
                (StatusCode::FORBIDDEN, "INSUFFICIENT_PERMISSIONS")
            }
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
            Self::CatalogueFull(_) => (StatusCode::CONFLICT, "CONFLICT"),
            Self::IdempotencyKeyRequired => (StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_REQUIRED"),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, "INVALID_CURSOR"),
            Self::NotFound(_) | Self::Unsettled(Unsettled::NoAccount) => (StatusCode::NOT_FOUND, "NOT_FOUND"),
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::NotJson | Self::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
            Self::PaymentFailed(..) => (StatusCode::PAYMENT_REQUIRED, "PAYMENT_FAILED"),
            Self::TooFewToTake { .. } => (StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_CREDITS"),
            Self::Unsettled(Unsettled::KeyReused) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            }
            Self::AlreadyWatched(_) | Self::Conflict(_) | Self::NotRepairable(_) => {
                (StatusCode::CONFLICT, "CONFLICT")
            }
            Self::Unsettled(Unsettled::InProgress | Unsettled::HoldsEnded) => {
                (StatusCode::CONFLICT, "OPERATION_IN_PROGRESS")
            }
            Self::Unsettled(Unsettled::Refused(refusal)) => refusal_code(refusal),
            Self::Failed(fault) | Self::Unsettled(Unsettled::Failed(fault)) if fault.is_unreadable() => {
                (StatusCode::SERVICE_UNAVAILABLE, "RECORD_UNREADABLE")
            }
            Self::Failed(_) | Self::Unsettled(Unsettled::Failed(_)) => {
                (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE")
            }
        }
    }

    /// What the caller may read. A fault's own words are for the log alone.
    fn message(&self) -> String {
        let words = match self {
            Self::Failed(Fault::BrokenAccount { .. })
            | Self::Unsettled(Unsettled::Failed(Fault::BrokenAccount { .. })) => {
                "this account's record cannot be read; support has been alerted and will repair it. Do not retry \
                 until then: a retry cannot succeed. Afterwards, send the request again with the same \
                 Idempotency-Key, which never charges twice"
            }
            Self::Failed(Fault::Corrupt { .. })
            | Self::Unsettled(Unsettled::Failed(Fault::Corrupt { .. })) => {
                "a stored record that this request needs cannot be read. Do not retry: a retry cannot succeed. \
                 Contact support with `meta.requestId`"
            }
            Self::Failed(_) | Self::Unsettled(Unsettled::Failed(_)) => {
                "the service is busy or briefly away, and this sending charged nothing; send the request again, \
                 with the same Idempotency-Key if it had one"
            }
            Self::Unsettled(Unsettled::KeyReused) => {
                "this Idempotency-Key was used for a different request; use a new key for a new request"
            }
            Self::Unsettled(Unsettled::InProgress) => {
                "an earlier sending of this request is not settled yet; send it again with the same Idempotency-Key"
            }
            Self::Unsettled(Unsettled::HoldsEnded) => {
                "holds that have ended are being closed, and their credits may pay for this; nothing was charged; send \
                 it again with the same Idempotency-Key"
            }
            Self::Unsettled(Unsettled::NoAccount) => {
                "there is no organisation with this id; send one that POST /admin/v1/organisations answered"
            }
            Self::MissingKey
            | Self::InvalidKey
            | Self::Denied(_)
            | Self::Invalid(_)
            | Self::IdempotencyKeyRequired
            | Self::InvalidCursor
            | Self::NotFound(_)
            | Self::MethodNotAllowed
            | Self::TooLarge(_)
            | Self::NotJson
            | Self::Encoded
            | Self::PaymentFailed(..)
            | Self::TooFewToTake { .. }
            | Self::CatalogueFull(_)
            | Self::AlreadyWatched(_)
            | Self::Conflict(_)
            | Self::NotRepairable(_)
            | Self::PreconditionFailed
            | Self::Unsettled(Unsettled::Refused(_)) => return self.to_string(),
        };
        words.to_owned()
    }

    fn details(&self) -> Value {
        if let Self::Invalid(fields) = self {
            json!({ "fields": fields })
        } else if let Self::Denied(Denial::Lacks(scope)) = self {
            json!({ "scope": scope })
        } else if let Self::NotRepairable(problems) = self {
            json!({ "problems": problems })
        } else if let Self::AlreadyWatched(monitor) = self {
            json!({ "monitorId": monitor })
        } else if let Self::PaymentFailed(transaction, decline) = self {
            json!({
                "reason": decline.reason,
                "declineCode": decline.decline_code,
                "transactionId": transaction,
            })
        } else if let Self::Unsettled(Unsettled::Refused(refusal)) = self {
            refusal_details(refusal, Remedy::Request)
        } else if let Self::TooFewToTake { required, available } = self {
            let refusal = Refusal::InsufficientCredits { required: *required, available: *available };
            refusal_details(&refusal, Remedy::Adjustment)
        } else {
            Value::Null
        }
    }

    pub(super) fn told(&self) -> Told {
        let (status, code) = self.code();
        let passes = code == "TEMPORARILY_UNAVAILABLE"
            || matches!(self, Self::Unsettled(Unsettled::InProgress | Unsettled::HoldsEnded));
        Told {
            status,
            code,
            message: self.message(),
            details: self.details(),
            retry_after: passes.then_some(1),
        }
    }
}
