//! Ids and names, with their formats.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use ulid::Ulid;
use unicode_normalization::UnicodeNormalization;

use crate::AccountId;

/// The text is not a valid id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadId(&'static str);

impl BadId {
    pub(crate) const ACCOUNT: Self = Self("must be an organisation's id, # and live or test");
    pub(crate) const CLAIM: Self = Self("must be c#, o# or s# and an idempotency key");
    /// The error for moves that were packed into one string.
    pub const MOVES: Self = Self("must be lots, | and what each gave");
    pub(crate) const LOT: Self = Self("must be sub_ and a month, credit_ and 26 characters, or post_paid");

    /// Checks that `text` can name a plan or a package.
    pub(crate) fn name(text: String) -> Result<String, Self> {
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if (1..=64).contains(&text.len()) && text.bytes().all(fits) {
            Ok(text)
        } else {
            Err(Self("must be 1 to 64 characters of a-z 0-9 . _ -"))
        }
    }
}

/// The number of random bits of an id. The four bits above them are the row shard of an entry's id, and zero in others.
pub(super) const RANDOM_BITS: u32 = 76;

/// The random part of an id.
pub(super) fn random_part(random: u128) -> u128 {
    random & u128::MAX.unbounded_shr(u128::BITS.saturating_sub(RANDOM_BITS))
}

macro_rules! ulid_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(pub(super) Ulid);

        impl $name {
            /// The id of something created at `at`. `random` distinguishes ids of the same millisecond; only
            /// its lowest 76 bits count.
            #[must_use]
            pub fn new(at: DateTime<Utc>, random: u128) -> Self {
                let random = random_part(random);
                Self(Ulid::from_parts(u64::try_from(at.timestamp_millis()).unwrap_or(0), random))
            }

            /// The creation time, to the millisecond.
            #[must_use]
            pub fn time(self) -> DateTime<Utc> {
                i64::try_from(self.0.timestamp_ms()).ok().and_then(DateTime::from_timestamp_millis).unwrap_or_default()
            }

            /// Its 26 characters without the prefix. They sort by time, as the ids do.
            #[must_use]
            pub fn bare(self) -> String {
                self.0.to_string()
            }

            /// The length of an id in bytes.
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
                // Each id has exactly one spelling: text that decodes to an id but is spelt differently is refused.
                let id = bare.map(Self).filter(|id| id.to_string() == text);
                id.ok_or(BadId(concat!("must be ", $prefix, " and 26 characters")))
            }
        }
    };
}

ulid_id!(
    /// The id of an organisation. It contains the time when the organisation was created.
    OrgId, "org_"
);
ulid_id!(
    /// The id of an attempt to post, and of the transaction that it becomes when it is written.
    EntryId, "txn_"
);
ulid_id!(
    /// The public id of an API key. The key itself is never stored.
    KeyId, "key_"
);

ulid_id!(
    /// The id of a member of an organisation.
    MemberId, "mem_"
);
ulid_id!(
    /// The id of a session, and of the link with which it begins. It contains the time when either was made.
    SessionId, "ses_"
);
ulid_id!(
    /// The id of an invitation. It contains the time when the invitation was made.
    InvitationId, "inv_"
);
ulid_id!(
    /// The id of a credit record: that of its transaction, or of a purchase that is not in the ledger.
    CreditId, "credit_"
);
ulid_id!(
    /// The id of a monitor. It contains the creation time.
    MonitorId, "mon_"
);
ulid_id!(
    /// The id of a hold. It contains the creation time.
    HoldId, "hold_"
);
ulid_id!(
    /// The id of an event. It contains the time of the event.
    EventId, "evt_"
);
ulid_id!(
    /// The id of a webhook, `wh_…`.
    WebhookId, "wh_"
);
ulid_id!(
    /// The id of a delivery of an event to a webhook, `del_…`.
    DeliveryId, "del_"
);

ulid_id!(
    /// The id of an export, `exp_…`. It contains the time when it was asked for.
    ExportId, "exp_"
);

ulid_id!(
    /// The id of a budget, `budget_…`. It contains the creation time.
    BudgetId, "budget_"
);
ulid_id!(
    /// The id of a team, `team_…`. It contains the creation time.
    TeamId, "team_"
);
ulid_id!(
    /// The id of a request for a larger budget, `breq_…`. It contains the time when it was made.
    BudgetRequestId, "breq_"
);

macro_rules! same_id {
    ($($from:ident => $into:ident, $doc:literal;)*) => {
        $(impl From<$from> for $into {
            #[doc = $doc]
            fn from(id: $from) -> Self {
                Self(id.0)
            }
        })*
    };
}

// What is created has the id of the claim or the entry that has created it.
same_id! {
    EntryId => BudgetId, "A budget has the id of the claim that created it.";
    EntryId => TeamId, "A team has the id of the claim that created it.";
    EntryId => BudgetRequestId, "A request has the id of its claim.";
    EntryId => ExportId, "An export has the id of the claim of its request.";
    EntryId => MonitorId, "A monitor has the id of the claim that created it.";
    EntryId => WebhookId, "A webhook's id has the format of an entry's id created at the same time.";
    EntryId => HoldId, "A hold has the id of the entry that set its credits aside.";
    EntryId => CreditId, "A record has the id of its transaction; so has the lot that it grants.";
    EntryId => OrgId, "An organisation has the id of the claim that created it.";
    EntryId => KeyId, "An API key has the id of the claim that issued it.";
    EntryId => InvitationId, "An invitation has the id of the request that made it.";
    InvitationId => MemberId, "A member has the id of the invitation that they accepted, so an invitation makes one member.";
    MemberId => InvitationId, "The invitation that a member accepted.";
    ExportId => EntryId, "The claim of the export's request.";
    CreditId => EntryId, "The transaction of a record.";
    HoldId => EntryId, "The entry that set the hold's credits aside.";
    MonitorId => EntryId, "The claim that created the monitor.";
}

impl EventId {
    /// The id of an account's event with this number. It is derived from both, so repeated attempts produce the
    /// same id.
    #[must_use]
    pub fn of(account: AccountId, number: u64, at: DateTime<Utc>) -> Self {
        Self(EntryId::derived(at, digest(&format!("event {number} for {account}"))).0)
    }
}

/// The first 16 bytes of a SHA-256 digest, used as the random part of a derived id.
pub(crate) fn digest(what: &str) -> [u8; 16] {
    let mut bits = [0u8; 16];
    bits.iter_mut().zip(Sha256::digest(what)).for_each(|(bit, byte)| *bit = byte);
    bits
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
    /// The caller's key for one request, by which a retry is recognised: 1 to 255 visible ASCII characters, as
    /// in Stripe's `Idempotency-Key`.
    IdempotencyKey,
    |text| (1..=255).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()),
    "must be 1 to 255 visible ASCII characters, without spaces"
);
impl IdempotencyKey {
    /// A placeholder key for a dry run.
    pub(crate) fn imagined() -> Self {
        Self("imagined".to_owned())
    }
}

text_id!(
    /// A caller-defined name (a resource, a customer, a member): 1 to 255 characters without control
    /// characters.
    Reference,
    |text| (1..=255).contains(&text.chars().count()) && !text.chars().any(char::is_control),
    "must be 1 to 255 characters without control characters"
);

/// A member as the `memberId` of transactions.
impl From<MemberId> for Reference {
    fn from(member: MemberId) -> Self {
        Self(member.to_string())
    }
}

impl Reference {
    /// The text in Unicode normal form C. Names are compared in this form, so that precomposed and combining
    /// characters are equal.
    #[must_use]
    pub fn composed(&self) -> String {
        self.0.nfc().collect()
    }

    /// The text in Unicode normal form D, as some systems send it.
    #[must_use]
    pub fn decomposed(&self) -> String {
        self.0.nfd().collect()
    }
}

text_id!(
    /// An email address, as it was given: 3 to 254 visible characters with one `@` that is neither first nor last, and none of
    /// those that join several addresses or a name and an address.
    Email,
    |text| {
        let parts: Vec<_> = text.split('@').collect();
        let is_plain = |letter: char| {
            !letter.is_whitespace() && !letter.is_control() && !r#"<>()[]\,;:""#.contains(letter)
        };
        (3..=254).contains(&text.len()) && parts.len() == 2 && parts.iter().all(|part| !part.is_empty() && part.chars().all(is_plain))
    },
    "must be an email address, such as jo@example.com, of at most 254 bytes"
);

impl Email {
    /// The hash of the address in lower case, by which it is found: an address that differs only in case, or in how its
    /// accents are composed, is the same.
    #[must_use]
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.0.to_lowercase().nfc().collect::<String>()))
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
    /// The prefixes of the ledger's own operations.
    const OWN: [&'static str; 3] = ["account.", "credit.", "ledger."];

    /// Whether it is one of the ledger's own operations, which have no price.
    #[must_use]
    pub fn is_own(&self) -> bool {
        Self::OWN.iter().any(|start| self.0.starts_with(start))
    }

    /// An operation of the ledger itself.
    pub(crate) fn own(name: &'static str) -> Self {
        Self(name.to_owned())
    }
}

/// A digest of a request: method, path and the JSON value of the body. Requests with the same idempotency key
/// must have the same fingerprint.
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
    fn names_are_validated_when_parsed() {
        let key = |text: &str| IdempotencyKey::try_from(text.to_owned()).is_ok();
        assert!(key("a") && key(&"k".repeat(255)) && key("9f1c-~!"));
        assert!(!key("") && !key(&"k".repeat(256)) && !key("a b") && !key("a\u{e9}") && !key("a\n"));
        let name = |text: &str| Reference::try_from(text.to_owned()).is_ok();
        assert!(name("verif_xyz789") && name("\u{e9}\u{1f980} x") && name(&"\u{e9}".repeat(255)));
        assert!(!name("") && !name("a\0b") && !name("a\nb") && !name(&"\u{e9}".repeat(256)));
    }
}
