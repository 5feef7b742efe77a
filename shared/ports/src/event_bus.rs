//! The event bus port.

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{AccountId, Mode, OrgId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The account that an event on the bus belongs to: two fields of the event's detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventOwner {
    organisation_id: OrgId,
    livemode: bool,
}

impl From<AccountId> for EventOwner {
    fn from(account: AccountId) -> Self {
        Self { organisation_id: account.org, livemode: account.mode == Mode::Live }
    }
}

impl From<EventOwner> for AccountId {
    fn from(owner: EventOwner) -> Self {
        Self { org: owner.organisation_id, mode: if owner.livemode { Mode::Live } else { Mode::Test } }
    }
}

/// An event to publish on the bus.
#[derive(Clone, Debug, PartialEq)]
pub struct BusEvent {
    /// The account that the event belongs to.
    pub account: AccountId,
    /// The event's name, such as `credits.low_balance`.
    pub name: String,
    /// When the event happened.
    pub at: DateTime<Utc>,
    /// The rendered event together with its owner.
    pub detail: Value,
}

/// The event bus, which delivers every event to every subscriber.
#[async_trait]
pub trait Bus: Send + Sync {
    /// Publishes events. An event that is published twice keeps its id.
    ///
    /// # Errors
    /// [`PublishError`] when at least one event was not published.
    async fn publish(&self, events: &[BusEvent]) -> Result<(), PublishError>;
}

/// Events that the bus did not accept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the event bus did not accept {} of the events: {why}", .places.len())]
pub struct PublishError {
    /// The indices of the rejected events in the slice passed to [`Bus::publish`].
    pub places: Vec<usize>,
    /// Why the first of them was rejected.
    pub why: String,
}

/// The bus of a function that has none configured: it rejects every event. The feed has all events regardless.
#[derive(Clone, Copy, Debug)]
pub struct NoBus;

#[async_trait]
impl Bus for NoBus {
    async fn publish(&self, events: &[BusEvent]) -> Result<(), PublishError> {
        let places = (0..events.len()).collect();
        Err(PublishError { places, why: "none is configured".to_owned() })
    }
}
