//! `/api/v3/test-clock`: advances the clock of a test ledger, so that a developer sees renewals, expiry and retried
//! payments without waiting. Live ledgers have no such clock.

mod advance;

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use domain::{AccountId, ClaimKey, Mode};
use scrip_http::{ApiError, App, Caller, Expensive, Instant, MaybeIdempotent, Reply, may, timestamp};
use serde::{Deserialize, Serialize};
use store::{ClaimsOf, Moment};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use advance::advance;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read_clock, move_clock))
}

/// How far to advance the clock; send one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "now": "2027-01-01T00:00:00Z" }))]
struct ClockMove {
    /// The time to advance to, not earlier than the present one.
    #[schema(value_type = Option<String>, format = DateTime)]
    now: Option<Instant>,
    /// The seconds to advance by, from the present time. Requests that arrive together advance from the same time: send one
    /// after the other.
    advance_seconds: Option<u32>,
}

/// The clock of a test ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct TestTime {
    /// The time.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    now: DateTime<Utc>,
    /// Whether the clock stands still. It does once it was advanced.
    stands_still: bool,
    /// Whether the clock reached the time; false if more fell due than one call can process. Then send the request with
    /// `now` again.
    arrived: bool,
}

/// Returns the time of the test ledger.
#[utoipa::path(
    get,
    path = "/api/v3/test-clock",
    tag = "test",
    responses(
        (status = 200, body = TestTime),
        (status = 403, description = "INSUFFICIENT_PERMISSIONS: the key is not a test key"),
    ),
)]
async fn read_clock(State(app): State<Arc<App>>, caller: Caller<may::Read>) -> Result<Reply, ApiError> {
    test(caller.account)?;
    let stands_still = app.ledger.test_clock(caller.account).await?.is_some();
    Reply::ok(&TestTime { now: caller.call.moment.now, stands_still, arrived: true })
}

/// Advances the clock of the test ledger, and processes what falls due in its order: renewals, monitors, expiry, notices and
/// retried payments. The clock then stands still until it is advanced again. It never goes back.
#[utoipa::path(
    post,
    path = "/api/v3/test-clock",
    tag = "test",
    params(("Idempotency-Key" = Option<String>, Header, description = "Your name for this request, optional: with it, a retry of `advanceSeconds` advances the clock once")),
    request_body = ClockMove,
    responses(
        (status = 200, body = TestTime),
        (status = 403, description = "INSUFFICIENT_PERMISSIONS: the key is not a test key"),
        (status = 429, description = "RATE_LIMITED: more than 30 in a minute"),
    ),
)]
async fn move_clock(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    wanted: MaybeIdempotent<ClockMove>,
) -> Result<Reply, ApiError> {
    let account = test(caller.account)?;
    let moment = caller.call.moment;
    Expensive::TestClock.count(&app, account, &caller.call).await?;
    let (to, replayed) = target(&app, account, &wanted, moment).await?;
    let (now, arrived) = advance(&app, account, to.max(moment.now), moment).await?;
    // A retry answers the time that the first attempt reached, however the clock has advanced since.
    let now = if replayed { now.min(to) } else { now };
    Ok(Reply::ok(&TestTime { now, stands_still: true, arrived })?.replayed(replayed))
}

/// The time to advance to, and whether the request is a retry. A retry advances to the time of the first attempt.
async fn target(
    app: &App,
    account: AccountId,
    wanted: &MaybeIdempotent<ClockMove>,
    moment: Moment,
) -> Result<(DateTime<Utc>, bool), ApiError> {
    let Some(key) = wanted.key.clone().map(ClaimKey::Caller) else {
        return Ok((wanted.body.target(moment.now)?, false));
    };
    let of = ClaimsOf::Account(account);
    if let Some(made) = app.ledger.made_before(of, &key, &wanted.fingerprint, moment).await? {
        return Ok((wanted.body.target(made.at)?, true));
    }
    let to = wanted.body.target(moment.now)?;
    app.ledger.claim_once(of, &key, &wanted.fingerprint, moment).await?;
    Ok((to, false))
}

impl ClockMove {
    fn target(&self, now: DateTime<Utc>) -> Result<DateTime<Utc>, ApiError> {
        let to = match (self.now, self.advance_seconds) {
            (Some(Instant(to)), None) => Some(to),
            (None, Some(seconds)) => now.checked_add_signed(TimeDelta::seconds(seconds.into())),
            (Some(_), Some(_)) | (None, None) => {
                return Err(ApiError::field("now", "send either now or advanceSeconds"));
            }
        };
        // Callers see whole seconds, so the second shown is not in the past.
        let shown = now.timestamp();
        let to = to.filter(|to| to.timestamp() >= shown && to.year() <= 9999).map(|to| to.max(now));
        to.ok_or_else(|| {
            let shown = timestamp::text(&now);
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
        Mode::Live => {
            Err(ApiError::wrong_side("the clock of a live ledger cannot be advanced; use a test key"))
        }
    }
}
