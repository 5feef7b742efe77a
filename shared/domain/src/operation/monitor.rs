//! Monitors, and the rules of their monthly charges.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{
    Account, AccountId, Attempt, Consume, Details, EntryId, KeyId, Metadata, MonitorId, Operation, Period,
    Posting, Quantity, Reference, Refusal, Service, consume,
};

/// A monitor: a monthly charge on a subject (seed: "Monitoring (per month)"), taken when it is created and once
/// in every month while it is active.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Monitor {
    /// Its id.
    pub id: MonitorId,
    /// The operation that is charged: a monthly operation of the price list.
    pub operation: Operation,
    /// The caller's id of the monitored resource.
    pub resource_id: Reference,
    /// The caller's attribution, which is in the details of every charge.
    pub on_behalf: MonitorAttribution,
    /// The creation time.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub made_at: DateTime<Utc>,
    /// Its status.
    #[serde(rename = "stage")]
    pub status: MonitorStatus,
    /// The latest month that is paid for; `None` before the first charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Period>,
    /// The latest charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charge: Option<EntryId>,
    /// The month and the entry of the first charge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made_with: Option<(Period, EntryId)>,
    /// Incremented with every change of the row.
    pub revision: u64,
}

/// For whom and by whom a resource is monitored.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MonitorAttribution {
    /// The caller's id of the customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<Reference>,
    /// The caller's id of the staff member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub member_id: Option<Reference>,
    /// The service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<Service>,
    /// The caller's metadata.
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    pub metadata: Metadata,
    /// The API key of the request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_id: Option<KeyId>,
    /// The operator's key, if an operator has made it for the organisation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub super_admin: Option<KeyId>,
}

/// The status of a monitor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "is")]
pub enum MonitorStatus {
    /// It is being created: the caller has no answer yet, and it may not be paid.
    Pending,
    /// It is active.
    Active,
    /// This month could not be paid. The monitor resumes as soon as it can be.
    Suspended {
        /// The time since when.
        #[serde(with = "chrono::serde::ts_seconds")]
        since: DateTime<Utc>,
        /// The reason.
        why: SuspensionReason,
    },
    /// Its owner ended it.
    Ended {
        /// The time of the end.
        #[serde(with = "chrono::serde::ts_seconds")]
        at: DateTime<Utc>,
    },
}

/// The reason why a monitor is suspended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum SuspensionReason {
    /// There are not enough credits.
    InsufficientCredits,
    /// The organisation is frozen.
    Frozen,
    /// A budget has no room for it.
    BudgetExceeded,
    /// Its operation is no longer in the price list, or costs more than one request may move.
    NotPriced,
}

impl SuspensionReason {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InsufficientCredits => "insufficient_credits",
            Self::Frozen => "frozen",
            Self::BudgetExceeded => "budget_exceeded",
            Self::NotPriced => "not_priced",
        }
    }
}

/// Decides a monitor's charge for a month: a debit of an account that is still in that month. After the month's
/// renewal it would be a debit of the next month.
///
/// # Errors
/// [`Refusal::MonthOver`]; those of [`consume`].
pub fn charge_month(
    account: &Account,
    request: &Consume,
    month: Period,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    if month < account.period { Err(Refusal::MonthOver) } else { consume(account, request, attempt) }
}

/// The subject of a monitor: one operation on one resource. An account has at most one monitor per subject.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonitorSubject(String);

impl MonitorSubject {
    /// The subject of this operation and resource. Names are compared in Unicode normal form C.
    #[must_use]
    pub fn new(operation: &Operation, resource: &Reference) -> Self {
        let digest = Sha256::digest(format!("{}\n{}", operation.as_str(), resource.composed()));
        Self(digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect())
    }

    /// 32 characters of 0-9 a-f.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The claim key of its charge for a month. All requests that charge it use this key, so each month is paid
    /// once, even when a monitor is ended and created again.
    #[must_use]
    pub fn charge(&self, month: Period) -> String {
        format!("monitor/{}/{month}", self.0)
    }
}

impl Monitor {
    /// The reason why it is suspended, if it is.
    #[must_use]
    pub fn waits_for(&self) -> Option<SuspensionReason> {
        match self.status {
            MonitorStatus::Suspended { why, .. } => Some(why),
            MonitorStatus::Pending | MonitorStatus::Active | MonitorStatus::Ended { .. } => None,
        }
    }

    /// Its subject.
    #[must_use]
    pub fn subject(&self) -> MonitorSubject {
        MonitorSubject::new(&self.operation, &self.resource_id)
    }

    /// The month that is due at `now`, if any. Past months are not charged: nothing was monitored in them.
    #[must_use]
    pub fn owes(&self, now: DateTime<Utc>) -> Option<Period> {
        let month = Period::of(now);
        match self.status {
            MonitorStatus::Pending | MonitorStatus::Active | MonitorStatus::Suspended { .. } => {
                self.paid.is_none_or(|paid| paid < month).then_some(month)
            }
            MonitorStatus::Ended { .. } => None,
        }
    }

    /// The monitor with `month` paid by `charge`.
    #[must_use]
    pub fn charged(&self, month: Period, charge: EntryId) -> Self {
        let status = match self.status {
            MonitorStatus::Pending | MonitorStatus::Active | MonitorStatus::Suspended { .. } => {
                MonitorStatus::Active
            }
            ended @ MonitorStatus::Ended { .. } => ended,
        };
        let made_with = self.made_with.or(Some((month, charge)));
        Self { status, paid: Some(month), charge: Some(charge), made_with, ..self.clone() }
    }

    /// The monitor as it was right after its creation.
    #[must_use]
    pub fn as_made(&self) -> Self {
        let Some((month, charge)) = self.made_with else { return self.clone() };
        Self { status: MonitorStatus::Active, paid: Some(month), charge: Some(charge), ..self.clone() }
    }

    /// The monitor suspended at `now`, unless it has ended. An already suspended monitor keeps its time.
    #[must_use]
    pub fn suspended(&self, why: SuspensionReason, now: DateTime<Utc>) -> Self {
        let since = match self.status {
            MonitorStatus::Suspended { since, .. } => since,
            MonitorStatus::Pending | MonitorStatus::Active | MonitorStatus::Ended { .. } => now,
        };
        let status = match self.status {
            MonitorStatus::Pending | MonitorStatus::Active | MonitorStatus::Suspended { .. } => {
                MonitorStatus::Suspended { since, why }
            }
            ended @ MonitorStatus::Ended { .. } => ended,
        };
        Self { status, ..self.clone() }
    }

    /// The monitor ended at `now`. An already ended monitor keeps its time.
    #[must_use]
    pub fn ended(&self, now: DateTime<Utc>) -> Self {
        let status = match self.status {
            MonitorStatus::Pending | MonitorStatus::Active | MonitorStatus::Suspended { .. } => {
                MonitorStatus::Ended { at: now }
            }
            ended @ MonitorStatus::Ended { .. } => ended,
        };
        Self { status, ..self.clone() }
    }

    /// The details of a charge.
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
            super_admin: self.on_behalf.super_admin,
            monitor: Some(self.id),
            ..Details::default()
        }
    }
}

impl From<&Refusal> for SuspensionReason {
    fn from(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::Frozen => Self::Frozen,
            Refusal::InsufficientCredits { .. } => Self::InsufficientCredits,
            Refusal::BudgetExceeded(_) => Self::BudgetExceeded,
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

/// The key of a monitor: account and id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MonitorKey {
    /// The account.
    pub account: AccountId,
    /// The monitor.
    pub monitor: MonitorId,
}
