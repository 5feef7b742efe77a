//! A refusal inside an answer: of a quote, or of one item of a batch.

use domain::Refusal;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::error::{ApiError, ApiErrorBody};
use crate::refusal::{Remedy, refusal_details};

/// Why a quote, or one item of a batch, was refused.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Refused)]
#[schema(example = json!({
    "code": "INSUFFICIENT_CREDITS", "message": "Not enough credits to perform this operation",
    "details": { "required": 2, "available": 0 }
}))]
pub struct RefusalView {
    /// A stable code for programs.
    pub code: &'static str,
    /// What to do next.
    pub message: String,
    /// Values that explain the code.
    #[serde(skip_serializing_if = "Value::is_null")]
    #[schema(value_type = Object)]
    pub details: Value,
}

impl RefusalView {
    /// Why an item of a partial batch was not charged.
    #[must_use]
    pub fn item(refusal: Refusal) -> Self {
        Self::of(refusal, Remedy::Item)
    }

    /// Why the request that a quote is about would be refused.
    #[must_use]
    pub fn quoted(refusal: Refusal) -> Self {
        Self::of(refusal, Remedy::Quote)
    }

    fn of(refusal: Refusal, remedy: Remedy) -> Self {
        let details = refusal_details(&refusal, remedy);
        let ApiErrorBody { code, message, .. } = ApiError::from(refusal).body();
        Self { code, message, details }
    }
}
