//! Reconcile: looks after what somebody began and nobody finished. EventBridge Scheduler calls it every
//! five minutes; errands tell it what to look at, so it never scans.

use std::error::Error;

use shared::domain::Step;
use shared::edge::App;
use shared::store::{Errand, Fault, Moment, Noted, Unsettled};

/// How many errands one call works off at most; the next call goes on.
const ERRANDS_MAX: usize = 1_000;

/// Works off the errands that are due by `moment`, the earliest first; how many there were. One that fails
/// stays, and is tried again at the next call.
///
/// # Errors
/// When the agenda can't be read.
pub async fn tick(app: &App, moment: Moment) -> Result<usize, Fault> {
    let mut handled = 0usize;
    while handled < ERRANDS_MAX {
        let due = app.ledger.errands(moment.now).await?;
        let mut done = 0usize;
        for noted in &due {
            match attend(app, noted, moment).await {
                Ok(()) => done = done.saturating_add(1),
                Err(unsettled) => {
                    tracing::warn!(errand = ?noted.errand, cause = &unsettled as &dyn Error, "errand left to the next call");
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
