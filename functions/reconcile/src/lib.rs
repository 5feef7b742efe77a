//! Reconcile: looks after what somebody began and nobody finished. EventBridge Scheduler calls it every
//! five minutes; errands tell it what to look at, so it never scans.

use std::error::Error;
use std::time::Duration;

use shared::domain::Step;
use shared::edge::App;
use shared::store::{Errand, Fault, Moment, Noted, Unsettled};
use tokio::time::timeout;

/// How many errands one call works off at most; the next call goes on.
const ERRANDS_MAX: usize = 1_000;

/// How many seconds one errand may take. It ends before the lease on its purchase does, which lasts 30: past
/// that, somebody else may be at work on it.
const ERRAND_SECONDS: u64 = 28;

/// Works off the errands that are due by `moment`, the earliest first; how many there were. One that fails
/// or takes too long stays, and is tried again at the next call.
///
/// # Errors
/// When the agenda can't be read.
pub async fn tick(app: &App, moment: Moment) -> Result<usize, Fault> {
    let mut handled = 0usize;
    while handled < ERRANDS_MAX {
        let due = app.ledger.errands(moment.now).await?;
        let mut done = 0usize;
        for noted in &due {
            // A lease begins when its errand does, and not when the first of them did.
            let moment = Moment { wall: app.clock.moment().wall, ..moment };
            let attended = timeout(Duration::from_secs(ERRAND_SECONDS), attend(app, noted, moment));
            match attended.await {
                Ok(Ok(())) => done = done.saturating_add(1),
                Ok(Err(unsettled)) => {
                    tracing::warn!(errand = ?noted.errand, cause = &unsettled as &dyn Error, "errand left to the next call");
                }
                Err(_) => {
                    tracing::warn!(errand = ?noted.errand, "errand cut off and left to the next call");
                }
            }
        }
        handled = handled.saturating_add(done);
        // What failed is still there and would come again at once.
        if done == 0 || done < due.len() {
            break;
        }
    }
    Ok(handled)
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
