use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Credits, Service};

/// How an organisation wants to be told of things.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Alerts {
    /// Below how many credits its owner is told that the balance runs low: those of debits without a service, then
    /// those of each service, the highest first; of either at most [`Alerts::THRESHOLDS_MAX`], none of them 0. None of
    /// them: never.
    #[serde(default = "Alerts::usual")]
    pub thresholds: Vec<Threshold>,
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

/// A balance below which an owner is told that it runs low.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// Below how many credits.
    pub below: Credits,
    /// Whose debits it follows: those of this service, or those without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// By which number of the account's changes it was set. It does not go by what they left before; by this one it
    /// does, so a balance that is below it when it is set is told of. 0: from the account's beginning.
    pub since: u64,
}

impl Alerts {
    /// The longest notice, in days: a quarter.
    pub const DAYS_MAX: u32 = 92;
    /// The longest cool-down, in minutes: a week.
    pub const MINUTES_MAX: u32 = 7 * 24 * 60;
    /// How many thresholds there may be.
    pub const THRESHOLDS_MAX: usize = 10;

    /// The threshold of whoever has said nothing: the seed's (seed: "Webhook Payload").
    fn usual() -> Vec<Threshold> {
        Credits::try_from(100).into_iter().map(|below| Threshold { below, service: None, since: 0 }).collect()
    }

    /// With other thresholds of debits without a service, each once; 0 is none. One that is there already stays as it
    /// is, a new one is there since the account's change of that number.
    #[must_use]
    pub fn with_thresholds(self, wanted: impl IntoIterator<Item = Credits>, since: u64) -> Self {
        let kept = self.thresholds.iter().filter(|threshold| threshold.service.is_some());
        let kept: Vec<_> = kept.map(|threshold| (threshold.service, threshold.below)).collect();
        self.with(kept.into_iter().chain(wanted.into_iter().map(|below| (None, below))), since)
    }

    /// The same for thresholds of services.
    #[must_use]
    pub fn with_service_thresholds(
        self,
        wanted: impl IntoIterator<Item = (Service, Credits)>,
        since: u64,
    ) -> Self {
        let kept = self.thresholds.iter().filter(|threshold| threshold.service.is_none());
        let kept: Vec<_> = kept.map(|threshold| (threshold.service, threshold.below)).collect();
        self.with(kept.into_iter().chain(wanted.into_iter().map(|(of, below)| (Some(of), below))), since)
    }

    fn with(self, wanted: impl Iterator<Item = (Option<Service>, Credits)>, since: u64) -> Self {
        let wanted = wanted.filter(|(_, below)| !below.is_zero());
        let each: BTreeSet<_> = wanted.map(|(service, below)| (service, Reverse(below))).collect();
        let thresholds = each.into_iter().map(|(service, Reverse(below))| {
            let mut known = self.thresholds.iter();
            let known = known.find(|known| known.below == below && known.service == service).copied();
            known.unwrap_or(Threshold { below, service, since })
        });
        Self { thresholds: thresholds.collect(), ..self }
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
