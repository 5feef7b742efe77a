//! Limits that a request has reached: of requests, and of seats.

use serde_json::{Value, json};

use domain::RateLimit;

/// The key or its organisation has made all requests that its limit allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this {of} may make {} requests in {} seconds; send the request again in {ends_in} seconds",
    .limit.requests(), .limit.per_seconds()
)]
pub struct RateLimited {
    /// `key`, `organisation`, or a kind of expensive request.
    pub(super) of: &'static str,
    /// The limit.
    pub(super) limit: RateLimit,
    /// In how many seconds its window ends.
    pub(super) ends_in: u32,
}

/// All seats of the organisation's plan are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the plan has {limit} seats, and members and open invitations take {taken}; remove or withdraw {}, or change to a plan \
     with more seats",
    .taken.saturating_sub(*.limit).saturating_add(1)
)]
pub struct NoSeat {
    /// How many the plan has.
    pub limit: u64,
    /// How many are taken; more than the plan has after a change of the plan.
    pub taken: u64,
}

impl RateLimited {
    pub(super) fn details(&self) -> Value {
        json!({
            "limited": self.of,
            "requests": self.limit.requests(),
            "perSeconds": self.limit.per_seconds(),
            "retryAfter": self.ends_in,
        })
    }
}

impl NoSeat {
    pub(super) fn details(&self) -> Value {
        let Self { limit, taken } = self;
        json!({ "limit": limit, "used": taken, "over": taken.saturating_sub(*limit) })
    }
}
