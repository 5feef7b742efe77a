use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::error::DisplayErrorContext;
use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use ports::{Bus, Published, Unpublished};

use crate::{Connection, aws_client};

/// What our events say that they come from.
const SOURCE: &str = "scrip";

/// How many events one call takes (EventBridge: 10).
const ENTRIES_MAX: usize = 10;

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

#[cfg(test)]
#[path = "event_bridge_tests.rs"]
mod tests;
