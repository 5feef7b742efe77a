//! The context of a request, for the code that handles it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use axum::extract::{ConnectInfo, FromRequestParts};
use chrono::{DateTime, Utc};
use http::Extensions;
use http::request::Parts;
use lambda_http::request::RequestContext as GatewayContext;
use serde::Serialize;
use tokio::time::Instant;

use super::ApiError;
use domain::{AccountId, Mode, OrgId};
use store::{ChangeAttempt, ChangeRequest, Moment, RateState};

/// A request: its time, its id and what is known of its caller.
#[derive(Clone, Debug)]
pub struct RequestContext {
    /// When the request arrived. Handlers use no other current time.
    pub moment: Moment,
    /// The same by the runtime's own clock, for deadlines.
    pub arrived: Instant,
    /// The request's id in responses and logs, `req_…`.
    pub id: Arc<str>,
    /// The address that the request came from: the one that connected to API Gateway, or to the local machine. `None` when
    /// it is not known.
    pub from: Option<IpAddr>,
    account: Arc<OnceLock<AccountId>>,
    own_time: Arc<OnceLock<DateTime<Utc>>>,
    arrival: DateTime<Utc>,
    ongoing: Arc<OnceLock<Ongoing>>,
    audited: Arc<OnceLock<Audited>>,
    rates: Arc<Mutex<Vec<RateCount>>>,
}

/// What a limit allows after a request was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct RateCount {
    /// `key` or `organisation`.
    pub(super) of: &'static str,
    pub(super) state: RateState,
}

/// What the audit log has of a request, besides what its headers say.
#[derive(Debug, Default)]
pub(super) struct Audited {
    /// The body, as JSON.
    pub(super) asked: OnceLock<String>,
    /// What the request changes, as it was before, as JSON.
    pub(super) before: OnceLock<String>,
    /// The organisation that the request has opened.
    pub(super) opened: OnceLock<OrgId>,
}

/// The change that the handler makes, for the layer that keeps its answer.
#[derive(Debug)]
pub(super) struct Ongoing {
    pub(super) changes: ChangeRequest,
    pub(super) begun: ChangeAttempt,
}

impl RequestContext {
    pub(super) fn new(moment: Moment, id: String, from: Option<IpAddr>) -> Self {
        Self {
            moment,
            arrived: Instant::now(),
            id: id.into(),
            from,
            account: Arc::default(),
            own_time: Arc::default(),
            arrival: moment.now,
            ongoing: Arc::default(),
            audited: Arc::default(),
            rates: Arc::default(),
        }
    }

    /// Records what an operator's request changes, as it was before, for the audit log. The answer is what it is after.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn was(&self, before: &impl Serialize) -> Result<(), ApiError> {
        if let Some(audited) = self.audited() {
            let before = serde_json::to_string(before).map_err(ApiError::unwritable)?;
            audited.before.get_or_init(|| before);
        }
        Ok(())
    }

    /// Records the organisation that an operator's request opens, for the audit log.
    pub fn opens(&self, org: OrgId) {
        if let Some(audited) = self.audited() {
            audited.opened.get_or_init(|| org);
        }
    }

    /// Records that the request was counted.
    pub(super) fn counts(&self, count: RateCount) {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).push(count);
    }

    /// The limits with which the request was counted.
    pub(super) fn rates(&self) -> Vec<RateCount> {
        self.rates.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Records that the request is in the audit log.
    pub(super) fn is_audited(&self) {
        self.audited.get_or_init(Audited::default);
    }

    pub(super) fn audited(&self) -> Option<&Audited> {
        self.audited.get()
    }

    /// Records the body of a request that is in the audit log.
    pub(super) fn asked(&self, body: &[u8]) {
        if let Some(audited) = self.audited() {
            audited.asked.get_or_init(|| String::from_utf8_lossy(body).into_owned());
        }
    }

    /// Records the account that an operator's request is about, for `livemode` and the log.
    pub fn is_about(&self, account: AccountId) {
        self.of(account);
    }

    /// Records the caller's account, for `livemode` and the log. The first one stays.
    pub(super) fn of(&self, account: AccountId) {
        self.account.get_or_init(|| account);
    }

    /// The same request by the test clock of the caller's ledger. Its response shows that time.
    pub(super) fn at(self, own: DateTime<Utc>) -> Self {
        let now = *self.own_time.get_or_init(|| own);
        Self { moment: Moment { now, ..self.moment }, ..self }
    }

    /// When the request arrived by the clock of all ledgers, also where the ledger has a test clock of its own. API keys end
    /// by this clock.
    #[must_use]
    pub fn arrived_at(&self) -> DateTime<Utc> {
        self.arrival
    }

    /// The time that the response shows.
    pub(super) fn now(&self) -> DateTime<Utc> {
        self.own_time.get().copied().unwrap_or(self.moment.now)
    }

    /// Records the change that the handler is about to make.
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

impl<S: Sync> FromRequestParts<S> for RequestContext {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        // The layer around every router adds it. Without it the time is the epoch, when no key was issued yet.
        let epoch = Moment { now: chrono::DateTime::UNIX_EPOCH, wall: chrono::DateTime::UNIX_EPOCH };
        Ok(parts.extensions.get().cloned().unwrap_or_else(|| Self::new(epoch, String::new(), None)))
    }
}

/// The address that a request came from. No header is read: a caller can write what it wants into one.
pub(super) fn address_of(extensions: &Extensions) -> Option<IpAddr> {
    match extensions.get::<GatewayContext>() {
        Some(GatewayContext::ApiGatewayV2(context)) => context.http.source_ip.as_deref()?.parse().ok(),
        Some(_) | None => extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip()),
    }
}
