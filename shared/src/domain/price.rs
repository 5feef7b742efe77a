use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Credits, Operation, Reference, Refusal};

/// What every operation costs, and cost before: the database's own table (seed: "Credit Costs …
/// automatically pulled from our database").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriceList {
    operations: BTreeMap<Operation, PricedOperation>,
}

/// One operation's prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedOperation {
    /// The group it is listed under.
    pub category: Category,
    /// Whether it is charged once a month for as long as it goes on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub monthly: bool,
    /// Every price it ever had, the oldest first. Version n is the n-th.
    pub prices: Vec<Price>,
}

/// The group that an operation is listed under in the seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Category {
    /// Identity verification.
    Verification,
    /// AML screening.
    Aml,
    /// Deepfake detection.
    Deepfake,
    /// KYT crypto.
    Kyt,
    /// Everything else.
    Other,
}

/// One version of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// 1 for the first price of the operation, 2 for the next, …
    #[serde(rename = "v")]
    pub version: u32,
    /// Credits each time, `0..=Price::MAX`.
    #[serde(rename = "n")]
    pub credits: Credits,
    /// In force from this instant on, until a later version is.
    #[serde(rename = "from", with = "chrono::serde::ts_seconds")]
    pub effective_from: DateTime<Utc>,
}

impl Price {
    /// The highest price: with the highest quantity it stays the most that one request may move.
    pub const MAX: u64 = 1_000_000;
    /// How many versions an operation keeps. A price changed daily for a year stays within it.
    pub const VERSIONS_MAX: usize = 400;
}

impl PriceList {
    /// The operation of that name and its price at `at`: of the versions in force then, the latest.
    ///
    /// # Errors
    /// [`Refusal::UnknownOperation`] when there is none.
    pub fn price(&self, name: &Reference, at: DateTime<Utc>) -> Result<(Operation, Price), Refusal> {
        let known = Operation::try_from(name.as_str().to_owned()).ok();
        let known = known.and_then(|name| self.operations.get_key_value(&name));
        let in_force = known.and_then(|(name, operation)| {
            let price = operation.prices.iter().rfind(|price| price.effective_from <= at)?;
            Some((name.clone(), *price))
        });
        in_force.ok_or_else(|| Refusal::UnknownOperation(name.clone()))
    }

    /// Adds an operation, or replaces all that is known of it.
    pub fn insert(&mut self, operation: Operation, priced: PricedOperation) {
        self.operations.insert(operation, priced);
    }
}
