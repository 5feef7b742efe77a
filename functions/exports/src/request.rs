//! What a request for an export asks for.

use domain::{Direction, FileFormat, KeyId, Operation, Reference, Service};
use scrip_http::{ApiError, CategoryFilter, Instant, StatusFilter, in_order, of_kind};
use serde::Deserialize;
use store::StatementQuery;
use utoipa::{IntoParams, ToSchema};

/// The format of a file and which transactions it has: the body of a POST, or the query of a GET.
#[derive(Deserialize, ToSchema, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
#[schema(as = NewExport, example = json!({ "format": "xlsx", "from": "2024-01-01T00:00:00Z", "to": "2024-02-01T00:00:00Z" }))]
pub(crate) struct NewExport {
    /// `csv` and `jsonl` are free. `xlsx` costs the operation `export.excel`, and `pdf` the operation `export.pdf`.
    #[schema(value_type = String)]
    #[param(value_type = String)]
    pub(crate) format: FileFormat,
    /// Only transactions at or after this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    /// Only transactions before this time.
    #[schema(value_type = Option<String>, format = DateTime)]
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
    /// DEBIT or CREDIT.
    #[serde(rename = "type")]
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    direction: Option<Direction>,
    /// `usage` (debits) or `purchase` (credits).
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    category: Option<CategoryFilter>,
    /// Only this operation.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    operation: Option<Operation>,
    /// Only this customer.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    customer_id: Option<Reference>,
    /// Only this member of staff.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    member_id: Option<Reference>,
    /// Only transactions of this service: debits that used it, and grants that are reserved for it.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    service: Option<Service>,
    /// `approved`, or `postPaid` for debits that are partly owed.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Only requests with this API key, `key_…`.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only this resource.
    #[schema(value_type = Option<String>)]
    #[param(value_type = Option<String>)]
    resource_id: Option<Reference>,
}

impl NewExport {
    /// The filters and the range.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] when no transaction can match.
    pub(crate) fn query(&self) -> Result<StatementQuery, ApiError> {
        if let (Some(from), Some(to)) = (self.from, self.to) {
            in_order(from, to)?;
        }
        let query = StatementQuery {
            direction: None,
            operation: self.operation.clone(),
            customer: self.customer_id.clone(),
            member: self.member_id.clone(),
            service: self.service,
            key: self.key_id,
            resource: self.resource_id.clone(),
            on_account: self.status.map(|status| status == StatusFilter::PostPaid),
            from: self.from.map(|Instant(at)| at),
            to: self.to.map(|Instant(at)| at),
        };
        of_kind(query, self.direction, self.category)
            .ok_or_else(|| ApiError::field("category", "excludes `type`; send one of the two"))
    }
}
