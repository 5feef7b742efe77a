//! The alert settings of an organisation.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Credits, Service};

/// The alert settings of an organisation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertSettings {
    /// The thresholds of low balance alerts: those for debits without a service, then those of each service,
    /// the highest first; at most [`AlertSettings::THRESHOLDS_MAX`] of each kind, none of them 0. Empty for no alerts.
    #[serde(default = "AlertSettings::usual")]
    pub thresholds: Vec<Threshold>,
    /// The credits by which the balance has to exceed a threshold to count as recovered.
    #[serde(default)]
    pub recovery_margin: Credits,
    /// The number of minutes after a low balance alert in which the same threshold causes no other,
    /// `0..=`[`AlertSettings::MINUTES_MAX`]. If the balance is still low afterwards, the alert is sent then.
    #[serde(default)]
    pub cooldown_minutes: u32,
    /// The number of days before an expiry at which its notice is sent, `0..=`[`AlertSettings::DAYS_MAX`]; 0 for no
    /// notice.
    pub expiry_notice_days: u32,
    /// Incremented with every change.
    pub revision: u64,
}

/// A threshold of low balance alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threshold {
    /// The alert is sent below this number of credits.
    pub below: Credits,
    /// The service whose debits it concerns; `None` for debits without a service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The number of the account's change at which it was set; 0 for the account's beginning. It is not
    /// evaluated for earlier changes, but for this one, so a balance that is already below it causes an alert.
    pub since: u64,
}

impl AlertSettings {
    /// The longest notice in days: a quarter.
    pub const DAYS_MAX: u32 = 92;
    /// The longest cool-down in minutes: a week.
    pub const MINUTES_MAX: u32 = 7 * 24 * 60;
    /// The maximum number of thresholds of each kind.
    pub const THRESHOLDS_MAX: usize = 10;

    /// The default threshold (seed: "Webhook Payload").
    fn usual() -> Vec<Threshold> {
        Credits::try_from(100).into_iter().map(|below| Threshold { below, service: None, since: 0 }).collect()
    }

    /// The settings with other thresholds for debits without a service; duplicates and 0 are dropped. A known
    /// threshold is kept, a new one is valid from the account's change `since`.
    #[must_use]
    pub fn with_thresholds(self, wanted: impl IntoIterator<Item = Credits>, since: u64) -> Self {
        let kept = self.thresholds.iter().filter(|threshold| threshold.service.is_some());
        let kept: Vec<_> = kept.map(|threshold| (threshold.service, threshold.below)).collect();
        self.with(kept.into_iter().chain(wanted.into_iter().map(|below| (None, below))), since)
    }

    /// The settings with other thresholds for services, as in [`AlertSettings::with_thresholds`].
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

impl Default for AlertSettings {
    /// The seed's threshold, and a notice of a week.
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
