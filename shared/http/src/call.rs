use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use axum::extract::FromRequestParts;
use chrono::{DateTime, Utc};
use http::request::Parts;

use super::once::Ongoing;
use domain::{AccountId, Mode};
use store::Moment;

/// One request, as everything that handles it sees it.
#[derive(Clone, Debug)]
pub struct Call {
    /// When it reached us. The only "now" that anything below may know.
    pub moment: Moment,
    /// Its name in answers and logs, `req_…`.
    pub id: Arc<str>,
    account: Arc<OnceLock<AccountId>>,
    own_time: Arc<OnceLock<DateTime<Utc>>>,
    ongoing: Arc<OnceLock<Ongoing>>,
}

impl Call {
    pub(super) fn new(moment: Moment, id: String) -> Self {
        Self {
            moment,
            id: id.into(),
            account: Arc::default(),
            own_time: Arc::default(),
            ongoing: Arc::default(),
        }
    }

    /// Notes who calls, for the answer's `livemode` and the log. The first note stands.
    pub(super) fn of(&self, account: AccountId) {
        self.account.get_or_init(|| account);
    }

    /// The same request by the clock of the caller's own ledger, which its answer shows.
    pub(super) fn at(self, own: DateTime<Utc>) -> Self {
        let now = *self.own_time.get_or_init(|| own);
        Self { moment: Moment { now, ..self.moment }, ..self }
    }

    /// The time that the answer shows.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.own_time.get().copied().unwrap_or(self.moment.now)
    }

    /// Notes the request that a handler is about to carry out.
    pub(super) fn carries_out(&self, ongoing: Ongoing) {
        self.ongoing.get_or_init(|| ongoing);
    }

    pub(super) fn ongoing(&self) -> Option<&Ongoing> {
        self.ongoing.get()
    }

    pub(super) fn account(&self) -> Option<AccountId> {
        self.account.get().copied()
    }

    pub(super) fn livemode(&self) -> Option<bool> {
        self.account().map(|account| account.mode == Mode::Live)
    }
}

impl<S: Sync> FromRequestParts<S> for Call {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // Put there by the layer around every router. Without it the request is at the epoch, in
        // which no key was issued yet.
        let epoch = Moment { now: chrono::DateTime::UNIX_EPOCH, wall: chrono::DateTime::UNIX_EPOCH };
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self::new(epoch, String::new())))
    }
}
