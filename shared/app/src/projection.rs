//! The capability `projection`: projects the records of the ledger table's stream.

use jobs::projection::{Others, ROW_GRACE};

use crate::App;

impl App {
    /// What projection uses besides the ledger, at the present time.
    #[must_use]
    pub fn projection(&self) -> Others<'_> {
        Others {
            activity: &self.activity,
            settings: &self.settings,
            bus: self.bus.as_ref(),
            recharges: self.recharges.as_ref(),
            tasks: self.tasks.as_ref(),
            moment: self.clock.moment(),
            grace: ROW_GRACE,
        }
    }
}
