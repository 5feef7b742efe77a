//! A lot.

use crate::timestamp;
use chrono::{DateTime, Utc};
use domain::{Cost, LotState, Service, Source};
use serde::Serialize;
use utoipa::ToSchema;

/// Credits that arrived together and are spent on the same terms.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Lot)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "lotId": "credit_01HM7KPZ8Q4V2N0C6X3T5R9W1D", "source": "purchased", "service": null, "status": "active",
    "amount": 500, "used": 120, "held": 5, "remaining": 375, "expired": 0, "withdrawn": 0, "moved": 0,
    "price": { "amount": 4900, "currency": "GBP", "isListPrice": false },
    "transactionId": "txn_01HM7KPZ8Q4V2N0C6X3T5R9W1D",
    "createdAt": "2024-01-10T09:00:00Z", "expiresAt": null
}))]
pub struct LotView {
    /// `sub_2024-01` for the allowance of a month, `credit_…` for other lots. The `sources` of transactions have it.
    lot_id: String,
    /// `subscription`, `purchased` or `bonus`.
    #[schema(value_type = String)]
    source: Source,
    /// The service that its credits are reserved for; null if they pay for every service.
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    /// `active`: it has credits left, or open holds have; `spent`: nothing is left; `expired`: it ended before all of its
    /// credits were spent; `disputed`: an open dispute concerns their purchase.
    status: &'static str,
    /// All credits that arrived in it.
    amount: u64,
    /// Credits spent, less those that were refunded; with `held` null, also those that are held.
    used: u64,
    /// Credits that open holds have set aside; null if the organisation has more than 50 open holds.
    held: Option<u64>,
    /// Credits left.
    remaining: u64,
    /// Credits that expired.
    expired: u64,
    /// Credits taken back: by an operator, a smaller plan, a dispute, or a refund of money.
    withdrawn: u64,
    /// Credits that went to other lots, because a refund did not find this one, or because there were too many lots.
    moved: u64,
    /// What `amount` cost; null for credits that were not bought, and for those of an unlimited or free plan.
    price: Option<LotPriceView>,
    /// The transaction that brought the first of its credits; for a purchase the purchase.
    transaction_id: String,
    /// When they arrived.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// When what is left expires; null for credits that do not expire. The credits of a month expire when it ends.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// What the credits of a lot cost.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = LotPrice)]
#[serde(rename_all = "camelCase")]
pub struct LotPriceView {
    /// Minor units (pence, cents).
    amount: u64,
    /// ISO 4217 code.
    currency: &'static str,
    /// Whether it is the plan's list price, in proportion to the allowance, and not what was paid.
    is_list_price: bool,
}

impl LotView {
    /// The view of a lot and what it cost.
    #[must_use]
    pub fn new(state: &LotState, cost: Option<Cost>) -> Self {
        let record = &state.record;
        let is_list_price = record.source == Source::Subscription;
        Self {
            lot_id: record.lot.to_string(),
            source: record.source,
            service: record.terms.service,
            status: state.status.as_str(),
            amount: record.amount.get(),
            used: state.used.get(),
            held: state.held.map(domain::Credits::get),
            remaining: state.remaining.get(),
            expired: record.expired.get(),
            withdrawn: record.withdrawn.get(),
            moved: record.moved.get(),
            price: cost.map(|cost| LotPriceView {
                amount: cost.minor,
                currency: cost.currency.code(),
                is_list_price,
            }),
            transaction_id: record.transaction.to_string(),
            created_at: record.opened_at,
            expires_at: record.ends_at().as_ref().map(timestamp::text),
        }
    }
}
