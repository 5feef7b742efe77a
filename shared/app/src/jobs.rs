//! The capability `jobs`: renewal, monitors, and everything else that time brings.

use jobs::Calendar;

use crate::App;

impl App {
    /// What renews accounts and charges monitors.
    #[must_use]
    pub fn calendar(&self) -> Calendar<'_> {
        Calendar { ledger: &self.ledger, settings: &self.settings, tasks: self.tasks.as_ref() }
    }
}
