//! Requests that are invalid now and were carried out before.

use super::{ApiError, App, Caller};
use domain::{ClaimKey, Fingerprint, IdempotencyKey};
use store::ClaimsOf;

/// A request with its idempotency key.
#[derive(Clone, Copy, Debug)]
pub struct SentBefore<'a> {
    /// The caller's own name for the request.
    pub key: &'a IdempotencyKey,
    /// A digest of method, path and body.
    pub fingerprint: &'a Fingerprint,
}

impl<S> Caller<S> {
    /// Accepts an invalid request that was carried out before: its `settleBy` may have passed since, or its member may have
    /// been removed.
    ///
    /// # Errors
    /// The problem of `checked`, for a request that was not sent before.
    pub async fn unless_replayed(
        &self,
        app: &App,
        sent: SentBefore<'_>,
        checked: Result<(), ApiError>,
    ) -> Result<(), ApiError> {
        let Err(problem) = checked else { return Ok(()) };
        let (of, key) = (ClaimsOf::Account(self.account), ClaimKey::Caller(sent.key.clone()));
        let made = app.ledger.made_before(of, &key, sent.fingerprint, self.call.moment).await?;
        made.map(|_| ()).ok_or(problem)
    }
}
