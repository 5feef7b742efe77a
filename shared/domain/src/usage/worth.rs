//! Credits and what they are worth, divided so that the parts add up to the whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::apportion::apportion;
use crate::Currency;

/// An amount of money in minor units (pence, cents), by the code of the currency.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Worth(BTreeMap<String, i64>);

/// Credits, and what they are worth.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stock {
    /// The number of credits.
    #[serde(rename = "n", default, skip_serializing_if = "is_zero")]
    pub credits: i64,
    /// What they are worth together.
    #[serde(rename = "w", default, skip_serializing_if = "Worth::is_nothing")]
    pub worth: Worth,
}

impl Worth {
    /// An amount of one currency.
    #[must_use]
    pub fn new(minor: i64, currency: Currency) -> Self {
        let mut worth = Self::default();
        worth.add_minor(currency.code(), minor);
        worth
    }

    /// Whether it is 0 in every currency.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.0.is_empty()
    }

    /// The minor units by currency, those that are not 0.
    pub fn amounts(&self) -> impl Iterator<Item = (&str, i64)> {
        self.0.iter().map(|(currency, minor)| (currency.as_str(), *minor))
    }

    /// Adds another amount.
    pub fn add(&mut self, other: &Self) {
        for (currency, minor) in other.amounts() {
            self.add_minor(currency, minor);
        }
    }

    fn add_minor(&mut self, currency: &str, minor: i64) {
        let sum = self.0.get(currency).copied().unwrap_or_default().saturating_add(minor);
        if sum == 0 {
            self.0.remove(currency);
        } else {
            self.0.insert(currency.to_owned(), sum);
        }
    }

    /// Divides it in proportion to numbers of credits that are not negative. The parts add up to it: each is its exact
    /// share, rounded down or up, up where the remainders are largest, and of equal ones for the first. Without credits
    /// the last part is all of it.
    #[must_use]
    pub fn divide(&self, credits: &[i64]) -> Vec<Self> {
        let mut parts = vec![Self::default(); credits.len()];
        for (currency, minor) in self.amounts() {
            for (part, minor) in parts.iter_mut().zip(divide(minor, credits)) {
                part.add_minor(currency, minor);
            }
        }
        parts
    }
}

fn divide(minor: i64, credits: &[i64]) -> Vec<i64> {
    let all = credits.iter().fold(0_i128, |sum, part| sum.saturating_add((*part).into()));
    if all <= 0 {
        let last = credits.len().saturating_sub(1);
        return (0..credits.len()).map(|place| if place == last { minor } else { 0 }).collect();
    }
    let numbers: Vec<_> =
        credits.iter().map(|part| i128::from(minor).saturating_mul((*part).into())).collect();
    apportion(&numbers, all, minor.into())
}

impl Stock {
    /// Whether it has neither credits nor worth.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.credits == 0 && self.worth.is_nothing()
    }

    /// Adds another stock.
    pub fn add(&mut self, other: &Self) {
        self.credits = self.credits.saturating_add(other.credits);
        self.worth.add(&other.worth);
    }

    /// Takes credits with their part of the worth: at most those that it has. The last ones take the rest.
    #[must_use]
    pub fn take(&mut self, credits: i64) -> Self {
        let credits = credits.clamp(0, self.credits.max(0));
        if credits == 0 {
            return Self::default();
        }
        let rest = self.credits.saturating_sub(credits);
        let mut parts = self.worth.divide(&[credits, rest]).into_iter();
        let taken = Self { credits, worth: parts.next().unwrap_or_default() };
        *self = Self { credits: rest, worth: parts.next().unwrap_or_default() };
        taken
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(credits: &i64) -> bool {
    *credits == 0
}
