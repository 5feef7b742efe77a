//! Deliveries to receivers that answer, answer badly, or must not be contacted.

mod answers;
mod names;
mod netns;
mod peer;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use domain::{AddressPolicy, WebhookUrl};
use http::HeaderMap;
use scrip_webhooks::{PostResult, PostTimeouts, WebhookClient};
use tests::PATIENCE;

/// Short enough for a test to wait for an answer that never comes.
const SHORT: PostTimeouts = PostTimeouts { whole: Duration::from_millis(400), connect: PATIENCE };

/// Long enough for any answer, however busy the machine is.
const LONG: PostTimeouts = PostTimeouts { whole: PATIENCE, connect: PATIENCE };

fn url(text: &str) -> WebhookUrl {
    WebhookUrl::parse(text, AddressPolicy::AndLoopback).unwrap()
}

async fn post(sender: &WebhookClient, text: &str) -> PostResult {
    sender.post(&url(text), HeaderMap::new(), Bytes::from_static(b"{\"a\":1}")).await
}
