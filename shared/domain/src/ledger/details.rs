use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    Drawn, EntryId, Item, KeyId, Money, MonitorId, Operation, PackageId, PaymentId, Place, Quantity, Rate,
    Reference, Service,
};

/// What a transaction says beyond the credits it moved. Kept in the claim, so that whoever records
/// the transaction after a crash writes the same line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// How many times the operation was charged; absent for what is not a priced operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// Which version of the operation's price was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_version: Option<u32>,
    /// What was checked, by the caller's name for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<Reference>,
    /// The caller's customer on whose behalf it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Reference>,
    /// The caller's member of staff who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<Reference>,
    /// The service that was used, or that a grant is set aside for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// When a grant expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// What was paid for it, where credits were bought.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<Paid>,
    /// What credits were set aside for, or captured for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Operation>,
    /// Until when whoever was charged may report that it has failed, and has it refunded at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_by: Option<DateTime<Utc>>,
    /// What was drawn from another transaction: a refund, a capture, a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// The items of a batch, as they were asked for; in the batch's claim alone.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<Item>,
    /// Which item of which batch it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<Place>,
    /// The request that was not to be charged twice for the same, by its attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<EntryId>,
    /// The how manieth charge for the same that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// The monitor whose month was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorId>,
    /// In words, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Reference>,
    /// The caller's own key and value pairs.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The API key that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The operator's key, where an operator asked (seed: `superAdmin`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub super_admin: Option<KeyId>,
    /// The request that was answered first, for the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Details {
    /// What an item of a batch says: its own, and who asked for the batch.
    pub(crate) fn of_batch(self, batch: &Self, place: Place) -> Self {
        Self {
            batch: Some(place),
            key_id: batch.key_id,
            super_admin: batch.super_admin,
            request_id: batch.request_id.clone(),
            ..self
        }
    }
}

/// The payment behind credits that were bought.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    /// The purchase: the transaction's name for callers, who had it before the entry was made.
    pub transaction: EntryId,
    /// The payment method, by the provider's name (seed: `paymentMethod`).
    pub method: Reference,
    /// How much (seed: `currency`).
    pub price: Money,
    /// What one unit of that currency was worth in the organisation's own (seed: `exchangeRate`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rate: Option<Rate>,
    /// The package, where a whole one was bought.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub package: Option<PackageId>,
    /// The provider's name for the payment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payment: Option<PaymentId>,
    /// The provider's receipt or invoice.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<String>,
}

/// The caller's own notes on a transaction: at most [`Metadata::KEYS_MAX`] pairs of text.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "BTreeMap<String, String>")]
pub struct Metadata(BTreeMap<String, String>);

/// Metadata past one of its limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// A key.
    #[error(
        "is a key that must have 1 to {} characters, without control characters",
        Metadata::KEY_CHARS_MAX
    )]
    Key,
    /// A value.
    #[error(
        "must be at most {} characters, without control characters other than line breaks and tabs",
        Metadata::VALUE_CHARS_MAX
    )]
    Value,
    /// A key that stands there twice.
    #[error("must be sent once")]
    Twice,
    /// All of it.
    #[error(
        "must be at most {} keys, and {} bytes of keys and values in all",
        Metadata::KEYS_MAX,
        Metadata::BYTES_MAX
    )]
    Whole,
}

impl Metadata {
    /// Pairs at most.
    pub const KEYS_MAX: usize = 20;
    /// Characters a key at most.
    pub const KEY_CHARS_MAX: usize = 40;
    /// Characters a value at most.
    pub const VALUE_CHARS_MAX: usize = 500;
    /// Bytes of all keys and values together at most, so that a row stays a few kilobytes.
    pub const BYTES_MAX: usize = 2048;

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The pairs, by key.
    #[must_use]
    pub fn pairs(&self) -> &BTreeMap<String, String> {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, String>> for Metadata {
    type Error = BadMetadata;

    fn try_from(pairs: BTreeMap<String, String>) -> Result<Self, BadMetadata> {
        let mut bytes = 0usize;
        for (key, value) in &pairs {
            fits(key, value)?;
            bytes = bytes.saturating_add(key.len()).saturating_add(value.len());
        }
        if pairs.len() <= Self::KEYS_MAX && bytes <= Self::BYTES_MAX {
            Ok(Self(pairs))
        } else {
            Err(BadMetadata::Whole)
        }
    }
}

/// Whether a pair keeps within its limits. Values may be of several lines.
fn fits(key: &str, value: &str) -> Result<(), BadMetadata> {
    let is_line = |letter: char| matches!(letter, '\n' | '\r' | '\t');
    if !(1..=Metadata::KEY_CHARS_MAX).contains(&key.chars().count()) || key.chars().any(char::is_control) {
        return Err(BadMetadata::Key);
    }
    let is_text = value.chars().all(|letter| !letter.is_control() || is_line(letter));
    if is_text && value.chars().count() <= Metadata::VALUE_CHARS_MAX {
        Ok(())
    } else {
        Err(BadMetadata::Value)
    }
}

/// Reads pair by pair, so that what is wrong with one is told at its own path, `metadata.<key>`.
impl<'de> Deserialize<'de> for Metadata {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        input.deserialize_map(Pairs)
    }
}

struct Pairs;

impl<'de> Visitor<'de> for Pairs {
    type Value = Metadata;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a map")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Metadata, A::Error> {
        let mut pairs = BTreeMap::new();
        while let Some(key) = map.next_key::<String>()? {
            let value = map.next_value_seed(ValueOf { key: &key, is_known: pairs.contains_key(&key) })?;
            pairs.insert(key, value);
        }
        Metadata::try_from(pairs).map_err(A::Error::custom)
    }
}

/// The value of a key.
struct ValueOf<'a> {
    key: &'a str,
    is_known: bool,
}

impl<'de> DeserializeSeed<'de> for ValueOf<'_> {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, input: D) -> Result<String, D::Error> {
        let value = String::deserialize(input)?;
        if self.is_known {
            return Err(D::Error::custom(BadMetadata::Twice));
        }
        fits(self.key, &value).map_err(D::Error::custom)?;
        Ok(value)
    }
}

impl From<Metadata> for BTreeMap<String, String> {
    fn from(metadata: Metadata) -> Self {
        metadata.0
    }
}
