//! The webhook worker: delivers the feed of an account to its webhook endpoints.

use chrono::{DateTime, Duration, Utc};
use futures_util::future::join_all;
use sha2::{Digest, Sha256};

use ports::{Queue, Seal};

use super::{DeliveryRequest, WebhookClient, WebhookMessage};
use domain::{
    AccountId, Delivery, DeliveryId, DeliveryKind, DeliveryLane, DeliveryOutcome, DeliveryState,
    DeliveryStatus, Event, LaneEvent, Notification, Webhook, WebhookId, WebhookPaused, WebhookStatus,
};
use store::{Activity, Fault, Job, Ledger, Moment, WebhookKey, random};

/// For how many seconds one call starts attempts at a webhook. The last attempt ends before the function's timeout.
const WORK_SECONDS: i64 = 20;

/// The maximum number of events in one read of the feed.
const EVENTS_AT_ONCE: i32 = 20;

/// The maximum number of rounds in one call for one webhook. A round is one read of the feed.
const ROUNDS_MAX: u32 = 50;

/// The longest delay of a queue message, in seconds (SQS: 900). A scheduled job covers longer waits.
const QUEUE_DELAY_SECONDS_MAX: i64 = 900;

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
struct LeasedWebhook {
    account: AccountId,
    webhook: WebhookId,
    state: DeliveryState,
    lane: DeliveryLane,
}

/// Whether a webhook has more events to deliver now.
#[derive(Clone, Copy, PartialEq, Eq)]
enum HasMore {
    Yes,
    No,
}

impl WebhookWorker<'_> {
    /// Delivers pending events to all webhooks of an account concurrently.
    ///
    /// # Errors
    /// When a table, a secret or the queue is unavailable; the request should then be retried.
    pub async fn deliver_pending(&self, account: AccountId) -> Result<(), Fault> {
        let webhooks = self.activity.webhooks(account).await?;
        let done = join_all(webhooks.iter().map(|(webhook, _)| self.serve(account, webhook.id))).await;
        done.into_iter().collect()
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

    /// Makes one attempt and records its result. Returns the new delivery state, or `None` when the webhook was deleted
    /// or another worker holds it.
    async fn attempt(
        &self,
        leased: &LeasedWebhook,
        webhook: &Webhook,
        event: &Event,
        is_last: bool,
    ) -> Result<Option<DeliveryState>, Fault> {
        let LeasedWebhook { account, state, lane, .. } = leased;
        let mut delivery = self.delivery_of(leased, event).await?;
        let secrets = self.secrets(*account, webhook, self.clock.now().wall).await?;
        let outcome = self.send(webhook, &secrets, &mut delivery).await?;
        let moment = self.clock.now();
        let (jitter, next_id) = (jitter(delivery.id, state.failures(*lane)), new_delivery_id(moment));
        let after = |known: &DeliveryState| {
            // The lane was restarted meanwhile, so this attempt does not belong to it.
            if !known.goes_on(*lane, state) {
                return known.free();
            }
            let next =
                known.after(LaneEvent { lane: *lane, number: event.number }, outcome, moment.now, jitter);
            let goes_on = outcome == DeliveryOutcome::Taken && next.is_active() && !is_last;
            if !goes_on {
                return next.free();
            }
            next.beginning(*lane, next_id).leased(state.holder, moment.wall)
        };
        // Schedule the job before storing the wait: a crash in between leaves an unneeded job, never a webhook that
        // waits without one.
        let retry_at = after(state).retry_at(*lane);
        if let Some(retry_at) = retry_at {
            self.ledger.schedule(Job::Webhooks(*account), retry_at).await?;
        }
        delivery.status = match (outcome, retry_at) {
            (DeliveryOutcome::Taken, _) => DeliveryStatus::Succeeded,
            (DeliveryOutcome::Failed(_) | DeliveryOutcome::Gone, Some(_)) => DeliveryStatus::Retrying,
            (DeliveryOutcome::Failed(_) | DeliveryOutcome::Gone, None) => DeliveryStatus::Failed,
        };
        self.activity
            .log_delivery(WebhookKey { account: *account, id: webhook.id }, &delivery, moment)
            .await?;
        let mut known = Some(state.clone());
        while let Some(found) = known {
            if let Some(saved) =
                self.activity.save_delivery_state(*account, webhook.id, &after(&found)).await?
            {
                let saved_at = saved.retry_at(*lane);
                if let Some(at) = saved_at.filter(|_| saved_at != retry_at) {
                    self.ledger.schedule(Job::Webhooks(*account), at).await?;
                }
                self.request_retry(*account, saved_at, moment.now).await;
                return Ok(Some(saved));
            }
            // The owner has changed the state, or another worker has taken the lease over.
            known = self.activity.delivery_state(*account, webhook.id).await?;
            known = known.filter(|known| known.is_held_by(state.holder));
        }
        Ok(None)
    }

    /// The delivery of an event: from the log if there were earlier attempts, or else a new one.
    async fn delivery_of(&self, leased: &LeasedWebhook, event: &Event) -> Result<Delivery, Fault> {
        let LeasedWebhook { account, webhook, state, lane } = leased;
        let kind = match lane {
            DeliveryLane::Live => DeliveryKind::Event,
            DeliveryLane::Replay => DeliveryKind::Replay,
        };
        let id = state.delivery(*lane).unwrap_or_else(|| new_delivery_id(self.clock.now()));
        let known = match state.failures(*lane) {
            0 => None,
            _ => self.activity.delivery(*account, *webhook, id).await?,
        };
        let known = known.filter(|known| known.number == event.number);
        Ok(known.unwrap_or_else(|| self.new_delivery(id, kind, &WebhookMessage::of(*account, event))))
    }

    /// Emits `webhook.paused` for a webhook that was paused, unless that is done.
    async fn emit_paused(
        &self,
        account: AccountId,
        id: WebhookId,
        state: DeliveryState,
    ) -> Result<DeliveryState, Fault> {
        let Some(number) = state.stopped_at else { return Ok(state) };
        let Some(webhook) = self.activity.webhook(account, id).await? else { return Ok(state) };
        let (events, _) = self.ledger.events(account, number.saturating_sub(1), 1).await?;
        let event = events.first().filter(|event| event.number == number);
        let notification = Notification::WebhookPaused(WebhookPaused {
            webhook: webhook.id,
            url: webhook.url.origin(),
            gone: state.status == WebhookStatus::Gone,
            event: event.map(|event| event.id(account)),
            number,
            run: state.run,
        });
        self.ledger.emit(account, &notification, self.clock.now()).await?;
        let emitted = |known: &DeliveryState| DeliveryState { stopped_at: None, ..known.clone() };
        let saved = self.activity.change_delivery_state(account, id, emitted).await?;
        Ok(saved.unwrap_or(state))
    }

    /// Requests a delivery for when a wait ends, if the queue can delay a message for that long. Scheduled jobs cover
    /// longer waits and lost messages.
    async fn request_retry(&self, account: AccountId, at: Option<DateTime<Utc>>, now: DateTime<Utc>) {
        let Some(at) = at else { return };
        // One second late, so that the retry is due when the message arrives.
        let wait = at.signed_duration_since(now).num_seconds().saturating_add(1);
        if wait <= QUEUE_DELAY_SECONDS_MAX {
            let wait = u16::try_from(wait).unwrap_or(0);
            if let Err(error) = self.requests.send(&DeliveryRequest::Account { account }, wait).await {
                tracing::warn!(%account, cause = &error as &dyn std::error::Error, "webhooks are left to their scheduled job");
            }
        }
    }
}

fn seconds_after(at: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    at.checked_add_signed(Duration::try_seconds(seconds).unwrap_or_default()).unwrap_or(at)
}

/// The id of a delivery that starts now.
pub(super) fn new_delivery_id(Moment { now, wall }: Moment) -> DeliveryId {
    DeliveryId::begun(now, wall, random())
}

/// A number below 1,000 that depends only on the attempt, so that every process computes the same delay.
fn jitter(delivery: DeliveryId, failures: u32) -> u16 {
    let digest = Sha256::digest(format!("{delivery}/{failures}"));
    let [high, low, ..] = digest.as_slice() else { return 0 };
    u16::from_be_bytes([*high, *low]).checked_rem(1_000).unwrap_or(0)
}
