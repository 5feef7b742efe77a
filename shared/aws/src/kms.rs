use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

use async_trait::async_trait;
use aws_sdk_kms::Client;
use aws_sdk_kms::error::DisplayErrorContext;
use aws_sdk_kms::primitives::Blob;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::HookSecret;
use ports::{Seal, SecretOf, Unsealed};

use crate::{Connection, aws_client};

/// How many secrets a warm function keeps open; past it, all are opened again.
const OPEN_MAX: usize = 1_000;

/// A key of KMS and how to reach it.
#[derive(Clone, Debug)]
pub struct KmsKey {
    /// The key's ARN or id.
    pub key: String,
    /// How to reach it.
    pub connection: Connection,
}

/// Secrets under a key that never leaves KMS. What was opened once is remembered while the function is warm.
pub struct Kms {
    key: KmsKey,
    client: OnceLock<Client>,
    open: Mutex<HashMap<(SecretOf, String), HookSecret>>,
}

impl Kms {
    /// One attempt of one call, in seconds.
    const ATTEMPT_SECONDS: u64 = 3;
    /// One call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 8;

    /// Seals with `key`.
    #[must_use]
    pub fn new(key: KmsKey) -> Self {
        Self { key, client: OnceLock::new(), open: Mutex::default() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_kms, self.key.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }

    fn remembered(&self, of: SecretOf, sealed: &str) -> Option<HookSecret> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&(of, sealed.to_owned())).cloned()
    }

    fn remember(&self, of: SecretOf, sealed: &str, secret: HookSecret) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if OPEN_MAX <= open.len() {
            open.clear();
        }
        open.insert((of, sealed.to_owned()), secret);
    }
}

/// What a cipher text is bound to.
fn context(of: SecretOf) -> HashMap<String, String> {
    HashMap::from([
        ("account".to_owned(), of.account.to_string()),
        ("webhook".to_owned(), of.webhook.to_string()),
    ])
}

#[async_trait]
impl Seal for Kms {
    async fn seal(&self, of: SecretOf, secret: &HookSecret) -> Result<String, Unsealed> {
        let failed = |why: String| Unsealed { doing: "encrypted", why };
        let call = self.client().encrypt().key_id(&self.key.key).set_encryption_context(Some(context(of)));
        let answer = call.plaintext(Blob::new(secret.reveal())).send().await;
        let answer = answer.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let cipher = answer.ciphertext_blob.ok_or_else(|| failed("no cipher text came back".to_owned()))?;
        Ok(STANDARD.encode(cipher))
    }

    async fn open(&self, of: SecretOf, sealed: &str) -> Result<HookSecret, Unsealed> {
        if let Some(secret) = self.remembered(of, sealed) {
            return Ok(secret);
        }
        let failed = |why: String| Unsealed { doing: "decrypted", why };
        let cipher = STANDARD.decode(sealed).map_err(|error| failed(error.to_string()))?;
        let call = self.client().decrypt().key_id(&self.key.key).set_encryption_context(Some(context(of)));
        let answer = call.ciphertext_blob(Blob::new(cipher)).send().await;
        let answer = answer.map_err(|error| failed(DisplayErrorContext(error).to_string()))?;
        let bytes =
            answer.plaintext.ok_or_else(|| failed("no plain text came back".to_owned()))?.into_inner();
        let text = String::from_utf8(bytes).map_err(|_| failed("it is no text".to_owned()))?;
        let secret = HookSecret::try_from(text).map_err(|error| failed(error.to_string()))?;
        self.remember(of, sealed, secret.clone());
        Ok(secret)
    }
}
