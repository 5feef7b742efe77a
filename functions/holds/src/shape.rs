use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use domain::{HoldId, HoldStatus, Pot, Receipt, Reference, Service};
use scrip_http::{SourceShare, instant};
use serde::Serialize;
use utoipa::ToSchema;

/// Credits that are set aside, and what became of them.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "holdId": "hold_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "status": "held", "amount": 2, "captured": 0, "remaining": 2,
    "operation": "verification.enhanced", "quantity": 1, "resourceId": "verif_xyz789", "customerId": null,
    "memberId": null, "service": null, "createdAt": "2024-01-15T10:30:00Z", "expiresAt": "2024-01-15T10:40:00Z",
    "sources": [{ "source": "subscription", "lotId": "sub_2024-01", "amount": 2 }],
    "transactionIds": ["txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"], "metadata": {}
}))]
pub(super) struct Hold {
    /// `hold_…`
    hold_id: String,
    /// held, captured, released or expired.
    status: &'static str,
    /// How many credits were set aside.
    amount: u64,
    /// How many of them were spent.
    captured: u64,
    /// How many of them are still set aside.
    remaining: u64,
    /// What for; null for a hold of an amount.
    operation: Option<String>,
    /// How many times.
    quantity: Option<u64>,
    /// The caller's name for what is to be checked.
    resource_id: Option<String>,
    /// The caller's name for the customer.
    customer_id: Option<String>,
    /// The caller's name for the member of staff.
    member_id: Option<String>,
    /// The service that is used.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// When it was made.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// From when on it can't be captured, and what is left is available again: the whole second by which it was
    /// held for all of `expiresInSeconds`.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: DateTime<Utc>,
    /// Which lots the credits came from.
    sources: Vec<SourceShare>,
    /// The lines of the ledger: the hold's own, then those of each capture and of its end.
    transaction_ids: Vec<String>,
    /// The caller's own key and value pairs.
    metadata: BTreeMap<String, String>,
}

impl Hold {
    /// A hold as it stands at `now`.
    pub(super) fn new(hold: &Receipt, pot: &Pot, now: DateTime<Utc>) -> Self {
        Self::with_status(hold, pot, pot.status(now))
    }

    /// A hold right after the last draw of `pot`, which took effect at `at`: what is answered to it, also when
    /// it is asked again later.
    pub(super) fn as_of_draw(hold: &Receipt, pot: &Pot, at: DateTime<Utc>) -> Self {
        let status = if pot.closed_by().is_some() { pot.status(at) } else { HoldStatus::Held };
        Self::with_status(hold, pot, status)
    }

    fn with_status(hold: &Receipt, pot: &Pot, status: HoldStatus) -> Self {
        let Receipt { entry, details, .. } = hold;
        let text = |text: &Option<Reference>| text.as_ref().map(|text| text.as_str().to_owned());
        let drawn = pot.made.iter().map(|made| made.id);
        Self {
            hold_id: HoldId::from(entry.id).to_string(),
            status: status.as_str(),
            amount: entry.amount.get(),
            captured: pot.captured().get(),
            remaining: entry.amount.get().saturating_sub(pot.drawn().get()),
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
