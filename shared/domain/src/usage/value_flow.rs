//! How the value of unused credits changed in a month, by bucket and currency.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::worth::Worth;
use crate::Source;

/// The value of a bucket in minor units. `closing` is `opening + sold - used - expired - refunded - disputed + adjusted`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueFlow {
    /// At the beginning of the month.
    pub opening: i64,
    /// What credits that arrived cost: what was paid, or the list price of a plan.
    pub sold: i64,
    /// What was used, less what refunds of debits returned; and what settled credits that were used before.
    pub used: i64,
    /// What expired.
    pub expired: i64,
    /// What refunds of money took back, less what failed refunds returned.
    pub refunded: i64,
    /// What disputes took back, less what they returned.
    pub disputed: i64,
    /// What an operator or a smaller plan took: negative.
    pub adjusted: i64,
    /// At the end of the month.
    pub closing: i64,
}

/// A column of a roll-forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueColumn {
    Opening,
    Sold,
    Used,
    Expired,
    Refunded,
    Disputed,
    Adjusted,
    Closing,
}

/// The value flows of buckets, by the code of the currency. Bonus credits are worth nothing and have none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ValueFlows(BTreeMap<Source, BTreeMap<String, ValueFlow>>);

impl ValueFlow {
    /// Adds another flow.
    pub fn add(&mut self, other: &Self) {
        let Self { opening, sold, used, expired, refunded, disputed, adjusted, closing } = other;
        for (sum, part) in [
            (&mut self.opening, opening),
            (&mut self.sold, sold),
            (&mut self.used, used),
            (&mut self.expired, expired),
            (&mut self.refunded, refunded),
            (&mut self.disputed, disputed),
            (&mut self.adjusted, adjusted),
            (&mut self.closing, closing),
        ] {
            *sum = sum.saturating_add(*part);
        }
    }

    /// Whether it adds up.
    #[must_use]
    pub fn adds_up(&self) -> bool {
        let plus = [self.opening, self.sold, self.adjusted].map(i128::from);
        let minus = [self.used, self.expired, self.refunded, self.disputed].map(i128::from);
        let sum = |parts: &[i128]| parts.iter().fold(0_i128, |sum, part| sum.saturating_add(*part));
        sum(&plus).saturating_sub(sum(&minus)) == i128::from(self.closing)
    }

    fn column(&mut self, column: ValueColumn) -> &mut i64 {
        match column {
            ValueColumn::Opening => &mut self.opening,
            ValueColumn::Sold => &mut self.sold,
            ValueColumn::Used => &mut self.used,
            ValueColumn::Expired => &mut self.expired,
            ValueColumn::Refunded => &mut self.refunded,
            ValueColumn::Disputed => &mut self.disputed,
            ValueColumn::Adjusted => &mut self.adjusted,
            ValueColumn::Closing => &mut self.closing,
        }
    }
}

impl ValueFlows {
    /// Adds other flows.
    pub fn add(&mut self, other: &Self) {
        for (source, flows) in &other.0 {
            for (currency, flow) in flows {
                self.0.entry(*source).or_default().entry(currency.clone()).or_default().add(flow);
            }
        }
    }

    /// The currencies that have a flow.
    #[must_use]
    pub fn currencies(&self) -> Vec<&str> {
        let mut currencies: Vec<_> = self.0.values().flat_map(BTreeMap::keys).map(String::as_str).collect();
        currencies.sort_unstable();
        currencies.dedup();
        currencies
    }

    /// The flow of a bucket in a currency.
    #[must_use]
    pub fn of(&self, source: Source, currency: &str) -> ValueFlow {
        self.0.get(&source).and_then(|flows| flows.get(currency)).copied().unwrap_or_default()
    }

    /// Whether each of them adds up.
    #[must_use]
    pub fn add_up(&self) -> bool {
        self.0.values().flat_map(BTreeMap::values).all(ValueFlow::adds_up)
    }

    /// Adds a worth to a column.
    pub(super) fn increase(&mut self, source: Source, column: ValueColumn, worth: &Worth) {
        self.change(source, column, worth, i64::saturating_add);
    }

    /// Subtracts a worth from a column.
    pub(super) fn decrease(&mut self, source: Source, column: ValueColumn, worth: &Worth) {
        self.change(source, column, worth, i64::saturating_sub);
    }

    fn change(&mut self, source: Source, column: ValueColumn, worth: &Worth, by: fn(i64, i64) -> i64) {
        for (currency, minor) in worth.amounts() {
            let flow = self.0.entry(source).or_default().entry(currency.to_owned()).or_default();
            let sum = flow.column(column);
            *sum = by(*sum, minor);
        }
    }
}
