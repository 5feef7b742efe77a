//! The deadline of work that may charge: one for all its calls and waits together.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::NoAnswer;
use store::Fault;

/// How long a request that buys credits takes at most, from its arrival to its answer; and how long a scheduled job or a
/// message of auto-recharge may take. A function's timeout and the lease on a purchase are longer.
pub const PURCHASE_TIME: Duration = Duration::from_secs(25);

/// The last part of [`PURCHASE_TIME`]: nothing more is asked of the provider, and what is known is stored and answered.
const CLOSING_TIME: Duration = Duration::from_secs(3);

/// When work that may charge has to end. Work that is cut off there is left as by a crash: the scheduled job finishes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// The deadline of work that began at `begun`.
    #[must_use]
    pub fn of(begun: Instant) -> Self {
        Self(begun.checked_add(PURCHASE_TIME).unwrap_or(begun))
    }

    /// The deadline of work that begins now.
    #[must_use]
    pub fn from_now() -> Self {
        Self::of(Instant::now())
    }

    /// Does work until the closing time.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the work is cut off.
    pub async fn work<T>(self, work: impl Future<Output = T>) -> Result<T, Fault> {
        until(self.closing(), work).await
    }

    /// Does work until the deadline itself: to store and answer what is known.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] when the work is cut off.
    pub async fn close<T>(self, work: impl Future<Output = T>) -> Result<T, Fault> {
        until(self.0, work).await
    }

    /// A call of the provider, which may take `limit`, and not longer than until the closing time.
    pub(crate) async fn call<T>(
        self,
        limit: Duration,
        call: impl Future<Output = Result<T, NoAnswer>>,
    ) -> Result<T, NoAnswer> {
        let end = Instant::now().checked_add(limit).map_or(self.closing(), |end| end.min(self.closing()));
        timeout_at(end, call).await.unwrap_or_else(|_| Err(NoAnswer("it takes too long".to_owned())))
    }

    fn closing(self) -> Instant {
        self.0.checked_sub(CLOSING_TIME).unwrap_or(self.0)
    }
}

async fn until<T>(end: Instant, work: impl Future<Output = T>) -> Result<T, Fault> {
    let cut = || Fault::Unavailable { doing: "finish in time", source: "the deadline has passed".into() };
    timeout_at(end, work).await.map_err(|_| cut())
}
