use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use app::App;
use chrono::{DateTime, TimeDelta, Utc};
use domain::Mode;
use scrip_payments::{Event, Provider};
use store::{Fault, Looked, Moment, Unsettled};
use tokio::time::timeout;

/// How often payment providers are asked for refunds and disputes.
const EVERY: TimeDelta = TimeDelta::hours(24);

/// How far back they are asked beyond the last time: clocks differ, and events take a while to be listed.
const OVERLAP: TimeDelta = TimeDelta::hours(1);

/// How far back they are asked the first time: Stripe lists events for 30 days.
const FIRST: TimeDelta = TimeDelta::days(30);

/// How many seconds asking one provider may take.
const ASK_SECONDS: u64 = 30;

/// How many seconds one event may take.
const EVENT_SECONDS: u64 = 10;

/// Asks each payment provider for refunds and disputes, unless it was asked within a day; how many events were
/// booked. Events that a provider could not deliver, because the endpoint was away for days, are found here.
/// When one of them can't be booked, all are looked at again with the next call.
pub(super) async fn look_daily(app: &App, moment: Moment) -> usize {
    let mut handled = 0usize;
    for mode in modes(app) {
        let known = match app.ledger.looked(mode).await {
            Ok(known) => known,
            Err(fault) => {
                tracing::warn!(cause = &fault as &dyn Error, "refunds and disputes are looked for later");
                continue;
            }
        };
        if known.is_some_and(|known| moment.now < known.now.checked_add_signed(EVERY).unwrap_or(known.now)) {
            continue;
        }
        match look_in(app, mode, known, moment).await {
            Ok(events) => handled = handled.saturating_add(events),
            Err(unsettled) => {
                tracing::error!(
                    mode = mode.as_str(),
                    cause = &unsettled as &dyn Error,
                    "refunds and disputes can't be looked for"
                );
            }
        }
    }
    handled
}

/// Asks each payment provider for refunds and disputes now. What fails is tried again with the next call of
/// [`tick`](super::tick).
///
/// # Errors
/// When a provider does not answer, or one of its events can't be booked.
pub async fn look(app: &App, moment: Moment) -> Result<usize, Unsettled> {
    let mut handled = 0usize;
    for mode in modes(app) {
        let known = app.ledger.looked(mode).await?;
        match look_in(app, mode, known, moment).await {
            Ok(events) => handled = handled.saturating_add(events),
            Err(unsettled) => {
                let wall = known.map_or_else(|| back(moment.wall, FIRST), |known| known.wall);
                app.ledger.note_look(mode, Looked { now: DateTime::UNIX_EPOCH, wall }).await?;
                return Err(unsettled);
            }
        }
    }
    Ok(handled)
}

/// The modes that have a provider of their own.
fn modes(app: &App) -> Vec<Mode> {
    let is_one = Arc::ptr_eq(&app.providers.live, &app.providers.test);
    if is_one { vec![Mode::Live] } else { vec![Mode::Live, Mode::Test] }
}

fn back(from: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    from.checked_sub_signed(by).unwrap_or_default()
}

async fn look_in(app: &App, mode: Mode, known: Option<Looked>, moment: Moment) -> Result<usize, Unsettled> {
    let since = known.map_or_else(|| back(moment.wall, FIRST), |known| back(known.wall, OVERLAP));
    let events = events(app.providers.of(mode), since).await?;
    let (till, mut failed) = (app.till(mode), None);
    for event in &events {
        let booked = Box::pin(till.on_event(event, moment));
        let booked = match timeout(Duration::from_secs(EVENT_SECONDS), booked).await {
            Ok(booked) => booked,
            Err(_) => Err(Fault::Busy.into()),
        };
        if let Err(unsettled) = booked {
            tracing::error!(
                ?event,
                cause = &unsettled as &dyn Error,
                "a refund or a dispute can't be booked"
            );
            failed = Some(unsettled);
        }
    }
    match failed {
        Some(unsettled) => Err(unsettled),
        None => {
            app.ledger.note_look(mode, Looked { now: moment.now, wall: moment.wall }).await?;
            Ok(events.len())
        }
    }
}

async fn events(provider: &dyn Provider, since: DateTime<Utc>) -> Result<Vec<Event>, Unsettled> {
    match timeout(Duration::from_secs(ASK_SECONDS), provider.events_since(since)).await {
        Ok(events) => Ok(events?),
        Err(_) => Err(Fault::Busy.into()),
    }
}
