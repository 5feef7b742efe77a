use std::env;
use std::sync::Arc;

use super::{Clock, System};
use crate::store::{Connection, Ledger, Settings};

/// What every handler works with.
pub struct App {
    /// The money.
    pub ledger: Ledger,
    /// Organisations, keys, prices.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// The environment lacks something that a function needs.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the environment variable {0} is not set; template.yaml sets it for every function")]
pub struct NotConfigured(&'static str);

impl App {
    /// The app of a Lambda function: tables, region and credentials stand in the environment.
    ///
    /// # Errors
    /// [`NotConfigured`] naming the variable that is missing.
    pub fn from_env() -> Result<Arc<Self>, NotConfigured> {
        let config = Connection {
            region: variable("AWS_REGION")?,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
            session_token: env::var("AWS_SESSION_TOKEN").ok(),
            endpoint: env::var("AWS_ENDPOINT_URL_DYNAMODB").ok(),
        }
        .config();
        Ok(Arc::new(Self {
            ledger: Ledger::new(&config, variable("LEDGER_TABLE")?),
            settings: Settings::new(&config, variable("SETTINGS_TABLE")?),
            clock: Arc::new(System),
        }))
    }
}

fn variable(name: &'static str) -> Result<String, NotConfigured> {
    env::var(name).map_err(|_| NotConfigured(name))
}
