//! The capability `dispatch`: runs scheduled jobs of every kind.

use jobs::Dispatcher;

use crate::App;

impl App {
    /// Runs scheduled jobs.
    #[must_use]
    pub fn dispatcher(&self) -> Dispatcher<'_> {
        Dispatcher {
            jobs: self.jobs(),
            providers: &self.providers,
            recharges: self.recharges.as_ref(),
            deliveries: self.deliveries.as_ref(),
            exports: self.exports.as_ref(),
            activity: &self.activity,
            clock: self.clock.as_ref(),
        }
    }
}
