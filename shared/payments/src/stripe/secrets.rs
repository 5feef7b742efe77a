use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use aws::{ManagedSecret, SecretsManager};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tracing::warn;

use super::{Misconfigured, Silence};

/// For how long the keys are remembered: as long as a new one may take to be used everywhere.
const REMEMBERED: Duration = Duration::from_secs(5 * 60);

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

/// The keys in clear, but never printed.
pub(super) struct Keys {
    pub(super) api_key: SecretString,
    pub(super) webhook_secrets: Vec<SecretString>,
}

/// What has the keys.
pub(super) enum Secrets {
    Fixed(Arc<Keys>),
    Managed { secret: ManagedSecret, known: Mutex<Option<Known>> },
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
                Ok(Self::Managed { secret: ManagedSecret::new(manager), known: Mutex::default() })
            }
        }
    }

    /// The keys: those that were read in the last five minutes, or read now. Old ones are better than
    /// none.
    pub(super) async fn keys(&self) -> Result<Arc<Keys>, Silence> {
        let (secret, known) = match self {
            Self::Fixed(keys) => return Ok(Arc::clone(keys)),
            Self::Managed { secret, known } => (secret, known),
        };
        let last = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(Known { keys, read }) = &last
            && read.elapsed() < REMEMBERED
        {
            return Ok(Arc::clone(keys));
        }
        match (read(secret).await, last) {
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
async fn read(secret: &ManagedSecret) -> Result<Keys, Silence> {
    let text = secret.read().await;
    let text = text.map_err(|code| Silence(format!("AWS Secrets Manager did not give its keys: {code}")))?;
    let text = text.and_then(|text| serde_json::from_str::<KeysText>(text.expose_secret()).ok());
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
