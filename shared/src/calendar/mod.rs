//! What the calendar brings: months turn, monitors are charged, lots end, plans are followed. All of it is
//! true before anybody has written it down; what is here writes it down, in whatever order it is asked.

mod ends;
mod monitors;
mod plans;
pub mod round;
mod tasks;
#[cfg(test)]
mod tests;

pub use monitors::NotMade;
pub use tasks::{NoTasks, Task, Tasks, Unsent};

use crate::store::{Fault, Ledger, Settings, Unsettled};

/// Who writes down what the calendar brings.
#[derive(Clone, Copy)]
pub struct Calendar<'a> {
    /// The money.
    pub ledger: &'a Ledger,
    /// Prices and plans.
    pub settings: &'a Settings,
    /// Where work goes that is too much for one call.
    pub tasks: &'a dyn Tasks,
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
    Unsent(#[from] Unsent),
}
