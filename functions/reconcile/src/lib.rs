//! Reconcile: looks after what somebody began and nobody finished. EventBridge Scheduler calls it every
//! five minutes; errands tell it what to look at, so it never scans.

use std::error::Error;
use std::time::Duration;

use chrono::TimeDelta;
use shared::domain::Step;
use shared::edge::App;
use shared::store::{Errand, Fault, Moment, Noted, Unsettled};
use tokio::time::timeout;

/// How many errands one call works off at most; the next call goes on.
const ERRANDS_MAX: usize = 1_000;

/// How many seconds one errand may take. It ends before the lease on its purchase does, which lasts 30: past
/// that, somebody else may be at work on it.
const ERRAND_SECONDS: u64 = 28;

/// For how many seconds an errand is put off that could not be done.
const PUT_OFF_SECONDS: i64 = 120;

/// Works off the errands that are due by `moment`, the earliest first; how many there were. One that fails
/// or takes too long is put off, and is tried again later.
///
/// # Errors
/// When the agenda can't be read or written.
pub async fn tick(app: &App, moment: Moment) -> Result<usize, Fault> {
    let mut handled = 0usize;
    while handled < ERRANDS_MAX {
        let due = app.ledger.errands(moment.now).await?;
        if due.is_empty() {
            break;
        }
        for noted in &due {
            // A lease begins when its errand does, and not when the first of them did.
            let moment = Moment { wall: app.clock.moment().wall, ..moment };
            let attended = Box::pin(attend(app, noted, moment));
            let attended = timeout(Duration::from_secs(ERRAND_SECONDS), attended);
            match attended.await {
                Ok(Ok(())) => (),
                Ok(Err(unsettled)) => {
                    tracing::warn!(errand = ?noted.errand, cause = &unsettled as &dyn Error, "errand put off");
                    put_off(app, noted, moment).await?;
                }
                Err(_) => {
                    tracing::warn!(errand = ?noted.errand, "errand cut off and put off");
                    put_off(app, noted, moment).await?;
                }
            }
            handled = handled.saturating_add(1);
        }
    }
    Ok(handled)
}

/// An errand that could not be done does not stand in the way of those behind it.
async fn put_off(app: &App, noted: &Noted, moment: Moment) -> Result<(), Fault> {
    let wait = TimeDelta::seconds(PUT_OFF_SECONDS);
    let due = moment.now.checked_add_signed(wait).unwrap_or(moment.now);
    app.ledger.note(noted.errand, due).await?;
    app.ledger.cross_out(noted).await
}

/// Does one errand. Where it is not over, it is noted anew before it is crossed out.
async fn attend(app: &App, noted: &Noted, moment: Moment) -> Result<(), Unsettled> {
    let again = match noted.errand {
        Errand::Purchase(id) => match app.ledger.purchase(id).await? {
            None => None,
            Some(purchase) => {
                let driven = app.till(id.account.mode).resume(purchase.clone(), moment).await;
                let purchase = match driven {
                    Ok(purchase) => purchase,
                    // Somebody is at work on it just now.
                    Err(Unsettled::InProgress) => purchase,
                    Err(unsettled) => return Err(unsettled),
                };
                (purchase.next() != Step::Rest).then(|| purchase.look_at(moment.now))
            }
        },
        Errand::Recharge(account) => {
            app.till(account.mode).attend(account, moment).await?;
            let recharge = app.ledger.recharge(account).await?;
            recharge.and_then(|recharge| recharge.look_at(moment.now))
        }
    };
    if let Some(due) = again {
        app.ledger.note(noted.errand, due).await?;
    }
    app.ledger.cross_out(noted).await?;
    Ok(())
}
