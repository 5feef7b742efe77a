use async_trait::async_trait;
use domain::{AccountId, HookSecret, WebhookId};

/// Encrypts the signing secrets of webhooks. A cipher text is bound to its webhook: copied to another one, it does
/// not open.
#[async_trait]
pub trait Seal: Send + Sync {
    /// Encrypts a secret; the cipher text in base64.
    ///
    /// # Errors
    /// [`Unsealed`].
    async fn seal(&self, of: SecretOf, secret: &HookSecret) -> Result<String, Unsealed>;

    /// Decrypts what [`Seal::seal`] made for the same owner.
    ///
    /// # Errors
    /// [`Unsealed`].
    async fn open(&self, of: SecretOf, sealed: &str) -> Result<HookSecret, Unsealed>;
}

/// The webhook that a secret belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretOf {
    /// The account.
    pub account: AccountId,
    /// The webhook.
    pub webhook: WebhookId,
}

/// A secret could not be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
#[error("a webhook's secret could not be {doing}: {why}")]
pub struct Unsealed {
    /// `encrypted` or `decrypted`.
    pub doing: &'static str,
    /// Why.
    pub why: String,
}

/// The seal of a function that has no key.
#[derive(Clone, Copy, Debug)]
pub struct NoSeal;

#[async_trait]
impl Seal for NoSeal {
    async fn seal(&self, _: SecretOf, _: &HookSecret) -> Result<String, Unsealed> {
        Err(Unsealed { doing: "encrypted", why: "no key is configured".to_owned() })
    }

    async fn open(&self, _: SecretOf, _: &str) -> Result<HookSecret, Unsealed> {
        Err(Unsealed { doing: "decrypted", why: "no key is configured".to_owned() })
    }
}
