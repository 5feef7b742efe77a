//! Rate limits as callers see and set them.

use domain::RateLimit;
use serde::{Deserialize, Deserializer, Serialize, de::Error};
use utoipa::ToSchema;

/// How many requests a key, or all keys of an organisation together, may make in a window of time.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = RateLimit)]
#[serde(rename_all = "camelCase")]
pub struct RateLimitView {
    /// The most requests of a window.
    #[schema(minimum = 1, maximum = 1_000_000)]
    requests: u32,
    /// The length of a window in seconds.
    #[schema(minimum = 1, maximum = 86_400)]
    per_seconds: u32,
}

/// A limit in a change: `none` removes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimitField(pub Option<RateLimit>);

impl<'de> Deserialize<'de> for RateLimitField {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Text(String),
            Limit(RateLimit),
        }
        match Either::deserialize(input) {
            Ok(Either::Text(text)) if text == "none" => Ok(Self(None)),
            Ok(Either::Limit(limit)) => Ok(Self(Some(limit))),
            Ok(Either::Text(_)) | Err(_) => Err(D::Error::custom(
                "must be `none`, or an object with requests from 1 to 1000000 and perSeconds from 1 to 86400",
            )),
        }
    }
}

impl From<RateLimit> for RateLimitView {
    fn from(limit: RateLimit) -> Self {
        Self { requests: limit.requests(), per_seconds: limit.per_seconds() }
    }
}
