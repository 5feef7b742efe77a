//! The sums of a roll-forward's parts.

use std::collections::BTreeMap;
use std::fmt::Write;

use chrono::{DateTime, Utc};
use domain::ValueFlows;
use sha2::{Digest, Sha256};
use store::RollForwardPart;

/// What all parts add up to.
pub(super) struct Sums {
    /// The number of organisations.
    pub(super) organisations: u64,
    /// Their values.
    pub(super) flows: ValueFlows,
    /// Credits without a known price.
    pub(super) unpriced: i64,
    /// When the latest part was changed.
    pub(super) as_of: DateTime<Utc>,
    /// SHA-256 of the parts' hashes.
    pub(super) hash: String,
}

impl Sums {
    pub(super) fn of(parts: &BTreeMap<String, RollForwardPart>) -> Self {
        let mut sums = Self {
            organisations: 0,
            flows: ValueFlows::default(),
            unpriced: 0,
            as_of: DateTime::default(),
            hash: String::new(),
        };
        let mut digest = Sha256::new();
        for (shard, part) in parts {
            sums.organisations = sums.organisations.saturating_add(part.accounts);
            sums.flows.add(&part.flows);
            sums.unpriced = sums.unpriced.saturating_add(part.unpriced);
            sums.as_of = sums.as_of.max(part.stepped_at);
            digest.update(format!("{shard} {}\n", part.digest));
        }
        for byte in digest.finalize() {
            // Writing to a string does not fail.
            write!(sums.hash, "{byte:02x}").unwrap_or_default();
        }
        sums
    }
}
