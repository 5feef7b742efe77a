//! Errors of the API: their statuses, codes, messages and details.

use std::collections::BTreeMap;

use http::StatusCode;
use serde::Serialize;
use serde_json::{Value, json};

use super::limits::{NoSeat, RateLimited};
use super::refusal::{Remedy, refusal_code, refusal_details};
use super::timestamp;
use super::unidentified::Unidentified;
use app::CursorError;
use domain::{BadUpdate, Credits, Decline, Denial, EntryId, MonitorId, Period, Refusal};
use ports::NoRandomness;
use store::{Fault, Unchanged, Unsettled};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// It is not known who calls.
    #[error(transparent)]
    Unidentified(#[from] Unidentified),
    /// The API key may not do this.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The request is invalid: the problem of each field, by its path.
    #[error("the request is invalid; see `details.fields`")]
    Invalid(BTreeMap<String, String>),
    /// The request needs an idempotency key and has none.
    #[error(
        "send an `Idempotency-Key` header, your own name for this request, so that you can retry it safely"
    )]
    IdempotencyKeyRequired,
    /// The cursor was not issued for this list.
    #[error("this cursor does not belong to this list and its filters; start again without one")]
    InvalidCursor,
    /// The resource does not exist for this caller.
    #[error("{0}")]
    NotFound(&'static str),
    /// The month of a statement is not closed.
    #[error(
        "there is no statement of {month} yet: it is closed by the first transaction on or after {}, at the latest by the \
         renewal of that month; ask again then", timestamp::text(&.month.next().start())
    )]
    MonthOpen {
        /// The month.
        month: Period,
    },
    /// The path does not support this method.
    #[error("this path does not support that method; the `Allow` header lists the methods that it supports")]
    MethodNotAllowed,
    /// The body is larger than its limit in bytes.
    #[error("the body is larger than {0} bytes; send a smaller one, or split it into several requests")]
    TooLarge(usize),
    /// The body is not JSON.
    #[error("send the body as JSON, with `Content-Type: application/json`")]
    NotJson,
    /// The body has a content encoding.
    #[error("send the body without `Content-Encoding`: compressed bodies are not accepted")]
    Encoded,
    /// The payment was declined, and nothing was charged.
    #[error("the payment was refused ({}); use another payment method, under a new Idempotency-Key", .1.reason)]
    PaymentFailed(EntryId, Decline),
    /// An adjustment takes more credits than the account has.
    #[error("Not enough credits to perform this operation")]
    TooFewToTake {
        /// The credits that the adjustment takes.
        required: Credits,
        /// The credits that it could take.
        available: Credits,
    },
    /// Another monitor watches the same subject.
    #[error(
        "another monitor, active or suspended, watches this operation and resource; use the one in `details.monitorId`, or delete it first"
    )]
    AlreadyWatched(MonitorId),
    /// All seats of the organisation's plan are taken.
    #[error(transparent)]
    NoSeat(#[from] NoSeat),
    /// All requests that a limit allows were made.
    #[error(transparent)]
    RateLimited(#[from] RateLimited),
    /// The request conflicts with the current state.
    #[error("{0}")]
    Conflict(&'static str),
    /// A range of events is still being replayed to a webhook.
    #[error(
        "the events {} to {through} are still being replayed; wait until the webhook's `replay` is null, or send \
         `replace: true` to replay this range instead", .after.saturating_add(1)
    )]
    ReplayRunning {
        /// The number of the last replayed event, or the number before the first.
        after: u64,
        /// The number of the last event of the range.
        through: u64,
    },
    /// The account cannot be rebuilt from the rows of its ledger. Holds what is wrong with them.
    #[error(
        "the rows of this ledger do not suffice to rebuild its account; `details.problems` lists what is missing or \
         wrong. Correct that in the table, or run `cargo xtask audit`, then send the repair again"
    )]
    NotRepairable(Vec<String>),
    /// The rows of the account are older than the index of its records.
    #[error(
        "the records of this ledger are not indexed yet; ask support to run `cargo xtask index-records`, then send the \
         request again. GET /api/v3/credits/transactions has the same transactions"
    )]
    RecordsNotIndexed,
    /// `If-Match` names another version of the settings.
    #[error(
        "the settings have changed since you read them; read them again and send the new ETag in If-Match"
    )]
    PreconditionFailed,
    /// The ledger did not settle the request.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// The catalogue has no room for another version.
    #[error(transparent)]
    CatalogueFull(BadUpdate),
    /// The store could not answer.
    #[error(transparent)]
    Failed(#[from] Fault),
}

/// The error as callers see it.
#[derive(Clone, Debug, Serialize)]
pub(super) struct ApiErrorBody {
    #[serde(skip)]
    pub(super) status: StatusCode,
    /// A stable code for programs.
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

impl From<CursorError> for ApiError {
    fn from(error: CursorError) -> Self {
        match error {
            CursorError::Invalid => Self::InvalidCursor,
            CursorError::Unwritable(source) => Self::unwritable(source),
            error @ CursorError::NoKey => {
                Self::Failed(Fault::Unavailable { doing: "sign a cursor", source: error.into() })
            }
        }
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
            BadUpdate::Reserved => Self::field("operation", reason),
            BadUpdate::Incomplete(missing) => {
                let problem = |field: &&str| ((*field).to_owned(), reason.to_string());
                Self::Invalid(missing.iter().map(problem).collect())
            }
            BadUpdate::SameCurrency => Self::field("to", reason),
            BadUpdate::InThePast => Self::field("effectiveFrom", reason),
            BadUpdate::TooMany { .. } => Self::CatalogueFull(reason),
        }
    }
}

impl ApiError {
    /// One invalid field.
    pub fn field(path: impl Into<String>, problem: impl ToString) -> Self {
        Self::Invalid(BTreeMap::from([(path.into(), problem.to_string())]))
    }

    /// A key of the wrong kind: an operator's in place of an organisation's, a live key in place of a test key.
    #[must_use]
    pub fn wrong_side(words: &'static str) -> Self {
        Denial::WrongSide(words).into()
    }

    /// Whether an account's item cannot be read.
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

    /// The status and the stable code.
    fn code(&self) -> (StatusCode, &'static str) {
        match self {
            Self::Unidentified(why) => why.code(),
            Self::Denied(Denial::Revoked | Denial::Rolled | Denial::Expired) => {
                (StatusCode::UNAUTHORIZED, "EXPIRED_API_KEY")
            }
            Self::Denied(Denial::NoApiAccess) => (StatusCode::FORBIDDEN, "API_ACCESS_NOT_INCLUDED"),
            Self::Denied(Denial::Paused(_)) => (StatusCode::FORBIDDEN, "KEY_PAUSED"),
            Self::Denied(Denial::Closed) => (StatusCode::FORBIDDEN, "ORGANISATION_FROZEN"),
            Self::Denied(
                Denial::Address(_)
                | Denial::WrongSide(_)
                | Denial::Outgoing
                | Denial::Lacks(_)
                | Denial::RoleLacks(..)
                | Denial::SwitchedOff(_)
                | Denial::Role(..)
                | Denial::CannotGive(_)
                | Denial::CannotGiveRole(..),
            ) => (StatusCode::FORBIDDEN, "INSUFFICIENT_PERMISSIONS"),
            Self::Invalid(_) => (StatusCode::BAD_REQUEST, "VALIDATION_ERROR"),
            Self::CatalogueFull(_) => (StatusCode::CONFLICT, "CONFLICT"),
            Self::IdempotencyKeyRequired => (StatusCode::BAD_REQUEST, "IDEMPOTENCY_KEY_REQUIRED"),
            Self::InvalidCursor => (StatusCode::BAD_REQUEST, "INVALID_CURSOR"),
            Self::NotFound(_) | Self::MonthOpen { .. } | Self::Unsettled(Unsettled::NoAccount) => {
                (StatusCode::NOT_FOUND, "NOT_FOUND")
            }
            Self::MethodNotAllowed => (StatusCode::METHOD_NOT_ALLOWED, "METHOD_NOT_ALLOWED"),
            Self::NoSeat(_) => (StatusCode::FORBIDDEN, "PLAN_LIMIT_REACHED"),
            Self::RateLimited(_) => (StatusCode::TOO_MANY_REQUESTS, "RATE_LIMITED"),
            Self::PreconditionFailed => (StatusCode::PRECONDITION_FAILED, "PRECONDITION_FAILED"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "PAYLOAD_TOO_LARGE"),
            Self::RecordsNotIndexed => (StatusCode::SERVICE_UNAVAILABLE, "RECORDS_NOT_INDEXED"),
            Self::NotJson | Self::Encoded => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "UNSUPPORTED_MEDIA_TYPE"),
            Self::PaymentFailed(..) => (StatusCode::PAYMENT_REQUIRED, "PAYMENT_FAILED"),
            Self::TooFewToTake { .. } => (StatusCode::PAYMENT_REQUIRED, "INSUFFICIENT_CREDITS"),
            Self::Unsettled(Unsettled::KeyReused) => {
                (StatusCode::UNPROCESSABLE_ENTITY, "IDEMPOTENCY_KEY_REUSED")
            }
            Self::AlreadyWatched(_)
            | Self::Conflict(_)
            | Self::ReplayRunning { .. }
            | Self::NotRepairable(_) => (StatusCode::CONFLICT, "CONFLICT"),
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

    /// The message for the caller. The text of a fault is only for the log.
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
                "the service is temporarily unavailable and this attempt charged nothing; retry the request, with the \
                 same Idempotency-Key if it had one"
            }
            Self::Unsettled(Unsettled::KeyReused) => {
                "this Idempotency-Key was used for a different request; use a new key for a new request"
            }
            Self::Unsettled(Unsettled::InProgress) => {
                "an earlier attempt of this request is not settled yet; retry it with the same Idempotency-Key"
            }
            Self::Unsettled(Unsettled::HoldsEnded) => {
                "expired holds are being closed and their credits may pay for this request; nothing was charged; retry \
                 it with the same Idempotency-Key"
            }
            Self::Unsettled(Unsettled::NoAccount) => {
                "there is no organisation with this id; send an id that POST /admin/v1/organisations returned"
            }
            Self::Unidentified(_)
            | Self::Denied(_)
            | Self::Invalid(_)
            | Self::IdempotencyKeyRequired
            | Self::InvalidCursor
            | Self::NotFound(_)
            | Self::MonthOpen { .. }
            | Self::MethodNotAllowed
            | Self::TooLarge(_)
            | Self::NotJson
            | Self::Encoded
            | Self::PaymentFailed(..)
            | Self::TooFewToTake { .. }
            | Self::CatalogueFull(_)
            | Self::AlreadyWatched(_)
            | Self::NoSeat(_)
            | Self::RateLimited(_)
            | Self::Conflict(_)
            | Self::ReplayRunning { .. }
            | Self::NotRepairable(_)
            | Self::RecordsNotIndexed
            | Self::PreconditionFailed
            | Self::Unsettled(Unsettled::Refused(_)) => return self.to_string(),
        };
        words.to_owned()
    }

    fn details(&self) -> Value {
        if let Self::Invalid(fields) = self {
            json!({ "fields": fields })
        } else if let Self::Denied(
            Denial::Lacks(scope)
            | Denial::RoleLacks(_, scope)
            | Denial::CannotGive(scope)
            | Denial::CannotGiveRole(_, scope),
        ) = self
        {
            json!({ "scope": scope })
        } else if let Self::Denied(Denial::Paused(key)) = self {
            json!({ "keyId": key })
        } else if let Self::NoSeat(seats) = self {
            seats.details()
        } else if let Self::RateLimited(limited) = self {
            limited.details()
        } else if let Self::NotRepairable(problems) = self {
            json!({ "problems": problems })
        } else if let Self::ReplayRunning { after, through } = self {
            json!({ "replay": { "after": after, "through": through } })
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
            let (required, available) = (*required, *available);
            let refusal = Refusal::InsufficientCredits { required, available, passed_over: vec![] };
            refusal_details(&refusal, Remedy::Adjustment)
        } else {
            Value::Null
        }
    }

    pub(super) fn body(&self) -> ApiErrorBody {
        let (status, code) = self.code();
        let is_temporary = code == "TEMPORARILY_UNAVAILABLE"
            || matches!(self, Self::Unsettled(Unsettled::InProgress | Unsettled::HoldsEnded));
        ApiErrorBody {
            status,
            code,
            message: self.message(),
            details: self.details(),
            retry_after: if let Self::RateLimited(limited) = self {
                Some(limited.ends_in)
            } else {
                is_temporary.then_some(1)
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A request that waits for rows of earlier ones is temporary: its caller sends it again.
    #[test]
    fn a_backlog_is_temporary() {
        for error in [ApiError::from(Fault::Backlogged), Unsettled::from(Fault::Backlogged).into()] {
            let body = error.body();
            assert_eq!(
                (body.status, body.code),
                (StatusCode::SERVICE_UNAVAILABLE, "TEMPORARILY_UNAVAILABLE")
            );
            assert_eq!(body.retry_after, Some(1));
        }
    }
}
