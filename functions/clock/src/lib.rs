//! `/api/v3/test-clock`: moves the time of a test ledger, so that a developer sees months turn, credits
//! expire and payments be tried again without waiting for them. Live ledgers have no such clock.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use chrono::{DateTime, Datelike, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use shared::calendar::Calendar;
use shared::domain::{AccountId, Mode, Period};
use shared::edge::{ApiError, App, Caller, Instant, Params, Payload, Reply, instant, may};
use shared::store::{Fault, Moment, Noted, Unsettled};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// For how many seconds one call works off what falls due on the way. It answers before API Gateway gives
/// up, and the next call goes on.
const WORK_SECONDS: i64 = 15;

/// How often, and for how long, somebody else who charges the same monitors is waited for. An attempt that
/// was given up is settled after two seconds.
const WAITS_MAX: u32 = 12;
const WAIT: Duration = Duration::from_millis(250);

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(read_clock, move_clock))
}

/// Where to move the clock; one of the two.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "now": "2027-01-01T00:00:00Z" }))]
struct Wanted {
    /// To this time, not earlier than it shows.
    #[schema(value_type = Option<String>, format = DateTime)]
    now: Option<Instant>,
    /// By so many seconds.
    advance_seconds: Option<u32>,
}

/// The time of a test ledger.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Time {
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
#[utoipa::path(get, path = "/api/v3/test-clock", tag = "test", responses((status = 200, body = Time)))]
async fn read_clock(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(Query {}): Params<Query>,
) -> Result<Reply, ApiError> {
    test(caller.account)?;
    let stands_still = app.ledger.test_clock(caller.account).await?.is_some();
    Reply::ok(&Time { now: caller.call.moment.now, stands_still, arrived: true })
}

/// Moves the time of the test ledger forward, and does what falls due on the way, in its order: months
/// turn, monitors are charged, lots expire, notices are given, payments are tried again. From then on the
/// time stands still until it is moved again; it never goes back.
#[utoipa::path(
    post,
    path = "/api/v3/test-clock",
    tag = "test",
    request_body = Wanted,
    responses((status = 200, body = Time), (status = 403, description = "INSUFFICIENT_PERMISSIONS: not a test key")),
)]
async fn move_clock(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Payload(wanted): Payload<Wanted>,
) -> Result<Reply, ApiError> {
    let account = test(caller.account)?;
    let now = caller.call.moment.now;
    let to = wanted.reach(now)?;
    let until = caller.call.moment.wall.checked_add_signed(TimeDelta::seconds(WORK_SECONDS));
    // A clock that was never set is set to the present first: what is noted from now on goes by it, and
    // what was noted before is to.
    let is_new = app.ledger.test_clock(account).await?.is_none();
    let mut stands_at = app.ledger.set_test_clock(account, now).await?;
    if is_new {
        app.ledger.own_agenda(account).await?;
    }
    while until.is_some_and(|until| app.clock.moment().wall < until) {
        let moment = Moment { now: stands_at, ..app.clock.moment() };
        if let Some((errands, due)) = next(&app, account, to, moment).await? {
            stands_at = app.ledger.set_test_clock(account, due.max(stands_at)).await?;
            let moment = Moment { now: stands_at, ..app.clock.moment() };
            look_after(&app, account, errands, moment).await?;
        } else {
            let now = app.ledger.set_test_clock(account, to).await?;
            return Reply::ok(&Time { now, stands_still: true, arrived: true });
        }
    }
    Reply::ok(&Time { now: stands_at, stands_still: true, arrived: false })
}

impl Wanted {
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

/// What falls due next up to `to`, and when: errands, or none where the month turns.
async fn next(
    app: &App,
    account: AccountId,
    to: DateTime<Utc>,
    moment: Moment,
) -> Result<Option<(Vec<Noted>, DateTime<Utc>)>, Fault> {
    let errands = app.ledger.own_errands(account, to).await?;
    let first = errands.first().map(|noted| noted.due);
    let turn = Period::of(moment.now).next().start();
    let Some(due) = first.into_iter().chain([turn]).min().filter(|due| *due <= to) else { return Ok(None) };
    Ok(Some((errands.into_iter().filter(|noted| noted.due <= due.max(moment.now)).collect(), due)))
}

/// Does what has fallen due.
async fn look_after(
    app: &App,
    account: AccountId,
    errands: Vec<Noted>,
    moment: Moment,
) -> Result<(), ApiError> {
    let calendar = app.calendar();
    calendar.look_after(account, moment).await?;
    if app.ledger.is_monitored(account).await? {
        charge(&calendar, account, moment).await?;
    }
    for noted in errands {
        // What somebody else is at work on is done by them.
        match Box::pin(reconcile::attend(app, &noted, moment)).await {
            Ok(()) | Err(Unsettled::InProgress) => (),
            Err(unsettled) => return Err(unsettled.into()),
        }
    }
    Ok(())
}

/// Charges all monitors of the account. The queue may be about the same ones; then it is waited for, so
/// that a month is paid in its month.
async fn charge(calendar: &Calendar<'_>, account: AccountId, moment: Moment) -> Result<(), ApiError> {
    let (mut after, mut waited) = (None, 0u32);
    loop {
        match Box::pin(calendar.charge_page(account, after, moment)).await {
            Ok(None) => return Ok(()),
            Ok(next) => after = next,
            Err(Unsettled::InProgress) if waited < WAITS_MAX => {
                waited = waited.saturating_add(1);
                tokio::time::sleep(WAIT).await;
            }
            Err(unsettled) => return Err(unsettled.into()),
        }
    }
}
