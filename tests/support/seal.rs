//! A seal for the secrets of webhooks, in place of KMS.

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::WebhookSecret;
use ports::{Seal, SealError, SecretOf};

/// A seal that does not encrypt.
pub struct PlainSeal;

#[async_trait]
impl Seal for PlainSeal {
    async fn seal(&self, _: SecretOf, secret: &WebhookSecret) -> Result<String, SealError> {
        Ok(STANDARD.encode(secret.reveal()))
    }

    async fn open(&self, _: SecretOf, sealed: &str) -> Result<WebhookSecret, SealError> {
        let text = String::from_utf8(STANDARD.decode(sealed).unwrap()).unwrap();
        Ok(WebhookSecret::try_from(text).unwrap())
    }
}
