//! The port that encrypts webhook signing secrets.

use async_trait::async_trait;
use domain::{AccountId, WebhookId, WebhookSecret};

/// Encrypts the signing secrets of webhooks. A ciphertext is bound to its webhook: for another webhook it does not
/// decrypt.
#[async_trait]
pub trait Seal: Send + Sync {
    /// Encrypts a secret and returns the ciphertext in base64.
    ///
    /// # Errors
    /// [`SealError`].
    async fn seal(&self, of: SecretOf, secret: &WebhookSecret) -> Result<String, SealError>;

    /// Decrypts a ciphertext that [`Seal::seal`] returned for the same webhook.
    ///
    /// # Errors
    /// [`SealError`].
    async fn open(&self, of: SecretOf, sealed: &str) -> Result<WebhookSecret, SealError>;
}

/// The webhook that a secret belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SecretOf {
    /// The account.
    pub account: AccountId,
    /// The webhook.
    pub webhook: WebhookId,
}

/// The error when a secret cannot be encrypted or decrypted.
#[derive(Debug, thiserror::Error)]
#[error("a webhook's secret could not be {doing}: {why}")]
pub struct SealError {
    /// `encrypted` or `decrypted`.
    pub doing: &'static str,
    /// The reason, without the secret.
    pub why: String,
    /// Whether it may succeed later.
    pub cause: SealFailure,
}

/// Whether a secret that could not be encrypted or decrypted may be later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealFailure {
    /// The key could not be reached or used now. An operator may have to allow its use.
    Unavailable,
    /// The ciphertext was not made for this webhook with a key that exists: it can never be decrypted.
    Unreadable,
}

/// The seal of a function that has no key configured: every call fails.
#[derive(Clone, Copy, Debug)]
pub struct NoSeal;

#[async_trait]
impl Seal for NoSeal {
    async fn seal(&self, _: SecretOf, _: &WebhookSecret) -> Result<String, SealError> {
        Err(SealError {
            doing: "encrypted",
            why: "no key is configured".to_owned(),
            cause: SealFailure::Unavailable,
        })
    }

    async fn open(&self, _: SecretOf, _: &str) -> Result<WebhookSecret, SealError> {
        Err(SealError {
            doing: "decrypted",
            why: "no key is configured".to_owned(),
            cause: SealFailure::Unavailable,
        })
    }
}
