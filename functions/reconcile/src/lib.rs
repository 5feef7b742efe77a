//! Reconcile: looks after what somebody began and nobody finished, and after what falls due at a time.
//! EventBridge Scheduler calls it every five minutes; errands tell it what to look at, so it never scans.

mod look;

use scrip_webhooks::DeliveryRequest;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use app::App;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{AccountId, PurchaseId, Step};
use futures_util::StreamExt;
use futures_util::stream;
use jobs::NotMade;
use store::{Errand, Fault, Moment, Noted, Unsettled};
use tokio::time::timeout;

pub use look::look;

/// How many errands one call works off at most; the next call goes on.
const ERRANDS_MAX: usize = 5_000;

/// How many accounts' errands are worked off side by side.
const ACCOUNTS_AT_ONCE: usize = 16;

/// For how many seconds one call begins errands. With the longest that it may be at then, and with putting
/// it off, it ends before the function's 240.
const WORK_SECONDS: i64 = 180;

/// How many seconds one errand may take. It ends before the lease on its purchase does, which lasts 30: past
/// that, somebody else may be at work on it.
const ERRAND_SECONDS: u64 = 28;

/// For how many seconds an errand is put off that could not be done.
const PUT_OFF_SECONDS: i64 = 120;

/// Works off the errands that are due by `moment`; how many there were. Each account's go one after the other, the
/// earliest first; accounts go side by side, so that none waits for another one's payment provider. One that fails
/// or takes too long is put off, and is tried again later. Once a day it also asks the payment providers for
/// refunds and disputes.
///
/// # Errors
/// When the agenda can't be read or written.
pub async fn tick(app: &App, moment: Moment) -> Result<usize, Fault> {
    let mut handled = Box::pin(look::look_daily(app, moment)).await;
    let end = moment.wall.checked_add_signed(TimeDelta::seconds(WORK_SECONDS)).unwrap_or(moment.wall);
    while handled < ERRANDS_MAX && app.clock.moment().wall < end {
        let due = app.ledger.errands(moment.now).await?;
        if due.is_empty() {
            break;
        }
        let mut accounts: BTreeMap<AccountId, Vec<Noted>> = BTreeMap::new();
        for noted in due {
            accounts.entry(noted.errand.account()).or_default().push(noted);
        }
        let each = accounts.into_values().map(|errands| in_turn(app, errands, moment, end));
        let done: Vec<_> = stream::iter(each).buffer_unordered(ACCOUNTS_AT_ONCE).collect().await;
        for errands in done {
            handled = handled.saturating_add(errands?);
        }
    }
    Ok(handled)
}

/// Works off errands of one account until `end`; how many. Once one of them takes too long, those behind it that ask a
/// payment provider too are put off with it: they would wait for the same, and other accounts for them.
async fn in_turn(app: &App, errands: Vec<Noted>, moment: Moment, end: DateTime<Utc>) -> Result<usize, Fault> {
    let (mut handled, mut is_slow) = (0usize, false);
    for noted in errands {
        // A lease begins when its errand does, and not when the first of them did.
        let moment = Moment { wall: app.clock.moment().wall, ..moment };
        if end <= moment.wall {
            break;
        }
        handled = handled.saturating_add(1);
        if is_slow && asks_provider(noted.errand) {
            put_off(app, &noted, moment).await?;
            continue;
        }
        let attended = Box::pin(attend(app, &noted, moment));
        match timeout(Duration::from_secs(ERRAND_SECONDS), attended).await {
            Ok(Ok(())) => (),
            Ok(Err(unsettled)) => {
                tracing::warn!(errand = ?noted.errand, cause = &unsettled as &dyn Error, "errand put off");
                put_off(app, &noted, moment).await?;
            }
            Err(_) => {
                tracing::warn!(errand = ?noted.errand, "errand cut off and put off");
                put_off(app, &noted, moment).await?;
                is_slow = true;
            }
        }
    }
    Ok(handled)
}

/// Whether an errand may wait for a payment provider.
fn asks_provider(errand: Errand) -> bool {
    match errand {
        Errand::Purchase(_) | Errand::Recharge(_) => true,
        Errand::Calendar(_) | Errand::Plan(_) | Errand::Monitor(_) | Errand::Pot(_) | Errand::Webhooks(_) => {
            false
        }
    }
}

/// An errand that could not be done does not stand in the way of those behind it.
///
/// # Errors
/// When the agenda can't be written.
pub async fn put_off(app: &App, noted: &Noted, moment: Moment) -> Result<(), Fault> {
    let wait = TimeDelta::seconds(PUT_OFF_SECONDS);
    let due = moment.now.checked_add_signed(wait).unwrap_or(moment.now);
    app.ledger.note(noted.errand, due).await?;
    app.ledger.cross_out(noted).await
}

/// Does one errand. Where it is not over, it is noted anew before it is crossed out.
///
/// One of a test ledger with a clock of its own, noted before it had one, waits for that clock from now on.
///
/// # Errors
/// When it could not be done; it is then still there.
pub async fn attend(app: &App, noted: &Noted, moment: Moment) -> Result<(), Unsettled> {
    let moment = match noted.errand.goes_by_account() {
        true => app.ledger.moment_of(noted.errand.account(), moment).await?,
        false => moment,
    };
    let again = if moment.now < noted.due { Some(noted.due) } else { work_off(app, noted, moment).await? };
    if let Some(due) = again {
        app.ledger.note(noted.errand, due).await?;
    }
    app.ledger.cross_out(noted).await?;
    Ok(())
}

/// Does what an errand is about; when it is to be done again, if it is.
async fn work_off(app: &App, noted: &Noted, moment: Moment) -> Result<Option<DateTime<Utc>>, Unsettled> {
    match noted.errand {
        Errand::Purchase(id) => purchase(app, id, moment).await,
        Errand::Recharge(account) => {
            app.till(account.mode).attend(account, moment).await?;
            let recharge = app.ledger.recharge(account).await?;
            Ok(recharge.and_then(|recharge| recharge.look_at(moment.now)))
        }
        Errand::Calendar(account) => app.calendar().look_after(account, moment).await,
        Errand::Pot(pot) => app.ledger.look_after_pot(pot.account, pot.of, moment).await.map(|()| None),
        Errand::Webhooks(account) => {
            match app.deliveries.send(&DeliveryRequest::Account { account }, 0).await {
                Ok(()) => Ok(None),
                Err(error) => Err(error.into()),
            }
        }
        Errand::Plan(account) => app.calendar().follow_plan(account, moment).await.map(|()| None),
        Errand::Monitor(id) => match app.calendar().finish_monitor(id, moment).await {
            Ok(_) | Err(NotMade::Taken(_) | NotMade::Unsettled(Unsettled::Refused(_))) => Ok(None),
            Err(NotMade::Unsettled(unsettled)) => Err(unsettled),
        },
    }
}

async fn purchase(app: &App, id: PurchaseId, moment: Moment) -> Result<Option<DateTime<Utc>>, Unsettled> {
    let Some(purchase) = app.ledger.purchase(id).await? else { return Ok(None) };
    let driven = app.till(id.account.mode).resume(purchase.clone(), moment).await;
    let purchase = match driven {
        Ok(purchase) => purchase,
        // Somebody is at work on it just now.
        Err(Unsettled::InProgress) => purchase,
        Err(unsettled) => return Err(unsettled),
    };
    if purchase.next() != Step::Rest {
        return Ok(Some(purchase.look_at(moment.now)));
    }
    if !purchase.has_open_reversal() {
        return Ok(None);
    }
    let purchase = Box::pin(app.till(id.account.mode).reverse(purchase, moment)).await?;
    Ok(purchase.has_open_reversal().then(|| purchase.look_at(moment.now)))
}
