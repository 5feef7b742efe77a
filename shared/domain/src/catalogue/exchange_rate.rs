//! The list of exchange rates.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalogue::version::{Limit, room};
use crate::{BadUpdate, Currency, Rate};

/// Exchange rates that operators set, by currency pair: `GBP/EUR` is the number of EUR per GBP. A rate does not
/// imply the inverse rate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExchangeRateList(BTreeMap<String, Rate>);

impl ExchangeRateList {
    /// The maximum number of rates.
    pub const MAX: usize = 1_000;

    /// The units of `to` per unit of `from`; 1 for the same currency, `None` when no operator has set the rate.
    #[must_use]
    pub fn rate(&self, from: Currency, to: Currency) -> Option<Rate> {
        if from == to { Some(Rate::ONE) } else { self.0.get(&pair(from, to)).copied() }
    }

    /// All rates: source currency, target currency, rate.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Rate)> {
        self.0.iter().filter_map(|(pair, rate)| pair.split_once('/').map(|(from, to)| (from, to, *rate)))
    }

    /// A copy of the list with this rate set.
    ///
    /// # Errors
    /// [`BadUpdate::SameCurrency`]; [`BadUpdate::TooMany`].
    pub fn change(&self, from: Currency, to: Currency, rate: Rate) -> Result<Self, BadUpdate> {
        if from == to {
            return Err(BadUpdate::SameCurrency);
        }
        let mut changed = self.clone();
        if changed.0.insert(pair(from, to), rate).is_none() {
            room(self.0.len(), Limit { max: Self::MAX, kept: "exchange rates" })?;
        }
        Ok(changed)
    }
}

fn pair(from: Currency, to: Currency) -> String {
    format!("{}/{}", from.code(), to.code())
}
