//! The source of Stripe's API key and signing secrets.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws::{ManagedSecret, SecretsManager};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::time::Instant;
use tracing::warn;

use super::{Misconfigured, NoAnswer};

/// For how long keys are cached, and so how long a rotated key may take to be used everywhere.
const CACHED_FOR: Duration = Duration::from_secs(5 * 60);

/// The source of the API key and the signing secrets.
#[derive(Clone, Debug)]
pub enum StripeSecrets {
    /// Given values, for a developer's machine and for tests.
    Fixed {
        /// The secret or restricted API key.
        api_key: SecretString,
        /// The signing secrets of events; two during a rotation.
        webhook_secrets: Vec<SecretString>,
    },
    /// A secret in AWS Secrets Manager, as JSON: `{"apiKey": "…", "webhookSecrets": ["whsec_…"]}`.
    Managed(SecretsManager),
}

/// The keys in plain text. They have no `Debug`.
pub(super) struct StripeKeys {
    pub(super) api_key: SecretString,
    pub(super) webhook_secrets: Vec<SecretString>,
}

/// Where keys come from, with the cache.
pub(super) enum KeySource {
    Fixed(Arc<StripeKeys>),
    Managed { secret: ManagedSecret, known: Mutex<Option<CachedKeys>> },
}

/// Cached keys, and when they were read.
#[derive(Clone)]
pub(super) struct CachedKeys {
    keys: Arc<StripeKeys>,
    read: Instant,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeysText {
    api_key: String,
    #[serde(default)]
    webhook_secrets: Vec<String>,
}

impl KeySource {
    pub(super) fn new(source: StripeSecrets) -> Result<Self, Misconfigured> {
        match source {
            StripeSecrets::Fixed { api_key, webhook_secrets } => {
                let keys = StripeKeys { api_key, webhook_secrets }.checked();
                let keys = keys.ok_or(Misconfigured(
                    "an API key or signing secret of Stripe is empty or not printable",
                ))?;
                Ok(Self::Fixed(Arc::new(keys)))
            }
            StripeSecrets::Managed(manager) => {
                Ok(Self::Managed { secret: ManagedSecret::new(manager), known: Mutex::default() })
            }
        }
    }

    /// The keys: cached for five minutes, or read now. If reading fails, old keys are used.
    pub(super) async fn keys(&self) -> Result<Arc<StripeKeys>, NoAnswer> {
        let (secret, known) = match self {
            Self::Fixed(keys) => return Ok(Arc::clone(keys)),
            Self::Managed { secret, known } => (secret, known),
        };
        let last = known.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(CachedKeys { keys, read }) = &last
            && read.elapsed() < CACHED_FOR
        {
            return Ok(Arc::clone(keys));
        }
        match (read(secret).await, last) {
            (Ok(keys), _) => {
                let keys = Arc::new(keys);
                let now = CachedKeys { keys: Arc::clone(&keys), read: Instant::now() };
                *known.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
                Ok(keys)
            }
            (Err(NoAnswer(why)), Some(CachedKeys { keys, .. })) => {
                warn!(why, "the keys for Stripe could not be read again; the cached ones are used");
                Ok(keys)
            }
            (Err(no_answer), None) => Err(no_answer),
        }
    }

    /// Clears the cache, after Stripe rejected the keys.
    pub(super) fn forget(&self) {
        match self {
            Self::Fixed(_) => (),
            Self::Managed { known, .. } => *known.lock().unwrap_or_else(PoisonError::into_inner) = None,
        }
    }
}

/// Reads the keys. An error never quotes what was read.
async fn read(secret: &ManagedSecret) -> Result<StripeKeys, NoAnswer> {
    let text = secret.read().await;
    let text = text.map_err(|code| NoAnswer(format!("AWS Secrets Manager did not give its keys: {code}")))?;
    let text = text.and_then(|text| serde_json::from_str::<KeysText>(text.expose_secret()).ok());
    let keys = text.map(StripeKeys::from).and_then(StripeKeys::checked);
    keys.ok_or_else(|| NoAnswer("its keys are not JSON with apiKey and webhookSecrets".into()))
}

impl From<KeysText> for StripeKeys {
    fn from(text: KeysText) -> Self {
        let webhook_secrets = text.webhook_secrets.into_iter().map(SecretString::from).collect();
        Self { api_key: text.api_key.into(), webhook_secrets }
    }
}

impl StripeKeys {
    /// The keys, if each of them is printable ASCII and not empty.
    fn checked(self) -> Option<Self> {
        let fits = |secret: &SecretString| {
            let secret = secret.expose_secret();
            !secret.is_empty() && secret.bytes().all(|byte| byte.is_ascii_graphic())
        };
        (fits(&self.api_key) && self.webhook_secrets.iter().all(fits)).then_some(self)
    }
}
