use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Account, AccountId, Consume, Details, EntryId, Head, KeyId, Metadata, MonitorId, Operation, Period,
    Posting, Quantity, Reference, Refusal, Service, consume,
};

/// A monthly charge on a subject (seed: "Monitoring (per month)"): taken when it is made, and once in
/// every month that it goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitor {
    /// Its name for callers.
    pub id: MonitorId,
    /// What is charged: an operation that the price list has by the month.
    pub operation: Operation,
    /// What is watched, by the caller's name for it.
    pub resource_id: Reference,
    /// What else the caller says of it; in the details of every charge.
    pub on_behalf: OnBehalf,
    /// When it was made.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub made_at: DateTime<Utc>,
    /// How far it is.
    pub stage: Watch,
    /// The latest month that is paid for; none before the first charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Period>,
    /// The latest charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<EntryId>,
    /// The month and the charge that it was made with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_with: Option<(Period, EntryId)>,
    /// Grows with every change of the row.
    pub revision: u64,
}

/// For whom and by whom something is watched.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OnBehalf {
    /// The caller's customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Reference>,
    /// The caller's member of staff.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<Reference>,
    /// The service that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The caller's own key and value pairs.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The API key that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
}

/// How far a monitor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum Watch {
    /// It is being made: nobody has been told of it, and it may not be paid yet.
    Pending,
    /// It goes on.
    Active,
    /// This month could not be paid. It goes on as soon as it can.
    Suspended {
        /// Since when.
        #[serde(with = "chrono::serde::ts_seconds")]
        since: DateTime<Utc>,
        /// Why.
        why: Suspension,
    },
    /// Its owner has ended it.
    Ended {
        /// When.
        #[serde(with = "chrono::serde::ts_seconds")]
        at: DateTime<Utc>,
    },
}

/// Why a monitor does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Suspension {
    /// There are too few credits.
    InsufficientCredits,
    /// The organisation is frozen.
    Frozen,
    /// Its operation is not in the price list any more, or costs more than one request may move.
    NotPriced,
}

impl Suspension {
    /// The word that callers are told.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientCredits => "insufficient_credits",
            Self::Frozen => "frozen",
            Self::NotPriced => "not_priced",
        }
    }
}

/// Decides the charge of a month of a monitor: a debit like any other, of an account that is still in that
/// month. One that the month's renewal has overtaken would be a debit of the next.
///
/// # Errors
/// [`Refusal::MonthOver`]; those of [`consume`].
pub fn charge_month(
    account: &Account,
    request: &Consume,
    month: Period,
    head: &Head,
) -> Result<Posting, Refusal> {
    if month < account.period { Err(Refusal::MonthOver) } else { consume(account, request, head) }
}

/// What is watched: one operation on one resource. An account has at most one monitor of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject(String);

impl Subject {
    /// The subject of that name.
    #[must_use]
    pub fn new(operation: &Operation, resource: &Reference) -> Self {
        let digest = Sha256::digest(format!("{}\n{}", operation.as_str(), resource.as_str()));
        Self(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// 32 characters of 0-9 a-f.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of its charge for a month. Whoever charges it charges it under this name, so it is paid
    /// once, also where it is ended and made again.
    #[must_use]
    pub fn charge(&self, month: Period) -> String {
        format!("monitor/{}/{month}", self.0)
    }
}

impl Monitor {
    /// Why it is suspended, if it is.
    #[must_use]
    pub fn waits_for(&self) -> Option<Suspension> {
        match self.stage {
            Watch::Suspended { why, .. } => Some(why),
            Watch::Pending | Watch::Active | Watch::Ended { .. } => None,
        }
    }

    /// What it watches.
    #[must_use]
    pub fn subject(&self) -> Subject {
        Subject::new(&self.operation, &self.resource_id)
    }

    /// The month that is to be paid for at `now`, if one is. Months that are over are not charged: nothing
    /// was watched in them.
    #[must_use]
    pub fn owes(&self, now: DateTime<Utc>) -> Option<Period> {
        let month = Period::of(now);
        match self.stage {
            Watch::Pending | Watch::Active | Watch::Suspended { .. } => {
                self.paid.is_none_or(|paid| paid < month).then_some(month)
            }
            Watch::Ended { .. } => None,
        }
    }

    /// With `month` paid by `charge`.
    #[must_use]
    pub fn charged(&self, month: Period, charge: EntryId) -> Self {
        let stage = match self.stage {
            Watch::Pending | Watch::Active | Watch::Suspended { .. } => Watch::Active,
            ended @ Watch::Ended { .. } => ended,
        };
        let made_with = self.made_with.or(Some((month, charge)));
        Self { stage, paid: Some(month), charge: Some(charge), made_with, ..self.clone() }
    }

    /// As it was when it had just been made.
    #[must_use]
    pub fn as_made(&self) -> Self {
        let Some((month, charge)) = self.made_with else { return self.clone() };
        Self { stage: Watch::Active, paid: Some(month), charge: Some(charge), ..self.clone() }
    }

    /// Suspended at `now`, if it goes on. One that is suspended stays so since then.
    #[must_use]
    pub fn suspended(&self, why: Suspension, now: DateTime<Utc>) -> Self {
        let since = match self.stage {
            Watch::Suspended { since, .. } => since,
            Watch::Pending | Watch::Active | Watch::Ended { .. } => now,
        };
        let stage = match self.stage {
            Watch::Pending | Watch::Active | Watch::Suspended { .. } => Watch::Suspended { since, why },
            ended @ Watch::Ended { .. } => ended,
        };
        Self { stage, ..self.clone() }
    }

    /// Ended at `now`. One that has ended keeps its time.
    #[must_use]
    pub fn ended(&self, now: DateTime<Utc>) -> Self {
        let stage = match self.stage {
            Watch::Pending | Watch::Active | Watch::Suspended { .. } => Watch::Ended { at: now },
            ended @ Watch::Ended { .. } => ended,
        };
        Self { stage, ..self.clone() }
    }

    /// What a charge of it says beyond the credits.
    #[must_use]
    pub fn details(&self, price_version: u32) -> Details {
        Details {
            quantity: Some(Quantity::ONE),
            price_version: Some(price_version),
            resource_id: Some(self.resource_id.clone()),
            customer_id: self.on_behalf.customer_id.clone(),
            member_id: self.on_behalf.member_id.clone(),
            service: self.on_behalf.service,
            metadata: self.on_behalf.metadata.clone(),
            key_id: self.on_behalf.key_id,
            monitor: Some(self.id),
            ..Details::default()
        }
    }
}

impl From<&Refusal> for Suspension {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Frozen => Self::Frozen,
            Refusal::InsufficientCredits { .. } => Self::InsufficientCredits,
            Refusal::UnknownOperation(_)
            | Refusal::NotMonthly(_)
            | Refusal::UnknownPlan(_)
            | Refusal::BalanceLimit
            | Refusal::UnknownPackage(_)
            | Refusal::OtherCurrency { .. }
            | Refusal::NothingOnSale
            | Refusal::SpendingLimit { .. }
            | Refusal::PriceLimit
            | Refusal::SamePlan
            | Refusal::PlanChangeNotAllowed
            | Refusal::MonthOver
            | Refusal::NothingToHold
            | Refusal::NotOwed { .. }
            | Refusal::ExpiresInThePast
            | Refusal::PurchasedNeverExpire
            | Refusal::SubscriptionTerms
            | Refusal::UnlimitedPlan
            | Refusal::ReasonNotEligible(_)
            | Refusal::NotEligible(_)
            | Refusal::MoreThanDebited { .. }
            | Refusal::MoreThanPaid { .. }
            | Refusal::RefundRefused(_)
            | Refusal::AlreadyRefunded
            | Refusal::PurchaseRefunded { .. }
            | Refusal::MoreThanHeld { .. }
            | Refusal::HoldClosed(_)
            | Refusal::TooManyDraws
            | Refusal::PlanLimit { .. }
            | Refusal::TooManyDisputes
            | Refusal::TooManyLots => Self::NotPriced,
        }
    }
}

/// A monitor of an account, by its full name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Watched {
    /// Whose.
    pub account: AccountId,
    /// Which.
    pub monitor: MonitorId,
}
