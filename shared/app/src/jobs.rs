//! The capability `jobs`: renewal, monitors, and everything else that time brings.

use jobs::Jobs;

use crate::App;

impl App {
    /// What renews accounts and charges monitors.
    #[must_use]
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs { ledger: &self.ledger, settings: &self.settings, tasks: self.tasks.as_ref() }
    }
}
