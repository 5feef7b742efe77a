use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::catalogue::version::{Limit, room};
use crate::{BadChange, Currency, Rate};

/// Exchange rates, as somebody has set them. By pair, `GBP/EUR`: how many EUR one GBP is worth. A
/// rate says nothing about the way back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RateList(BTreeMap<String, Rate>);

impl RateList {
    /// Rates at most.
    pub const MAX: usize = 1_000;

    /// How many units of `to` one of `from` is worth; one for the same currency, `None` when nobody
    /// has said.
    #[must_use]
    pub fn rate(&self, from: Currency, to: Currency) -> Option<Rate> {
        if from == to { Some(Rate::ONE) } else { self.0.get(&pair(from, to)).copied() }
    }

    /// Every rate that was set: from, to, and how much.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str, Rate)> {
        self.0.iter().filter_map(|(pair, rate)| pair.split_once('/').map(|(from, to)| (from, to, *rate)))
    }

    /// The list with a rate set.
    ///
    /// # Errors
    /// [`BadChange::SameCurrency`]; [`BadChange::TooMany`].
    pub fn change(&self, from: Currency, to: Currency, rate: Rate) -> Result<Self, BadChange> {
        if from == to {
            return Err(BadChange::SameCurrency);
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
