use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use ports::{Queue, QueueError};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Semaphore, watch};

/// A queue within the process that knows when it is worked off.
pub(crate) struct Lane<T> {
    sender: UnboundedSender<T>,
    counts: Arc<watch::Sender<Counts>>,
}

/// The end of a lane at which the work is done.
pub(crate) struct Work<T> {
    receiver: UnboundedReceiver<T>,
    counts: Arc<watch::Sender<Counts>>,
}

/// How often a message is handled before it is given up, and how long it waits in between, as a queue does it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Retries {
    pub(crate) attempts: u32,
    pub(crate) pause: Duration,
}

/// Says that one is done, when it is dropped.
struct Finisher(Arc<watch::Sender<Counts>>);

/// How much has gone through a lane since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    sent: u64,
    done: u64,
}

/// A new lane, and its other end.
pub(crate) fn lane<T>() -> (Lane<T>, Work<T>) {
    let (sender, receiver) = unbounded_channel();
    let counts = Arc::new(watch::Sender::new(Counts::default()));
    (Lane { sender, counts: counts.clone() }, Work { receiver, counts })
}

impl<T> Lane<T> {
    /// Puts one more in; false when the machine is ending and nobody takes it any more.
    pub(crate) fn send(&self, one: T) -> bool {
        self.counts.send_modify(|counts| counts.sent = counts.sent.saturating_add(1));
        let taken = self.sender.send(one).is_ok();
        if !taken {
            self.counts.send_modify(Counts::one_done);
        }
        taken
    }

    /// Returns once all that was put in is done.
    pub(crate) async fn idle(&self) {
        // It fails when all senders are gone, and one of them is ours.
        if self.counts.subscribe().wait_for(Counts::is_idle).await.is_err() {
            tracing::debug!("the lane is gone");
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.counts.borrow()
    }
}

impl Retries {
    /// Handles a message until that succeeds; whether it has. The log names `what` failed.
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

impl<T> Clone for Lane<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone(), counts: self.counts.clone() }
    }
}

impl<T> Work<T> {
    /// Takes the next; `None` when there is none and never will be.
    pub(crate) async fn next(&mut self) -> Option<T> {
        self.receiver.recv().await
    }

    /// Says that the last one taken is done.
    pub(crate) fn done(&self) {
        self.counts.send_modify(Counts::one_done);
    }

    /// Handles each message as it comes, at most `at_once` at the same time.
    pub(crate) async fn side_by_side<D>(mut self, at_once: usize, does: impl Fn(T) -> D)
    where
        D: Future<Output = ()> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(at_once));
        while let Some(one) = self.next().await {
            let done = Finisher(self.counts.clone());
            let Ok(place) = places.clone().acquire_owned().await else { return };
            let doing = does(one);
            tokio::spawn(async move {
                doing.await;
                drop((place, done));
            });
        }
    }
}

impl Drop for Finisher {
    /// However it has ended.
    fn drop(&mut self) {
        self.0.send_modify(Counts::one_done);
    }
}

impl Counts {
    /// Whether all that was put in is done.
    pub(crate) fn is_idle(&self) -> bool {
        self.done == self.sent
    }

    fn one_done(&mut self) {
        self.done = self.done.saturating_add(1);
    }
}

/// A queue within the process, in place of SQS.
pub(crate) struct InProcess<M> {
    lane: Lane<M>,
    delay: Delay,
}

/// What becomes of a message that is to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delay {
    /// It is delivered at once: one machine has no crowd to spread.
    Ignored,
    /// It is not sent: it goes by the machine's clock, which may be moved, so its scheduled job delivers it.
    LeftToItsJob,
}

impl<M> InProcess<M> {
    pub(crate) fn new(lane: Lane<M>, delay: Delay) -> Self {
        Self { lane, delay }
    }
}

#[async_trait]
impl<M: Copy + Send + Sync> Queue<M> for InProcess<M> {
    async fn send(&self, message: &M, delay_seconds: u16) -> Result<(), QueueError> {
        let waits = delay_seconds > 0 && self.delay == Delay::LeftToItsJob;
        if waits || self.lane.send(*message) {
            Ok(())
        } else {
            Err(QueueError("the machine is ending".to_owned()))
        }
    }
}
