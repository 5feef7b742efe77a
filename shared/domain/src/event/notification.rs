//! Notifications, and the events that they become.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::monitor_notice::suspended;
use crate::value::timestamp;
use crate::{
    AccountId, Amount, ApiKeyNotice, BudgetNotice, Credits, Decline, EntryId, EventId, EventName, Lot, LotId,
    MemberNotice, Monitor, PauseReason, Purchase, RunawayNotice, Service, WebhookId,
};

/// A notification: something that becomes an event of an organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// Credits will expire.
    Expiring {
        /// The lot.
        lot: EntryId,
        /// The lot as it is now.
        terms: Lot,
    },
    /// A month of a monitor could not be paid.
    MonitorSuspended(Monitor),
    /// A suspended monitor has resumed.
    MonitorResumed(Monitor),
    /// A transaction that the owner did not cause themselves, see [`Notification::of`].
    Booked {
        /// The name of the event.
        name: EventName,
        /// The transaction.
        entry: EntryId,
        /// The data of the event.
        data: Value,
    },
    /// The balance has fallen below a threshold.
    LowBalance {
        /// The balance.
        balance: Credits,
        /// The threshold.
        threshold: Credits,
        /// The service whose debits it concerns; `None` for debits without a service.
        service: Option<Service>,
    },
    /// The balance is above a threshold again.
    Recovered {
        /// The balance.
        balance: Credits,
        /// The threshold.
        threshold: Credits,
        /// The service whose debits it concerns; `None` for debits without a service.
        service: Option<Service>,
    },
    /// No credits are left.
    Depleted,
    /// Auto-recharge has bought credits.
    Recharged(Box<Purchase>),
    /// A payment of auto-recharge has failed.
    RechargeFailed(Box<AutoRechargeFailure>),
    /// Auto-recharge is paused.
    RechargePaused {
        /// The reason.
        why: PauseReason,
        /// The end of the pause; `None` when it has no fixed end.
        until: Option<DateTime<Utc>>,
        /// The revision of its settings, so that a limit reached under other settings is another notification.
        revision: u64,
    },
    /// Auto-recharge was switched off after too many failed payments.
    RechargeOff {
        /// The last failed payment.
        after: EntryId,
    },
    /// Auto-recharge waits for its owner because a payment is disputed.
    RechargeDisputed {
        /// The provider's id of the dispute.
        dispute: String,
    },
    /// Auto-recharge waits for its owner because a payment was refunded.
    RechargeRefunded {
        /// The purchase's transaction.
        purchase: EntryId,
        /// The step of its refunds that takes credits back.
        step: u32,
    },
    /// A purchase has failed.
    PurchaseFailed(Box<Purchase>, Decline),
    /// A webhook was paused and gets no deliveries until its owner resumes it.
    WebhookPaused(WebhookPaused),
    /// Something was done with an API key.
    ApiKey(Box<ApiKeyNotice>),
    /// An API key spends far more than it used to, or was resumed after that.
    Runaway(Box<RunawayNotice>),
    /// Something was done with an invitation or a member.
    Member(Box<MemberNotice>),
    /// Something about a budget.
    Budget(Box<BudgetNotice>),
}

/// A payment of auto-recharge that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutoRechargeFailure {
    /// The purchase's transaction.
    pub transaction: EntryId,
    /// The number of credits.
    pub credits: Amount,
    /// The payment provider's id of the payment method.
    pub method: String,
    /// The reason.
    pub decline: Decline,
    /// The number of consecutive failures.
    pub failures: u32,
    /// The time of the next attempt; `None` once auto-recharge is switched off.
    pub next: Option<DateTime<Utc>>,
}

/// A webhook that was paused automatically.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookPaused {
    /// The webhook.
    pub webhook: WebhookId,
    /// The URL's origin only: a path or a query can contain a secret.
    pub url: String,
    /// The reason.
    pub reason: WebhookPauseReason,
    /// The event that was not delivered; `None` when it is older than the feed.
    pub event: Option<EventId>,
    /// That event's number.
    pub number: u64,
    /// The number of times that deliveries were restarted.
    pub run: u32,
}

/// Why a webhook was paused automatically.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WebhookPauseReason {
    /// It accepted nothing for three days.
    Failing,
    /// It answered that it is gone.
    Gone,
    /// Its secret cannot be decrypted, so nothing can be signed.
    SecretUnreadable,
}

/// An event in the feed of an account. Numbers are 1, 2, 3, … per account, without gaps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub number: u64,
    /// The name of the event, such as `credits.expiring`.
    pub name: String,
    /// The time of the event.
    pub at: DateTime<Utc>,
    /// The data of the event.
    pub data: Value,
}

impl Event {
    /// Its id, derived from the account and the number.
    #[must_use]
    pub fn id(&self, account: AccountId) -> EventId {
        EventId::of(account, self.number, self.at)
    }
}

impl Notification {
    /// The name of the event, to which callers subscribe.
    #[must_use]
    pub fn name(&self) -> EventName {
        match self {
            Self::Expiring { .. } => EventName::CreditsExpiring,
            Self::MonitorSuspended(_) => EventName::MonitorSuspended,
            Self::MonitorResumed(_) => EventName::MonitorResumed,
            Self::Booked { name, .. } => *name,
            Self::LowBalance { .. } => EventName::CreditsLowBalance,
            Self::Recovered { .. } => EventName::CreditsRecovered,
            Self::Depleted => EventName::CreditsDepleted,
            Self::Recharged(_) => EventName::AutoRechargeSucceeded,
            Self::RechargeFailed(_) => EventName::AutoRechargeFailed,
            Self::RechargePaused { .. }
            | Self::RechargeOff { .. }
            | Self::RechargeDisputed { .. }
            | Self::RechargeRefunded { .. } => EventName::AutoRechargePaused,
            Self::PurchaseFailed(..) => EventName::PurchaseFailed,
            Self::WebhookPaused(_) => EventName::WebhookPaused,
            Self::ApiKey(notice) => notice.name(),
            Self::Runaway(notice) => notice.name(),
            Self::Member(notice) => notice.name(),
            Self::Budget(notice) => notice.name(),
        }
    }

    /// The deduplication key, by which a notification becomes one event however often it is found. A monitor
    /// can be suspended repeatedly; its row has another revision each time. Notifications that follow from the
    /// account's changes are deduplicated by the number of the change (see [`AlertState`](crate::AlertState)),
    /// and this key is not used.
    #[must_use]
    pub fn source(&self) -> String {
        match self {
            Self::Expiring { lot, .. } => format!("expiring/{}", lot.bare()),
            Self::MonitorSuspended(monitor) => format!("suspended/{}/{}", monitor.id, monitor.revision),
            Self::MonitorResumed(monitor) => format!("resumed/{}/{}", monitor.id, monitor.revision),
            Self::Booked { entry, .. } => format!("booked/{}", entry.bare()),
            Self::LowBalance { threshold, .. } => format!("low/{}", threshold.get()),
            Self::Recovered { threshold, .. } => format!("recovered/{}", threshold.get()),
            Self::Depleted => "depleted".to_owned(),
            Self::Recharged(purchase) => format!("recharged/{}", purchase.id.transaction.bare()),
            Self::RechargeFailed(failure) => format!("recharge failed/{}", failure.transaction.bare()),
            Self::RechargePaused { why, until, revision } => {
                let until = until.map_or(0, |until| until.timestamp());
                format!("recharge paused/{}/{until}/{revision}", why.as_str())
            }
            Self::RechargeDisputed { dispute } => format!("recharge disputed/{dispute}"),
            Self::RechargeRefunded { purchase, step } => {
                format!("recharge refunded/{}/{step}", purchase.bare())
            }
            Self::RechargeOff { after } => format!("recharge off/{}", after.bare()),
            Self::PurchaseFailed(purchase, _) => format!("failed/{}", purchase.id.transaction.bare()),
            Self::WebhookPaused(paused) => {
                format!("webhook paused/{}/{}/{}", paused.webhook, paused.number, paused.run)
            }
            Self::ApiKey(notice) => notice.source(),
            Self::Runaway(notice) => notice.source(),
            Self::Member(notice) => notice.source(),
            Self::Budget(notice) => notice.source(),
        }
    }

    /// The data of the event, as the schemas of infra/events describe it.
    #[must_use]
    pub fn data(&self) -> Value {
        match self {
            Self::Expiring { lot, terms } => expiring(*lot, terms),
            Self::MonitorSuspended(monitor) => suspended(monitor),
            Self::MonitorResumed(monitor) => json!({
                "monitorId": monitor.id,
                "operation": monitor.operation,
                "resourceId": monitor.resource_id,
                "transactionId": monitor.charge,
                "message": "A suspended monitor has resumed",
            }),
            Self::Booked { data, .. } => data.clone(),
            Self::LowBalance { balance, threshold, service: None } => {
                level(*balance, *threshold, "Your credit balance is running low")
            }
            Self::LowBalance { balance, threshold, service: Some(service) } => {
                level_of(*service, *balance, *threshold, "are running low")
            }
            Self::Recovered { balance, threshold, service: None } => {
                level(*balance, *threshold, "Your credit balance has recovered")
            }
            Self::Recovered { balance, threshold, service: Some(service) } => {
                level_of(*service, *balance, *threshold, "have recovered")
            }
            Self::Depleted => level(Credits::ZERO, Credits::ZERO, "Your credits are used up"),
            Self::Recharged(purchase) => json!({
                "transactionId": purchase.id.transaction,
                "credits": purchase.offer.credits,
                "price": purchase.offer.price,
                "paymentMethod": purchase.method,
                "message": "Credits were bought automatically",
            }),
            Self::RechargeFailed(failure) => failure.data(),
            Self::RechargePaused { why, until, .. } => paused(*why, *until),
            Self::RechargeOff { .. } => paused(PauseReason::PaymentFailed, None),
            Self::RechargeDisputed { .. } => paused(PauseReason::Disputed, None),
            Self::RechargeRefunded { .. } => paused(PauseReason::Refunded, None),
            Self::PurchaseFailed(purchase, decline) => json!({
                "transactionId": purchase.id.transaction,
                "credits": purchase.offer.credits,
                "package": purchase.offer.package,
                "price": purchase.offer.price,
                "paymentMethod": purchase.method,
                "reason": decline.reason,
                "declineCode": decline.decline_code,
                "message": "A purchase has failed; its credits were not granted",
            }),
            Self::WebhookPaused(paused) => paused.data(),
            Self::ApiKey(notice) => notice.data(),
            Self::Runaway(notice) => notice.data(),
            Self::Member(notice) => notice.data(),
            Self::Budget(notice) => notice.data(),
        }
    }
}

/// The data of a balance event (seed: "Webhook Payload").
fn level(balance: Credits, threshold: Credits, message: &str) -> Value {
    json!({ "currentBalance": balance, "threshold": threshold, "message": message })
}

/// The data of a balance event of a service.
fn level_of(service: Service, balance: Credits, threshold: Credits, what: &str) -> Value {
    json!({
        "currentBalance": balance,
        "threshold": threshold,
        "service": service,
        "message": format!("Your credits for {} {what}", service.as_str()),
    })
}

fn expiring(lot: EntryId, terms: &Lot) -> Value {
    json!({
        "lotId": LotId::Granted(lot),
        "source": terms.source,
        "service": terms.service,
        "amount": terms.left,
        "expiresAt": terms.expires_at.map(timestamp),
        "message": "Some of your credits will expire soon",
    })
}

fn paused(why: PauseReason, until: Option<DateTime<Utc>>) -> Value {
    json!({
        "reason": why.as_str(),
        "enabled": why != PauseReason::PaymentFailed,
        "until": until.map(timestamp),
        "message": match why {
            PauseReason::MonthlyLimit => "Auto-recharge has reached its limit of credits for this month and is paused until the next",
            PauseReason::MonthlySpendLimit => {
                "Auto-recharge has reached its spending limit for this month and is paused until the next; raise monthlySpendLimit to resume now"
            }
            PauseReason::DailySpendLimit => {
                "Your organisation has reached its daily spending limit; auto-recharge tries again tomorrow (UTC). Set it again to resume once the operator has raised the limit"
            }
            PauseReason::PaymentLimit => {
                "One payment cannot bring the balance back to the threshold; lower the threshold, or raise the limits"
            }
            PauseReason::TooManyCharges => "Auto-recharge has charged too often within an hour and is paused",
            PauseReason::NotOnSale => "No package is on sale in your currency; auto-recharge tries again in an hour",
            PauseReason::Debt => {
                "More credits are outstanding than auto-recharge may settle; buy credits to settle them, or set debtLimit"
            }
            PauseReason::Disputed => {
                "A payment is disputed; auto-recharge charges nothing more until you set it again"
            }
            PauseReason::Refunded => {
                "A payment was refunded; auto-recharge charges nothing more until you set it again"
            }
            PauseReason::PaymentFailed => {
                "Auto-recharge has switched itself off after too many failed payments; switch it on again with another payment method"
            }
        },
    })
}

impl AutoRechargeFailure {
    fn data(&self) -> Value {
        json!({
            "transactionId": self.transaction,
            "credits": self.credits,
            "paymentMethod": self.method,
            "reason": self.decline.reason,
            "declineCode": self.decline.decline_code,
            "failures": self.failures,
            "enabled": self.next.is_some(),
            "nextAttempt": self.next.map(timestamp),
            "message": "A payment of auto-recharge has failed",
        })
    }
}

impl WebhookPaused {
    fn data(&self) -> Value {
        json!({
            "webhookId": self.webhook,
            "url": self.url,
            "reason": self.reason.as_str(),
            "eventId": self.event,
            "sequence": self.number,
            "message": self.reason.message(),
        })
    }
}

impl WebhookPauseReason {
    /// The word in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Failing => "failing",
            Self::Gone => "gone",
            Self::SecretUnreadable => "secret_unreadable",
        }
    }

    fn message(self) -> &'static str {
        match self {
            Self::Failing => {
                "A webhook has failed for three days and was paused; resume it to receive the missed events"
            }
            Self::Gone => {
                "A webhook answered that it is gone (410) and was switched off; resume it to receive the missed events"
            }
            Self::SecretUnreadable => {
                "Scrip cannot decrypt the secret of a webhook and has paused it; rotate the secret, then resume the webhook to receive the missed events"
            }
        }
    }
}
