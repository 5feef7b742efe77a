//! The mail port.

use async_trait::async_trait;

/// A mail to one person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// The address.
    pub to: String,
    /// The subject, one line.
    pub subject: String,
    /// The text, without markup.
    pub text: String,
}

/// Sends mails.
#[async_trait]
pub trait Mailer: Send + Sync {
    /// Sends a mail.
    ///
    /// # Errors
    /// [`MailError`] when the mail was not accepted.
    async fn send(&self, mail: &Mail) -> Result<(), MailError>;
}

/// A mail was not accepted.
#[derive(Debug, thiserror::Error)]
#[error("the mail was not accepted: {0}")]
pub struct MailError(pub String);
