//! `/api/v3/test-clock`: moves the time of a test ledger, so that a developer sees months turn, credits
//! expire and payments be tried again without waiting for them. Live ledgers have no such clock.

mod walk;

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use domain::{AccountId, ClaimKey, Mode};
use scrip_http::{ApiError, App, Caller, Instant, Params, Reply, Setting, instant, may};
use serde::{Deserialize, Serialize};
use store::{ClaimsOf, Moment};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use walk::walk;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read_clock, move_clock))
}

/// Where to move the clock; one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "now": "2027-01-01T00:00:00Z" }))]
struct ClockMove {
    /// To this time, not earlier than it shows.
    #[schema(value_type = Option<String>, format = DateTime)]
    now: Option<Instant>,
    /// By so many seconds.
    advance_seconds: Option<u32>,
}

/// The time of a test ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TestTime {
    /// What it is.
    #[serde(with = "instant")]
    #[schema(value_type = String, format = DateTime)]
    now: DateTime<Utc>,
    /// Whether it stands still. It does from the first time that it is moved.
    stands_still: bool,
    /// Whether it is where it was to be moved; false when there was more to do on the way than one call
    /// may take: send the request with `now` again.
    arrived: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {}

/// What time it is for the test ledger.
#[utoipa::path(
    get,
    path = "/api/v3/test-clock",
    tag = "test",
    responses(
        (status = 200, body = TestTime),
        (status = 403, description = "INSUFFICIENT_PERMISSIONS: the key is not a test key"),
    ),
)]
async fn read_clock(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    test(caller.account)?;
    let stands_still = app.ledger.test_clock(caller.account).await?.is_some();
    Reply::ok(&TestTime { now: caller.call.moment.now, stands_still, arrived: true })
}

/// Moves the time of the test ledger forward, and does what falls due on the way, in its order: months
/// turn, monitors are charged, lots expire, notices are given, payments are tried again. From then on the
/// time stands still until it is moved again; it never goes back.
#[utoipa::path(
    post,
    path = "/api/v3/test-clock",
    tag = "test",
    params(("Idempotency-Key" = Option<String>, Header, description = "Your name for this request, if you want one: `advanceSeconds` sent again then moves the time once")),
    request_body = ClockMove,
    responses((status = 200, body = TestTime), (status = 403, description = "INSUFFICIENT_PERMISSIONS: the key is not a test key")),
)]
async fn move_clock(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    wanted: Setting<ClockMove>,
) -> Result<Reply, ApiError> {
    let account = test(caller.account)?;
    let moment = caller.call.moment;
    let (to, replayed) = target(&app, account, &wanted, moment).await?;
    let (now, arrived) = walk(&app, account, to.max(moment.now), moment).await?;
    // A request that is sent again is answered where it went, whatever has moved the clock since.
    let now = if replayed { now.min(to) } else { now };
    Ok(Reply::ok(&TestTime { now, stands_still: true, arrived })?.replayed(replayed))
}

/// Where the clock is to go, and whether that was asked before: under the same key it goes where the first
/// sending would have it, however often it is sent.
async fn target(
    app: &App,
    account: AccountId,
    wanted: &Setting<ClockMove>,
    moment: Moment,
) -> Result<(DateTime<Utc>, bool), ApiError> {
    let Some(key) = wanted.key.clone().map(ClaimKey::Caller) else {
        return Ok((wanted.body.reach(moment.now)?, false));
    };
    let of = ClaimsOf::Account(account);
    if let Some(made) = app.ledger.made_before(of, &key, &wanted.fingerprint, moment).await? {
        return Ok((wanted.body.reach(made.at)?, true));
    }
    let to = wanted.body.reach(moment.now)?;
    app.ledger.claim_once(of, &key, &wanted.fingerprint, moment).await?;
    Ok((to, false))
}

impl ClockMove {
    fn reach(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
        let to = match (self.now, self.advance_seconds) {
            (Some(Instant(to)), None) => Some(to),
            (None, Some(seconds)) => now.checked_add_signed(TimeDelta::seconds(seconds.into())),
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::field("now", "send either now or advanceSeconds"));
            }
        };
        // Callers are shown whole seconds, so what was shown is not the past.
        let shown = now.timestamp();
        let to = to.filter(|to| to.timestamp() >= shown && to.year() <= 9999).map(|to| to.max(now));
        to.ok_or_else(|| {
            let shown = instant::text(&now);
            ApiError::field(
                "now",
                format!("the clock shows {shown}; it does not go back, nor past the year 9999"),
            )
        })
    }
}

/// The account, if it is a test ledger.
fn test(account: AccountId) -> Result<AccountId, ApiError> {
    match account.mode {
        Mode::Test => Ok(account),
        Mode::Live => Err(ApiError::wrong_side("the clock of a live ledger can't be moved; use a test key")),
    }
}
