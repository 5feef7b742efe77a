//! What the calendar brings: months turn, monitors are charged, lots end, plans are followed. All of it is
//! true before anybody has written it down; what is here writes it down, in whatever order it is asked.

mod ends;
mod monitors;
mod plans;
mod reprice;
pub mod round;
mod tasks;
#[cfg(test)]
mod tests;

use chrono::Duration;
use ports::{Queue, QueueError};

pub use monitors::NotMade;
pub use tasks::Task;

use store::{Errand, Fault, Ledger, Moment, Settings, Unsettled};

/// Who writes down what the calendar brings.
#[derive(Clone, Copy)]
pub struct Calendar<'a> {
    /// The money.
    pub ledger: &'a Ledger,
    /// Prices and plans.
    pub settings: &'a Settings,
    /// Where work goes that is too much for one call.
    pub tasks: &'a dyn Queue<Task>,
}

/// Why a task is to be done again.
#[derive(Debug, thiserror::Error)]
pub enum Unfinished {
    /// A request was not settled.
    #[error(transparent)]
    Unsettled(#[from] Unsettled),
    /// The store could not answer.
    #[error(transparent)]
    Failed(#[from] Fault),
    /// What follows could not be sent.
    #[error(transparent)]
    Unsent(#[from] QueueError),
}

/// After how many seconds somebody looks at what is about to be begun: by then it is there, or never will be.
const LOOK_SECONDS: i64 = 60;

impl Calendar<'_> {
    /// Sees to it that somebody looks after what is about to be begun, whatever crashes.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn expect(&self, errand: Errand, moment: Moment) -> Result<(), Fault> {
        let wait = Duration::try_seconds(LOOK_SECONDS).unwrap_or_default();
        let due = moment.now.checked_add_signed(wait).unwrap_or(moment.now);
        self.ledger.note(errand, due).await.map(|_| ())
    }
}
