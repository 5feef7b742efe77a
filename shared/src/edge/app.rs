use std::env;
use std::sync::Arc;

use super::{Clock, System};
use crate::pay::{self, NoQueue, Providers, Queue, Simulated, Sqs, Wakes};
use crate::store::{Connection, Ledger, Settings};

/// What every handler works with.
pub struct App {
    /// The money.
    pub ledger: Ledger,
    /// Organisations, keys, prices.
    pub settings: Settings,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Those who take money.
    pub providers: Providers,
    /// How auto-recharge is woken.
    pub wakes: Arc<dyn Wakes>,
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
            providers: Providers { live: Arc::new(pay::NotConfigured), test: Arc::new(Simulated::by_rule()) },
            wakes: wakes()?,
        }))
    }
}

/// Wakes go through the queue of `RECHARGE_QUEUE_URL`. A function without one sends none.
fn wakes() -> Result<Arc<dyn Wakes>, NotConfigured> {
    let Some(url) = env::var("RECHARGE_QUEUE_URL").ok().filter(|url| !url.is_empty()) else {
        return Ok(Arc::new(NoQueue));
    };
    Ok(Arc::new(Sqs::new(Queue {
        url,
        region: variable("AWS_REGION")?,
        access_key: variable("AWS_ACCESS_KEY_ID")?,
        secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: env::var("AWS_SESSION_TOKEN").ok(),
        endpoint: env::var("AWS_ENDPOINT_URL_SQS").ok(),
    })))
}

fn variable(name: &'static str) -> Result<String, NotConfigured> {
    env::var(name).map_err(|_| NotConfigured(name))
}
