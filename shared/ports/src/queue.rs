//! The message queue port.

use async_trait::async_trait;

/// A queue of messages of one kind. It may deliver a message twice, late or out of order.
#[async_trait]
pub trait Queue<M: Sync>: Send + Sync {
    /// Sends a message, which is delivered no sooner than `delay_seconds` from now (0 to 900).
    ///
    /// # Errors
    /// [`QueueError`] when the queue did not accept the message.
    async fn send(&self, message: &M, delay_seconds: u16) -> Result<(), QueueError>;
}

/// The queue did not accept a message.
#[derive(Debug, thiserror::Error)]
#[error("the queue did not accept a message: {0}")]
pub struct QueueError(pub String);

/// The queue of a function that has none configured: it rejects every message.
#[derive(Clone, Copy, Debug)]
pub struct NoQueue;

#[async_trait]
impl<M: Sync> Queue<M> for NoQueue {
    async fn send(&self, _: &M, _: u16) -> Result<(), QueueError> {
        Err(QueueError("this function has no such queue".to_owned()))
    }
}
