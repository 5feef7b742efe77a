use std::error::Error;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, Period};
use scrip_http::{ApiError, App};
use store::{Fault, Moment, Noted, Unsettled};

/// For how many seconds one call works off what falls due on the way. It answers before API Gateway gives
/// up, and the next call goes on.
const WORK_SECONDS: i64 = 15;

/// How often, and for how long, somebody else who charges the same monitors is waited for. An attempt that
/// was given up is settled after two seconds.
const WAITS_MAX: u32 = 12;
const WAIT: Duration = Duration::from_millis(250);

/// Moves the clock of a test ledger towards `to`, stops wherever something falls due, and has it done; where
/// it stands then, and whether that is `to`.
pub(super) async fn walk(
    app: &App,
    account: AccountId,
    to: DateTime<Utc>,
    moment: Moment,
) -> Result<(DateTime<Utc>, bool), ApiError> {
    let until = moment.wall.checked_add_signed(TimeDelta::seconds(WORK_SECONDS)).unwrap_or(moment.wall);
    // A clock that was never set is set to the present first: what is noted from now on goes by it, and
    // what was noted before is to.
    let mut stands_at = app.ledger.set_test_clock(account, moment.now).await?;
    app.ledger.own_agenda(account).await?;
    // An earlier call may have broken off here.
    let here = Moment { now: stands_at, ..app.clock.moment() };
    look_after(app, account, here).await?;
    while app.clock.moment().wall < until {
        let Some((errands, due)) = next(app, account, to, stands_at).await? else {
            return Ok((app.ledger.set_test_clock(account, to).await?, true));
        };
        stands_at = app.ledger.set_test_clock(account, due.max(stands_at)).await?;
        let here = Moment { now: stands_at, ..app.clock.moment() };
        look_after(app, account, here).await?;
        for noted in errands {
            if let Err(unsettled) = Box::pin(app.dispatcher().run(&noted, here)).await {
                // One errand does not stop the time.
                tracing::warn!(errand = ?noted.errand, cause = &unsettled as &dyn Error, "errand put off");
                app.dispatcher().postpone(&noted, here).await?;
            }
        }
    }
    Ok((stands_at, false))
}

/// What falls due next up to `to`, and when: errands, or none where the month turns.
async fn next(
    app: &App,
    account: AccountId,
    to: DateTime<Utc>,
    now: DateTime<Utc>,
) -> Result<Option<(Vec<Noted>, DateTime<Utc>)>, Fault> {
    let errands = app.ledger.own_errands(account, to).await?;
    let first = errands.first().map(|noted| noted.due);
    let turn = Period::of(now).next().start();
    let due = first.into_iter().chain([turn]).min().filter(|due| *due <= to);
    let Some(due) = due else { return Ok(None) };
    Ok(Some((errands.into_iter().filter(|noted| noted.due <= due.max(now)).collect(), due)))
}

/// Does what time alone brings the account: its month, the ends of its lots, its monitors, auto-recharge.
async fn look_after(app: &App, account: AccountId, moment: Moment) -> Result<(), ApiError> {
    app.calendar().run_account_job(account, moment).await?;
    if app.ledger.is_monitored(account).await? {
        charge(app, account, moment).await?;
    }
    Ok(Box::pin(app.till(account.mode).run_auto_recharge(account, moment)).await?)
}

/// Charges all monitors of the account. The queue may be about the same ones; then it is waited for, so
/// that a month is paid in its month.
async fn charge(app: &App, account: AccountId, moment: Moment) -> Result<(), ApiError> {
    let (mut after, mut waited) = (None, 0u32);
    loop {
        match Box::pin(app.calendar().charge_page(account, after, moment)).await {
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
