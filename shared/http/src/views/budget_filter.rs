//! The part of a subject's spending that a budget limits, as callers send and see it.

use domain::{BudgetFilter, Operation, PriceCategory, Reference, Service};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::ApiError;

/// Which part of its subject's spending a budget limits: exactly one field.
#[derive(Clone, Debug, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(as = BudgetFilter, example = json!({ "category": "aml" }))]
pub struct OnlyField {
    /// One operation.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<Operation>,
    /// The operations of one category: verification, aml, deepfake, kyt or other.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<PriceCategory>,
    /// One customer.
    #[schema(value_type = Option<String>, max_length = 255)]
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<Reference>,
    /// One service: smartcheck, smartaccess, smartenroll, api or biometric.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
}

impl OnlyField {
    /// The filter that it names.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] unless it has exactly one field.
    pub fn filter(self) -> Result<BudgetFilter, ApiError> {
        let Self { operation, category, customer_id, service } = self;
        let mut named = [
            operation.map(BudgetFilter::Operation),
            category.map(BudgetFilter::Category),
            customer_id.map(BudgetFilter::Customer),
            service.map(BudgetFilter::Service),
        ]
        .into_iter()
        .flatten();
        match (named.next(), named.next()) {
            (Some(only), None) => Ok(only),
            (Some(_) | None, _) => Err(ApiError::field(
                "only",
                "must have exactly one of `operation`, `category`, `customerId` and `service`",
            )),
        }
    }
}

impl From<&BudgetFilter> for OnlyField {
    fn from(filter: &BudgetFilter) -> Self {
        let none = Self { operation: None, category: None, customer_id: None, service: None };
        match filter.clone() {
            BudgetFilter::Operation(operation) => Self { operation: Some(operation), ..none },
            BudgetFilter::Category(category) => Self { category: Some(category), ..none },
            BudgetFilter::Customer(customer) => Self { customer_id: Some(customer), ..none },
            BudgetFilter::Service(service) => Self { service: Some(service), ..none },
        }
    }
}
