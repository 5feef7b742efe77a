use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{Credits, Direction, Receipt, Reference, Source};

/// How much was used, by operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Usage(pub BTreeMap<String, Used>);

/// How much was used of one operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Used {
    /// How many debits, captures or refunds there were.
    pub count: u64,
    /// How many credits they were worth.
    pub credits: Credits,
    /// From which buckets, or back to which.
    pub sources: BTreeMap<Source, Credits>,
}

/// What one transaction adds to usage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spent {
    /// Its number.
    pub sequence: u64,
    /// When it took effect.
    pub at: DateTime<Utc>,
    /// What was done: for a capture what was held for; for a refund `credit.refund`.
    pub operation: String,
    /// What it adds.
    pub used: Used,
    /// On behalf of whom, by the caller's name.
    pub customer: Option<Reference>,
    /// Who did it, by the caller's name.
    pub member: Option<Reference>,
}

impl Spent {
    /// What a transaction adds to usage; nothing when it spends nothing and gives nothing back. Holds are no
    /// usage until they are captured.
    #[must_use]
    pub fn by(receipt: &Receipt) -> Option<Self> {
        let Receipt { entry, details, sequence, .. } = receipt;
        let moved = entry.moves.iter().map(|part| (part.source, part.amount));
        let drawn = details.drawn.as_ref();
        let drawn =
            drawn.into_iter().flat_map(|drawn| drawn.shares.iter().map(|share| (share.source, share.amount)));
        let (operation, used) = match entry.operation.as_str() {
            "credit.refund" => ("credit.refund", Used::of(entry.amount, moved)),
            "credit.capture" => {
                let purpose = details.purpose.as_ref().map_or("credit.capture", |purpose| purpose.as_str());
                let credits = drawn
                    .clone()
                    .fold(Credits::ZERO, |sum, (_, part)| sum.plus(part).unwrap_or(Credits::MAX));
                (purpose, Used::of(credits, drawn))
            }
            own if ["account.", "credit.", "ledger."].iter().any(|prefix| own.starts_with(prefix)) => {
                return None;
            }
            other if entry.direction == Direction::Debit => (other, Used::of(entry.amount, moved)),
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

impl Used {
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
    /// With another count of the same.
    pub fn join(&mut self, other: &Self) {
        for (operation, used) in &other.0 {
            self.0.entry(operation.clone()).or_default().add(used);
        }
    }

    /// With what a transaction adds.
    pub fn add(&mut self, spent: &Spent) {
        self.0.entry(spent.operation.clone()).or_default().add(&spent.used);
    }
}
