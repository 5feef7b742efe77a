//! The app of a function.

use std::sync::Arc;

use domain::ExportKey;
use ports::{Bus, Clock, FileStore, Mailer, NoBus, NoFiles, NoQueue, NoSeal, Queue, Seal, SystemClock};
use store::{Activity, Ledger, Settings};

use crate::environment::{connection, optional, variable};
use crate::{CursorKey, MissingVariable};

/// The state that every handler uses. A capability that `main.rs` does not add refuses every call: an absent queue
/// takes no message, an absent payment provider no payment.
pub struct App {
    /// Accounts and the rows of the ledger.
    pub ledger: Ledger,
    /// Organisations, keys, prices.
    pub settings: Settings,
    /// Webhooks, deliveries, usage.
    pub activity: Activity,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The key that authenticates the cursors of lists.
    pub cursors: CursorKey,
    /// The event bus.
    pub bus: Arc<dyn Bus>,
    /// Encrypts the signing secrets of webhooks.
    pub seal: Arc<dyn Seal>,
    /// Keeps files that customers download.
    pub files: Arc<dyn FileStore>,
    /// The queue of the function `export`.
    pub exports: Arc<dyn Queue<ExportKey>>,
    /// The address of the dashboard; `None` where there is none.
    pub dashboard: Option<String>,
    /// Whether callers reach it over HTTPS. Its cookies are sent over HTTPS only then.
    pub is_https: bool,
    /// Sends mails; `None` where none is sent.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// The payment providers.
    #[cfg(feature = "payments")]
    pub providers: scrip_payments::Providers,
    /// The queue of the function `recharge`.
    #[cfg(feature = "payments")]
    pub recharges: Arc<dyn Queue<scrip_payments::RechargeRequest>>,
    /// The queue of the function `renewal`.
    #[cfg(feature = "jobs")]
    pub tasks: Arc<dyn Queue<jobs::RenewalTask>>,
    /// The queue of the function `webhook-delivery`.
    #[cfg(feature = "webhooks")]
    pub deliveries: Arc<dyn Queue<scrip_webhooks::DeliveryRequest>>,
    /// Calls the endpoints of webhooks.
    #[cfg(feature = "webhooks")]
    pub sender: Arc<scrip_webhooks::WebhookClient>,
}

impl App {
    /// The tables and the clock of a Lambda function, without any capability. The environment has the names of the
    /// tables, the region and the credentials.
    ///
    /// # Errors
    /// [`MissingVariable`] naming the variable that is missing.
    pub fn from_env() -> Result<Self, MissingVariable> {
        let config = connection("AWS_ENDPOINT_URL_DYNAMODB")?.config();
        Ok(Self {
            ledger: Ledger::new(&config, variable("LEDGER_TABLE")?),
            settings: Settings::new(&config, variable("SETTINGS_TABLE")?),
            activity: Activity::new(&config, variable("ACTIVITY_TABLE")?),
            clock: Arc::new(SystemClock),
            cursors: CursorKey::none(),
            bus: Arc::new(NoBus),
            seal: Arc::new(NoSeal),
            files: Arc::new(NoFiles),
            exports: Arc::new(NoQueue),
            dashboard: None,
            is_https: true,
            mailer: None,
            #[cfg(feature = "payments")]
            providers: scrip_payments::Providers {
                live: Arc::new(scrip_payments::NoProvider),
                test: Arc::new(scrip_payments::NoProvider),
            },
            #[cfg(feature = "payments")]
            recharges: Arc::new(NoQueue),
            #[cfg(feature = "jobs")]
            tasks: Arc::new(NoQueue),
            #[cfg(feature = "webhooks")]
            deliveries: Arc::new(NoQueue),
            #[cfg(feature = "webhooks")]
            sender: Arc::new(scrip_webhooks::WebhookClient::new(domain::AddressPolicy::Public)),
        })
    }

    /// Adds the address of the dashboard, to which links of invitations and for signing in lead: `DASHBOARD_URL`. Without it they are paths.
    #[must_use]
    pub fn with_dashboard(self) -> Self {
        Self { dashboard: optional("DASHBOARD_URL"), ..self }
    }

    /// Adds the key that authenticates cursors: `CURSOR_KEY`. Without it no cursor is written or read.
    ///
    /// # Errors
    /// [`MissingVariable`] when the variable is set but too short.
    pub fn with_cursors(self) -> Result<Self, MissingVariable> {
        match optional("CURSOR_KEY") {
            None => Ok(self),
            Some(key) => {
                let cursors = CursorKey::new(key).map_err(|_| MissingVariable("CURSOR_KEY"))?;
                Ok(Self { cursors, ..self })
            }
        }
    }
}
