use std::fmt;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use crate::{BadId, Credits, EntryId, Period};

/// Where credits came from. The order is the order of consumption (seed: "Subscription →
/// Purchased → Bonus").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The monthly allowance of a subscription plan; gone when the month turns.
    Subscription,
    /// Bought once; stays until used.
    Purchased,
    /// Promotional or loyalty credits.
    Bonus,
    /// Nothing that is there: credits on account, settled by a later purchase (contract, rule 9).
    #[serde(rename = "postPaid")]
    PostPaid,
}

/// A service that a lot may be set aside for (seed: Verifik's credit types).
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

/// Which lot: the subscription credits of a month, or those of one grant. A grant's lot carries the
/// id of the transaction that granted it, so lots of one bucket sort by age.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum LotId {
    /// `sub_2024-01`
    Subscription(Period),
    /// `credit_01HM…`, granted by `txn_01HM…`
    Granted(EntryId),
    /// `post_paid`: what is outstanding. No lot, but another place that credits go to and come from.
    PostPaid,
    /// `unlimited_2024-01`: what an unlimited plan paid in a month. No lot: nothing was counted down for it, so
    /// nothing but usage ever comes back of it.
    Unlimited(Period),
    /// `disputed_01HM…`: what the dispute that this transaction opened has set aside.
    Disputed(EntryId),
}

/// On which terms the credits of a lot are spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Terms {
    /// Pays only for debits that name this service.
    #[serde(rename = "svc", default, skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// Not spendable from this instant on.
    #[serde(
        rename = "exp",
        default,
        skip_serializing_if = "Option::is_none",
        with = "chrono::serde::ts_seconds_option"
    )]
    pub expires_at: Option<DateTime<Utc>>,
}

/// Credits that arrived together and are spent on the same terms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lot {
    /// Purchased or bonus; subscription credits are kept apart, see
    /// [`Subscription`](crate::Subscription).
    pub source: Source,
    /// What is not spent yet.
    pub left: Credits,
    /// Pays only for debits that name this service.
    pub service: Option<Service>,
    /// Not spendable from this instant on. Whole seconds.
    pub expires_at: Option<DateTime<Utc>>,
}

impl Terms {
    /// Whether they limit nothing: the credits pay for every service and never end.
    #[must_use]
    pub fn are_plain(&self) -> bool {
        *self == Self::default()
    }
}

impl Lot {
    /// On which terms it is spent.
    #[must_use]
    pub fn terms(&self) -> Terms {
        Terms { service: self.service, expires_at: self.expires_at }
    }

    /// Whether it holds purchased credits that pay for every service and never end. They settle a debt.
    #[must_use]
    pub fn is_plain_purchase(&self) -> bool {
        self.source == Source::Purchased && self.terms().are_plain()
    }

    /// Whether a debit for `service` that reached us at `now` may take from it.
    #[must_use]
    pub fn pays_for(&self, service: Option<Service>, now: DateTime<Utc>) -> bool {
        self.is_current(now) && (self.service.is_none() || self.service == service)
    }

    /// Whether it has not expired at `now`.
    #[must_use]
    pub fn is_current(&self, now: DateTime<Utc>) -> bool {
        self.expires_at.is_none_or(|end| now < end)
    }

    /// Whether credits of the two would be spent on the same terms.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        self.source == other.source && self.service == other.service && self.expires_at == other.expires_at
    }
}

impl Service {
    /// Every service, for the message that names what could be asked.
    pub const ALL: [Self; 5] =
        [Self::Smartcheck, Self::Smartaccess, Self::Smartenroll, Self::Api, Self::Biometric];

    /// Its name in requests.
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
    /// Whether what it holds is part of a balance: subscription credits of a month, and what was granted.
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

/// How many seconds after its end a lot is booked as expired. It pays for nothing from its end on; a
/// debit that reached us before must find it, and none is under way for so long.
const BOOKED_AFTER_SECONDS: i64 = 60;

/// When what is left of a lot that ends at `end` is booked as expired.
pub(crate) fn booked_at(end: DateTime<Utc>) -> DateTime<Utc> {
    let wait = Duration::try_seconds(BOOKED_AFTER_SECONDS).unwrap_or_default();
    end.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The lot of plain purchased credits of several purchases that came back and found no place in lots of their
/// own. It always finds one. A dispute about one of these purchases sets aside what is in it.
pub(crate) const POOL: EntryId = EntryId::FIRST;
