//! What an attempt leads to: its log line, the new delivery state, a retry, the event of a pause.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};

use super::alarm::{DELIVERY_FAULT, SECRET_UNREADABLE};
use super::worker::{LeasedWebhook, new_delivery_id};
use super::{DeliveryRequest, WebhookMessage, WebhookWorker};
use domain::{
    AccountId, Delivery, DeliveryFault, DeliveryId, DeliveryKind, DeliveryLane, DeliveryState, Event,
    LaneEvent, Notification, Webhook, WebhookId, WebhookPauseReason, WebhookPaused, WebhookStatus,
};
use ports::{SealError, SealFailure};
use store::{Fault, Job, WebhookKey};

/// The longest delay of a queue message, in seconds (SQS: 900). A scheduled job covers longer waits.
const QUEUE_DELAY_SECONDS_MAX: i64 = 900;

impl WebhookWorker<'_> {
    /// Makes one attempt and records its result. Returns the new delivery state, or `None` when the webhook was deleted
    /// or another worker holds it.
    pub(super) async fn attempt(
        &self,
        leased: &LeasedWebhook,
        webhook: &Webhook,
        event: &Event,
        is_last: bool,
    ) -> Result<Option<DeliveryState>, Fault> {
        let LeasedWebhook { account, state, lane, .. } = leased;
        let place = LaneEvent { lane: *lane, number: event.number, on_failure: webhook.on_failure };
        let secrets = match self.secrets(*account, webhook, self.clock.now().wall).await {
            Ok(secrets) => secrets,
            Err(error) => return self.wait_for_secret(leased, place, error).await,
        };
        let mut delivery = self.delivery_of(leased, event).await?;
        let outcome = self.send(webhook, &secrets, &mut delivery).await?;
        let moment = self.clock.now();
        let (jitter, next_id) = (jitter(delivery.id, state.failures(*lane)), new_delivery_id(moment));
        let after = |known: &DeliveryState| {
            // The lane was restarted meanwhile, so this attempt does not belong to it.
            if !known.goes_on(*lane, state) {
                return known.free();
            }
            let next = known.after(place, outcome, moment.now, jitter);
            let is_done = known.status_after(place, outcome, moment.now, jitter).is_done();
            if !is_done || !next.is_active() || is_last {
                return next.free();
            }
            next.beginning(*lane, next_id).leased(state.holder, moment.wall)
        };
        // Schedule the job before storing the wait: a crash in between leaves an unneeded job, never a webhook that
        // waits without one.
        let retry_at = self.schedule_retry(leased, &after(state)).await?;
        delivery.status = state.status_after(place, outcome, moment.now, jitter);
        delivery.attempts_max = Some(webhook.on_failure.attempts_max());
        self.activity
            .log_delivery(WebhookKey { account: *account, id: webhook.id }, &delivery, moment)
            .await?;
        self.save_after(leased, retry_at, after).await
    }

    /// Postpones the next attempt because a secret could not be decrypted, or pauses the webhook.
    async fn wait_for_secret(
        &self,
        leased: &LeasedWebhook,
        place: LaneEvent,
        error: SealError,
    ) -> Result<Option<DeliveryState>, Fault> {
        let LeasedWebhook { account, webhook, state, lane } = leased;
        tracing::error!(%account, %webhook, fault = &error as &dyn std::error::Error, "{DELIVERY_FAULT}");
        let fault = match error.cause {
            SealFailure::Unavailable => DeliveryFault::Unavailable,
            SealFailure::Unreadable => DeliveryFault::Unreadable,
        };
        let now = self.clock.now().now;
        let after = |known: &DeliveryState| {
            if !known.goes_on(*lane, state) {
                return known.free();
            }
            known.faulted(place, fault, now).not_begun(*lane).free()
        };
        let retry_at = self.schedule_retry(leased, &after(state)).await?;
        self.save_after(leased, retry_at, after).await
    }

    /// Schedules a job for the retry of a state that is to be saved.
    async fn schedule_retry(
        &self,
        leased: &LeasedWebhook,
        next: &DeliveryState,
    ) -> Result<Option<DateTime<Utc>>, Fault> {
        let retry_at = next.retry_at(leased.lane);
        if let Some(retry_at) = retry_at {
            self.ledger.schedule(Job::Webhooks(leased.account), retry_at).await?;
        }
        Ok(retry_at)
    }

    /// Saves the state after an attempt, whose retry is scheduled at `scheduled`, as long as this worker holds the
    /// lease.
    async fn save_after(
        &self,
        leased: &LeasedWebhook,
        scheduled: Option<DateTime<Utc>>,
        after: impl Fn(&DeliveryState) -> DeliveryState,
    ) -> Result<Option<DeliveryState>, Fault> {
        let LeasedWebhook { account, webhook, state, .. } = leased;
        let mut known = Some(state.clone());
        while let Some(found) = known {
            let next = after(&found);
            if let Some(saved) = self.activity.save_delivery_state(*account, *webhook, &next).await? {
                if saved.retry_at(leased.lane) != scheduled {
                    self.schedule_retry(leased, &saved).await?;
                }
                let now = self.clock.now().now;
                self.request_retry(*account, saved.retry_at(leased.lane), now).await;
                return Ok(Some(saved));
            }
            // The owner has changed the state, or another worker has taken the lease over.
            known = self.activity.delivery_state(*account, *webhook).await?;
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
    pub(super) async fn emit_paused(
        &self,
        account: AccountId,
        id: WebhookId,
        state: DeliveryState,
    ) -> Result<DeliveryState, Fault> {
        let Some(number) = state.stopped_at else { return Ok(state) };
        let Some(webhook) = self.activity.webhook(account, id).await? else { return Ok(state) };
        let (events, _) = self.ledger.events(account, number.saturating_sub(1), 1).await?;
        let event = events.first().filter(|event| event.number == number);
        let reason = match state.status {
            WebhookStatus::SecretUnreadable => WebhookPauseReason::SecretUnreadable,
            WebhookStatus::Gone => WebhookPauseReason::Gone,
            WebhookStatus::Failing | WebhookStatus::Active | WebhookStatus::Paused => {
                WebhookPauseReason::Failing
            }
        };
        if reason == WebhookPauseReason::SecretUnreadable {
            tracing::error!(%account, webhook = %id, "{SECRET_UNREADABLE}");
        }
        let notification = Notification::WebhookPaused(WebhookPaused {
            webhook: webhook.id,
            url: webhook.url.origin(),
            reason,
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

/// A number below 1,000 that depends only on the attempt, so that every process computes the same delay.
fn jitter(delivery: DeliveryId, failures: u32) -> u16 {
    let digest = Sha256::digest(format!("{delivery}/{failures}"));
    let [high, low, ..] = digest.as_slice() else { return 0 };
    u16::from_be_bytes([*high, *low]).checked_rem(1_000).unwrap_or(0)
}
