use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use serde::{Deserialize, Serialize};
use shared::domain;
use shared::edge::{ApiError, App, Caller, Params, Payload, Reply, may};
use shared::store::{Errand, Fault};
use utoipa::ToSchema;

/// How often one change may lose the race for the row.
const ATTEMPTS_MAX: u32 = 8;

/// How an organisation wants to be told of things. What is left out keeps its value.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "expiryNoticeDays": 7 }))]
pub(super) struct AlertsChange {
    /// How many days before credits expire the event credits.expiring tells of it, 0 to 92; 0 for never.
    #[schema(maximum = 92)]
    expiry_notice_days: Option<u32>,
}

/// How an organisation is told of things.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Alerts {
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
    Reply::ok(&Alerts { expiry_notice_days: alerts.expiry_notice_days })
}

/// Sets how the organisation is told of things. It holds for credits that are there already, too; what was
/// told is not told again.
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
    Payload(AlertsChange { expiry_notice_days }): Payload<AlertsChange>,
) -> Result<Reply, ApiError> {
    let most = domain::Alerts::DAYS_MAX;
    if expiry_notice_days.is_some_and(|days| days > most) {
        return Err(ApiError::field("expiryNoticeDays", format!("must be a whole number from 0 to {most}")));
    }
    // What is there already is looked at anew, once this has been written.
    app.calendar().expect(Errand::Calendar(caller.account), caller.call.moment).await?;
    for _ in 0..ATTEMPTS_MAX {
        let known = app.ledger.alerts(caller.account).await?;
        let days = expiry_notice_days.unwrap_or(known.expiry_notice_days);
        let wanted = domain::Alerts { expiry_notice_days: days, ..known };
        if let Some(saved) = app.ledger.save_alerts(caller.account, wanted).await? {
            if let Err(unsettled) = app.calendar().look_after(caller.account, caller.call.moment).await {
                tracing::warn!(account = %caller.account, cause = &unsettled as &dyn Error, "notices are left to the schedule");
            }
            return Reply::ok(&Alerts { expiry_notice_days: saved.expiry_notice_days });
        }
    }
    Err(Fault::Busy.into())
}
