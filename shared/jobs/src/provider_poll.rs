//! Polls the payment providers for refunds and disputes, to find events that were not delivered.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use domain::Mode;
use scrip_payments::{Provider, ProviderEvent};
use store::{Fault, Moment, ReversalPoll, Unsettled};
use tokio::time::timeout;

use super::Dispatcher;

/// How often payment providers are polled.
const EVERY: TimeDelta = TimeDelta::hours(24);

/// By how much a poll overlaps the previous one: clocks differ, and providers list events with a delay.
const OVERLAP: TimeDelta = TimeDelta::hours(1);

/// How far back the first poll goes: Stripe lists events for 30 days.
const FIRST: TimeDelta = TimeDelta::days(30);

/// The timeout of polling one provider, in seconds.
const POLL_SECONDS: u64 = 30;

/// The timeout of handling one event, in seconds.
const EVENT_SECONDS: u64 = 10;

impl Dispatcher<'_> {
    /// Polls each payment provider for refunds and disputes, unless that was done within a day, and returns how many events
    /// were handled. This finds events that a provider could not deliver while the endpoint was unavailable. If an event
    /// fails, the next call polls all of them again.
    pub async fn poll_daily(&self, moment: Moment) -> usize {
        let mut handled = 0usize;
        for mode in self.modes() {
            let known = match self.jobs.ledger.last_reversal_poll(mode).await {
                Ok(known) => known,
                Err(fault) => {
                    tracing::warn!(
                        cause = &fault as &dyn Error,
                        "the poll for refunds and disputes is delayed"
                    );
                    continue;
                }
            };
            if known
                .is_some_and(|known| moment.now < known.now.checked_add_signed(EVERY).unwrap_or(known.now))
            {
                continue;
            }
            match self.poll(mode, known, moment).await {
                Ok(events) => handled = handled.saturating_add(events),
                Err(unsettled) => {
                    tracing::error!(
                        mode = mode.as_str(),
                        cause = &unsettled as &dyn Error,
                        "the poll for refunds and disputes failed"
                    );
                }
            }
        }
        handled
    }

    /// Polls each payment provider for refunds and disputes now. The next daily poll retries a failed one.
    ///
    /// # Errors
    /// When a provider is unavailable, or one of its events cannot be handled.
    pub async fn poll_providers(&self, moment: Moment) -> Result<usize, Unsettled> {
        let mut handled = 0usize;
        for mode in self.modes() {
            let known = self.jobs.ledger.last_reversal_poll(mode).await?;
            match self.poll(mode, known, moment).await {
                Ok(events) => handled = handled.saturating_add(events),
                Err(unsettled) => {
                    let wall = known.map_or_else(|| before(moment.wall, FIRST), |known| known.wall);
                    let retry = ReversalPoll { now: DateTime::UNIX_EPOCH, wall };
                    self.jobs.ledger.save_reversal_poll(mode, retry).await?;
                    return Err(unsettled);
                }
            }
        }
        Ok(handled)
    }

    /// The modes that have a provider of their own.
    fn modes(&self) -> Vec<Mode> {
        let is_one = Arc::ptr_eq(&self.providers.live, &self.providers.test);
        if is_one { vec![Mode::Live] } else { vec![Mode::Live, Mode::Test] }
    }

    async fn poll(
        &self,
        mode: Mode,
        known: Option<ReversalPoll>,
        moment: Moment,
    ) -> Result<usize, Unsettled> {
        let since = known.map_or_else(|| before(moment.wall, FIRST), |known| before(known.wall, OVERLAP));
        let events = events(self.providers.of(mode), since).await?;
        let mut failed = None;
        for event in &events {
            let checkout = self.checkout(mode);
            let handled = Box::pin(checkout.on_event(event, moment));
            let handled = match timeout(Duration::from_secs(EVENT_SECONDS), handled).await {
                Ok(handled) => handled,
                Err(_) => Err(Fault::Busy.into()),
            };
            if let Err(unsettled) = handled {
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
                let polled = ReversalPoll { now: moment.now, wall: moment.wall };
                self.jobs.ledger.save_reversal_poll(mode, polled).await?;
                Ok(events.len())
            }
        }
    }
}

fn before(time: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    time.checked_sub_signed(by).unwrap_or_default()
}

async fn events(provider: &dyn Provider, since: DateTime<Utc>) -> Result<Vec<ProviderEvent>, Unsettled> {
    match timeout(Duration::from_secs(POLL_SECONDS), provider.events_since(since)).await {
        Ok(events) => Ok(events?),
        Err(_) => Err(Fault::Busy.into()),
    }
}
