//! What a delivery's headers are called, in lower case, as they are sent.

/// `evt_…`: the event, the same at every attempt (Standard Webhooks).
pub const ID: &str = standardwebhooks::HEADER_WEBHOOK_ID;

/// When this attempt was made, in seconds since 1970 (Standard Webhooks).
pub const TIMESTAMP: &str = standardwebhooks::HEADER_WEBHOOK_TIMESTAMP;

/// `v1,<base64>` for every secret that is valid, separated by spaces, the newest first (Standard Webhooks).
pub const SIGNATURE: &str = standardwebhooks::HEADER_WEBHOOK_SIGNATURE;

/// `credits.low_balance`: what has happened.
pub const EVENT: &str = "x-scrip-event";

/// `del_…`: the event's way to one endpoint, the same at every attempt.
pub const DELIVERY: &str = "x-scrip-delivery";

/// `sha256=<hex>` for every secret that is valid, separated by `, `, the newest first: HMAC-SHA-256 over
/// the body under the secret's bytes. It says nothing of the time, so it alone does not keep a delivery from
/// being sent again by somebody else.
pub const SCRIP_SIGNATURE: &str = "x-scrip-signature";
