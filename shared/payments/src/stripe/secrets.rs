use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws_sdk_secretsmanager::Config;
use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tracing::warn;

use super::{Misconfigured, Silence};

/// For how long the keys are remembered: as long as a new one may take to be used everywhere.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);

/// One attempt to read the keys.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Reading the keys with all of the SDK's attempts.
const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// Where the API key and the webhooks' signing secrets are.
#[derive(Clone, Debug)]
pub enum StripeSecrets {
    /// Here: on a developer's machine, and in tests.
    Fixed {
        /// The secret or restricted API key.
        api_key: SecretString,
        /// What Stripe signs events with; two while one takes the place of the other.
        webhook_secrets: Vec<SecretString>,
    },
    /// In AWS Secrets Manager, as JSON: `{"apiKey": "…", "webhookSecrets": ["whsec_…"]}`.
    Managed(SecretsManager),
}

/// How to reach a secret in AWS Secrets Manager. In Lambda all of it stands in the environment, so no
/// chain of credential providers is asked.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    /// The secret.
    pub arn: String,
    /// The AWS region.
    pub region: String,
    /// The role's key id.
    pub access_key: String,
    /// The role's secret key.
    pub secret_key: SecretString,
    /// The role's session token; none for an emulator.
    pub session_token: Option<SecretString>,
    /// Another Secrets Manager than the region's own.
    pub endpoint: Option<String>,
}

/// The keys in clear, but never printed.
pub(super) struct Keys {
    pub(super) api_key: SecretString,
    pub(super) webhook_secrets: Vec<SecretString>,
}

/// What has the keys.
pub(super) enum Secrets {
    Fixed(Arc<Keys>),
    Managed { client: aws_sdk_secretsmanager::Client, arn: String, known: Mutex<Option<Known>> },
}

/// Keys that were read, and when.
#[derive(Clone)]
pub(super) struct Known {
    keys: Arc<Keys>,
    read: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeysText {
    api_key: String,
    #[serde(default)]
    webhook_secrets: Vec<String>,
}

impl Secrets {
    pub(super) fn new(source: StripeSecrets) -> Result<Self, Misconfigured> {
        match source {
            StripeSecrets::Fixed { api_key, webhook_secrets } => {
                let keys = Keys { api_key, webhook_secrets }.checked();
                let keys = keys.ok_or(Misconfigured("an API key or signing secret of Stripe's is empty"))?;
                Ok(Self::Fixed(Arc::new(keys)))
            }
            StripeSecrets::Managed(manager) => {
                let arn = manager.arn.clone();
                let client = aws_sdk_secretsmanager::Client::from_conf(manager.config());
                Ok(Self::Managed { client, arn, known: Mutex::default() })
            }
        }
    }

    /// The keys: those that were read in the last five minutes, or read now. Old ones are better than
    /// none.
    pub(super) async fn keys(&self) -> Result<Arc<Keys>, Silence> {
        let (client, arn, known) = match self {
            Self::Fixed(keys) => return Ok(Arc::clone(keys)),
            Self::Managed { client, arn, known } => (client, arn, known),
        };
        let last = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Known { keys, read }) = &last
            && read.elapsed() < REMEMBERED
        {
            return Ok(Arc::clone(keys));
        }
        match (read(client, arn).await, last) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                let now = Known { keys: Arc::clone(&keys), read: Instant::now() };
                *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                Ok(keys)
            }
            (Err(Silence(why)), Some(Known { keys, .. })) => {
                warn!(why, "the keys for Stripe could not be read again; the last ones are used");
                Ok(keys)
            }
            (Err(silence), None) => Err(silence),
        }
    }

    /// Has the keys be read again: those that are known were refused.
    pub(super) fn forget(&self) {
        match self {
            Self::Fixed(_) => (),
            Self::Managed { known, .. } => *known.lock().unwrap_or_else(PoisonError::into_inner) = None,
        }
    }
}

/// Reads the keys. What is said of a failure never quotes what was read.
async fn read(client: &aws_sdk_secretsmanager::Client, arn: &str) -> Result<Keys, Silence> {
    let answer = client.get_secret_value().secret_id(arn).send().await.map_err(|error| {
        Silence(format!("AWS Secrets Manager did not give its keys: {}", error.code().unwrap_or("no answer")))
    })?;
    let text = answer.secret_string().and_then(|text| serde_json::from_str::<KeysText>(text).ok());
    let keys = text.map(Keys::from).and_then(Keys::checked);
    keys.ok_or_else(|| Silence("its keys do not read {\"apiKey\", \"webhookSecrets\"}".into()))
}

impl From<KeysText> for Keys {
    fn from(text: KeysText) -> Self {
        let webhook_secrets = text.webhook_secrets.into_iter().map(SecretString::from).collect();
        Self { api_key: text.api_key.into(), webhook_secrets }
    }
}

impl Keys {
    /// The keys when each may be one: some visible ASCII characters.
    fn checked(self) -> Option<Self> {
        let fits = |secret: &SecretString| {
            let secret = secret.expose_secret();
            !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (fits(&self.api_key) && self.webhook_secrets.iter().all(fits)).then_some(self)
    }
}

impl SecretsManager {
    fn config(self) -> Config {
        let secret = |secret: &SecretString| secret.expose_secret().to_owned();
        let token = self.session_token.as_ref().map(secret);
        let credentials =
            Credentials::new(self.access_key, secret(&self.secret_key), token, None, "environment");
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(READ_TIMEOUT)
            .build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .region(Region::new(self.region))
            .credentials_provider(credentials);
        config.set_endpoint_url(self.endpoint);
        config.build()
    }
}
