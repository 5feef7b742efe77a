use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use super::instant;
use crate::domain::{self, Direction, Receipt, Service, Source};

/// One line of the ledger.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "type": "DEBIT", "category": "usage", "status": "approved",
    "amount": 2, "operation": "verification.standard", "quantity": 1, "resourceId": "verif_xyz789",
    "customerId": null, "memberId": null, "service": null,
    "sources": [{ "source": "subscription", "lotId": "sub_2024-01", "amount": 2 }],
    "balanceAfter": 398, "sequence": 17, "priceVersion": 1, "timestamp": "2024-01-15T10:30:00Z", "metadata": {}
}))]
pub struct Transaction {
    /// `txn_…`
    pub transaction_id: String,
    /// DEBIT when credits leave, CREDIT when they arrive.
    #[serde(rename = "type")]
    #[schema(value_type = String, example = "DEBIT")]
    pub direction: Direction,
    /// `usage` for debits, `purchase` for credits.
    pub category: &'static str,
    /// `approved`: it is in the ledger.
    pub status: &'static str,
    /// Whole credits, never negative.
    pub amount: u64,
    /// What was done: `verification.standard`, `credit.purchase`, …
    pub operation: String,
    /// How many times; null for what is not a priced operation.
    pub quantity: Option<u64>,
    /// The caller's name for what was checked.
    pub resource_id: Option<String>,
    /// The caller's name for the customer.
    pub customer_id: Option<String>,
    /// The caller's name for the member of staff.
    pub member_id: Option<String>,
    /// The service that was used, or that a grant is set aside for.
    #[schema(value_type = Option<String>)]
    pub service: Option<Service>,
    /// Which lots gave or received, in the order of consumption.
    pub sources: Vec<SourceShare>,
    /// What was left of the month before; only in a renewal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expired: Option<u64>,
    /// Available credits right after it.
    pub balance_after: u64,
    /// 1, 2, 3, … without a gap per organisation.
    pub sequence: u64,
    /// Which version of the operation's price was charged.
    pub price_version: Option<u32>,
    /// When it took effect.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: DateTime<Utc>,
    /// The operator's key, where an operator did it.
    pub super_admin: Option<String>,
    /// In words.
    pub description: Option<String>,
    /// The caller's own key and value pairs.
    pub metadata: BTreeMap<String, String>,
}

/// Credits of one lot.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SourceShare {
    /// subscription, purchased or bonus.
    #[schema(value_type = String)]
    pub source: Source,
    /// `sub_2024-01` or `credit_…`
    pub lot_id: String,
    /// Whole credits.
    pub amount: u64,
}

/// What an organisation has.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "subscriptionCredits": 250, "purchasedCredits": 100, "bonusCredits": 50, "usedCredits": 150, "available": 400,
    "nextRenewal": "2024-02-01T00:00:00Z", "plan": "professional", "unlimited": false, "heldCredits": 0,
    "postPaid": null, "asOf": { "sequence": 16, "timestamp": "2024-01-15T10:30:00Z" }, "expiring": []
}))]
pub struct Balance {
    /// Left of this month's allowance; gone when the month turns.
    pub subscription_credits: u64,
    /// Left of what was bought; never expires.
    pub purchased_credits: u64,
    /// Left of what was given.
    pub bonus_credits: u64,
    /// Debits of this month from all sources.
    pub used_credits: u64,
    /// The sum of the three buckets.
    pub available: u64,
    /// When the next month's allowance comes.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub next_renewal: DateTime<Utc>,
    /// The subscription plan.
    pub plan: String,
    /// Whether debits are never refused for want of credits.
    pub unlimited: bool,
    /// Set aside by holds.
    pub held_credits: u64,
    /// Limit and outstanding amount of a post-paid organisation.
    #[schema(value_type = Option<Object>)]
    pub post_paid: Option<()>,
    /// The entry after which, and the time at which, this is the balance.
    pub as_of: AsOf,
    /// The lots that expire next, soonest first.
    pub expiring: Vec<Expiring>,
}

/// A place in the ledger.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AsOf {
    /// The last entry's number; 0 before the first.
    pub sequence: u64,
    /// The time.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub timestamp: DateTime<Utc>,
}

/// Credits that will expire.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Expiring {
    /// Which lot.
    pub lot_id: String,
    /// Its bucket.
    #[schema(value_type = String)]
    pub source: Source,
    /// How many are left in it.
    pub amount: u64,
    /// The first instant at which they can't be spent.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    pub expires_at: DateTime<Utc>,
}

impl From<&Receipt> for Transaction {
    fn from(receipt: &Receipt) -> Self {
        let Receipt { entry, sequence, details, balance } = receipt;
        let text = |text: &Option<domain::Reference>| text.as_ref().map(|text| text.as_str().to_owned());
        let (sources, others): (Vec<_>, Vec<_>) =
            entry.moves.iter().partition(|part| part.direction == entry.direction);
        let share = |part: &domain::Move| SourceShare {
            source: part.source,
            lot_id: part.lot.to_string(),
            amount: part.amount.get(),
        };
        Self {
            transaction_id: entry.id.to_string(),
            direction: entry.direction,
            category: match entry.direction {
                Direction::Debit => "usage",
                Direction::Credit => "purchase",
            },
            status: "approved",
            amount: entry.amount.get(),
            operation: entry.operation.as_str().to_owned(),
            quantity: details.quantity.map(domain::Quantity::get),
            resource_id: text(&details.resource_id),
            customer_id: text(&details.customer_id),
            member_id: text(&details.member_id),
            service: details.service,
            sources: sources.into_iter().map(share).collect(),
            expired: others.into_iter().map(|part| part.amount.get()).reduce(u64::saturating_add),
            balance_after: balance.available().unwrap_or(domain::Credits::MAX).get(),
            sequence: *sequence,
            price_version: details.price_version,
            timestamp: entry.at,
            super_admin: details.super_admin.map(|key| key.to_string()),
            description: text(&details.description),
            metadata: details.metadata.pairs().clone(),
        }
    }
}

impl Balance {
    /// `balance` as callers see it: after entry `sequence`, at `at`.
    #[must_use]
    pub fn new(balance: &domain::Balance, sequence: u64, at: DateTime<Utc>) -> Self {
        let expiring = |lot: &domain::Expiring| Expiring {
            lot_id: lot.lot.to_string(),
            source: lot.source,
            amount: lot.amount.get(),
            expires_at: lot.expires_at,
        };
        Self {
            subscription_credits: balance.subscription.get(),
            purchased_credits: balance.purchased.get(),
            bonus_credits: balance.bonus.get(),
            used_credits: balance.used.get(),
            available: balance.available().unwrap_or(domain::Credits::MAX).get(),
            next_renewal: balance.next_renewal(),
            plan: balance.plan.0.clone(),
            unlimited: balance.unlimited,
            // Nothing can be held and nobody is post-paid as long as no route does either.
            held_credits: 0,
            post_paid: None,
            as_of: AsOf { sequence, timestamp: at },
            expiring: balance.expiring.iter().map(expiring).collect(),
        }
    }
}

impl From<&Receipt> for Balance {
    fn from(receipt: &Receipt) -> Self {
        Self::new(&receipt.balance, receipt.sequence, receipt.entry.at)
    }
}
