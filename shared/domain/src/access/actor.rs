//! Who acts for an organisation.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{BadId, KeyId, MemberId};

/// Who acts for an organisation: an API key, or a member who has signed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Actor {
    /// An API key, its own or an operator's.
    Key(KeyId),
    /// A member.
    Member(MemberId),
}

impl Actor {
    /// The key; `None` for a member.
    #[must_use]
    pub fn key(self) -> Option<KeyId> {
        match self {
            Self::Key(key) => Some(key),
            Self::Member(_) => None,
        }
    }

    /// The member; `None` for a key.
    #[must_use]
    pub fn member(self) -> Option<MemberId> {
        match self {
            Self::Key(_) => None,
            Self::Member(member) => Some(member),
        }
    }
}

impl fmt::Display for Actor {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(key) => key.fmt(out),
            Self::Member(member) => member.fmt(out),
        }
    }
}

impl From<Actor> for String {
    fn from(actor: Actor) -> Self {
        actor.to_string()
    }
}

impl TryFrom<String> for Actor {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        match MemberId::try_from(text.clone()) {
            Ok(member) => Ok(Self::Member(member)),
            Err(_) => KeyId::try_from(text).map(Self::Key),
        }
    }
}

impl From<KeyId> for Actor {
    fn from(key: KeyId) -> Self {
        Self::Key(key)
    }
}
