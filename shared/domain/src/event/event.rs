use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use crate::event::of_receipt::price;
use crate::{
    AccountId, Amount, Credits, Decline, EntryId, EventId, EventName, Lot, LotId, Monitor, Pause, Purchase,
    Service, Suspension, WebhookId,
};

/// Something that an organisation is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum News {
    /// Credits will expire.
    Expiring {
        /// The lot.
        lot: EntryId,
        /// What it is now.
        terms: Lot,
    },
    /// A month of a monitor could not be paid.
    MonitorSuspended(Monitor),
    /// A monitor that was suspended goes on.
    MonitorResumed(Monitor),
    /// A transaction that its owner has not made themselves, see [`News::of`].
    Booked {
        /// What has happened.
        name: EventName,
        /// The transaction.
        entry: EntryId,
        /// The particulars.
        data: Value,
    },
    /// The balance has fallen below a threshold.
    LowBalance {
        /// What is left.
        balance: Credits,
        /// Below which.
        threshold: Credits,
        /// Of which service's debits; none for those without one.
        service: Option<Service>,
    },
    /// The balance is above a threshold again.
    Recovered {
        /// What there is.
        balance: Credits,
        /// Above which.
        threshold: Credits,
        /// Of which service's debits; none for those without one.
        service: Option<Service>,
    },
    /// Nothing is left.
    Depleted,
    /// Auto-recharge has bought credits.
    Recharged(Box<Purchase>),
    /// A payment of auto-recharge has failed.
    RechargeFailed(Box<RechargeFailure>),
    /// Auto-recharge waits.
    RechargePaused {
        /// Why.
        why: Pause,
        /// Until when; none where it is not for a time.
        until: Option<DateTime<Utc>>,
        /// The revision of its settings: another limit that is reached is other news.
        revision: u64,
    },
    /// Auto-recharge has switched itself off, for too many payments have failed.
    RechargeOff {
        /// The last of them.
        after: EntryId,
    },
    /// Auto-recharge waits for its owner, for a payment is disputed.
    RechargeDisputed {
        /// The dispute, by the provider's name.
        dispute: String,
    },
    /// Auto-recharge waits for its owner, for a payment was refunded.
    RechargeRefunded {
        /// The purchase's transaction.
        purchase: EntryId,
        /// Which step of its refunds takes credits back.
        step: u32,
    },
    /// A purchase has failed.
    PurchaseFailed(Box<Purchase>, Decline),
    /// A webhook gets no more deliveries until its owner resumes it.
    WebhookPaused(HookPaused),
}

/// A payment of auto-recharge that has failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RechargeFailure {
    /// The purchase's transaction.
    pub transaction: EntryId,
    /// How many credits it was to buy.
    pub credits: Amount,
    /// The payment method, by the provider's name.
    pub method: String,
    /// Why.
    pub decline: Decline,
    /// The how manieth failure in a row it is.
    pub failures: u32,
    /// When it is tried again; none once it has switched itself off.
    pub next: Option<DateTime<Utc>>,
}

/// A webhook that was paused without its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookPaused {
    /// Which.
    pub webhook: WebhookId,
    /// Where it is, without what only its owner should know: a path or a query may be a secret.
    pub url: String,
    /// Whether it has said that it is gone; else it has failed too often.
    pub gone: bool,
    /// The event that it did not take; none when that is older than the feed.
    pub event: Option<EventId>,
    /// That event's number.
    pub number: u64,
    /// The how manieth time that its deliveries were begun afresh.
    pub run: u32,
}

/// News with its number, as the feed has it. Numbers are 1, 2, 3, … per account, without a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its number.
    pub number: u64,
    /// What has happened: `credits.expiring`.
    pub name: String,
    /// When.
    pub at: DateTime<Utc>,
    /// The particulars.
    pub data: Value,
}

impl Event {
    /// Its id, which is made from whose it is and its number.
    #[must_use]
    pub fn id(&self, account: AccountId) -> EventId {
        EventId::of(account, self.number, self.at)
    }

    /// The event as callers get it, from the feed and in deliveries (contract: "An event is").
    #[must_use]
    pub fn body(&self, account: AccountId) -> Value {
        json!({
            "event": self.name,
            "type": self.name,
            "id": self.id(account),
            "sequence": self.number,
            "timestamp": text(self.at),
            "data": self.data,
        })
    }
}

impl News {
    /// What has happened, by the name that callers subscribe to.
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
        }
    }

    /// What it goes by, so that it is told once however often somebody finds it out. A monitor may be
    /// suspended more than once; each time its row has another revision. What follows from the account
    /// itself goes by the number of its change (see [`AlertState`](crate::AlertState)), and this is not used.
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
        }
    }

    /// The particulars, as the schemas of infra/events describe them.
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
                "message": "A monitor that was suspended goes on",
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
                "price": price(purchase.offer.price),
                "paymentMethod": purchase.method,
                "message": "Credits were bought automatically",
            }),
            Self::RechargeFailed(failure) => failure.data(),
            Self::RechargePaused { why, until, .. } => paused(*why, *until),
            Self::RechargeOff { .. } => paused(Pause::PaymentFailed, None),
            Self::RechargeDisputed { .. } => paused(Pause::Disputed, None),
            Self::RechargeRefunded { .. } => paused(Pause::Refunded, None),
            Self::PurchaseFailed(purchase, decline) => json!({
                "transactionId": purchase.id.transaction,
                "credits": purchase.offer.credits,
                "package": purchase.offer.package,
                "price": price(purchase.offer.price),
                "paymentMethod": purchase.method,
                "reason": decline.reason,
                "declineCode": decline.decline_code,
                "message": "A purchase has failed; its credits were not granted",
            }),
            Self::WebhookPaused(paused) => paused.data(),
        }
    }
}

/// The seed's payload (seed: "Webhook Payload").
fn level(balance: Credits, threshold: Credits, message: &str) -> Value {
    json!({ "currentBalance": balance, "threshold": threshold, "message": message })
}

/// The same of what debits of a service can spend.
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
        "expiresAt": terms.expires_at.map(text),
        "message": "Some of your credits will expire soon",
    })
}

fn suspended(monitor: &Monitor) -> Value {
    json!({
        "monitorId": monitor.id,
        "operation": monitor.operation,
        "resourceId": monitor.resource_id,
        "reason": monitor.waits_for().map(Suspension::as_str),
        "message": match monitor.waits_for() {
            Some(Suspension::Frozen) => "A monitor waits; it goes on once the organisation is unfrozen",
            Some(Suspension::NotPriced) => "A monitor waits; its operation has no monthly price any more. It is tried again with the next month",
            Some(Suspension::InsufficientCredits) | None => {
                "This month of a monitor could not be paid; it goes on once there are credits"
            }
        },
    })
}

fn paused(why: Pause, until: Option<DateTime<Utc>>) -> Value {
    json!({
        "reason": why.as_str(),
        // Of all these, too many failed payments alone switch it off.
        "enabled": why != Pause::PaymentFailed,
        "until": until.map(text),
        "message": match why {
            Pause::MonthlyLimit => "Auto-recharge has reached its limit of credits for this month and waits for the next",
            Pause::MonthlySpendLimit => {
                "Auto-recharge has reached what it may spend this month and waits for the next; raise monthlySpendLimit to go on now"
            }
            Pause::DailySpendLimit => {
                "The purchases of today cost all that your organisation may spend a day; auto-recharge tries again tomorrow (UTC). Set it again to go on once the operator has raised the limit"
            }
            Pause::PaymentLimit => {
                "One payment cannot bring the balance back to the threshold; lower the threshold, or raise the limits"
            }
            Pause::TooManyCharges => "Auto-recharge has charged too often within an hour and waits",
            Pause::NotOnSale => "No package is on sale in your currency; auto-recharge tries again in an hour",
            Pause::Debt => {
                "More credits are owed than auto-recharge may settle; buy credits to settle them, or set debtLimit"
            }
            Pause::Disputed => {
                "A payment is disputed; auto-recharge charges nothing more until you set it again"
            }
            Pause::Refunded => {
                "A payment was refunded; auto-recharge charges nothing more until you set it again"
            }
            Pause::PaymentFailed => {
                "Auto-recharge has switched itself off after too many failed payments; switch it on again with another payment method"
            }
        },
    })
}

impl RechargeFailure {
    fn data(&self) -> Value {
        json!({
            "transactionId": self.transaction,
            "credits": self.credits,
            "paymentMethod": self.method,
            "reason": self.decline.reason,
            "declineCode": self.decline.decline_code,
            "failures": self.failures,
            "enabled": self.next.is_some(),
            "nextAttempt": self.next.map(text),
            "message": "A payment of auto-recharge has failed",
        })
    }
}

impl HookPaused {
    fn data(&self) -> Value {
        json!({
            "webhookId": self.webhook,
            "url": self.url,
            "reason": if self.gone { "gone" } else { "failing" },
            "eventId": self.event,
            "sequence": self.number,
            "message": if self.gone {
                "A webhook answered that it is gone (410) and was switched off; resume it to have what it missed"
            } else {
                "A webhook has failed for three days and was paused; resume it to have what it missed"
            },
        })
    }
}

/// A time as the API writes it.
pub(crate) fn text(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
