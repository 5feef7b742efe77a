use std::sync::Arc;

use axum::extract::{Extension, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use shared::edge::{ApiError, App, Call, Instant, Payload, Reply, instant};
use tokio::sync::Mutex;

use crate::capacity::Meter;
use crate::clock::LocalClock;
use crate::folder::{Memory, MemoryFile};
use crate::follower::Follower;

/// What the local routes work with beside the app.
#[derive(Clone)]
pub(crate) struct Local {
    pub(crate) clock: Arc<LocalClock>,
    pub(crate) follower: Arc<Mutex<Follower>>,
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

async fn health() -> Result<Reply, ApiError> {
    Reply::ok(&json!({ "status": "ok" }))
}

async fn openapi(Extension(local): Extension<Local>) -> Json<Value> {
    Json(Value::clone(&local.openapi))
}

async fn clock(call: Call) -> Result<Reply, ApiError> {
    Reply::ok(&Time { now: call.moment.now })
}

/// Moves the clock, which stands still from then on.
async fn set_clock(
    Extension(local): Extension<Local>,
    Payload(wanted): Payload<SetTime>,
) -> Result<Reply, ApiError> {
    let unclear = || ApiError::field("now", "send either now or advanceSeconds");
    let now = match (wanted.now, wanted.advance_seconds) {
        (Some(Instant(now)), None) => local.clock.set(|_| now),
        (None, Some(seconds)) => local.clock.set(|now| {
            let step = chrono::Duration::seconds(seconds.into());
            now.checked_add_signed(step).unwrap_or(now)
        }),
        (Some(_), Some(_)) | (None, None) => return Err(unclear()),
    };
    let now = now.map_err(|problem| ApiError::field("now", problem))?;
    let mut memory = local.memory.lock().await;
    memory.now = Some(now);
    local.file.write(&memory).map_err(unkept)?;
    Reply::ok(&Time { now })
}

/// Answers once the stream is worked off.
async fn settle(State(app): State<Arc<App>>, Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    local.follower.lock().await.drain(&app.ledger).await.map_err(unkept)?;
    Reply::ok(&json!({ "settled": true }))
}

async fn capacity(Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    Reply::ok(&json!({ "routes": local.meter.counts() }))
}

async fn reset_capacity(Extension(local): Extension<Local>) -> Result<Reply, ApiError> {
    local.meter.reset();
    Reply::ok(&json!({ "reset": true }))
}

fn unkept(error: anyhow::Error) -> ApiError {
    ApiError::Failed(shared::store::Fault::Unavailable {
        doing: "run the local machine",
        source: error.into(),
    })
}
