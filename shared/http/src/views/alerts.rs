//! Alert settings as callers see them.

use domain::{Amount, Service};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A threshold for the credits that the debits of one service can spend.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "service": "smartcheck", "threshold": 50 }))]
pub struct ServiceThreshold {
    /// smartcheck, smartaccess, smartenroll, api or biometric.
    #[schema(value_type = String)]
    pub service: Service,
    /// The event credits.low_balance is sent below this number of credits.
    #[schema(value_type = u64, minimum = 1, maximum = 1_000_000_000_000_u64)]
    pub threshold: Amount,
}

/// The alert settings of an organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Alerts)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "lowBalanceThreshold": 100, "lowBalanceThresholds": [100], "serviceThresholds": [], "recoveryMargin": 0,
    "cooldownMinutes": 0, "expiryNoticeDays": 7
}))]
pub struct AlertsView {
    /// The highest threshold of the event credits.low_balance; 0 for none.
    low_balance_threshold: u64,
    /// All thresholds, the highest first.
    low_balance_thresholds: Vec<u64>,
    /// Thresholds of services, by service, the highest first.
    service_thresholds: Vec<ServiceThreshold>,
    /// The event credits.recovered is sent when the balance is more than this many credits above a threshold.
    recovery_margin: u64,
    /// The minutes after credits.low_balance in which another crossing of the same threshold sends no event.
    cooldown_minutes: u32,
    /// How many days before credits expire the event credits.expiring is sent; 0 for never.
    expiry_notice_days: u32,
}

impl From<domain::AlertSettings> for AlertsView {
    fn from(alerts: domain::AlertSettings) -> Self {
        let plain = alerts.thresholds.iter().filter(|threshold| threshold.service.is_none());
        let plain: Vec<_> = plain.map(|threshold| threshold.below.get()).collect();
        let of_service = |threshold: &domain::Threshold| {
            let below = Amount::try_from(threshold.below.get()).ok();
            threshold.service.zip(below).map(|(service, threshold)| ServiceThreshold { service, threshold })
        };
        Self {
            low_balance_threshold: plain.first().copied().unwrap_or(0),
            low_balance_thresholds: plain,
            service_thresholds: alerts.thresholds.iter().filter_map(of_service).collect(),
            recovery_margin: alerts.recovery_margin.get(),
            cooldown_minutes: alerts.cooldown_minutes,
            expiry_notice_days: alerts.expiry_notice_days,
        }
    }
}
