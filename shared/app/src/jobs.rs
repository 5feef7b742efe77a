//! The capability `jobs`: renewal, monitors, and all other scheduled work.

use jobs::Jobs;

use crate::App;

impl App {
    /// The jobs that renew accounts and charge monitors.
    #[must_use]
    pub fn jobs(&self) -> Jobs<'_> {
        Jobs {
            ledger: &self.ledger,
            settings: &self.settings,
            activity: &self.activity,
            tasks: self.tasks.as_ref(),
        }
    }
}
