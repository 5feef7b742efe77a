//! A queue within the process, in place of SQS. It knows when all its messages are handled.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ports::{Queue, QueueError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};

/// The end of a queue that messages are sent to.
pub(crate) struct InProcessQueue<T> {
    sender: UnboundedSender<T>,
    counts: Arc<watch::Sender<QueueCounts>>,
}

/// The end of a queue that messages are taken from.
pub(crate) struct QueueReceiver<T> {
    receiver: UnboundedReceiver<T>,
    counts: Arc<watch::Sender<QueueCounts>>,
}

/// How often a message is handled before it is given up, and the pause between two attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
}

/// Counts a message as handled when it is dropped, even if its handler panicked.
struct DoneOnDrop(Arc<watch::Sender<QueueCounts>>);

/// How many messages were sent to a queue since it was made, and how many of them are handled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueCounts {
    sent: u64,
    done: u64,
}

/// A new queue: both its ends.
pub(crate) fn in_process_queue<T>() -> (InProcessQueue<T>, QueueReceiver<T>) {
    let (sender, receiver) = unbounded_channel();
    let counts = Arc::new(watch::Sender::new(QueueCounts::default()));
    (InProcessQueue { sender, counts: counts.clone() }, QueueReceiver { receiver, counts })
}

impl<T> InProcessQueue<T> {
    /// Sends a message; false when the machine is ending and the receiver is gone.
    pub(crate) fn send(&self, message: T) -> bool {
        self.counts.send_modify(|counts| counts.sent = counts.sent.saturating_add(1));
        let was_sent = self.sender.send(message).is_ok();
        if !was_sent {
            self.counts.send_modify(QueueCounts::one_done);
        }
        was_sent
    }

    /// Returns once all messages that were sent are handled.
    pub(crate) async fn wait_until_idle(&self) {
        // It fails only when all senders are gone, and `self` is one of them.
        if self.counts.subscribe().wait_for(QueueCounts::is_idle).await.is_err() {
            tracing::debug!("the queue is gone");
        }
    }

    pub(crate) fn counts(&self) -> QueueCounts {
        *self.counts.borrow()
    }
}

impl Retries {
    /// Handles a message until that succeeds; false when every attempt failed. The log says that `what` failed.
    pub(crate) async fn handle<H>(self, what: &str, handle: impl Fn() -> H) -> bool
    where
        H: Future<Output = anyhow::Result<()>>,
    {
        for attempt in 1..=self.attempts {
            let Err(error) = handle().await else { return true };
            tracing::warn!(attempt, error = format!("{error:#}"), "{what} failed");
            tokio::time::sleep(self.pause).await;
        }
        false
    }
}

impl<T> Clone for InProcessQueue<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), counts: self.counts.clone() }
    }
}

impl<T> QueueReceiver<T> {
    /// The next message; `None` when there is none and all senders are gone.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.receiver.recv().await
    }

    /// The next message that was sent already; `None` when there is none.
    pub(crate) fn try_next(&mut self) -> Option<T> {
        self.receiver.try_recv().ok()
    }

    /// Counts the last message as handled.
    pub(crate) fn done(&self) {
        self.counts.send_modify(QueueCounts::one_done);
    }

    /// Handles messages as they come, at most `at_once` at the same time.
    pub(crate) async fn handle_concurrently<D>(mut self, at_once: usize, handle: impl Fn(T) -> D)
    where
        D: Future<Output = ()> + Send + 'static,
    {
        let permits = Arc::new(Semaphore::new(at_once));
        while let Some(message) = self.next().await {
            let done = DoneOnDrop(self.counts.clone());
            let Ok(permit) = permits.clone().acquire_owned().await else { return };
            let handling = handle(message);
            tokio::spawn(async move {
                handling.await;
                drop((permit, done));
            });
        }
    }
}

impl Drop for DoneOnDrop {
    fn drop(&mut self) {
        self.0.send_modify(QueueCounts::one_done);
    }
}

impl QueueCounts {
    /// Whether all messages that were sent are handled.
    pub(crate) fn is_idle(&self) -> bool {
        self.done == self.sent
    }

    fn one_done(&mut self) {
        self.done = self.done.saturating_add(1);
    }
}

/// An in-process queue behind the port [`Queue`].
pub(crate) struct QueuePort<M> {
    queue: InProcessQueue<M>,
    delay: Delay,
}

/// How the queue treats a message with a delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// It is delivered at once: on one machine there is no load to spread.
    Ignored,
    /// It is not sent. Its scheduled job does the work, by the machine's clock, which can be moved.
    LeftToItsJob,
}

impl<M> QueuePort<M> {
    pub(crate) fn new(queue: InProcessQueue<M>, delay: Delay) -> Self {
        Self { queue, delay }
    }
}

#[async_trait]
impl<M: Copy + Send + Sync> Queue<M> for QueuePort<M> {
    async fn send(&self, message: &M, delay_seconds: u16) -> Result<(), QueueError> {
        let waits = delay_seconds > 0 && self.delay == Delay::LeftToItsJob;
        if waits || self.queue.send(*message) {
            Ok(())
        } else {
            Err(QueueError("the machine is ending".to_owned()))
        }
    }
}
