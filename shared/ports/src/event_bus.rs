use async_trait::async_trait;
use domain::{AccountId, Event, Mode, OrgId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Whose event it is, as events on the bus say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Owner {
    organisation_id: OrgId,
    livemode: bool,
}

impl From<AccountId> for Owner {
    fn from(account: AccountId) -> Self {
        Self { organisation_id: account.org, livemode: account.mode == Mode::Live }
    }
}

impl From<Owner> for AccountId {
    fn from(owner: Owner) -> Self {
        Self { org: owner.organisation_id, mode: if owner.livemode { Mode::Live } else { Mode::Test } }
    }
}

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
            (detail.as_object_mut(), serde_json::to_value(Owner::from(self.account)))
        {
            detail.extend(of);
        }
        detail
    }
}

/// The event bus, where everybody who listens gets every event.
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

/// The bus of a function that has none: it takes no event. The feed has them all the same.
#[derive(Clone, Copy, Debug)]
pub struct NoBus;

#[async_trait]
impl Bus for NoBus {
    async fn publish(&self, events: &[Published]) -> Result<(), Unpublished> {
        let places = (0..events.len()).collect();
        Err(Unpublished { places, why: "none is configured".to_owned() })
    }
}
