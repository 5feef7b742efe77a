use chrono::{DateTime, Utc};
use serde_json::Value;

use super::{Envelope, body};
use domain::{AccountId, Event};

/// What an endpoint is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The event's id.
    pub id: String,
    /// Its number.
    pub number: u64,
    /// Its name.
    pub name: String,
    /// The body, as it is sent.
    pub body: String,
}

impl Told {
    /// An event of an account.
    #[must_use]
    pub fn of(account: AccountId, event: &Event) -> Self {
        Self::new((event.id(account).to_string(), event.number), &event.name, event.at, &event.data)
    }

    /// Something of that id and number.
    #[must_use]
    pub fn new((id, number): (String, u64), name: &str, at: DateTime<Utc>, data: &Value) -> Self {
        let body = body(&Envelope { event: name, id: &id, sequence: number, timestamp: at, data });
        Self { id, number, name: name.to_owned(), body }
    }
}
