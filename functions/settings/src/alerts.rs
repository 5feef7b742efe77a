use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::domain::{self, Account, Credits};
use shared::edge::{ApiError, App, Caller, Once, Params, Reply, may};
use shared::store::{Errand, Fault};
use utoipa::ToSchema;

/// How often one change may lose the race for the row.
const ATTEMPTS_MAX: u32 = 8;

/// How an organisation wants to be told of things. What is left out keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "lowBalanceThreshold": 100, "expiryNoticeDays": 7 }))]
pub(super) struct AlertsChange {
    /// Below how many credits the event credits.low_balance tells that the balance runs low; 0 for never. It takes
    /// the place of all thresholds that there are.
    #[schema(value_type = Option<u64>)]
    low_balance_threshold: Option<Credits>,
    /// Several of them, at most 10: each is told when it is crossed.
    #[schema(value_type = Option<Vec<u64>>, max_items = 10)]
    low_balance_thresholds: Option<Vec<Credits>>,
    /// By more than how many credits the balance has to be above a threshold until credits.recovered tells of it.
    #[schema(value_type = Option<u64>)]
    recovery_margin: Option<Credits>,
    /// For how many minutes after credits.low_balance another crossing of the same threshold is kept back, 0 to 10080;
    /// it is told after them if the balance is low still.
    #[schema(maximum = 10080)]
    cooldown_minutes: Option<u32>,
    /// How many days before credits expire the event credits.expiring tells of it, 0 to 92; 0 for never.
    #[schema(maximum = 92)]
    expiry_notice_days: Option<u32>,
}

/// How an organisation is told of things.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "lowBalanceThreshold": 100, "lowBalanceThresholds": [100], "recoveryMargin": 0, "cooldownMinutes": 0, "expiryNoticeDays": 7
}))]
struct Alerts {
    /// Below how many credits credits.low_balance tells that the balance runs low: of several, the highest; 0 for
    /// never.
    low_balance_threshold: u64,
    /// All thresholds, the highest first.
    low_balance_thresholds: Vec<u64>,
    /// By more than how many credits the balance has to be above a threshold until credits.recovered tells of it.
    recovery_margin: u64,
    /// For how many minutes after credits.low_balance another crossing of the same threshold is kept back.
    cooldown_minutes: u32,
    /// How many days before credits expire the event credits.expiring tells of it; 0 for never.
    expiry_notice_days: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {}

/// How the organisation is told of things.
#[utoipa::path(get, path = "/api/v3/credits/alerts", tag = "settings", responses((status = 200, body = Alerts)))]
pub(super) async fn read_alerts(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    let alerts = app.ledger.alerts(caller.account).await?;
    Reply::ok(&Alerts::from(alerts))
}

/// Sets how the organisation is told of things. It holds for the balance and the credits that are there already,
/// too; what was told is not told again, unless its threshold was taken away in between.
#[utoipa::path(
    put,
    path = "/api/v3/credits/alerts",
    tag = "settings",
    request_body = AlertsChange,
    responses((status = 200, body = Alerts)),
)]
pub(super) async fn set_alerts(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Once { body: change, .. }: Once<AlertsChange>,
) -> Result<Reply, ApiError> {
    change.check()?;
    // What is there already is looked at anew, once this has been written.
    app.calendar().expect(Errand::Calendar(caller.account), caller.call.moment).await?;
    let now = app.ledger.catch_up(caller.account, caller.call.moment).await?;
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.alerts(caller.account).await?;
        if let Some(saved) = app.ledger.save_alerts(caller.account, change.applied(known, &now)).await? {
            // What is low by thresholds that are new is told at once, and what will expire by another notice.
            if let Err(unsettled) = app.calendar().look_after(caller.account, caller.call.moment).await {
                tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "notices are left to the schedule");
            }
            return Reply::ok(&Alerts::from(saved));
        }
    }
    Err(Fault::Busy.into())
}

impl AlertsChange {
    fn check(&self) -> Result<(), ApiError> {
        let within = |field: &str, value: Option<u32>, most: u32| match value {
            Some(value) if most < value => {
                Err(ApiError::field(field, format!("must be a whole number from 0 to {most}")))
            }
            Some(_) | None => Ok(()),
        };
        within("expiryNoticeDays", self.expiry_notice_days, domain::Alerts::DAYS_MAX)?;
        within("cooldownMinutes", self.cooldown_minutes, domain::Alerts::MINUTES_MAX)?;
        let several = self.low_balance_thresholds.as_ref();
        if several.is_some() && self.low_balance_threshold.is_some() {
            let problem = "send either lowBalanceThreshold or lowBalanceThresholds";
            return Err(ApiError::field("lowBalanceThresholds", problem));
        }
        let most = domain::Alerts::THRESHOLDS_MAX;
        if several.is_some_and(|several| most < several.len()) {
            return Err(ApiError::field(
                "lowBalanceThresholds",
                format!("must be at most {most} thresholds"),
            ));
        }
        Ok(())
    }

    fn applied(&self, known: domain::Alerts, now: &Account) -> domain::Alerts {
        let known = match (&self.low_balance_thresholds, self.low_balance_threshold) {
            (Some(several), _) => known.with_thresholds(several.iter().copied(), now.sequence),
            (None, Some(one)) => known.with_thresholds([one], now.sequence),
            (None, None) => known,
        };
        domain::Alerts {
            recovery_margin: self.recovery_margin.unwrap_or(known.recovery_margin),
            cooldown_minutes: self.cooldown_minutes.unwrap_or(known.cooldown_minutes),
            expiry_notice_days: self.expiry_notice_days.unwrap_or(known.expiry_notice_days),
            ..known
        }
    }
}

impl From<domain::Alerts> for Alerts {
    fn from(alerts: domain::Alerts) -> Self {
        Self {
            low_balance_threshold: alerts.thresholds.first().map_or(0, |highest| highest.below.get()),
            low_balance_thresholds: alerts.thresholds.iter().map(|threshold| threshold.below.get()).collect(),
            recovery_margin: alerts.recovery_margin.get(),
            cooldown_minutes: alerts.cooldown_minutes,
            expiry_notice_days: alerts.expiry_notice_days,
        }
    }
}
