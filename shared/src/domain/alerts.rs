use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::Credits;

/// How an organisation wants to be told of things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    /// Below how many credits its owner is told that the balance runs low, the highest first; at most
    /// [`Alerts::THRESHOLDS_MAX`], none of them 0. None of them: never.
    #[serde(default = "Alerts::usual")]
    pub thresholds: Vec<Credits>,
    /// By how many credits the balance has to rise above a threshold until it counts as recovered.
    #[serde(default)]
    pub recovery_margin: Credits,
    /// For how many minutes after a crossing of a threshold another one of the same is kept back,
    /// `0..=`[`Alerts::MINUTES_MAX`]. Still low then, its owner is told.
    #[serde(default)]
    pub cooldown_minutes: u32,
    /// How many days before credits expire their owner is told, `0..=`[`Alerts::DAYS_MAX`]; 0 for never.
    pub expiry_notice_days: u32,
    /// Grows with every change.
    pub revision: u64,
}

impl Alerts {
    /// The longest notice, in days: a quarter.
    pub const DAYS_MAX: u32 = 92;
    /// The longest cool-down, in minutes: a week.
    pub const MINUTES_MAX: u32 = 7 * 24 * 60;
    /// How many thresholds there may be.
    pub const THRESHOLDS_MAX: usize = 10;

    /// The threshold of whoever has said nothing: the seed's (seed: "Webhook Payload").
    fn usual() -> Vec<Credits> {
        Credits::try_from(100).into_iter().collect()
    }

    /// Thresholds in their order, each once; 0 is none.
    #[must_use]
    pub fn in_order(thresholds: impl IntoIterator<Item = Credits>) -> Vec<Credits> {
        let each: BTreeSet<Credits> = thresholds.into_iter().filter(|credits| !credits.is_zero()).collect();
        each.into_iter().rev().collect()
    }
}

impl Default for Alerts {
    /// The seed's threshold, and a week's notice.
    fn default() -> Self {
        Self {
            thresholds: Self::usual(),
            recovery_margin: Credits::ZERO,
            cooldown_minutes: 0,
            expiry_notice_days: 7,
            revision: 0,
        }
    }
}
