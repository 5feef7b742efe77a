use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{Account, Amount, Credits, Service};
use scrip_http::{ApiError, App, Caller, IfMatch, Once, Params, Reply, may};
use serde::{Deserialize, Serialize};
use store::{Errand, Fault};
use utoipa::ToSchema;

/// How often one change may lose the race for the row: each time, another change has landed.
const ATTEMPTS_MAX: u32 = 64;

/// How an organisation wants to be told of things. What is left out, or null, keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "lowBalanceThreshold": 100, "expiryNoticeDays": 7 }))]
pub(super) struct AlertsChange {
    /// Below how many credits that a debit without a service can spend the event credits.low_balance tells that the
    /// balance runs low; 0 for never. It takes the place of all thresholds that there are but those of services.
    #[schema(value_type = Option<u64>)]
    low_balance_threshold: Option<Credits>,
    /// Several of them, at most 10: each is told when it is crossed. An empty list removes all of them.
    #[schema(value_type = Option<Vec<u64>>, max_items = 10)]
    low_balance_thresholds: Option<Vec<Credits>>,
    /// Thresholds of what the debits of a service can spend, at most 10. They take the place of those that there are.
    #[schema(max_items = 10)]
    service_thresholds: Option<Vec<ServiceThreshold>>,
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

/// A threshold that follows what the debits of one service can spend.
#[derive(Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "service": "smartcheck", "threshold": 50 }))]
pub(super) struct ServiceThreshold {
    /// smartcheck, smartaccess, smartenroll, api or biometric.
    #[schema(value_type = String)]
    service: Service,
    /// Below how many credits credits.low_balance tells of it.
    #[schema(value_type = u64, minimum = 1, maximum = 1_000_000_000_000_u64)]
    threshold: Amount,
}

/// How an organisation is told of things.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "lowBalanceThreshold": 100, "lowBalanceThresholds": [100], "serviceThresholds": [], "recoveryMargin": 0,
    "cooldownMinutes": 0, "expiryNoticeDays": 7
}))]
struct Alerts {
    /// Below how many credits credits.low_balance tells that the balance runs low: of several, the highest; 0 for
    /// never.
    low_balance_threshold: u64,
    /// All thresholds, the highest first.
    low_balance_thresholds: Vec<u64>,
    /// Thresholds of services, by service, the highest first.
    service_thresholds: Vec<ServiceThreshold>,
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

/// Returns the alert settings. The `ETag` identifies this version of them: send it in `If-Match`, and the update succeeds only
/// if the settings have not changed since.
#[utoipa::path(
    get,
    path = "/api/v3/credits/alerts",
    tag = "settings",
    responses((status = 200, body = Alerts, headers(("ETag" = String, description = "The settings that were read")))),
)]
pub(super) async fn read_alerts(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    reply(app.ledger.alerts(caller.account).await?)
}

/// Sets how the organisation is told of things. It holds for the balance and the credits that are there already,
/// too; what was told is not told again, unless its threshold was taken away in between.
#[utoipa::path(
    put,
    path = "/api/v3/credits/alerts",
    tag = "settings",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the settings that were read: others are not changed")),
    request_body = AlertsChange,
    responses(
        (status = 200, body = Alerts, headers(("ETag" = String, description = "The settings as they are now"))),
        (status = 412, description = "PRECONDITION_FAILED: the settings are others than those that If-Match names"),
    ),
)]
pub(super) async fn set_alerts(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    seen: IfMatch,
    Once { body: change, .. }: Once<AlertsChange>,
) -> Result<Reply, ApiError> {
    change.check()?;
    // What is there already is looked at anew, once this has been written.
    app.calendar().schedule_check(Errand::Calendar(caller.account), caller.call.moment).await?;
    let now = app.ledger.catch_up(caller.account, caller.call.moment).await?;
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.alerts(caller.account).await?;
        seen.check(known.revision)?;
        if let Some(saved) = app.ledger.save_alerts(caller.account, change.applied(known, &now)).await? {
            // What is low by thresholds that are new is told at once, and what will expire by another notice.
            if let Err(unsettled) = app.calendar().run_account_job(caller.account, caller.call.moment).await {
                tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "notices are left to the schedule");
            }
            return reply(saved);
        }
    }
    Err(Fault::Busy.into())
}

fn reply(alerts: domain::Alerts) -> Result<Reply, ApiError> {
    let revision = alerts.revision;
    Ok(Reply::ok(&Alerts::from(alerts))?.tagged(revision))
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
        let of_services = self.service_thresholds.as_ref().map(Vec::len);
        for (field, count) in
            [("lowBalanceThresholds", several.map(Vec::len)), ("serviceThresholds", of_services)]
        {
            if count.is_some_and(|count| most < count) {
                return Err(ApiError::field(field, format!("must be at most {most} thresholds")));
            }
        }
        Ok(())
    }

    fn applied(&self, known: domain::Alerts, now: &Account) -> domain::Alerts {
        let known = match (&self.low_balance_thresholds, self.low_balance_threshold) {
            (Some(several), _) => known.with_thresholds(several.iter().copied(), now.sequence),
            (None, Some(one)) => known.with_thresholds([one], now.sequence),
            (None, None) => known,
        };
        let known = match &self.service_thresholds {
            Some(wanted) => {
                let wanted = wanted.iter().map(|wanted| (wanted.service, wanted.threshold.into()));
                known.with_service_thresholds(wanted, now.sequence)
            }
            None => known,
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
