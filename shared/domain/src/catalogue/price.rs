//! The price list.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::catalogue::version::{Limit, Version, in_force, next, revise, room};
use crate::{BadUpdate, Credits, EffectiveTime, Operation, PriceCategory, Reference, Refusal};

/// The price list: all versions of all operations' prices (seed: "Credit Costs … automatically pulled from our
/// database").
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PriceList {
    operations: BTreeMap<Operation, PricedOperation>,
}

/// One operation's prices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PricedOperation {
    /// Its category.
    pub category: PriceCategory,
    /// Whether it is a monthly operation, charged once a month while it is active.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub monthly: bool,
    /// All its prices, the oldest first. Version n is the n-th.
    pub prices: Vec<Price>,
}

/// One version of a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// The number of the version, from 1.
    #[serde(rename = "v")]
    pub version: u32,
    /// Credits per use.
    #[serde(rename = "n")]
    pub credits: Credits,
    /// Effective from this instant until a later version is.
    #[serde(rename = "from", with = "chrono::serde::ts_seconds")]
    pub effective_from: DateTime<Utc>,
}

impl Price {
    /// The highest price. With the highest quantity it is still within what one request may move.
    pub const MAX: u64 = 1_000_000;
    /// The maximum number of versions of one operation's price. A year of daily changes is within it.
    pub const VERSIONS_MAX: usize = 400;
}

impl Version for Price {
    const MAX: Limit = Limit { max: Self::VERSIONS_MAX, kept: "prices of one operation" };

    fn number(&self) -> u32 {
        self.version
    }

    fn effective_from(&self) -> DateTime<Utc> {
        self.effective_from
    }

    fn renumbered(self, version: u32, effective_from: DateTime<Utc>) -> Self {
        Self { version, effective_from, ..self }
    }
}

/// A change of an operation and its price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PriceUpdate {
    /// Credits per use.
    pub credits: Credits,
    /// Its category. It belongs to the operation, not to a price, so it changes immediately.
    pub category: Option<PriceCategory>,
    /// Whether it is a monthly operation. It changes immediately.
    pub monthly: Option<bool>,
}

/// An operation with one of its prices.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedPrice {
    /// The operation.
    pub operation: Operation,
    /// Its category.
    pub category: PriceCategory,
    /// Whether it is a monthly operation, charged once a month while it is active.
    pub monthly: bool,
    /// The price.
    pub price: Price,
    /// The next price that is scheduled.
    pub next: Option<Price>,
}

impl PricedOperation {
    fn listed(&self, operation: &Operation, price: Price) -> ListedPrice {
        ListedPrice {
            operation: operation.clone(),
            category: self.category,
            monthly: self.monthly,
            price,
            next: next(&self.prices, price.effective_from).copied(),
        }
    }
}

impl PriceList {
    /// The maximum number of operations. With [`PriceList::PRICES_MAX`] it keeps the list's item at half of the
    /// 400 KB that DynamoDB allows.
    pub const OPERATIONS_MAX: usize = 500;
    /// The maximum number of prices of all operations together.
    pub const PRICES_MAX: usize = 4_000;

    /// The category of an operation; `None` for one that never had a price.
    #[must_use]
    pub fn category(&self, operation: &Operation) -> Option<PriceCategory> {
        self.operations.get(operation).map(|priced| priced.category)
    }

    /// The operations with an effective price at `at`, by category and name.
    #[must_use]
    pub fn listed(&self, at: DateTime<Utc>) -> Vec<ListedPrice> {
        let priced = |(name, operation): (&Operation, &PricedOperation)| {
            let price = *in_force(&operation.prices, at)?;
            Some(ListedPrice { next: next(&operation.prices, at).copied(), ..operation.listed(name, price) })
        };
        let mut listed: Vec<_> = self.operations.iter().filter_map(priced).collect();
        listed.sort_by_key(|listed| listed.category);
        listed
    }

    /// A copy of the list with a new price, and that price.
    ///
    /// # Errors
    /// [`BadUpdate::Reserved`]; [`BadUpdate::Incomplete`] for a new operation without a category;
    /// [`BadUpdate::InThePast`]; [`BadUpdate::TooMany`].
    pub fn change(
        &self,
        name: &Operation,
        wanted: PriceUpdate,
        when: EffectiveTime,
    ) -> Result<(Self, ListedPrice), BadUpdate> {
        if name.is_own() {
            return Err(BadUpdate::Reserved);
        }
        let known = self.operations.get(name);
        let category = wanted.category.or(known.map(|known| known.category));
        let category = category.ok_or_else(|| BadUpdate::Incomplete(vec!["category"]))?;
        let monthly = wanted.monthly.or(known.map(|known| known.monthly)).unwrap_or(false);
        let mut prices = known.map(|known| known.prices.clone()).unwrap_or_default();
        let terms = Price { version: 0, credits: wanted.credits, effective_from: when.from() };
        let (price, is_new) = revise(&prices, terms, when)?;
        if is_new {
            room(
                self.operations.values().map(|each| each.prices.len()).sum(),
                Limit { max: Self::PRICES_MAX, kept: "prices" },
            )?;
            prices.push(price);
        }
        if known.is_none() {
            room(self.operations.len(), Limit { max: Self::OPERATIONS_MAX, kept: "operations" })?;
        }
        let priced = PricedOperation { category, monthly, prices };
        let listed = priced.listed(name, price);
        let mut changed = self.clone();
        changed.insert(name.clone(), priced);
        Ok((changed, listed))
    }

    /// The operation with this name and its effective price at `at`.
    ///
    /// # Errors
    /// [`Refusal::UnknownOperation`] when it has none.
    pub fn price(&self, name: &Reference, at: DateTime<Utc>) -> Result<(Operation, Price), Refusal> {
        let known = Operation::try_from(name.as_str().to_owned()).ok();
        let known = known.and_then(|name| self.operations.get_key_value(&name));
        let in_force =
            known.and_then(|(name, operation)| Some((name.clone(), *in_force(&operation.prices, at)?)));
        in_force.ok_or_else(|| Refusal::UnknownOperation(name.clone()))
    }

    /// The monthly operation with this name and its effective price at `at`.
    ///
    /// # Errors
    /// [`Refusal::UnknownOperation`]; [`Refusal::NotMonthly`].
    pub fn monthly(&self, name: &Reference, at: DateTime<Utc>) -> Result<(Operation, Price), Refusal> {
        let (name, price) = self.price(name, at)?;
        if self.operations.get(&name).is_some_and(|operation| operation.monthly) {
            Ok((name, price))
        } else {
            Err(Refusal::NotMonthly(name))
        }
    }

    /// Whether the price of any monthly operation was reduced after `since` and up to `until`.
    #[must_use]
    pub fn monthly_fell(&self, since: DateTime<Utc>, until: DateTime<Utc>) -> bool {
        let fell = |prices: &[Price], from: DateTime<Utc>| {
            let before = from.checked_sub_signed(TimeDelta::seconds(1));
            let before = before.and_then(|before| in_force(prices, before));
            before.zip(in_force(prices, from)).is_some_and(|(before, now)| now.credits < before.credits)
        };
        self.operations.values().filter(|operation| operation.monthly).any(|operation| {
            let begun = operation.prices.iter().map(|price| price.effective_from);
            begun.filter(|from| since < *from && *from <= until).any(|from| fell(&operation.prices, from))
        })
    }

    /// Adds or replaces an operation.
    pub fn insert(&mut self, operation: Operation, priced: PricedOperation) {
        self.operations.insert(operation, priced);
    }
}
