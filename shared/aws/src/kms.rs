//! The seal port on AWS KMS.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::operation::decrypt::DecryptError;
use aws_sdk_kms::primitives::Blob;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::WebhookSecret;
use ports::{Seal, SealError, SealFailure, SecretOf};

use crate::{Connection, aws_client};

/// The maximum number of decrypted secrets that a warm function caches. A full cache is cleared.
const CACHED_MAX: usize = 1_000;

/// A KMS key and how to reach it.
#[derive(Clone, Debug)]
pub struct KmsKey {
    /// The key's ARN or id.
    pub key: String,
    /// How to reach KMS.
    pub connection: Connection,
}

/// Encrypts secrets with a key that never leaves KMS. Decrypted secrets are cached while the function is warm.
pub struct Kms {
    key: KmsKey,
    client: OnceLock<Client>,
    cache: Mutex<HashMap<(SecretOf, String), WebhookSecret>>,
}

impl Kms {
    /// The timeout of one attempt, in seconds.
    const ATTEMPT_SECONDS: u64 = 3;
    /// The timeout of one call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 8;

    /// A seal with `key`.
    #[must_use]
    pub fn new(key: KmsKey) -> Self {
        Self { key, client: OnceLock::new(), cache: Mutex::default() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_kms, self.key.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }

    fn cached(&self, of: SecretOf, sealed: &str) -> Option<WebhookSecret> {
        let cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        cache.get(&(of, sealed.to_owned())).cloned()
    }

    fn insert(&self, of: SecretOf, sealed: &str, secret: WebhookSecret) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if CACHED_MAX <= cache.len() {
            cache.clear();
        }
        cache.insert((of, sealed.to_owned()), secret);
    }
}

/// The encryption context, which binds a ciphertext to its webhook.
fn context(of: SecretOf) -> HashMap<String, String> {
    HashMap::from([
        ("account".to_owned(), of.account.to_string()),
        ("webhook".to_owned(), of.webhook.to_string()),
    ])
}

fn failed(why: String, cause: SealFailure) -> SealError {
    SealError { doing: "decrypted", why, cause }
}

/// KMS says of a ciphertext that it was changed, or made for another webhook or with another key, by one of these two
/// errors. After any other one, such as a key that is disabled, the same ciphertext may be decrypted later.
fn cause(error: Option<&DecryptError>) -> SealFailure {
    match error {
        Some(DecryptError::InvalidCiphertextException(_) | DecryptError::IncorrectKeyException(_)) => {
            SealFailure::Unreadable
        }
        Some(_) | None => SealFailure::Unavailable,
    }
}

#[async_trait]
impl Seal for Kms {
    async fn seal(&self, of: SecretOf, secret: &WebhookSecret) -> Result<String, SealError> {
        let failed = |why: String| SealError { doing: "encrypted", why, cause: SealFailure::Unavailable };
        let call = self.client().encrypt().key_id(&self.key.key).set_encryption_context(Some(context(of)));
        let response = call.plaintext(Blob::new(secret.reveal())).send().await;
        let response = response.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let cipher =
            response.ciphertext_blob.ok_or_else(|| failed("the response has no ciphertext".to_owned()))?;
        Ok(STANDARD.encode(cipher))
    }

    async fn open(&self, of: SecretOf, sealed: &str) -> Result<WebhookSecret, SealError> {
        if let Some(secret) = self.cached(of, sealed) {
            return Ok(secret);
        }
        let unreadable = |why: String| failed(why, SealFailure::Unreadable);
        let cipher = STANDARD.decode(sealed).map_err(|error| unreadable(error.to_string()))?;
        let call = self.client().decrypt().key_id(&self.key.key).set_encryption_context(Some(context(of)));
        let response = call.ciphertext_blob(Blob::new(cipher)).send().await;
        let response = response.map_err(|error| {
            let cause = cause(error.as_service_error());
            failed(DisplayErrorContext(error).to_string(), cause)
        })?;
        let bytes = response
            .plaintext
            .ok_or_else(|| unreadable("the response has no plaintext".to_owned()))?
            .into_inner();
        let text =
            String::from_utf8(bytes).map_err(|_| unreadable("the plaintext is not UTF-8".to_owned()))?;
        let secret = WebhookSecret::try_from(text).map_err(|error| unreadable(error.to_string()))?;
        self.insert(of, sealed, secret.clone());
        Ok(secret)
    }
}
