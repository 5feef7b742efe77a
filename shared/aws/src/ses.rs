//! The mail port on Amazon SES.

use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_sesv2::Client;
use aws_sdk_sesv2::error::{BuildError, DisplayErrorContext};
use aws_sdk_sesv2::types::{Body, Content, Destination, EmailContent, Message};
use ports::{Mail, MailError, Mailer};

use crate::{Connection, aws_client};

/// From whom mails are, and how to reach SES.
#[derive(Clone, Debug)]
pub struct Sender {
    /// The address, which SES has verified, or one of a domain that it has.
    pub from: String,
    /// How to reach SES.
    pub connection: Connection,
}

/// Sends mails with SES. The client is created with the first mail.
pub struct Ses {
    sender: Sender,
    client: OnceLock<Client>,
}

impl Ses {
    /// The timeout of one attempt, in seconds.
    const ATTEMPT_SECONDS: u64 = 3;
    /// The timeout of one call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 8;

    /// Sends mails from `sender`.
    #[must_use]
    pub fn new(sender: Sender) -> Self {
        Self { sender, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_sesv2, self.sender.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }
}

/// What SES sends: the subject and the text.
fn content(mail: &Mail) -> Result<EmailContent, BuildError> {
    let content = |text: &str| Content::builder().data(text).charset("UTF-8").build();
    let body = Body::builder().text(content(&mail.text)?).build();
    let message = Message::builder().subject(content(&mail.subject)?).body(body).build();
    Ok(EmailContent::builder().simple(message).build())
}

#[async_trait]
impl Mailer for Ses {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let content = content(mail).map_err(|error| MailError(error.to_string()))?;
        let to = Destination::builder().to_addresses(&mail.to).build();
        let sent =
            self.client().send_email().from_email_address(&self.sender.from).destination(to).content(content);
        sent.send().await.map(|_| ()).map_err(|error| MailError(DisplayErrorContext(error).to_string()))
    }
}
