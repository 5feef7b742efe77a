//! Opens what a machine stands on, its database, queues and payment provider; and makes the showcase in an empty folder.

use std::net::SocketAddr;
use std::sync::Arc;

use chrono::{DateTime, Duration, Utc};
use scrip_payments::{Providers, Simulated};
use scrip_webhooks::PostTimeouts;

use crate::assembly::{AppParts, MachineQueues, MachineReceivers, app};
use crate::capacity::Meter;
use crate::clock::LocalClock;
use crate::database::Database;
use crate::demo::{DemoKeys, OrganisationKeys};
use crate::engine::{Engine, sync_to_disk};
use crate::folder::{SavedState, StateFile, delete_journal};

use crate::options::{DataLocation, Options, Seed};
use crate::scale::ShowcaseScale;
use crate::showcase::{self, ShowcaseSite};
use crate::tables::{Tables, create};

/// What a start knows.
pub(crate) struct FirstStart<'a> {
    pub(crate) options: &'a Options,
    /// The address that the machine listens on.
    pub(crate) address: SocketAddr,
    /// The present time, at which the history of a showcase ends.
    pub(crate) until: DateTime<Utc>,
    pub(crate) limits: PostTimeouts,
}

/// What a machine stands on.
pub(crate) struct Foundation {
    pub(crate) database: Database,
    /// The configuration of the database's clients.
    pub(crate) config: aws_sdk_dynamodb::Config,
    pub(crate) queues: MachineQueues,
    pub(crate) receivers: MachineReceivers,
    pub(crate) provider: Simulated,
}

impl FirstStart<'_> {
    /// Opens the database, and makes the showcase if the options ask for it and the database is empty. A folder in which a
    /// showcase was being made when the process ended is emptied first.
    ///
    /// # Errors
    /// When the data is in use, or the database fails.
    pub(crate) async fn foundation(
        &self,
        saved: &mut SavedState,
        file: &StateFile,
        meter: &Meter,
    ) -> anyhow::Result<Foundation> {
        let is_interrupted = saved.is_being_made;
        let scale = self.options.seed.showcase().filter(|_| saved.keys.is_none() || is_interrupted);
        if scale.is_some() && self.options.endpoint.is_some() {
            tracing::warn!(
                "a showcase is made in the embedded database only; this database gets the demo data"
            );
        }
        let scale = scale.filter(|_| self.options.endpoint.is_none());
        let DataLocation::Folder(folder) = &self.options.data else {
            let mut foundation = self.on(Database::open(self.options)?, meter).await?;
            if let Some(scale) = scale {
                self.make(&mut foundation, saved, file, scale).await?;
            }
            return Ok(foundation);
        };
        if scale.is_some() || is_interrupted {
            // Only the process that has locked the folder empties it.
            let engine = Engine::open_anew(folder)?;
            delete_journal(folder)?;
            *saved = SavedState::fresh();
            if let Some(scale) = scale {
                let mut foundation = self.on(Database::of(engine), meter).await?;
                self.make(&mut foundation, saved, file, scale).await?;
            }
            sync_to_disk(folder)?;
            saved.is_being_made = false;
            file.write(saved)?;
        }
        self.on(Database::open(self.options)?, meter).await
    }

    async fn on(&self, database: Database, meter: &Meter) -> anyhow::Result<Foundation> {
        let config = database.ledger.clone().interceptor(meter.clone()).build();
        create(&aws_sdk_dynamodb::Client::from_conf(config.clone()), Tables::OWN).await?;
        let (queues, receivers) = MachineQueues::new();
        let payments_url = format!("http://{}/_local/payments", self.address);
        let folder = self.options.folder();
        let events = queues.payment_events.clone();
        let provider = crate::payments::open(folder.as_deref(), payments_url, events)?;
        Ok(Foundation { database, config, queues, receivers, provider })
    }

    /// Makes the showcase. What it is made for is saved before, so that an interruption is noticed.
    async fn make(
        &self,
        foundation: &mut Foundation,
        saved: &mut SavedState,
        file: &StateFile,
        scale: ShowcaseScale,
    ) -> anyhow::Result<()> {
        let Some(engine) = foundation.database.engine.clone() else { return Ok(()) };
        let from = self.until.checked_sub_signed(Duration::days(scale.days.into())).unwrap_or(self.until);
        let showcase = Some(OrganisationKeys::fresh(from)?);
        let keys = DemoKeys { showcase, ..DemoKeys::fresh(self.options.seed != Seed::Empty, self.until)? };
        (saved.keys, saved.is_being_made) = (Some(keys.clone()), true);
        file.write(saved)?;
        let clock = Arc::new(LocalClock::new(Some(from)));
        let parts = AppParts::new(clock.clone(), foundation.provider.clone(), saved, self.limits)?;
        let mut app = app(&foundation.config, parts, &foundation.queues)?;
        if let Some(app) = Arc::get_mut(&mut app) {
            // No real payment is made for the history, whatever keys of a provider the environment has.
            let provider = Arc::new(foundation.provider.clone());
            app.providers = Providers { live: provider.clone(), test: provider };
        }
        let site = ShowcaseSite {
            app,
            clock,
            engine: &engine,
            provider: foundation.provider.clone(),
            payment_events: &mut foundation.receivers.payment_events,
            keys: &keys,
            scale,
            port: self.address.port(),
        };
        showcase::make(site, self.until).await?;
        saved.is_being_made = false;
        Ok(())
    }
}
