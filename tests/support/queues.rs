use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Duration, Utc};
use domain::AccountId;
use jobs::Task;
use ports::{Bus, Published, Queue, QueueError, Unpublished};
use projector::Others;
use scrip_payments::RechargeRequest;
use scrip_webhooks::DeliveryRequest;
use store::{Activity, Moment};

/// Events that were published, as often as they were; and nobody whom to call.
#[derive(Clone, Default)]
pub struct Heard(pub Arc<Mutex<Vec<Published>>>);

#[async_trait]
impl Bus for Heard {
    async fn publish(&self, events: &[Published]) -> Result<(), Unpublished> {
        self.0.lock().unwrap().extend_from_slice(events);
        Ok(())
    }
}

#[async_trait]
impl Queue<DeliveryRequest> for Heard {
    async fn send(&self, _: &DeliveryRequest, _: u16) -> Result<(), QueueError> {
        Ok(())
    }
}

/// Wakes that wait until somebody takes them.
#[derive(Clone, Default)]
pub(crate) struct Woken(Arc<Mutex<Vec<AccountId>>>);

#[async_trait]
impl Queue<RechargeRequest> for Woken {
    async fn send(&self, request: &RechargeRequest, _: u16) -> Result<(), QueueError> {
        self.0.lock().unwrap().push(request.account);
        Ok(())
    }
}

impl Woken {
    /// Takes all that wait.
    pub(crate) fn take_all(&self) -> Vec<AccountId> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

/// After how many seconds a task that failed comes again, and how often it is taken at most before it is put among
/// the failures: `VisibilityTimeout` and `maxReceiveCount` of the queue of renewals in template.yaml.
const VISIBILITY_SECONDS: i64 = 360;
const RECEIVES_MAX: u32 = 5;

/// A message of the queue of renewals.
pub(crate) struct Message {
    pub(crate) task: Task,
    /// How often it was taken and not done.
    failed: u32,
    /// From when on it can be taken.
    visible: DateTime<Utc>,
}

/// Tasks that wait until somebody does them.
#[derive(Clone, Default)]
pub(crate) struct Sent(Arc<Mutex<Vec<Message>>>);

impl Sent {
    /// Has a task done.
    pub(crate) fn push(&self, task: Task) {
        self.0.lock().unwrap().push(Message { task, failed: 0, visible: DateTime::<Utc>::MIN_UTC });
    }

    /// The latest that can be taken: a queue keeps no order.
    pub(crate) fn take(&self, now: DateTime<Utc>) -> Option<Message> {
        let mut messages = self.0.lock().unwrap();
        let place = messages.iter().rposition(|message| message.visible <= now)?;
        Some(messages.remove(place))
    }

    /// Has a task come again that was taken and could not be done.
    pub(crate) fn put_back(&self, Message { task, failed, .. }: Message, now: DateTime<Utc>) {
        let failed = failed.saturating_add(1);
        assert!(failed < RECEIVES_MAX, "{task:?} is put among the failures, and somebody is alarmed");
        let visible = now.checked_add_signed(Duration::seconds(VISIBILITY_SECONDS)).unwrap();
        self.0.lock().unwrap().push(Message { task, failed, visible });
    }

    /// When the next one can be taken; none when none waits.
    pub(crate) fn next(&self) -> Option<DateTime<Utc>> {
        self.0.lock().unwrap().iter().map(|message| message.visible).min()
    }
}

#[async_trait]
impl Queue<Task> for Sent {
    async fn send(&self, task: &Task, _: u16) -> Result<(), QueueError> {
        self.push(*task);
        Ok(())
    }
}

/// All that the projector works with beside the ledger.
pub(crate) struct Listeners {
    pub(crate) activity: Activity,
    pub(crate) bus: Heard,
    pub(crate) wakes: Woken,
    pub(crate) tasks: Sent,
    pub(crate) moment: Moment,
}

impl Listeners {
    pub(crate) fn others(&self) -> Others<'_> {
        let Self { activity, bus, wakes, tasks, moment } = self;
        Others { activity, bus, recharges: wakes, tasks, moment: *moment }
    }
}
