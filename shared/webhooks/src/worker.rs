//! The webhook worker: delivers the feed of an account to its webhook endpoints.

use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use ports::{Queue, Seal};

use super::alarm::DELIVERY_FAULT;
use super::{DeliveryRequest, WebhookClient};
use domain::{AccountId, DeliveryId, DeliveryLane, DeliveryState, Event, Webhook, WebhookId};
use store::{Activity, Fault, Ledger, Moment, random};

/// For how many seconds one call starts attempts at a webhook. The last attempt ends before the function's timeout.
const WORK_SECONDS: i64 = 20;

/// The maximum number of events in one read of the feed.
const EVENTS_AT_ONCE: i32 = 20;

/// The maximum number of rounds in one call for one webhook. A round is one read of the feed.
const ROUNDS_MAX: u32 = 50;

/// A wait below this number of seconds, after a call that came too early, gets a call of its own.
const SHORT_WAIT_SECONDS: i64 = 5;

/// Delivers events to the webhook endpoints of customers. Each endpoint reads the feed of its account independently
/// and in order, and continues only after the endpoint accepted the earlier events. Progress is stored in the table
/// and not in the message, so a call that is repeated, late or unnecessary does no harm.
#[derive(Clone, Copy)]
pub struct WebhookWorker<'a> {
    /// The feed of events and the scheduled jobs.
    pub ledger: &'a Ledger,
    /// Webhooks, their delivery states and their delivery logs.
    pub activity: &'a Activity,
    /// Decrypts signing secrets.
    pub seal: &'a dyn Seal,
    /// The HTTP client.
    pub sender: &'a WebhookClient,
    /// The queue of delivery requests, for the next call.
    pub requests: &'a dyn Queue<DeliveryRequest>,
    /// The clock.
    pub clock: &'a dyn MomentSource,
}

/// A clock that returns business time and system time.
pub trait MomentSource: Send + Sync {
    /// Business time and system time.
    fn now(&self) -> Moment;
}

/// A leased webhook: its delivery state and the lane (live or replay) being delivered.
pub(super) struct LeasedWebhook {
    pub(super) account: AccountId,
    pub(super) webhook: WebhookId,
    pub(super) state: DeliveryState,
    pub(super) lane: DeliveryLane,
}

/// Whether a webhook has more events to deliver now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HasMore {
    Yes,
    No,
}

impl WebhookWorker<'_> {
    /// Delivers pending events to all webhooks of an account concurrently. A webhook with a fault delays no other one. A
    /// secret that cannot be decrypted is no fault of the account: its webhook waits and is then paused.
    ///
    /// # Errors
    /// When a table or the queue is unavailable, or an item is unreadable; the account should then be requeued.
    pub async fn deliver_pending(&self, account: AccountId) -> Result<(), Fault> {
        let webhooks = self.activity.webhook_ids(account).await?;
        let done = webhooks.into_iter().map(|webhook| async move {
            let served = self.serve(account, webhook).await;
            if let Err(fault) = &served {
                tracing::error!(%account, %webhook, fault = fault as &dyn std::error::Error, "{DELIVERY_FAULT}");
            }
            served
        });
        join_all(done).await.into_iter().collect()
    }

    async fn serve(&self, account: AccountId, id: WebhookId) -> Result<(), Fault> {
        let end = seconds_after(self.clock.now().wall, WORK_SECONDS);
        for _ in 0..ROUNDS_MAX {
            let Some(state) = self.activity.delivery_state(account, id).await? else { return Ok(()) };
            let moment = self.clock.now();
            let state = self.emit_paused(account, id, state).await?;
            if !state.is_open(moment.now, moment.wall) {
                return self.retry_soon(account, &state, moment).await;
            }
            let (lane, events) = self.pending(account, id, &state, moment.now).await?;
            if events.is_empty() {
                return Ok(());
            }
            if end <= moment.wall {
                break;
            }
            // The webhook is read after the feed, so its subscription is at least as new as every event that was read.
            let Some(webhook) = self.activity.webhook(account, id).await? else { return Ok(()) };
            let leased = LeasedWebhook { account, webhook: id, state, lane };
            if self.skip(&leased, &webhook, &events).await? {
                continue;
            }
            // A worker that loses the lease need not wait: the holder reads the feed again before it releases.
            let holder = u64::try_from(random() >> 75).unwrap_or(0);
            let next = leased.state.beginning(lane, new_delivery_id(moment)).leased(holder, moment.wall);
            let Some(state) = self.activity.save_delivery_state(account, id, &next).await? else {
                continue;
            };
            if self.deliver(LeasedWebhook { state, ..leased }, &events, end).await? == HasMore::No {
                return Ok(());
            }
        }
        Ok(self.requests.send(&DeliveryRequest::Account { account }, 0).await?)
    }

    /// Requests a delivery for when a short wait ends. Without it, a call that came too early, because its clock is
    /// slightly ahead of ours, would be the only one.
    async fn retry_soon(
        &self,
        account: AccountId,
        state: &DeliveryState,
        moment: Moment,
    ) -> Result<(), Fault> {
        let waits =
            [DeliveryLane::Live, DeliveryLane::Replay].into_iter().filter_map(|lane| state.retry_at(lane));
        let wait = waits.map(|at| at.signed_duration_since(moment.now).num_seconds()).min();
        match wait.filter(|wait| state.is_active() && (0..SHORT_WAIT_SECONDS).contains(wait)) {
            Some(wait) => {
                let wait = u16::try_from(wait.saturating_add(1)).unwrap_or(1);
                Ok(self.requests.send(&DeliveryRequest::Account { account }, wait).await?)
            }
            None => Ok(()),
        }
    }

    /// The events to deliver next: new ones, or else those of a replay.
    async fn pending(
        &self,
        account: AccountId,
        id: WebhookId,
        state: &DeliveryState,
        now: DateTime<Utc>,
    ) -> Result<(DeliveryLane, Vec<Event>), Fault> {
        if state.may_send(DeliveryLane::Live, now) {
            let (events, _) = self.ledger.events(account, state.through, EVENTS_AT_ONCE).await?;
            if !events.is_empty() {
                return Ok((DeliveryLane::Live, events));
            }
        }
        let replay = state.replay.filter(|_| state.may_send(DeliveryLane::Replay, now));
        let Some(replay) = replay else { return Ok((DeliveryLane::Replay, vec![])) };
        let (events, _) = self.ledger.events(account, replay.through, EVENTS_AT_ONCE).await?;
        let events: Vec<_> = events.into_iter().filter(|event| event.number <= replay.last).collect();
        if events.is_empty() {
            // The rest of the range has left the feed, so the replay is finished.
            let finished = |known: &DeliveryState| DeliveryState {
                replay: known.replay.filter(|known| known.run != replay.run),
                ..known.clone()
            };
            self.activity.change_delivery_state(account, id, finished).await?;
        }
        Ok((DeliveryLane::Replay, events))
    }

    /// Skips events that the webhook does not subscribe to, up to the first one that it does. Returns false when the
    /// first event is to be sent.
    async fn skip(&self, leased: &LeasedWebhook, webhook: &Webhook, events: &[Event]) -> Result<bool, Fault> {
        let unwanted = events.iter().take_while(|event| !webhook.is_subscribed_to(&event.name));
        let Some(last) = unwanted.last() else { return Ok(false) };
        let past = |known: &DeliveryState| {
            let is_same =
                known.goes_on(leased.lane, &leased.state) && known.leased_until == leased.state.leased_until;
            if is_same { known.past(leased.lane, last.number) } else { known.clone() }
        };
        self.activity.change_delivery_state(leased.account, leased.webhook, past).await?;
        Ok(true)
    }

    /// Sends events in order until one is not accepted, then releases the webhook.
    async fn deliver(
        &self,
        mut leased: LeasedWebhook,
        events: &[Event],
        end: DateTime<Utc>,
    ) -> Result<HasMore, Fault> {
        let last = events.last().map(|event| event.number);
        let mut skipped = None;
        for event in events {
            // Read for each event: a changed address, subscription or secret takes effect at once.
            let webhook = self.activity.webhook(leased.account, leased.webhook).await?;
            let Some(webhook) = webhook else { return Ok(HasMore::No) };
            if !webhook.is_subscribed_to(&event.name) {
                skipped = Some(event.number);
                // The failures so far were of this event, so the next one must start without them.
                if 0 < leased.state.failures(leased.lane) {
                    break;
                }
                continue;
            }
            if end <= self.clock.now().wall {
                break;
            }
            let is_last = Some(event.number) == last;
            let Some(state) = self.attempt(&leased, &webhook, event, is_last).await? else {
                return Ok(HasMore::No);
            };
            let is_stopped = !state.is_active() || state.retry_at(leased.lane).is_some();
            let goes_on = state.goes_on(leased.lane, &leased.state);
            leased.state = state;
            skipped = None;
            if is_stopped {
                let state = self.emit_paused(leased.account, leased.webhook, leased.state).await?;
                let is_due = state.is_active() && state.may_send(DeliveryLane::Replay, self.clock.now().now);
                return Ok(if leased.lane == DeliveryLane::Live && is_due {
                    HasMore::Yes
                } else {
                    HasMore::No
                });
            }
            if !goes_on {
                break;
            }
        }
        self.release(&leased, skipped).await?;
        Ok(HasMore::Yes)
    }

    /// Releases the lease if this worker still holds it, and moves past skipped events.
    async fn release(&self, leased: &LeasedWebhook, skipped: Option<u64>) -> Result<(), Fault> {
        let released = |known: &DeliveryState| {
            if !known.is_held_by(leased.state.holder) {
                return known.clone();
            }
            let goes_on = known.goes_on(leased.lane, &leased.state);
            let past = skipped.filter(|_| goes_on).map(|number| known.past(leased.lane, number));
            past.unwrap_or_else(|| known.not_begun(leased.lane)).free()
        };
        self.activity.change_delivery_state(leased.account, leased.webhook, released).await.map(|_| ())
    }
}

fn seconds_after(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    at.checked_add_signed(Duration::try_seconds(seconds).unwrap_or_default()).unwrap_or(at)
}

/// The id of a delivery that starts now.
pub(super) fn new_delivery_id(Moment { now, wall }: Moment) -> DeliveryId {
    DeliveryId::begun(now, wall, random())
}
