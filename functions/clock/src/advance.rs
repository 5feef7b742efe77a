//! Advances a test clock step by step, and does what falls due at each step.

use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, Period};
use scrip_http::{ApiError, App};
use store::{Fault, Moment, ScheduledJob, Unsettled};

/// How long one call processes due work, in seconds: short enough to answer before API Gateway times out. The next call
/// continues.
const WORK_SECONDS: i64 = 5;

/// At how many times one call stops at most. The next call continues.
const STOPS_MAX: u32 = 120;

/// How often, and how long each time, a call waits while another one charges the same monitors. An abandoned attempt is
/// settled after two seconds.
const WAITS_MAX: u32 = 12;
const WAIT: Duration = Duration::from_millis(250);

/// Advances the clock of a test ledger towards `to`. Stops at each time at which work is due, and does the work.
/// Returns the time reached, and whether it is `to`.
pub(super) async fn advance(
    app: &App,
    account: AccountId,
    to: DateTime<Utc>,
    moment: Moment,
) -> Result<(DateTime<Utc>, bool), ApiError> {
    let until = moment.wall.checked_add_signed(TimeDelta::seconds(WORK_SECONDS)).unwrap_or(moment.wall);
    // A clock that was never set is set to the present time first. Jobs are then scheduled by it.
    let mut current = app.ledger.set_test_clock(account, moment.now).await?;
    // An earlier call may have been interrupted here.
    let here = Moment { now: current, ..app.clock.moment() };
    run_all(app, account, here).await?;
    for _ in 0..STOPS_MAX {
        if until <= app.clock.moment().wall {
            break;
        }
        let Some((jobs, due)) = next(app, account, to, current).await? else {
            return Ok((app.ledger.set_test_clock(account, to).await?, true));
        };
        current = app.ledger.set_test_clock(account, due.max(current)).await?;
        let here = Moment { now: current, ..app.clock.moment() };
        run_all(app, account, here).await?;
        for scheduled in jobs {
            if let Err(unsettled) = Box::pin(app.dispatcher().run(&scheduled, here)).await {
                tracing::warn!(job = ?scheduled.job, cause = &unsettled as &dyn Error, "job postponed");
                app.dispatcher().postpone(&[scheduled], here).await?;
            }
        }
    }
    Ok((current, false))
}

/// The jobs that fall due next, up to `to`, and when; no jobs if the month ends first.
async fn next(
    app: &App,
    account: AccountId,
    to: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<(Vec<ScheduledJob>, DateTime<Utc>)>, Fault> {
    let jobs = app.ledger.own_due_jobs(account, to).await?;
    let first = jobs.first().map(|scheduled| scheduled.due);
    let turn = Period::of(now).next().start();
    let due = first.into_iter().chain([turn]).min().filter(|due| *due <= to);
    let Some(due) = due else { return Ok(None) };
    Ok(Some((jobs.into_iter().filter(|scheduled| scheduled.due <= due.max(now)).collect(), due)))
}

/// Runs the due work of an account: renewal, expiry, monitors and auto-recharge.
async fn run_all(app: &App, account: AccountId, moment: Moment) -> Result<(), ApiError> {
    app.jobs().run_account_job(account, moment).await?;
    if app.ledger.is_monitored(account).await? {
        charge(app, account, moment).await?;
    }
    Ok(Box::pin(app.checkout(account.mode).run_auto_recharge(account, moment)).await?)
}

/// Charges all monitors of the account. If the renewal queue charges the same ones, waits for it, so that a month is paid
/// in that month.
async fn charge(app: &App, account: AccountId, moment: Moment) -> Result<(), ApiError> {
    let (mut after, mut waited) = (None, 0u32);
    loop {
        match Box::pin(app.jobs().charge_page(account, after, moment)).await {
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
