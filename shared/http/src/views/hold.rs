//! A hold as callers see it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{HoldId, HoldStatus, Receipt, Reference, Remainder, Service};

use serde::Serialize;
use utoipa::ToSchema;

use super::SourceShare;
use crate::timestamp;

/// A hold: credits set aside, and what happened to them.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Hold)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "holdId": "hold_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "status": "held", "amount": 2, "captured": 0, "remaining": 2,
    "operation": "verification.enhanced", "quantity": 1, "resourceId": "verif_xyz789", "customerId": null,
    "memberId": null, "service": null, "createdAt": "2024-01-15T10:30:00Z", "expiresAt": "2024-01-15T10:40:00Z",
    "sources": [{ "source": "subscription", "lotId": "sub_2024-01", "amount": 2 }],
    "transactionIds": ["txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"], "metadata": {}
}))]
pub struct HoldView {
    /// `hold_…`
    hold_id: String,
    /// held, captured, released or expired.
    status: &'static str,
    /// Credits set aside.
    amount: u64,
    /// Credits captured.
    captured: u64,
    /// Credits still held.
    remaining: u64,
    /// The operation; null for a hold of a number of credits.
    operation: Option<String>,
    /// The number of operations.
    quantity: Option<u64>,
    /// The caller's name for the resource.
    resource_id: Option<String>,
    /// The caller's name for the customer.
    customer_id: Option<String>,
    /// The caller's name for the member of staff.
    member_id: Option<String>,
    /// The service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// When it was made.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// When the hold ends: it cannot be captured any more, and the rest is available again. A whole second, not earlier
    /// than `expiresInSeconds` after the hold was made.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: DateTime<Utc>,
    /// The lots that the credits came from.
    sources: Vec<SourceShare>,
    /// The transactions: of the hold, of each capture, and of its end.
    transaction_ids: Vec<String>,
    /// The caller's own key and value pairs.
    metadata: BTreeMap<String, String>,
}

impl HoldView {
    /// The view of a hold at `now`.
    #[must_use]
    pub fn new(hold: &Receipt, remainder: &Remainder, now: DateTime<Utc>) -> Self {
        Self::with_status(hold, remainder, remainder.status(now))
    }

    /// The view of a hold right after the latest drawdown, which took effect at `at`: the answer to that request and its
    /// retries.
    #[must_use]
    pub fn as_of_drawdown(hold: &Receipt, remainder: &Remainder, at: DateTime<Utc>) -> Self {
        let status = if remainder.closed_by().is_some() { remainder.status(at) } else { HoldStatus::Held };
        Self::with_status(hold, remainder, status)
    }

    fn with_status(hold: &Receipt, remainder: &Remainder, status: HoldStatus) -> Self {
        let Receipt { entry, details, .. } = hold;
        let text = |text: &Option<Reference>| text.as_ref().map(|text| text.as_str().to_owned());
        let drawn = remainder.made.iter().map(|made| made.id);
        Self {
            hold_id: HoldId::from(entry.id).to_string(),
            status: status.as_str(),
            amount: entry.amount.get(),
            captured: remainder.captured().get(),
            remaining: entry.amount.get().saturating_sub(remainder.drawn().get()),
            operation: details.purpose.as_ref().map(|purpose| purpose.as_str().to_owned()),
            quantity: details.quantity.map(domain::Quantity::get),
            resource_id: text(&details.resource_id),
            customer_id: text(&details.customer_id),
            member_id: text(&details.member_id),
            service: details.service,
            created_at: entry.at,
            expires_at: details.expires_at.unwrap_or(entry.at),
            sources: entry.moves.iter().map(SourceShare::from).collect(),
            transaction_ids: std::iter::once(entry.id).chain(drawn).map(|id| id.to_string()).collect(),
            metadata: details.metadata.pairs().clone(),
        }
    }
}
