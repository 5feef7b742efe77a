//! The header names of a delivery, in lower case.

/// The event's id, `evt_…`, the same for every attempt (Standard Webhooks).
pub const ID: &str = standardwebhooks::HEADER_WEBHOOK_ID;

/// The time of this attempt, in seconds since 1970 (Standard Webhooks).
pub const TIMESTAMP: &str = standardwebhooks::HEADER_WEBHOOK_TIMESTAMP;

/// `v1,<base64>` for every valid secret, newest first, separated by spaces (Standard Webhooks).
pub const SIGNATURE: &str = standardwebhooks::HEADER_WEBHOOK_SIGNATURE;

/// The event's name, such as `credits.low_balance`.
pub const EVENT: &str = "x-scrip-event";

/// The delivery's id, `del_…`: one event to one endpoint, the same for every attempt.
pub const DELIVERY: &str = "x-scrip-delivery";

/// A header of the receiver's answer that controls what follows (proposed for Standard Webhooks). Values other than
/// [`ABORT_MESSAGE`] are ignored.
pub const CONTROL: &str = "webhook-delivery";

/// The value of [`CONTROL`] that asks for no further attempt at a message that was not accepted.
pub const ABORT_MESSAGE: &str = "abort-message";

/// `sha256=<hex>` for every valid secret, newest first, separated by `, `: an HMAC-SHA-256 of the body with the secret's
/// bytes as key. It does not cover the timestamp, so on its own it does not prevent replay.
pub const SCRIP_SIGNATURE: &str = "x-scrip-signature";
