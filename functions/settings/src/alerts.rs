//! Alert settings.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{Account, Credits};
use scrip_http::{AlertsView, ApiError, App, Caller, IfMatch, Once, Reply, ServiceThreshold, may};
use serde::Deserialize;
use store::{Fault, Job};
use utoipa::ToSchema;

/// The most attempts of one change. Each failed attempt means that another change was written meanwhile.
const ATTEMPTS_MAX: u32 = 64;

/// A change of the alert settings. Fields that are left out or null keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "lowBalanceThreshold": 100, "expiryNoticeDays": 7 }))]
pub(super) struct AlertsChange {
    /// The threshold of the event credits.low_balance: sent when a debit without a service can spend fewer credits than
    /// this; 0 for never. Replaces all thresholds except those of services.
    #[schema(value_type = Option<u64>)]
    low_balance_threshold: Option<Credits>,
    /// Up to 10 such thresholds, each with an event of its own. An empty list removes all of them.
    #[schema(value_type = Option<Vec<u64>>, max_items = 10)]
    low_balance_thresholds: Option<Vec<Credits>>,
    /// Up to 10 thresholds of what the debits of a service can spend. Replaces the present ones.
    #[schema(max_items = 10)]
    service_thresholds: Option<Vec<ServiceThreshold>>,
    /// The event credits.recovered is sent when the balance is more than this many credits above a threshold.
    #[schema(value_type = Option<u64>)]
    recovery_margin: Option<Credits>,
    /// The minutes after credits.low_balance in which another crossing of the same threshold sends no event, 0 to 10080. The
    /// event is sent afterwards if the balance is still low.
    #[schema(maximum = 10080)]
    cooldown_minutes: Option<u32>,
    /// How many days before credits expire the event credits.expiring is sent, 0 to 92; 0 for never.
    #[schema(maximum = 92)]
    expiry_notice_days: Option<u32>,
}

/// Returns the alert settings. The `ETag` identifies this version of them: send it in `If-Match`, and the update succeeds only
/// if the settings have not changed since.
#[utoipa::path(
    get,
    path = "/api/v3/credits/alerts",
    tag = "settings",
    responses((status = 200, body = AlertsView, headers(("ETag" = String, description = "The version of the settings")))),
)]
pub(super) async fn read_alerts(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
) -> Result<Reply, ApiError> {
    reply(app.ledger.alerts(caller.account).await?)
}

/// Changes the alert settings. They apply to the present balance and credits, too. An event that was sent is not sent again
/// unless its threshold was removed in between.
#[utoipa::path(
    put,
    path = "/api/v3/credits/alerts",
    tag = "settings",
    params(("If-Match" = Option<String>, Header, description = "The ETag of the version to change; another version is not changed")),
    request_body = AlertsChange,
    responses(
        (status = 200, body = AlertsView, headers(("ETag" = String, description = "The new version of the settings"))),
        (status = 412, description = "PRECONDITION_FAILED: the settings have another version than If-Match"),
    ),
)]
pub(super) async fn set_alerts(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    if_match: IfMatch,
    Once { body: change, .. }: Once<AlertsChange>,
) -> Result<Reply, ApiError> {
    change.check()?;
    // The job comes first: it evaluates the present balance with the new settings, also after a crash.
    app.jobs().schedule_check(Job::Calendar(caller.account), caller.call.moment).await?;
    let now = app.ledger.catch_up(caller.account, caller.call.moment).await?;
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.alerts(caller.account).await?;
        if_match.check(known.revision)?;
        if let Some(saved) = app.ledger.save_alerts(caller.account, change.applied(known, &now)).await? {
            if let Err(unsettled) = app.jobs().run_account_job(caller.account, caller.call.moment).await {
                tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "alerts are left to the scheduled job");
            }
            return reply(saved);
        }
    }
    Err(Fault::Busy.into())
}

fn reply(alerts: domain::AlertSettings) -> Result<Reply, ApiError> {
    let revision = alerts.revision;
    Ok(Reply::ok(&AlertsView::from(alerts))?.tagged(revision))
}

impl AlertsChange {
    fn check(&self) -> Result<(), ApiError> {
        let within = |field: &str, value: Option<u32>, most: u32| match value {
            Some(value) if most < value => {
                Err(ApiError::field(field, format!("must be a whole number from 0 to {most}")))
            }
            Some(_) | None => Ok(()),
        };
        within("expiryNoticeDays", self.expiry_notice_days, domain::AlertSettings::DAYS_MAX)?;
        within("cooldownMinutes", self.cooldown_minutes, domain::AlertSettings::MINUTES_MAX)?;
        let several = self.low_balance_thresholds.as_ref();
        if several.is_some() && self.low_balance_threshold.is_some() {
            let problem = "send either lowBalanceThreshold or lowBalanceThresholds";
            return Err(ApiError::field("lowBalanceThresholds", problem));
        }
        let most = domain::AlertSettings::THRESHOLDS_MAX;
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

    fn applied(&self, known: domain::AlertSettings, now: &Account) -> domain::AlertSettings {
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
        domain::AlertSettings {
            recovery_margin: self.recovery_margin.unwrap_or(known.recovery_margin),
            cooldown_minutes: self.cooldown_minutes.unwrap_or(known.cooldown_minutes),
            expiry_notice_days: self.expiry_notice_days.unwrap_or(known.expiry_notice_days),
            ..known
        }
    }
}
