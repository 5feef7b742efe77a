//! The event bus port on Amazon EventBridge.

use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use ports::{Bus, BusEvent, PublishError};

use crate::{Connection, aws_client};

/// The `source` of our events.
const SOURCE: &str = "scrip";

/// The maximum number of events in one call (EventBridge: 10).
const ENTRIES_MAX: usize = 10;

/// The name of an EventBridge bus and how to reach it.
#[derive(Clone, Debug)]
pub struct EventBus {
    /// The bus's name.
    pub name: String,
    /// How to reach EventBridge.
    pub connection: Connection,
}

/// An EventBridge bus. The client is created with the first event.
pub struct EventBridge {
    bus: EventBus,
    client: OnceLock<Client>,
}

impl EventBridge {
    /// The timeout of one attempt, in seconds.
    const ATTEMPT_SECONDS: u64 = 3;
    /// The timeout of one call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 10;

    /// A publisher to `bus`.
    #[must_use]
    pub fn new(bus: EventBus) -> Self {
        Self { bus, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_eventbridge, self.bus.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }

    /// Puts up to [`ENTRIES_MAX`] events and returns the indices of rejected ones, with the reason. A successful
    /// call may still have rejected entries, so each entry of the response is checked.
    async fn put(&self, events: &[BusEvent]) -> (Vec<usize>, String) {
        let entries = events.iter().map(|published| {
            let entry = PutEventsRequestEntry::builder().event_bus_name(&self.bus.name).source(SOURCE);
            let at = aws_sdk_eventbridge::primitives::DateTime::from_secs(published.at.timestamp());
            let entry = entry.detail_type(&published.name).time(at);
            entry.detail(published.detail.to_string()).build()
        });
        match self.client().put_events().set_entries(Some(entries.collect())).send().await {
            Ok(response) => {
                let failed =
                    response.entries().iter().enumerate().filter(|(_, entry)| entry.event_id().is_none());
                let why = response.entries().iter().find_map(|entry| {
                    Some(format!("{}: {}", entry.error_code()?, entry.error_message().unwrap_or_default()))
                });
                let mut failed: Vec<_> = failed.map(|(place, _)| place).collect();
                // An event without an entry in the response was not accepted.
                failed.extend(response.entries().len()..events.len());
                (failed, why.unwrap_or_default())
            }
            Err(error) => ((0..events.len()).collect(), DisplayErrorContext(error).to_string()),
        }
    }
}

#[async_trait]
impl Bus for EventBridge {
    async fn publish(&self, events: &[BusEvent]) -> Result<(), PublishError> {
        let mut unpublished = PublishError { places: vec![], why: String::new() };
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

#[cfg(test)]
#[path = "event_bridge_tests.rs"]
mod tests;
