//! Stands in for SES: keeps the newest mails, to be read at `/_local/mail`.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use axum::{Extension, Router, routing::get};
use ports::{Mail, MailError, Mailer};
use scrip_http::{ApiError, App, Reply};
use serde::Serialize;

/// How many mails are kept.
const KEPT_MAX: usize = 100;

/// The mails that were sent, the newest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mailbox(Arc<Mutex<VecDeque<Mail>>>);

/// A mail as it is shown.
#[derive(Serialize)]
struct MailView {
    to: String,
    subject: String,
    text: String,
}

#[async_trait]
impl Mailer for Mailbox {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push_front(mail.clone());
        kept.truncate(KEPT_MAX);
        Ok(())
    }
}

/// The router of the mailbox.
pub(crate) fn mail_routes(mailbox: Mailbox) -> Router<Arc<App>> {
    Router::new().route("/_local/mail", get(list)).layer(Extension(mailbox))
}

async fn list(Extension(Mailbox(mails)): Extension<Mailbox>) -> Result<Reply, ApiError> {
    let mails = mails.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let view = |Mail { to, subject, text }| MailView { to, subject, text };
    Reply::ok(&mails.into_iter().map(view).collect::<Vec<_>>())
}
