use std::env;
use std::sync::Arc;

use aws::{Connection, EventBridge, EventBus, Kms, KmsKey, QueueUrl, SecretsManager, Sqs};
use domain::{Mode, Reach};
use jobs::{Calendar, Dispatcher, Task};
use ports::{Bus, Clock, Moment, NoBus, NoQueue, NoSeal, Queue, Seal, System};
use scrip_payments::{
    Provider, Providers, RechargeRequest, Simulated, Stripe, StripeConfig, StripeSecrets, Till,
};
use scrip_webhooks::{Courier, DeliveryRequest, Now, Sender};
use serde::Serialize;
use store::{Activity, Ledger, Settings};

use super::CursorKey;

/// What every handler works with.
pub struct App {
    /// The money.
    pub ledger: Ledger,
    /// Organisations, keys, prices.
    pub settings: Settings,
    /// Webhooks, deliveries, usage.
    pub activity: Activity,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Those who take money.
    pub providers: Providers,
    /// The queue of the function `recharge`.
    pub recharges: Arc<dyn Queue<RechargeRequest>>,
    /// The queue of the function `renewal`.
    pub tasks: Arc<dyn Queue<Task>>,
    /// Where events are published.
    pub bus: Arc<dyn Bus>,
    /// The queue of the function `webhook-delivery`.
    pub deliveries: Arc<dyn Queue<DeliveryRequest>>,
    /// Who encrypts what webhooks are signed with.
    pub seal: Arc<dyn Seal>,
    /// Who calls webhooks.
    pub sender: Arc<Sender>,
    /// What cursors of lists are authenticated with.
    pub cursors: CursorKey,
}

/// The environment lacks something that a function needs.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the environment variable {0} is not set; template.yaml sets it for every function")]
pub struct NotConfigured(&'static str);

impl App {
    /// Where credits of that mode are sold.
    #[must_use]
    pub fn till(&self, mode: Mode) -> Till<'_> {
        Till {
            ledger: &self.ledger,
            settings: &self.settings,
            provider: self.providers.of(mode),
            recharges: self.recharges.as_ref(),
        }
    }

    /// Who writes down what the calendar brings.
    #[must_use]
    pub fn calendar(&self) -> Calendar<'_> {
        Calendar { ledger: &self.ledger, settings: &self.settings, tasks: self.tasks.as_ref() }
    }

    /// Runs scheduled jobs.
    #[must_use]
    pub fn dispatcher(&self) -> Dispatcher<'_> {
        Dispatcher {
            jobs: self.calendar(),
            providers: &self.providers,
            recharges: self.recharges.as_ref(),
            deliveries: self.deliveries.as_ref(),
            clock: self.clock.as_ref(),
        }
    }

    /// Who delivers events.
    #[must_use]
    pub fn courier(&self) -> Courier<'_> {
        Courier {
            ledger: &self.ledger,
            activity: &self.activity,
            seal: self.seal.as_ref(),
            sender: &self.sender,
            requests: self.deliveries.as_ref(),
            clock: self,
        }
    }

    /// The app of a Lambda function: tables, region and credentials stand in the environment.
    ///
    /// # Errors
    /// [`NotConfigured`] naming the variable that is missing.
    pub fn from_env() -> Result<Arc<Self>, NotConfigured> {
        let config = connection("AWS_ENDPOINT_URL_DYNAMODB")?.config();
        Ok(Arc::new(Self {
            ledger: Ledger::new(&config, variable("LEDGER_TABLE")?),
            settings: Settings::new(&config, variable("SETTINGS_TABLE")?),
            activity: Activity::new(&config, variable("ACTIVITY_TABLE")?),
            clock: Arc::new(System),
            providers: Providers { live: live()?, test: Arc::new(Simulated::by_rule()) },
            recharges: queue("RECHARGE_QUEUE_URL")?,
            tasks: queue("RENEWAL_QUEUE_URL")?,
            bus: bus()?,
            deliveries: queue("WEBHOOK_QUEUE_URL")?,
            seal: seal()?,
            sender: Arc::new(Sender::new(Reach::Public)),
            cursors: cursors()?,
        }))
    }
}

/// Who takes real money: Stripe, where its keys are known. `STRIPE_SECRET_ARN` names the secret that has
/// them; on a developer's machine they may stand in `STRIPE_API_KEY` and `STRIPE_WEBHOOK_SECRET`.
/// `STRIPE_RETURN_URL` is where customers return to from an authentication.
fn live() -> Result<Arc<dyn Provider>, NotConfigured> {
    Ok(stripe()?.unwrap_or_else(|| Arc::new(scrip_payments::NotConfigured)))
}

/// Stripe, if the environment knows its keys.
///
/// # Errors
/// [`NotConfigured`] for a half of them, or a URL that is none.
pub fn stripe() -> Result<Option<Arc<dyn Provider>>, NotConfigured> {
    let given = |name| env::var(name).ok().filter(|value| !value.is_empty());
    let secrets = match (given("STRIPE_SECRET_ARN"), given("STRIPE_API_KEY")) {
        (Some(arn), _) => StripeSecrets::Managed(SecretsManager {
            arn,
            region: variable("AWS_REGION")?,
            access_key: variable("AWS_ACCESS_KEY_ID")?,
            secret_key: variable("AWS_SECRET_ACCESS_KEY")?.into(),
            session_token: env::var("AWS_SESSION_TOKEN").ok().map(Into::into),
            endpoint: given("AWS_ENDPOINT_URL_SECRETS_MANAGER"),
        }),
        (None, Some(key)) => StripeSecrets::Fixed {
            api_key: key.into(),
            webhook_secrets: given("STRIPE_WEBHOOK_SECRET").into_iter().map(Into::into).collect(),
        },
        (None, None) => return Ok(None),
    };
    let (api_base, return_url) = (given("STRIPE_API_BASE"), given("STRIPE_RETURN_URL"));
    let config = StripeConfig { api_base, return_url, ..StripeConfig::new(secrets) };
    match Stripe::new(config) {
        Ok(stripe) => Ok(Some(Arc::new(stripe))),
        Err(problem) => {
            tracing::error!(%problem, "Stripe can't be reached as it is configured");
            Err(NotConfigured("STRIPE_API_BASE"))
        }
    }
}

/// Webhooks' secrets are under the key of KMS that `WEBHOOK_KEY_ARN` names. A function without one has none.
fn seal() -> Result<Arc<dyn Seal>, NotConfigured> {
    let Some(key) = env::var("WEBHOOK_KEY_ARN").ok().filter(|key| !key.is_empty()) else {
        return Ok(Arc::new(NoSeal));
    };
    Ok(Arc::new(Kms::new(KmsKey { key, connection: connection("AWS_ENDPOINT_URL_KMS")? })))
}

/// Cursors are authenticated with `CURSOR_KEY`. A function without one writes and reads none.
fn cursors() -> Result<CursorKey, NotConfigured> {
    match env::var("CURSOR_KEY").ok().filter(|key| !key.is_empty()) {
        None => Ok(CursorKey::none()),
        Some(key) => CursorKey::new(key).map_err(|_| NotConfigured("CURSOR_KEY")),
    }
}

impl Now for App {
    fn now(&self) -> Moment {
        self.clock.moment()
    }
}

/// Events are published to the bus that `EVENT_BUS` names. A function without one publishes none.
fn bus() -> Result<Arc<dyn Bus>, NotConfigured> {
    let Some(name) = env::var("EVENT_BUS").ok().filter(|name| !name.is_empty()) else {
        return Ok(Arc::new(NoBus));
    };
    Ok(Arc::new(EventBridge::new(EventBus { name, connection: connection("AWS_ENDPOINT_URL_EVENTBRIDGE")? })))
}

/// The queue whose URL a variable has. A function without one sends no such message.
fn queue<M: Serialize + Sync>(name: &str) -> Result<Arc<dyn Queue<M>>, NotConfigured> {
    let Some(url) = env::var(name).ok().filter(|url| !url.is_empty()) else { return Ok(Arc::new(NoQueue)) };
    Ok(Arc::new(Sqs::new(QueueUrl { url, connection: connection("AWS_ENDPOINT_URL_SQS")? })))
}

/// How to reach a service, by the environment of a function: `AWS_REGION`, `AWS_ACCESS_KEY_ID`,
/// `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`; another one than the region's own where the variable `endpoint` has a
/// URL.
///
/// # Errors
/// [`NotConfigured`] when one of the first three is missing.
pub fn connection(endpoint: &str) -> Result<Connection, NotConfigured> {
    Ok(Connection {
        region: variable("AWS_REGION")?,
        access_key: variable("AWS_ACCESS_KEY_ID")?,
        secret_key: variable("AWS_SECRET_ACCESS_KEY")?,
        session_token: env::var("AWS_SESSION_TOKEN").ok(),
        endpoint: env::var(endpoint).ok().filter(|endpoint| !endpoint.is_empty()),
    })
}

fn variable(name: &'static str) -> Result<String, NotConfigured> {
    env::var(name).map_err(|_| NotConfigured(name))
}
