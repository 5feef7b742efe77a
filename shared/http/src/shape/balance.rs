use chrono::{DateTime, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::instant;
use domain::{Receipt, Source};

/// What an organisation has.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "subscriptionCredits": 250, "purchasedCredits": 100, "bonusCredits": 50, "usedCredits": 150, "available": 400,
    "spendable": 400, "nextRenewal": "2024-02-01T00:00:00Z", "plan": "professional", "unlimited": false, "heldCredits": 0,
    "disputedCredits": 0,
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
    /// What a debit without a service can spend: all but what is set aside for one. Thresholds, alerts and
    /// auto-recharge follow it.
    pub spendable: u64,
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
    /// Set aside while a payment is disputed: in no bucket, and not spendable.
    pub disputed_credits: u64,
    /// Limit and outstanding amount of a post-paid organisation.
    pub post_paid: Option<PostPaid>,
    /// The entry after which, and the time at which, this is the balance.
    pub as_of: AsOf,
    /// The lots that expire next, soonest first.
    pub expiring: Vec<Expiring>,
}

/// Credits on account.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct PostPaid {
    /// How many may be spent beyond what is there; 0 for an organisation that only owes.
    pub limit: u64,
    /// How many were, and no purchase has settled yet.
    pub outstanding: u64,
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
            spendable: balance.spendable().unwrap_or(domain::Credits::MAX).get(),
            next_renewal: balance.next_renewal(),
            plan: balance.plan.0.clone(),
            unlimited: balance.unlimited,
            held_credits: balance.held.get(),
            disputed_credits: balance.disputed.get(),
            post_paid: balance.post_paid.map(PostPaid::from),
            as_of: AsOf { sequence, timestamp: at },
            expiring: balance.expiring.iter().map(expiring).collect(),
        }
    }
}

impl From<domain::PostPaid> for PostPaid {
    fn from(post_paid: domain::PostPaid) -> Self {
        Self { limit: post_paid.limit.get(), outstanding: post_paid.outstanding.get() }
    }
}

impl From<&Receipt> for Balance {
    fn from(receipt: &Receipt) -> Self {
        Self::new(&receipt.balance, receipt.sequence, receipt.entry.at)
    }
}
