use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use serde_json::Value;

use super::dispatch::Of;
use domain::{AccountId, Event};
use store::{Connection, aws_client};

/// What our events say that they come from.
const SOURCE: &str = "scrip";

/// How many events one call takes (EventBridge: 10).
const ENTRIES_MAX: usize = 10;

/// An event of an account.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Whose.
    pub account: AccountId,
    /// The event.
    pub event: Event,
}

impl Published {
    /// The event as it stands on the bus: its body, and whose it is.
    #[must_use]
    pub fn detail(&self) -> Value {
        let mut detail = self.event.body(self.account);
        if let (Some(detail), Ok(Value::Object(of))) =
            (detail.as_object_mut(), serde_json::to_value(Of::account(self.account)))
        {
            detail.extend(of);
        }
        detail
    }
}

/// Where everything that happens is told to whoever listens.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Puts events on the bus. One that was put there twice is the same event.
    ///
    /// # Errors
    /// [`Unpublished`], when at least one of them is not there.
    async fn publish(&self, events: &[Published]) -> Result<(), Unpublished>;
}

/// Events that are not on the bus.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event bus did not take {} of the events: {why}", .places.len())]
pub struct Unpublished {
    /// Which of those that were to be published, by their places.
    pub places: Vec<usize>,
    /// Why the first of them is not.
    pub why: String,
}

/// A bus of EventBridge's and how to reach it.
#[derive(Clone, Debug)]
pub struct EventBus {
    /// The bus's name.
    pub name: String,
    /// How to reach it.
    pub connection: Connection,
}

/// EventBridge. The client is made with the first event.
pub struct EventBridge {
    bus: EventBus,
    client: OnceLock<Client>,
}

impl EventBridge {
    /// One attempt of one call, in seconds.
    const ATTEMPT_SECONDS: u64 = 3;
    /// One call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 10;

    /// Publishes to `bus`.
    #[must_use]
    pub fn new(bus: EventBus) -> Self {
        Self { bus, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_eventbridge, self.bus.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }

    /// Puts up to [`ENTRIES_MAX`] events; the places of those that were not taken, and why. The call may
    /// succeed although some, or all, of its entries failed: each of them says so by itself.
    async fn put(&self, events: &[Published]) -> (Vec<usize>, String) {
        let entries = events.iter().map(|published| {
            let entry = PutEventsRequestEntry::builder().event_bus_name(&self.bus.name).source(SOURCE);
            let at = aws_sdk_eventbridge::primitives::DateTime::from_secs(published.event.at.timestamp());
            let entry = entry.detail_type(&published.event.name).time(at);
            entry.detail(published.detail().to_string()).build()
        });
        match self.client().put_events().set_entries(Some(entries.collect())).send().await {
            Ok(answer) => {
                let failed =
                    answer.entries().iter().enumerate().filter(|(_, entry)| entry.event_id().is_none());
                let why = answer.entries().iter().find_map(|entry| {
                    Some(format!("{}: {}", entry.error_code()?, entry.error_message().unwrap_or_default()))
                });
                let mut failed: Vec<_> = failed.map(|(place, _)| place).collect();
                // What the answer says nothing of was not taken.
                failed.extend(answer.entries().len()..events.len());
                (failed, why.unwrap_or_default())
            }
            Err(error) => ((0..events.len()).collect(), DisplayErrorContext(error).to_string()),
        }
    }
}

#[async_trait]
impl Bus for EventBridge {
    async fn publish(&self, events: &[Published]) -> Result<(), Unpublished> {
        let mut unpublished = Unpublished { places: vec![], why: String::new() };
        for (chunk, events) in events.chunks(ENTRIES_MAX).enumerate() {
            let (failed, why) = self.put(events).await;
            if unpublished.places.is_empty() {
                unpublished.why = why;
            }
            let first = chunk.saturating_mul(ENTRIES_MAX);
            unpublished.places.extend(failed.into_iter().map(|place| place.saturating_add(first)));
        }
        if unpublished.places.is_empty() { Ok(()) } else { Err(unpublished) }
    }
}

/// No bus is configured: what happens is in the feed, and nobody else is told.
#[derive(Clone, Copy, Debug)]
pub struct NoBus;

#[async_trait]
impl Bus for NoBus {
    async fn publish(&self, events: &[Published]) -> Result<(), Unpublished> {
        let places = (0..events.len()).collect();
        Err(Unpublished { places, why: "none is configured".to_owned() })
    }
}

#[cfg(test)]
#[path = "bus_tests.rs"]
mod tests;
