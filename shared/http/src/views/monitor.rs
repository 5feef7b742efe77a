//! Monitors as callers see them.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{MonitorStatus, Reference, Service};
use serde::Serialize;
use utoipa::ToSchema;

use crate::timestamp;

/// A subject that is watched and charged every month.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Monitor)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "monitorId": "mon_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "operation": "aml.monitoring", "resourceId": "applicant_42",
    "customerId": null, "memberId": null, "service": null, "status": "active", "reason": null, "suspendedAt": null,
    "paidThrough": "2024-02-01T00:00:00Z", "nextCharge": "2024-02-01T00:00:00Z",
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB", "createdAt": "2024-01-15T10:30:00Z", "deletedAt": null, "metadata": {}
}))]
pub struct MonitorView {
    /// `mon_…`
    monitor_id: String,
    /// The operation that is charged.
    operation: String,
    /// The caller's name for the subject.
    resource_id: String,
    /// The caller's name for the customer.
    customer_id: Option<String>,
    /// The caller's name for the member of staff.
    member_id: Option<String>,
    /// The service that it belongs to.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// active; suspended: this month could not be charged, and it resumes when credits arrive, when its price falls, or
    /// next month; deleted.
    status: &'static str,
    /// Why it is suspended: insufficient_credits, frozen, budget_exceeded, not_priced.
    reason: Option<&'static str>,
    /// When it was suspended.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    suspended_at: Option<DateTime<Utc>>,
    /// The end of the period that is paid.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    paid_through: Option<DateTime<Utc>>,
    /// When the next charge is due; null for a deleted or suspended monitor.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    next_charge: Option<DateTime<Utc>>,
    /// The latest charge.
    transaction_id: Option<String>,
    /// When it was made.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// When it was deleted.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    deleted_at: Option<DateTime<Utc>>,
    /// The caller's own key and value pairs.
    metadata: BTreeMap<String, String>,
}

impl MonitorView {
    /// The view of a monitor.
    #[must_use]
    pub fn of(monitor: &domain::Monitor) -> Self {
        let text = |text: &Option<Reference>| text.as_ref().map(|text| text.as_str().to_owned());
        let paid_through = monitor.paid.map(|month| month.next().start());
        let (status, suspended, deleted_at) = match monitor.status {
            MonitorStatus::Pending | MonitorStatus::Active => ("active", None, None),
            MonitorStatus::Suspended { since, why } => ("suspended", Some((since, why)), None),
            MonitorStatus::Ended { at } => ("deleted", None, Some(at)),
        };
        Self {
            monitor_id: monitor.id.to_string(),
            operation: monitor.operation.as_str().to_owned(),
            resource_id: monitor.resource_id.as_str().to_owned(),
            customer_id: text(&monitor.on_behalf.customer_id),
            member_id: text(&monitor.on_behalf.member_id),
            service: monitor.on_behalf.service,
            status,
            reason: suspended.map(|(_, why)| why.as_str()),
            suspended_at: suspended.map(|(since, _)| since),
            paid_through,
            next_charge: paid_through.filter(|_| status == "active"),
            transaction_id: monitor.charge.map(|charge| charge.to_string()),
            created_at: monitor.made_at,
            deleted_at,
            metadata: monitor.on_behalf.metadata.pairs().clone(),
        }
    }
}
