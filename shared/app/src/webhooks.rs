//! The capability `webhooks`: delivers events to the endpoints of customers.

use ports::Moment;
use scrip_webhooks::{MomentSource, WebhookWorker};

use crate::App;

impl App {
    /// The worker that delivers events.
    #[must_use]
    pub fn webhook_worker(&self) -> WebhookWorker<'_> {
        WebhookWorker {
            ledger: &self.ledger,
            activity: &self.activity,
            seal: self.seal.as_ref(),
            sender: &self.sender,
            requests: self.deliveries.as_ref(),
            clock: self,
        }
    }
}

impl MomentSource for App {
    fn now(&self) -> Moment {
        self.clock.moment()
    }
}
