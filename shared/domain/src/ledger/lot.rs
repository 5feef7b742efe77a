//! Lots of credits: source, service, expiry.

use std::fmt;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{BadId, Credits, EntryId, Period};

/// The source of credits. The order of the variants is the order of consumption (seed: "Subscription →
/// Purchased → Bonus").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The monthly allowance of a subscription plan; it expires with the month.
    Subscription,
    /// Bought; they do not expire.
    Purchased,
    /// Promotional or loyalty credits.
    Bonus,
    /// Post-paid credits, settled by a later purchase (contract, rule 9).
    #[serde(rename = "postPaid")]
    PostPaid,
}

/// A service that a lot can be restricted to (seed: Verifik's credit types).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Service {
    /// Identity and document verification.
    Smartcheck,
    /// Secure access and authentication.
    Smartaccess,
    /// User enrolment and onboarding.
    Smartenroll,
    /// Direct API usage.
    Api,
    /// Biometric verification.
    Biometric,
}

/// The id of a lot: the subscription credits of a month, or those of one grant. A grant's lot has the id of its
/// transaction, so lots of one source sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LotId {
    /// `sub_2024-01`
    Subscription(Period),
    /// `credit_01HM…`, granted by `txn_01HM…`
    Granted(EntryId),
    /// `post_paid`: outstanding credits. Not a lot, but an account that credits move to and from.
    PostPaid,
    /// `unlimited_2024-01`: what an unlimited plan paid in a month. Not a lot: no balance was reduced, so a
    /// refund restores nothing but usage.
    Unlimited(Period),
    /// `disputed_01HM…`: credits set aside by the dispute that this transaction opened.
    Disputed(EntryId),
}

/// The terms of a lot: its service and its expiry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Terms {
    /// Pays only for debits of this service.
    #[serde(rename = "svc", default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The instant of expiry; the credits cannot be spent from then on.
    #[serde(
        rename = "exp",
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_seconds_option"
    )]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Credits that were granted together and have the same terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Purchased or bonus; subscription credits are in [`SubscriptionCredits`](crate::SubscriptionCredits).
    pub source: Source,
    /// The credits left.
    pub left: Credits,
    /// Pays only for debits of this service.
    pub service: Option<Service>,
    /// The instant of expiry, in whole seconds; the credits cannot be spent from then on.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Terms {
    /// Whether there are no restrictions: no service and no expiry.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Lot {
    /// Its terms.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { service: self.service, expires_at: self.expires_at }
    }

    /// Whether it holds purchased credits without a service and without an expiry. Only these settle
    /// outstanding credits.
    #[must_use]
    pub fn is_plain_purchase(&self) -> bool {
        self.source == Source::Purchased && self.terms().are_plain()
    }

    /// Whether a debit for `service` received at `now` can take from it.
    #[must_use]
    pub fn pays_for(&self, service: Option<Service>, now: DateTime<Utc>) -> bool {
        self.is_current(now) && (self.service.is_none() || self.service == service)
    }

    /// Whether it has not expired at `now`.
    #[must_use]
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether both lots have the same source and terms.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.source == other.source && self.service == other.service && self.expires_at == other.expires_at
    }
}

impl Source {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Subscription => "subscription",
            Self::Purchased => "purchased",
            Self::Bonus => "bonus",
            Self::PostPaid => "postPaid",
        }
    }
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 5] =
        [Self::Smartcheck, Self::Smartaccess, Self::Smartenroll, Self::Api, Self::Biometric];

    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Smartcheck => "smartcheck",
            Self::Smartaccess => "smartaccess",
            Self::Smartenroll => "smartenroll",
            Self::Api => "api",
            Self::Biometric => "biometric",
        }
    }
}

impl LotId {
    /// An id that sorts lots by their age: that of the grant, or the first id of the month.
    #[must_use]
    pub fn age(self) -> EntryId {
        match self {
            Self::Granted(id) | Self::Disputed(id) => id,
            Self::Subscription(month) | Self::Unlimited(month) => EntryId::first_at(month.start()),
            Self::PostPaid => EntryId::FIRST,
        }
    }

    /// Whether its credits are part of the balance: subscription and granted credits.
    #[must_use]
    pub fn is_counted(self) -> bool {
        match self {
            Self::Subscription(_) | Self::Granted(_) => true,
            Self::PostPaid | Self::Unlimited(_) | Self::Disputed(_) => false,
        }
    }
}

impl fmt::Display for LotId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription(period) => write!(out, "sub_{period}"),
            Self::Granted(entry) => write!(out, "credit_{}", entry.bare()),
            Self::PostPaid => write!(out, "post_paid"),
            Self::Unlimited(period) => write!(out, "unlimited_{period}"),
            Self::Disputed(entry) => write!(out, "disputed_{}", entry.bare()),
        }
    }
}

impl From<LotId> for String {
    fn from(id: LotId) -> String {
        id.to_string()
    }
}

impl TryFrom<String> for LotId {
    type Error = BadId;

    fn try_from(text: String) -> Result<Self, BadId> {
        let month = |month: &str| Period::try_from(month.to_owned()).ok();
        let read = match text.split_once('_') {
            Some(("sub", of)) => month(of).map(Self::Subscription),
            Some(("unlimited", of)) => month(of).map(Self::Unlimited),
            Some(("credit", entry)) => EntryId::from_bare(entry).map(Self::Granted),
            Some(("disputed", entry)) => EntryId::from_bare(entry).map(Self::Disputed),
            Some(("post", "paid")) => Some(Self::PostPaid),
            Some(_) | None => None,
        };
        read.ok_or(BadId::LOT)
    }
}

/// The number of seconds between a lot's expiry and its booking. The lot cannot pay from its expiry on, but a
/// debit that was received before must still find it, and no request takes this long.
const BOOKED_AFTER_SECONDS: i64 = 60;

/// When the expiry of a lot that ends at `end` is booked.
pub(crate) fn booked_at(end: DateTime<Utc>) -> DateTime<Utc> {
    let wait = Duration::try_seconds(BOOKED_AFTER_SECONDS).unwrap_or_default();
    end.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The pool: a lot of plain purchased credits of several purchases that were returned and found no lot of their
/// own. Credits can always be added to it. A dispute of one of these purchases sets aside credits of the pool.
pub(crate) const POOL: EntryId = EntryId::FIRST;
