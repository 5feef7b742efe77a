//! Encrypts webhooks' secrets with a key of the machine's own, in place of KMS.

use anyhow::anyhow;
use async_trait::async_trait;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use domain::WebhookSecret;
use ports::{Seal, SealError, SealFailure, SecretOf};
use store::random;

/// The machine's key for secrets, stored in the data folder with the demo keys.
pub(crate) struct LocalKms(LessSafeKey);

impl LocalKms {
    /// Takes a key of 32 bytes, in base64.
    ///
    /// # Errors
    /// When `key` is not one.
    pub(crate) fn new(key: &str) -> anyhow::Result<Self> {
        let bytes = STANDARD.decode(key)?;
        let key =
            UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| anyhow!("a key of 32 bytes is needed"))?;
        Ok(Self(LessSafeKey::new(key)))
    }
}

/// Binds a ciphertext to its webhook: it cannot be decrypted for another one.
fn owner_context(of: SecretOf) -> Aad<Vec<u8>> {
    Aad::from(format!("{}/{}", of.account, of.webhook).into_bytes())
}

#[async_trait]
impl Seal for LocalKms {
    async fn seal(&self, of: SecretOf, secret: &WebhookSecret) -> Result<String, SealError> {
        let failed = |why: &str| SealError {
            doing: "encrypted",
            why: why.to_owned(),
            cause: SealFailure::Unavailable,
        };
        let nonce: Vec<u8> = random().to_be_bytes().into_iter().take(NONCE_LEN).collect();
        let mut text = secret.reveal().as_bytes().to_vec();
        let unique = Nonce::try_assume_unique_for_key(&nonce).map_err(|_| failed("no nonce"))?;
        self.0
            .seal_in_place_append_tag(unique, owner_context(of), &mut text)
            .map_err(|_| failed("the cipher refused it"))?;
        Ok(STANDARD.encode([nonce, text].concat()))
    }

    async fn open(&self, of: SecretOf, sealed: &str) -> Result<WebhookSecret, SealError> {
        let failed = |why: String| SealError { doing: "decrypted", why, cause: SealFailure::Unreadable };
        let bytes = STANDARD.decode(sealed).map_err(|error| failed(error.to_string()))?;
        let (nonce, text) =
            bytes.split_at_checked(NONCE_LEN).ok_or_else(|| failed("it is too short".to_owned()))?;
        let unique = Nonce::try_assume_unique_for_key(nonce).map_err(|_| failed("no nonce".to_owned()))?;
        let mut text = text.to_vec();
        let opened = self.0.open_in_place(unique, owner_context(of), &mut text);
        let opened =
            opened.map_err(|_| failed("it was made with another key, or for another webhook".to_owned()))?;
        let text = String::from_utf8(opened.to_vec()).map_err(|_| failed("it is not a text".to_owned()))?;
        WebhookSecret::try_from(text).map_err(|error| failed(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use domain::{AccountId, Mode, OrgId, WebhookId};

    use super::*;
    use crate::folder::fresh_key;

    #[tokio::test]
    async fn a_secret_opens_only_for_its_own_webhook_and_with_its_own_key() {
        let at = chrono::DateTime::UNIX_EPOCH;
        let owner = |webhook| SecretOf {
            account: AccountId { org: OrgId::new(at, 1), mode: Mode::Live },
            webhook: WebhookId::new(at, webhook),
        };
        let secret = WebhookSecret::new([7; 32]);
        let seal = LocalKms::new(&fresh_key()).unwrap();
        let sealed = seal.seal(owner(1), &secret).await.unwrap();
        assert_ne!(sealed, seal.seal(owner(1), &secret).await.unwrap(), "no two cipher texts are the same");
        assert!(!STANDARD.decode(&sealed).unwrap().windows(6).any(|part| part == b"whsec_"));
        assert_eq!(seal.open(owner(1), &sealed).await.unwrap(), secret);
        seal.open(owner(2), &sealed).await.unwrap_err();
        LocalKms::new(&fresh_key()).unwrap().open(owner(1), &sealed).await.unwrap_err();
        for broken in ["", "AAAA", "no base64!", &sealed[..sealed.len() - 4]] {
            seal.open(owner(1), broken).await.unwrap_err();
        }
    }
}
