//! The routes that only the local machine has: `/health`, `/openapi.json` and everything below `/_local`.

use std::sync::Arc;

use axum::extract::Extension;
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use scrip_http::{ApiError, App, Clock, Instant, JsonBody, Reply, RequestContext, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::emulation::{advance, mail_routes, run_due};
use crate::error::machine_failed;
use crate::state::MachineState;
use crate::visitors::only_from_here;
use crate::{files, inbox, payments};

/// The router of these routes.
pub(crate) fn routes(state: MachineState) -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(openapi))
        .route("/_local/clock", get(clock).post(set_clock))
        .route("/_local/settle", post(settle))
        .route("/_local/capacity", get(capacity).delete(reset_capacity))
        .route("/_local", any(unknown))
        .route("/_local/", any(unknown))
        .route("/_local/{*rest}", any(unknown))
        .merge(payments::routes(state.provider.clone()))
        .merge(files::routes(state.files.clone()))
        .merge(inbox::routes(state.inbox.clone()))
        .merge(mail_routes(state.mailbox.clone()))
        .layer(from_fn_with_state(state.port, only_from_here))
        .layer(Extension(state))
}

#[derive(Serialize)]
struct ClockView {
    #[serde(with = "timestamp")]
    now: DateTime<Utc>,
}

/// Sets the clock to `now`, or moves it by `advance_seconds`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SetClock {
    now: Option<Instant>,
    advance_seconds: Option<u32>,
}

async fn unknown() -> ApiError {
    ApiError::NotFound(
        "the local machine has no such route below /_local; infra/local/README.md lists the routes that it has",
    )
}

async fn health() -> Result<Reply, ApiError> {
    Reply::ok(&json!({ "status": "ok" }))
}

async fn openapi(Extension(state): Extension<MachineState>) -> Json<Value> {
    Json(Value::clone(&state.openapi))
}

async fn clock(call: RequestContext) -> Result<Reply, ApiError> {
    Reply::ok(&ClockView { now: call.moment.now })
}

/// Moves the clock, which then stands still, and runs the work that falls due in between.
async fn set_clock(
    Extension(MachineState { scheduler, .. }): Extension<MachineState>,
    JsonBody(wanted): JsonBody<SetClock>,
) -> Result<Reply, ApiError> {
    let _turn = scheduler.turn.lock().await;
    let to = match (wanted.now, wanted.advance_seconds) {
        (Some(Instant(now)), None) => scheduler.clock.advance(|_| now),
        (None, Some(seconds)) => scheduler.clock.advance(|now| {
            let step = chrono::Duration::seconds(seconds.into());
            now.checked_add_signed(step).unwrap_or(now)
        }),
        (Some(_), Some(_)) | (None, None) => {
            return Err(ApiError::field("now", "send either now or advanceSeconds"));
        }
    };
    let to = to.map_err(|problem| ApiError::field("now", problem))?;
    advance(&scheduler, to).await.map_err(machine_failed)?;
    Reply::ok(&ClockView { now: scheduler.clock.now() })
}

/// Answers once the background work and all due work are done.
async fn settle(
    Extension(MachineState { scheduler, .. }): Extension<MachineState>,
) -> Result<Reply, ApiError> {
    let _turn = scheduler.turn.lock().await;
    run_due(&scheduler).await.map_err(machine_failed)?;
    Reply::ok(&json!({ "settled": true }))
}

async fn capacity(Extension(state): Extension<MachineState>) -> Result<Reply, ApiError> {
    Reply::ok(&json!({ "routes": state.meter.counts() }))
}

async fn reset_capacity(Extension(state): Extension<MachineState>) -> Result<Reply, ApiError> {
    state.meter.reset();
    Reply::ok(&json!({ "reset": true }))
}
