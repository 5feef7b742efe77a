//! Why an operator does something to an organisation.

use domain::Reference;
use serde::Deserialize;
use utoipa::ToSchema;

/// Why an operator freezes, closes or exports an organisation.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[schema(as = Why)]
#[serde(deny_unknown_fields)]
pub struct ReasonRequest {
    /// The reason, recorded with the operator's key.
    #[schema(value_type = String, max_length = 255)]
    pub reason: Reference,
}
