//! Deliveries to receivers that answer, that answer badly, and that are not to be reached.

mod answers;
mod names;
mod netns;
mod peer;
mod tls;

use std::time::Duration;

use bytes::Bytes;
use domain::{HookUrl, Reach};
use http::HeaderMap;
use scrip_webhooks::{Limits, Sender, Sent};
use tests::PATIENCE;

/// Little enough for a test to wait for what never comes.
const SHORT: Limits = Limits { whole: Duration::from_millis(400), connect: PATIENCE };

/// Enough for what comes, however busy the machine is.
const LONG: Limits = Limits { whole: PATIENCE, connect: PATIENCE };

fn url(text: &str) -> HookUrl {
    HookUrl::parse(text, Reach::AndLoopback).unwrap()
}

async fn post(sender: &Sender, text: &str) -> Sent {
    sender.post(&url(text), HeaderMap::new(), Bytes::from_static(b"{\"a\":1}")).await
}
