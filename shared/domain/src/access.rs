//! API keys, their scopes, and who calls with them.

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{AccountId, KeyId, Mode, Plan};

/// A permission of an API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Scope {
    /// Read the balance, lists and everything else.
    #[serde(rename = "credits:read")]
    CreditsRead,
    /// Spend credits.
    #[serde(rename = "credits:consume")]
    CreditsConsume,
    /// Buy credits.
    #[serde(rename = "credits:purchase")]
    CreditsPurchase,
    /// Refund credits.
    #[serde(rename = "credits:refund")]
    CreditsRefund,
    /// Change settings, webhooks and the subscription.
    #[serde(rename = "settings:write")]
    SettingsWrite,
    /// Manage members and keys.
    #[serde(rename = "team:write")]
    TeamWrite,
    /// Use the API on every plan, with or without API access.
    #[serde(rename = "dashboard")]
    Dashboard,
}

/// An API key as stored: everything but the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ApiKey {
    /// Its public id.
    pub key_id: KeyId,
    /// Its organisation; `None` for an operator's key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub org: Option<crate::OrgId>,
    /// The mode of its ledger.
    pub mode: Mode,
    /// Its scopes. An operator's key has none: it may do everything that operators may.
    pub scopes: BTreeSet<Scope>,
    /// The last four characters, by which people recognise it.
    pub last4: String,
    /// The time when it was issued.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub created_at: DateTime<Utc>,
    /// The time from which it is refused.
    #[serde(with = "chrono::serde::ts_seconds_option", default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<DateTime<Utc>>,
    /// A free text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<crate::Reference>,
}

/// The authenticated caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Principal {
    /// An organisation.
    Organisation {
        /// The key's ledger.
        account: AccountId,
        /// The key.
        key: KeyId,
        /// Its scopes.
        scopes: BTreeSet<Scope>,
    },
    /// The operator of the service.
    Operator {
        /// The key.
        key: KeyId,
    },
}

/// The reason why a key is refused. The variants are in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It was revoked.
    #[error("this API key was revoked; ask an operator for another")]
    Revoked,
    /// The organisation's plan has no API access.
    #[error(
        "the organisation's plan has no API access; change to a plan that has it, or use a key with the `dashboard` scope"
    )]
    NoApiAccess,
    /// The route is for the other kind of caller.
    #[error("{0}")]
    WrongSide(&'static str),
    /// The key lacks a scope.
    #[error("this API key lacks the scope `{}`; use a key that has it", .0.as_str())]
    Lacks(Scope),
}

impl ApiKey {
    /// Authenticates a request with this key at `now`; `plan` is that of its organisation.
    ///
    /// # Errors
    /// [`Denial::Revoked`], then [`Denial::NoApiAccess`].
    pub fn admit(&self, plan: Option<&Plan>, now: DateTime<Utc>) -> Result<Principal, Denial> {
        if self.revoked_at.is_some_and(|end| end <= now) {
            return Err(Denial::Revoked);
        }
        let Some(org) = self.org else { return Ok(Principal::Operator { key: self.key_id }) };
        let api_access = plan.is_some_and(|plan| plan.api_access);
        if !api_access && !self.scopes.contains(&Scope::Dashboard) {
            return Err(Denial::NoApiAccess);
        }
        let account = AccountId { org, mode: self.mode };
        Ok(Principal::Organisation { account, key: self.key_id, scopes: self.scopes.clone() })
    }
}

/// An API key in plain text: a prefix of eight characters, 34 random ones and a checksum of six, so that a
/// typing error is recognised without the database. Shown once, never stored, never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct ApiKeySecret(String);

impl ApiKeySecret {
    const PREFIXES: [&str; 3] = ["sk_live_", "sk_test_", "ok_live_"];
    const RANDOM_CHARS: usize = 34;
    const CHECKSUM_CHARS: usize = 6;
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

    /// A key of an organisation, from 34 random bytes.
    #[must_use]
    pub fn for_organisation(mode: Mode, bytes: [u8; Self::RANDOM_CHARS]) -> Self {
        match mode {
            Mode::Live => Self::new("sk_live_", bytes),
            Mode::Test => Self::new("sk_test_", bytes),
        }
    }

    /// A key of an operator.
    #[must_use]
    pub fn for_operator(bytes: [u8; Self::RANDOM_CHARS]) -> Self {
        Self::new("ok_live_", bytes)
    }

    fn new(prefix: &str, bytes: [u8; Self::RANDOM_CHARS]) -> Self {
        // 256 is not a multiple of 62: the slight bias costs less than one of about 200 bits.
        let body: String = bytes.into_iter().map(|byte| Self::digit(u32::from(byte))).collect();
        let start = format!("{prefix}{body}");
        let checksum = Self::checksum(&start);
        Self(start + &checksum)
    }

    /// Parses a key; `None` when it cannot be valid.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let ours = Self::PREFIXES.iter().any(|prefix| text.starts_with(prefix)) && text.is_ascii();
        let (start, checksum) = text.split_at_checked(text.len().checked_sub(Self::CHECKSUM_CHARS)?)?;
        let body = start.len().checked_sub(8)?;
        (ours && body == Self::RANDOM_CHARS && Self::checksum(start) == checksum)
            .then(|| Self(text.to_owned()))
    }

    /// The hash that is stored: SHA-256. A key has some 200 random bits, so it needs no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.as_bytes()))
    }

    /// The last four characters.
    #[must_use]
    pub fn last4(&self) -> String {
        self.0.chars().skip(self.0.len().saturating_sub(4)).collect()
    }

    /// The key in plain text, to be shown once.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    fn checksum(start: &str) -> String {
        let mut rest = crc32fast::hash(start.as_bytes());
        let mut digits = ['0'; Self::CHECKSUM_CHARS];
        for digit in digits.iter_mut().rev() {
            *digit = Self::digit(rest);
            rest /= 62;
        }
        digits.iter().collect()
    }

    fn digit(value: u32) -> char {
        let place = usize::try_from(value % 62).unwrap_or(0);
        Self::ALPHABET.get(place).map_or('0', |byte| char::from(*byte))
    }
}

impl fmt::Debug for ApiKeySecret {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Secret(…{})", self.last4())
    }
}

impl Scope {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreditsRead => "credits:read",
            Self::CreditsConsume => "credits:consume",
            Self::CreditsPurchase => "credits:purchase",
            Self::CreditsRefund => "credits:refund",
            Self::SettingsWrite => "settings:write",
            Self::TeamWrite => "team:write",
            Self::Dashboard => "dashboard",
        }
    }

    /// Every scope.
    pub const ALL: [Self; 7] = [
        Self::CreditsRead,
        Self::CreditsConsume,
        Self::CreditsPurchase,
        Self::CreditsRefund,
        Self::SettingsWrite,
        Self::TeamWrite,
        Self::Dashboard,
    ];

    /// The scopes of a key that is created without any: read and spend. Keys that buy, refund or change
    /// settings must be created with these scopes.
    #[must_use]
    pub fn default_scopes() -> BTreeSet<Self> {
        [Self::CreditsRead, Self::CreditsConsume].into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_48_characters_and_is_parsed() {
        for key in [
            ApiKeySecret::for_organisation(Mode::Live, [7; 34]),
            ApiKeySecret::for_organisation(Mode::Test, [255; 34]),
            ApiKeySecret::for_operator([0; 34]),
        ] {
            assert_eq!(key.reveal().len(), 48);
            assert_eq!(ApiKeySecret::parse(key.reveal()), Some(key.clone()));
            assert!(!format!("{key:?}").contains(key.reveal()));
        }
    }

    #[test]
    fn one_wrong_character_is_recognised_without_the_database() {
        let key = ApiKeySecret::for_organisation(Mode::Live, [42; 34]);
        for place in 0..48 {
            let mut typed = key.reveal().to_owned();
            let other = if typed.as_bytes()[place] == b'x' { "y" } else { "x" };
            typed.replace_range(place..=place, other);
            assert_eq!(ApiKeySecret::parse(&typed), None, "{typed}");
        }
        for wrong in ["", "sk_live_", "\u{1f980}", &"sk_live_\u{e9}".repeat(5)] {
            assert_eq!(ApiKeySecret::parse(wrong), None);
        }
    }
}
