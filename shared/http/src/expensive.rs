//! Requests that cost much more than others: each kind has a limit of its own, for each ledger.

use domain::{AccountId, Email, RateLimit};

use super::context::RateCount;
use super::limits::RateLimited;
use super::{ApiError, App, RequestContext};

/// A kind of request that costs much more than others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expensive {
    /// Moving a test clock, which does all work that falls due in between.
    TestClock,
    /// Sending a test event, or one that was sent before, to an endpoint of the customer's.
    Delivery,
    /// Looking for the earlier debit that a duplicate repeats, which reads up to 10,000 transactions.
    DuplicateSearch,
}

impl Expensive {
    /// The name in `RateLimit` headers and in `details.limited`.
    fn as_str(self) -> &'static str {
        match self {
            Self::TestClock => "test-clock",
            Self::Delivery => "delivery",
            Self::DuplicateSearch => "duplicate-search",
        }
    }

    fn per_minute(self) -> u32 {
        match self {
            Self::TestClock | Self::DuplicateSearch => 30,
            Self::Delivery => 60,
        }
    }

    /// Counts a request of this kind.
    ///
    /// # Errors
    /// [`RateLimited`] when the ledger has made as many as it may in this minute.
    pub async fn count(self, app: &App, account: AccountId, call: &RequestContext) -> Result<(), ApiError> {
        let Ok(limit) = RateLimit::new(self.per_minute(), 60) else { return Ok(()) };
        let (of, subject) = (self.as_str(), format!("{account}#{}", self.as_str()));
        let state = app.settings.count_request(&subject, limit, call.moment.wall).await;
        call.counts(RateCount { of, state });
        if state.is_within { Ok(()) } else { Err(RateLimited { of, limit, ends_in: state.ends_in }.into()) }
    }
}

/// Counts a mail for signing in, with the address that it goes to and with the one that the request came from.
///
/// # Errors
/// [`RateLimited`] when either has caused as many as it may in 15 minutes.
pub async fn count_sign_in_mail(app: &App, call: &RequestContext, to: &Email) -> Result<(), ApiError> {
    const SECONDS: u32 = 15 * 60;
    let from = call.from.map(|from| (format!("mail-from#{from}"), 30));
    let limits = [(format!("mail-to#{}", to.hash()), 5)].into_iter().chain(from);
    for (subject, requests) in limits {
        let Ok(limit) = RateLimit::new(requests, SECONDS) else { continue };
        let state = app.settings.count_request(&subject, limit, call.moment.wall).await;
        if !state.is_within {
            return Err(RateLimited { of: "address", limit, ends_in: state.ends_in }.into());
        }
    }
    Ok(())
}
