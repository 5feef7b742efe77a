//! In-memory queues and an event bus, which the test empties.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::AccountId;
use jobs::RenewalTask;
use jobs::projection::Others;
use ports::{Bus, BusEvent, PublishError, Queue, QueueError};
use scrip_payments::RechargeRequest;
use scrip_webhooks::DeliveryRequest;
use store::{Activity, Moment, Settings};

/// An event bus that records what is published, and a delivery queue that discards everything.
#[derive(Clone, Default)]
pub struct PublishedEvents(pub Arc<Mutex<Vec<BusEvent>>>);

#[async_trait]
impl Bus for PublishedEvents {
    async fn publish(&self, events: &[BusEvent]) -> Result<(), PublishError> {
        self.0.lock().unwrap().extend_from_slice(events);
        Ok(())
    }
}

#[async_trait]
impl Queue<DeliveryRequest> for PublishedEvents {
    async fn send(&self, _: &DeliveryRequest, _: u16) -> Result<(), QueueError> {
        Ok(())
    }
}

/// A recharge queue that the test empties.
#[derive(Clone, Default)]
pub(crate) struct RechargeRequests(Arc<Mutex<Vec<AccountId>>>);

#[async_trait]
impl Queue<RechargeRequest> for RechargeRequests {
    async fn send(&self, request: &RechargeRequest, _: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(request.account);
        Ok(())
    }
}

impl RechargeRequests {
    /// Takes everything that waits.
    pub(crate) fn take_all(&self) -> Vec<AccountId> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// `VisibilityTimeout` in seconds, and `maxReceiveCount`, of the renewal queue in template.yaml.
const VISIBILITY_SECONDS: i64 = 360;
const RECEIVES_MAX: u32 = 5;

/// A message of the renewal queue.
pub(crate) struct RenewalMessage {
    pub(crate) task: RenewalTask,
    /// The number of failed attempts.
    failed: u32,
    /// The time from which the message can be received.
    visible: DateTime<Utc>,
}

/// A renewal queue that the test empties.
#[derive(Clone, Default)]
pub(crate) struct RenewalTasks(Arc<Mutex<Vec<RenewalMessage>>>);

impl RenewalTasks {
    /// Sends a task.
    pub(crate) fn push(&self, task: RenewalTask) {
        self.0.lock().unwrap().push(RenewalMessage { task, failed: 0, visible: DateTime::<Utc>::MIN_UTC });
    }

    /// Receives the newest visible message: the queue keeps no order.
    pub(crate) fn take(&self, now: DateTime<Utc>) -> Option<RenewalMessage> {
        let mut messages = self.0.lock().unwrap();
        let place = messages.iter().rposition(|message| message.visible <= now)?;
        Some(messages.remove(place))
    }

    /// Returns a message whose task failed, after its visibility timeout.
    pub(crate) fn put_back(&self, RenewalMessage { task, failed, .. }: RenewalMessage, now: DateTime<Utc>) {
        let failed = failed.saturating_add(1);
        assert!(failed < RECEIVES_MAX, "{task:?} would go to the dead-letter queue");
        let visible = now.checked_add_signed(Duration::seconds(VISIBILITY_SECONDS)).unwrap();
        self.0.lock().unwrap().push(RenewalMessage { task, failed, visible });
    }

    /// When the next message is visible; none when the queue is empty.
    pub(crate) fn next(&self) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap().iter().map(|message| message.visible).min()
    }
}

#[async_trait]
impl Queue<RenewalTask> for RenewalTasks {
    async fn send(&self, task: &RenewalTask, _: u16) -> Result<(), QueueError> {
        self.push(*task);
        Ok(())
    }
}

/// The projector's dependencies besides the ledger.
pub(crate) struct Listeners {
    pub(crate) activity: Activity,
    pub(crate) settings: Settings,
    pub(crate) bus: PublishedEvents,
    pub(crate) recharge_requests: RechargeRequests,
    pub(crate) tasks: RenewalTasks,
    pub(crate) moment: Moment,
}

impl Listeners {
    pub(crate) fn others(&self) -> Others<'_> {
        let Self { activity, settings, bus, recharge_requests, tasks, moment } = self;
        Others {
            activity,
            settings,
            bus,
            recharges: recharge_requests,
            tasks,
            moment: *moment,
            grace: std::time::Duration::ZERO,
        }
    }
}
