use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;
use unicode_normalization::UnicodeNormalization;

use crate::AccountId;

/// An identifier that does not read as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadId(&'static str);

impl BadId {
    pub(crate) const ACCOUNT: Self = Self("must be an organisation's id, # and live or test");
    pub(crate) const CLAIM: Self = Self("must be c#, o# or s# and an idempotency key");
    /// Moves packed into one text.
    pub const MOVES: Self = Self("must be lots, | and what each gave");
    pub(crate) const LOT: Self = Self("must be sub_ and a month, credit_ and 26 characters, or post_paid");

    /// The name of a plan or a package, if `text` can be one.
    pub(crate) fn name(text: String) -> Result<String, Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(text)
        } else {
            Err(Self("must be 1 to 64 characters of a-z 0-9 . _ -"))
        }
    }
}

/// The bits of a ULID that are not its time.
const RANDOM_BITS: u32 = 80;

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Ulid);

        impl $name {
            /// The id of something made at `at`; `random` tells it from others of the same
            /// millisecond, and only its lowest 80 bits count.
            #[must_use]
            pub fn new(at: DateTime<Utc>, random: u128) -> Self {
                Self(Ulid::from_parts(u64::try_from(at.timestamp_millis()).unwrap_or(0), random))
            }

            /// When it was made, to the millisecond.
            #[must_use]
            pub fn time(self) -> DateTime<Utc> {
                i64::try_from(self.0.timestamp_ms()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
            }

            /// Its 26 characters without the prefix. They sort as the ids do: by time.
            #[must_use]
            pub fn bare(self) -> String {
                self.0.to_string()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!($prefix, "{}"), self.0)
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.to_string()
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                let bare = text.strip_prefix($prefix).and_then(|bare| Ulid::from_string(bare).ok());
                // One id, one spelling: what decodes but would be written otherwise is refused.
                let id = bare.map(Self).filter(|id| id.to_string() == text);
                id.ok_or(BadId(concat!("must be ", $prefix, " and 26 characters")))
            }
        }
    };
}

ulid_id!(
    /// An organisation. It tells the time it was opened.
    OrgId, "org_"
);
ulid_id!(
    /// One attempt to post, and the transaction that it becomes when it lands.
    EntryId, "txn_"
);
ulid_id!(
    /// An API key's public name. The key itself is never stored.
    KeyId, "key_"
);

ulid_id!(
    /// A monitor. It tells the time it was made.
    MonitorId, "mon_"
);
ulid_id!(
    /// A hold. It tells the time it was made.
    HoldId, "hold_"
);
ulid_id!(
    /// An event. It tells the time of what happened.
    EventId, "evt_"
);
ulid_id!(
    /// Names a webhook for callers, `wh_…`.
    WebhookId, "wh_"
);
ulid_id!(
    /// Names a delivery of an event to a webhook, `del_…`.
    DeliveryId, "del_"
);

impl From<EntryId> for MonitorId {
    /// The monitor that a claim makes carries the claim's id.
    fn from(id: EntryId) -> Self {
        Self(id.0)
    }
}

impl From<EntryId> for WebhookId {
    /// A webhook carries an id as an entry made at its time would.
    fn from(id: EntryId) -> Self {
        Self(id.0)
    }
}

impl From<EntryId> for HoldId {
    /// A hold carries the id of the entry that set its credits aside.
    fn from(id: EntryId) -> Self {
        Self(id.0)
    }
}

impl From<HoldId> for EntryId {
    /// The entry that has set a hold's credits aside.
    fn from(id: HoldId) -> Self {
        Self(id.0)
    }
}

impl From<MonitorId> for EntryId {
    /// The claim that has made a monitor.
    fn from(id: MonitorId) -> Self {
        Self(id.0)
    }
}

impl EventId {
    /// The id of the event with that number of an account. It is made from the two, so it is the same
    /// whoever makes it.
    #[must_use]
    pub fn of(account: AccountId, number: u64, at: DateTime<Utc>) -> Self {
        Self(EntryId::derived(at, digest(&format!("event {number} for {account}"))).0)
    }
}

/// The first 16 bytes of a digest: what is not time in an id that is derived.
pub(crate) fn digest(what: &str) -> [u8; 16] {
    let mut bits = [0u8; 16];
    bits.iter_mut().zip(Sha256::digest(what)).for_each(|(bit, byte)| *bit = byte);
    bits
}

impl From<EntryId> for OrgId {
    /// The organisation that a claim opens carries the claim's id.
    fn from(id: EntryId) -> Self {
        Self(id.0)
    }
}

impl From<EntryId> for KeyId {
    /// The key that a claim issues carries the claim's id.
    fn from(id: EntryId) -> Self {
        Self(id.0)
    }
}

impl EntryId {
    /// Below every other id.
    pub const FIRST: Self = Self(Ulid::nil());

    /// The smallest id of a millisecond: where the entries of that time begin.
    #[must_use]
    pub fn first_at(at: DateTime<Utc>) -> Self {
        Self::new(at, 0)
    }

    /// The id right before it.
    #[must_use]
    pub fn before(self) -> Self {
        Self(Ulid(self.0.0.saturating_sub(1)))
    }

    /// The id right after it.
    #[must_use]
    pub fn next(self) -> Self {
        self.after(1)
    }

    /// The id that many places after it: the lines of a batch have ids one after the other.
    #[must_use]
    pub fn after(self, places: u64) -> Self {
        Self(Ulid(self.0.0.saturating_add(places.into())))
    }

    /// An id above `floor` for something made at `at`: the time is `at` unless `floor` is later.
    #[must_use]
    pub fn above(floor: Self, at: DateTime<Utc>, random: u128) -> Self {
        let wanted = Self::new(at, random);
        if wanted > floor {
            return wanted;
        }
        // A step of at most 2^64 keeps the id close to the floor and still tells rivals apart.
        let step = (random & u128::from(u64::MAX)).saturating_add(1);
        Self(Ulid(floor.0.0.saturating_add(step)))
    }

    /// The id that has `bits` for what is not its time: for entries whose id is derived.
    #[must_use]
    pub fn derived(at: DateTime<Utc>, bits: [u8; 16]) -> Self {
        Self::new(at, u128::from_be_bytes(bits) >> (u128::BITS.saturating_sub(RANDOM_BITS)))
    }

    /// How long one is where it stands as bytes.
    pub const BYTES: usize = 16;

    /// Its 16 bytes.
    #[must_use]
    pub fn bytes(self) -> [u8; Self::BYTES] {
        self.0.0.to_be_bytes()
    }

    /// The id of these 16 bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(Ulid(u128::from_be_bytes(bytes)))
    }

    /// Reads the 26 characters that [`EntryId::bare`] writes.
    #[must_use]
    pub fn from_bare(text: &str) -> Option<Self> {
        Ulid::from_string(text).ok().map(Self).filter(|id| id.bare() == text)
    }
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $fits:expr, $rule:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl TryFrom<String> for $name {
            type Error = BadId;

            fn try_from(text: String) -> Result<Self, BadId> {
                let fits: fn(&str) -> bool = $fits;
                if fits(&text) { Ok(Self(text)) } else { Err(BadId($rule)) }
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl $name {
            /// The text as it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// The caller's own name for one intent, so that a retry is recognised: 1 to 255 visible ASCII
    /// characters, as in Stripe's `Idempotency-Key`.
    IdempotencyKey,
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()),
    "must be 1 to 255 visible ASCII characters, without spaces"
);
impl IdempotencyKey {
    /// That of an attempt that is only thought of.
    pub(crate) fn imagined() -> Self {
        Self("imagined".to_owned())
    }
}

text_id!(
    /// A name that the caller gives to something of their own (a resource, a customer, a member):
    /// 1 to 255 characters without control characters.
    Reference,
    |text| (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "must be 1 to 255 characters without control characters"
);

impl Reference {
    /// The text in Unicode's normal form C, to compare names by: a letter with its accent is one name, however the
    /// caller's system composes it.
    #[must_use]
    pub fn composed(&self) -> String {
        self.0.nfc().collect()
    }

    /// The text in Unicode's normal form D, as some systems send it.
    #[must_use]
    pub fn decomposed(&self) -> String {
        self.0.nfd().collect()
    }
}

text_id!(
    /// The name of an operation: `verification.standard`, `credit.grant`.
    Operation,
    |text| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._".contains(&byte))
    },
    "must be 1 to 64 characters of a-z 0-9 . _"
);

impl Operation {
    /// How the names of the ledger's own operations begin.
    const OWN: [&'static str; 3] = ["account.", "credit.", "ledger."];

    /// Whether it is one of the ledger's own, which has no price.
    #[must_use]
    pub fn is_own(&self) -> bool {
        Self::OWN.iter().any(|start| self.0.starts_with(start))
    }

    /// The name of one of the ledger's own operations.
    pub(crate) fn own(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

/// A digest of what was asked: method, path and the JSON value of the body. Two requests under one
/// idempotency key must share it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint(pub String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = EntryId::new("2024-01-15T10:30:00Z".parse().unwrap(), 7);
        assert_eq!(EntryId::try_from(id.to_string()), Ok(id));
        assert_eq!(id.time(), "2024-01-15T10:30:00Z".parse::<DateTime<Utc>>().unwrap());
        for wrong in
            [id.bare(), id.to_string().to_lowercase(), format!("org_{}", id.bare()), format!("{id}0")]
        {
            assert!(EntryId::try_from(wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_id_above_a_floor_is_above_it_whatever_the_clock_says() {
        let floor = EntryId::new("2026-01-01T00:05:00Z".parse().unwrap(), u128::MAX);
        for at in ["2026-01-01T00:00:00Z", "2026-01-01T00:05:00Z", "2026-01-01T00:06:00Z"] {
            for random in [0, 1, u128::MAX] {
                assert!(EntryId::above(floor, at.parse().unwrap(), random) > floor, "{at} {random}");
            }
        }
    }

    #[test]
    fn names_are_checked_once_at_the_door() {
        let key = |text: &str| IdempotencyKey::try_from(text.to_owned()).is_ok();
        assert!(key("a") && key(&"k".repeat(255)) && key("9f1c-~!"));
        assert!(!key("") && !key(&"k".repeat(256)) && !key("a b") && !key("a\u{e9}") && !key("a\n"));
        let name = |text: &str| Reference::try_from(text.to_owned()).is_ok();
        assert!(name("verif_xyz789") && name("\u{e9}\u{1f980} x") && name(&"\u{e9}".repeat(255)));
        assert!(!name("") && !name("a\0b") && !name("a\nb") && !name(&"\u{e9}".repeat(256)));
    }
}
