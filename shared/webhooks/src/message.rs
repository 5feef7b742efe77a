//! The message that a webhook delivery sends.

use super::EventEnvelope;
use domain::{AccountId, Event};

/// A message to a webhook endpoint: an event and its rendered body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookMessage {
    /// The event's id.
    pub id: String,
    /// The event's number in the feed; 0 for an event that is not in the feed.
    pub number: u64,
    /// The event's name.
    pub name: String,
    /// The body, exactly as it is sent.
    pub body: String,
}

impl WebhookMessage {
    /// The message for an event of an account.
    #[must_use]
    pub fn of(account: AccountId, event: &Event) -> Self {
        EventEnvelope::of(account, event).into()
    }
}

impl From<EventEnvelope> for WebhookMessage {
    fn from(envelope: EventEnvelope) -> Self {
        let body = envelope.body();
        Self { id: envelope.id, number: envelope.sequence, name: envelope.event, body }
    }
}
