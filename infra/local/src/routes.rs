use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::middleware::from_fn_with_state;
use axum::routing::{any, get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use scrip_http::{ApiError, App, Call, Clock, Instant, Payload, Reply, instant};
use scrip_payments::Simulated;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::sync::Mutex;

use crate::capacity::Meter;
use crate::clock::LocalClock;
use crate::folder::{Memory, MemoryFile};
use crate::inbox::{self, Inbox};
use crate::payments;
use crate::quiet::Quiet;
use crate::schedule::{House, Rounds, advance, work_off};
use crate::visitors::only_from_here;

/// What the local routes work with beside the app.
#[derive(Clone)]
pub(crate) struct Local {
    /// Where the machine listens, on 127.0.0.1.
    pub(crate) port: u16,
    pub(crate) clock: Arc<LocalClock>,
    pub(crate) quiet: Quiet,
    pub(crate) company: Simulated,
    pub(crate) inbox: Inbox,
    pub(crate) rounds: Arc<Rounds>,
    /// Held by whoever makes time pass or does what is due: one at a time.
    pub(crate) turn: Arc<Mutex<()>>,
    pub(crate) meter: Meter,
    pub(crate) memory: Arc<Mutex<Memory>>,
    pub(crate) file: MemoryFile,
    pub(crate) openapi: Arc<Value>,
}

/// The routes that only the local machine has.
pub(crate) fn routes(local: Local) -> Router<Arc<App>> {
    Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(openapi))
        .route("/_local/clock", get(clock).post(set_clock))
        .route("/_local/settle", post(settle))
        .route("/_local/capacity", get(capacity).delete(reset_capacity))
        .route("/_local", any(unknown))
        .route("/_local/", any(unknown))
        .route("/_local/{*rest}", any(unknown))
        .merge(payments::routes())
        .merge(inbox::routes())
        .layer(from_fn_with_state(local.port, only_from_here))
        .layer(Extension(local))
}

#[derive(Serialize)]
struct Time {
    #[serde(with = "instant")]
    now: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SetTime {
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

async fn openapi(Extension(local): Extension<Local>) -> Json<Value> {
    Json(Value::clone(&local.openapi))
}

async fn clock(call: Call) -> Result<Reply, ApiError> {
    Reply::ok(&Time { now: call.moment.now })
}

/// Moves the clock, which stands still from then on, and does what falls due on the way.
async fn set_clock(
    State(app): State<Arc<App>>,
    Extension(local): Extension<Local>,
    Payload(wanted): Payload<SetTime>,
) -> Result<Reply, ApiError> {
    let unclear = || ApiError::field("now", "send either now or advanceSeconds");
    let _turn = local.turn.lock().await;
    let to = match (wanted.now, wanted.advance_seconds) {
        (Some(Instant(now)), None) => local.clock.reach(|_| now),
        (None, Some(seconds)) => local.clock.reach(|now| {
            let step = chrono::Duration::seconds(seconds.into());
            now.checked_add_signed(step).unwrap_or(now)
        }),
        (Some(_), Some(_)) | (None, None) => return Err(unclear()),
    };
    let to = to.map_err(|problem| ApiError::field("now", problem))?;
    let house = House { app, local: local.clone() };
    advance(&house, to).await.map_err(unkept)?;
    Reply::ok(&Time { now: local.clock.now() })
}

/// Answers once stream, events, wakes, webhooks and what is due by now are worked off.
async fn settle(State(app): State<Arc<App>>, Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    let _turn = local.turn.lock().await;
    work_off(&House { app, local: local.clone() }).await.map_err(unkept)?;
    Reply::ok(&json!({ "settled": true }))
}

async fn capacity(Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    Reply::ok(&json!({ "routes": local.meter.counts() }))
}

async fn reset_capacity(Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    local.meter.reset();
    Reply::ok(&json!({ "reset": true }))
}

pub(crate) fn unkept(error: anyhow::Error) -> ApiError {
    ApiError::Failed(store::Fault::Unavailable { doing: "run the local machine", source: error.into() })
}
