//! The details of a transaction: everything but the credits that it moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use chrono::{DateTime, Utc};
use serde::de::{DeserializeSeed, Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    BatchItem, BatchPosition, BudgetId, Drawn, EntryId, KeyId, MemberId, Money, MonitorId, Operation,
    PackageId, PaymentId, PriceCategory, Quantity, Rate, Reference, Service,
};

/// The details of a transaction: everything but the credits that it moved. They are kept in the claim, so that
/// a retry after a crash writes the same line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    /// The number of times that the operation was charged; absent for an operation without a price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<Quantity>,
    /// The version of the operation's price.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_version: Option<u32>,
    /// The caller's id of the resource that was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_id: Option<Reference>,
    /// The caller's id of the customer for whom it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Reference>,
    /// The caller's id of the staff member who did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<Reference>,
    /// The service that was used, or that a grant is restricted to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// When a grant expires.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<DateTime<Utc>>,
    /// The payment, for a purchase.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paid: Option<PaymentDetails>,
    /// The operation that the credits were held or captured for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub purpose: Option<Operation>,
    /// The time until which the caller can report that the operation failed and have it refunded at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settle_by: Option<DateTime<Utc>>,
    /// The drawdown from another transaction: a refund, a capture, a release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
    /// The items of a batch, as requested; only in the batch's claim.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub items: Vec<BatchItem>,
    /// Its position in a batch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchPosition>,
    /// The deduplicated request, as the id of its attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<EntryId>,
    /// The ordinal of this charge among those with the same dedupe key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nth: Option<u64>,
    /// The monitor whose month was charged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<MonitorId>,
    /// The budgets that count it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<BudgetId>,
    /// The category of the operation in the price list, for the decision which budgets count it. It is not stored.
    #[serde(skip)]
    pub category: Option<PriceCategory>,
    /// A free text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<Reference>,
    /// The caller's own key and value pairs.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The API key of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The operator's key, for an operator's request (seed: `superAdmin`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub super_admin: Option<KeyId>,
    /// The member whose session has made the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<MemberId>,
    /// The id of the first request, for the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Details {
    /// The budgets that count it, or one of its items.
    #[must_use]
    pub fn all_budgets(&self) -> BTreeSet<BudgetId> {
        let items = self.items.iter().flat_map(|item| &item.details.budgets);
        self.budgets.iter().chain(items).copied().collect()
    }

    /// The details of a batch item: its own, and those of the request for the batch.
    pub(crate) fn of_batch(self, batch: &Self, place: BatchPosition) -> Self {
        Self {
            batch: Some(place),
            key_id: batch.key_id,
            super_admin: batch.super_admin,
            requested_by: batch.requested_by,
            request_id: batch.request_id.clone(),
            ..self
        }
    }
}

/// The payment of a purchase.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PaymentDetails {
    /// The purchase's transaction id, which callers know before the entry is written.
    pub transaction: EntryId,
    /// The payment provider's id of the payment method (seed: `paymentMethod`).
    pub method: Reference,
    /// The price (seed: `currency`).
    pub price: Money,
    /// The exchange rate from that currency into the organisation's own (seed: `exchangeRate`).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub rate: Option<Rate>,
    /// The package, if one was bought.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub package: Option<PackageId>,
    /// The provider's id of the payment.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub payment: Option<PaymentId>,
    /// The provider's receipt or invoice.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub receipt: Option<String>,
}

/// The caller's metadata on a transaction: at most [`Metadata::KEYS_MAX`] key and value pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(into = "BTreeMap<String, String>")]
pub struct Metadata(BTreeMap<String, String>);

/// The metadata exceeds a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMetadata {
    /// A key is too long or contains control characters.
    #[error(
        "is a key that must have 1 to {} characters, without control characters",
        Metadata::KEY_CHARS_MAX
    )]
    Key,
    /// A value is too long or contains control characters.
    #[error(
        "must be at most {} characters, without control characters other than line breaks and tabs",
        Metadata::VALUE_CHARS_MAX
    )]
    Value,
    /// A key occurs twice.
    #[error("must be sent once")]
    Twice,
    /// There are too many keys, or too many bytes in all.
    #[error(
        "must be at most {} keys, and {} bytes of keys and values in all",
        Metadata::KEYS_MAX,
        Metadata::BYTES_MAX
    )]
    Whole,
}

impl Metadata {
    /// The maximum number of pairs.
    pub const KEYS_MAX: usize = 20;
    /// The maximum length of a key, in characters.
    pub const KEY_CHARS_MAX: usize = 40;
    /// The maximum length of a value, in characters.
    pub const VALUE_CHARS_MAX: usize = 500;
    /// The maximum length of all keys and values together, in bytes, so that a row stays a few kilobytes.
    pub const BYTES_MAX: usize = 2048;

    /// Whether there are no pairs.
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

/// Checks the limits of one pair. Values may have several lines.
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

/// Deserialises pair by pair, so that an error has the path of its own pair, `metadata.<key>`.
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

/// The value of a pair.
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
