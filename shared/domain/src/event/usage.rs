//! Usage by operation, from transactions.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Credits, Direction, Receipt, Reference, Source};

/// Usage by operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage(pub BTreeMap<String, OperationUsage>);

/// The usage of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OperationUsage {
    /// The number of debits, captures or refunds.
    pub count: u64,
    /// Their credits.
    pub credits: Credits,
    /// The credits by source.
    pub sources: BTreeMap<Source, Credits>,
}

/// The usage of one transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsageRecord {
    /// The transaction's number.
    pub sequence: u64,
    /// When it took effect.
    pub at: DateTime<Utc>,
    /// The operation: for a capture the hold's operation; for a refund `credit.refund`.
    pub operation: String,
    /// Its usage.
    pub used: OperationUsage,
    /// The caller's id of the customer.
    pub customer: Option<Reference>,
    /// The caller's id of the staff member.
    pub member: Option<Reference>,
}

impl UsageRecord {
    /// The usage of a transaction; `None` when it neither spends nor refunds credits. Holds are not usage until
    /// they are captured.
    #[must_use]
    pub fn by(receipt: &Receipt) -> Option<Self> {
        let Receipt { entry, details, sequence, .. } = receipt;
        let moved = entry.moves.iter().map(|part| (part.source, part.amount));
        let drawn = details.drawn.as_ref();
        let drawn =
            drawn.into_iter().flat_map(|drawn| drawn.shares.iter().map(|share| (share.source, share.amount)));
        let (operation, used) = match entry.operation.as_str() {
            "credit.refund" => ("credit.refund", OperationUsage::of(entry.amount, moved)),
            "credit.capture" => {
                let purpose = details.purpose.as_ref().map_or("credit.capture", |purpose| purpose.as_str());
                let credits = drawn
                    .clone()
                    .fold(Credits::ZERO, |sum, (_, part)| sum.plus(part).unwrap_or(Credits::MAX));
                (purpose, OperationUsage::of(credits, drawn))
            }
            own if ["account.", "credit.", "ledger."].iter().any(|prefix| own.starts_with(prefix)) => {
                return None;
            }
            other if entry.direction == Direction::Debit => (other, OperationUsage::of(entry.amount, moved)),
            _ => return None,
        };
        Some(Self {
            sequence: *sequence,
            at: entry.at,
            operation: operation.to_owned(),
            used,
            customer: details.customer_id.clone(),
            member: details.member_id.clone(),
        })
    }
}

impl OperationUsage {
    fn of(credits: Credits, shares: impl Iterator<Item = (Source, Credits)>) -> Self {
        let mut used = Self { count: 1, credits, sources: BTreeMap::new() };
        for (source, amount) in shares {
            used.source(source, amount);
        }
        used
    }

    fn source(&mut self, source: Source, amount: Credits) {
        let sum = self.sources.entry(source).or_default();
        *sum = sum.plus(amount).unwrap_or(Credits::MAX);
    }

    fn add(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.credits = self.credits.plus(other.credits).unwrap_or(Credits::MAX);
        for (source, amount) in &other.sources {
            self.source(*source, *amount);
        }
    }
}

impl Usage {
    /// Adds other usage.
    pub fn join(&mut self, other: &Self) {
        for (operation, used) in &other.0 {
            self.0.entry(operation.clone()).or_default().add(used);
        }
    }

    /// Adds the usage of a transaction.
    pub fn add(&mut self, spent: &UsageRecord) {
        self.0.entry(spent.operation.clone()).or_default().add(&spent.used);
    }
}
