//! The event feed: an account's events, in the order of their numbers.

use std::sync::Arc;

use axum::extract::State;
use scrip_http::{ApiError, App, Caller, Happening, QueryParams, Reply, may};
use scrip_webhooks::EventEnvelope;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The default and the maximum number of events on a page.
const LIMIT: i32 = 50;
const LIMIT_MAX: i32 = 100;

/// The highest number that every JSON client reads unchanged.
const NUMBER_MAX: u64 = 9_007_199_254_740_991;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Query {
    /// The number of the last event that you have; 0 if left out, which begins with the first event.
    after: Option<u64>,
    /// Events on a page, 1 to 100; 50 if left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<i32>,
}

/// An event of an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = Event, example = json!({
    "id": "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "sequence": 5, "event": "credits.expiring", "type": "credits.expiring",
    "timestamp": "2024-01-15T10:30:00Z",
    "data": { "lotId": "credit_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "source": "bonus", "service": null, "amount": 50,
        "expiresAt": "2024-01-22T23:59:59Z", "message": "Some of your credits will expire soon" }
}))]
struct EventView {
    /// `evt_…`
    id: String,
    /// 1, 2, 3, … without a gap.
    sequence: u64,
    /// The name of the event. The schemas in infra/events describe the `data` of each event.
    #[schema(value_type = Happening)]
    event: String,
    /// The same as `event`.
    #[serde(rename = "type")]
    #[schema(value_type = Happening)]
    kind: String,
    /// When the event happened.
    #[schema(value_type = String, format = DateTime)]
    timestamp: String,
    /// The data of the event.
    data: Value,
}

/// Lists the events of the last 30 days, the oldest first. `nextCursor` is the value of `after` for the next page.
/// Events are kept for at least 30 days of real time, even if a test clock advances faster. If the first `sequence` is
/// above `after` + 1, the events in between are no longer kept.
#[utoipa::path(get, path = "/api/v3/events", tag = "events", params(Query), responses((status = 200, body = Vec<EventView>)))]
pub(super) async fn feed(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(Query { after, limit }): QueryParams<Query>,
) -> Result<Reply, ApiError> {
    let limit = limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be a whole number from 1 to {LIMIT_MAX}")));
    }
    if after.is_some_and(|after| NUMBER_MAX < after) {
        return Err(ApiError::field("after", format!("must be a whole number from 0 to {NUMBER_MAX}")));
    }
    let (events, more) = app.ledger.events(caller.account, after.unwrap_or(0), limit).await?;
    let next = events.last().map(|last| last.number.to_string()).filter(|_| more);
    let events: Vec<EventView> =
        events.iter().map(|event| EventEnvelope::of(caller.account, event).into()).collect();
    Reply::page(&events, next)
}

impl From<EventEnvelope> for EventView {
    fn from(EventEnvelope { event, id, sequence, timestamp, data }: EventEnvelope) -> Self {
        Self { id, sequence, kind: event.clone(), event, timestamp, data }
    }
}
