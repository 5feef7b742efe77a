//! The names of events.

use serde::{Deserialize, Serialize};

/// The name of an event. Its schema is in `infra/events`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum EventName {
    /// `credits.low_balance`: the available credits have fallen below the threshold.
    CreditsLowBalance,
    /// `credits.depleted`: no credits are left.
    CreditsDepleted,
    /// `credits.recovered`: the available credits are above the threshold again.
    CreditsRecovered,
    /// `credits.purchased`: credits were bought.
    CreditsPurchased,
    /// `credits.renewed`: a new month has begun and its subscription credits are available.
    CreditsRenewed,
    /// `credits.expiring`: some credits will expire soon.
    CreditsExpiring,
    /// `credits.expired`: unused credits have expired.
    CreditsExpired,
    /// `credits.refunded`: credits were refunded.
    CreditsRefunded,
    /// `credits.granted`: an operator has granted credits.
    CreditsGranted,
    /// `credits.adjusted`: an operator has adjusted the credits.
    CreditsAdjusted,
    /// `hold.expired`: a hold has ended, and what was left of it is available again.
    HoldExpired,
    /// `auto_recharge.succeeded`: auto-recharge has bought credits.
    AutoRechargeSucceeded,
    /// `auto_recharge.failed`: a payment of auto-recharge has failed.
    AutoRechargeFailed,
    /// `auto_recharge.paused`: auto-recharge is paused although the balance is below its threshold.
    AutoRechargePaused,
    /// `purchase.failed`: a purchase could not be paid.
    PurchaseFailed,
    /// `purchase.refunded`: money of a purchase was refunded, and its credits were taken back.
    PurchaseRefunded,
    /// `monitor.suspended`: a month of a monitor could not be paid, so the monitor is suspended.
    MonitorSuspended,
    /// `monitor.resumed`: a suspended monitor has resumed.
    MonitorResumed,
    /// `budget.reached`: a budget has reached a percentage of its limit.
    BudgetReached,
    /// `budget.requested`: a larger budget was asked for.
    BudgetRequested,
    /// `budget.request_approved`: a budget was raised as asked for.
    BudgetRequestApproved,
    /// `budget.request_declined`: a request for a larger budget was declined.
    BudgetRequestDeclined,
    /// `plan.changed`: the organisation's subscription plan has changed.
    PlanChanged,
    /// `dispute.opened`: a customer's bank disputes a payment, and its remaining credits are set aside.
    DisputeOpened,
    /// `dispute.closed`: a dispute is closed.
    DisputeClosed,
    /// `webhook.paused`: deliveries to an endpoint have stopped until its owner resumes them.
    WebhookPaused,
    /// `api_key.created`: an API key was created.
    ApiKeyCreated,
    /// `api_key.changed`: the terms of an API key were changed.
    ApiKeyChanged,
    /// `api_key.rolled`: an API key was given a new secret.
    ApiKeyRolled,
    /// `api_key.revoked`: an API key was revoked.
    ApiKeyRevoked,
    /// `key.runaway`: an API key spends far more than it used to.
    KeyRunaway,
    /// `key.resumed`: an API key that was paused was resumed.
    KeyResumed,
    /// `member.invited`: a member was invited.
    MemberInvited,
    /// `member.joined`: a member has accepted an invitation.
    MemberJoined,
    /// `member.changed`: a member was changed.
    MemberChanged,
    /// `member.removed`: a member was removed.
    MemberRemoved,
    /// `webhook.test`: a test delivery that the owner requested.
    WebhookTest,
}

/// The text is not the name of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: {}", EventName::ALL.map(EventName::as_str).join(", "))]
pub struct BadEventName;

impl EventName {
    /// Every event.
    pub const ALL: [Self; 37] = [
        Self::CreditsLowBalance,
        Self::CreditsDepleted,
        Self::CreditsRecovered,
        Self::CreditsPurchased,
        Self::CreditsRenewed,
        Self::CreditsExpiring,
        Self::CreditsExpired,
        Self::CreditsRefunded,
        Self::CreditsGranted,
        Self::CreditsAdjusted,
        Self::HoldExpired,
        Self::AutoRechargeSucceeded,
        Self::AutoRechargeFailed,
        Self::AutoRechargePaused,
        Self::PurchaseFailed,
        Self::PurchaseRefunded,
        Self::MonitorSuspended,
        Self::MonitorResumed,
        Self::BudgetReached,
        Self::BudgetRequested,
        Self::BudgetRequestApproved,
        Self::BudgetRequestDeclined,
        Self::PlanChanged,
        Self::DisputeOpened,
        Self::DisputeClosed,
        Self::WebhookPaused,
        Self::ApiKeyCreated,
        Self::ApiKeyChanged,
        Self::ApiKeyRolled,
        Self::ApiKeyRevoked,
        Self::KeyRunaway,
        Self::KeyResumed,
        Self::MemberInvited,
        Self::MemberJoined,
        Self::MemberChanged,
        Self::MemberRemoved,
        Self::WebhookTest,
    ];

    /// The name in deliveries and subscriptions: `credits.low_balance`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CreditsLowBalance => "credits.low_balance",
            Self::CreditsDepleted => "credits.depleted",
            Self::CreditsRecovered => "credits.recovered",
            Self::CreditsPurchased => "credits.purchased",
            Self::CreditsRenewed => "credits.renewed",
            Self::CreditsExpiring => "credits.expiring",
            Self::CreditsExpired => "credits.expired",
            Self::CreditsRefunded => "credits.refunded",
            Self::CreditsGranted => "credits.granted",
            Self::CreditsAdjusted => "credits.adjusted",
            Self::HoldExpired => "hold.expired",
            Self::AutoRechargeSucceeded => "auto_recharge.succeeded",
            Self::AutoRechargeFailed => "auto_recharge.failed",
            Self::AutoRechargePaused => "auto_recharge.paused",
            Self::PurchaseFailed => "purchase.failed",
            Self::PurchaseRefunded => "purchase.refunded",
            Self::MonitorSuspended => "monitor.suspended",
            Self::MonitorResumed => "monitor.resumed",
            Self::BudgetReached => "budget.reached",
            Self::BudgetRequested => "budget.requested",
            Self::BudgetRequestApproved => "budget.request_approved",
            Self::BudgetRequestDeclined => "budget.request_declined",
            Self::PlanChanged => "plan.changed",
            Self::DisputeOpened => "dispute.opened",
            Self::DisputeClosed => "dispute.closed",
            Self::WebhookPaused => "webhook.paused",
            Self::ApiKeyCreated => "api_key.created",
            Self::ApiKeyChanged => "api_key.changed",
            Self::ApiKeyRolled => "api_key.rolled",
            Self::ApiKeyRevoked => "api_key.revoked",
            Self::KeyRunaway => "key.runaway",
            Self::KeyResumed => "key.resumed",
            Self::MemberInvited => "member.invited",
            Self::MemberJoined => "member.joined",
            Self::MemberChanged => "member.changed",
            Self::MemberRemoved => "member.removed",
            Self::WebhookTest => "webhook.test",
        }
    }

    /// A summary in one sentence, for the documentation.
    #[must_use]
    pub fn summary(self) -> &'static str {
        match self {
            Self::CreditsLowBalance => "What debits can spend has fallen below a threshold.",
            Self::CreditsDepleted => "Debits without a service have no credits left to spend.",
            Self::CreditsRecovered => "What debits can spend is above a threshold again.",
            Self::CreditsPurchased => "Credits were bought.",
            Self::CreditsRenewed => "A new month has begun and its subscription credits are available.",
            Self::CreditsExpiring => "Some credits will expire soon.",
            Self::CreditsExpired => "Unused credits have expired.",
            Self::CreditsRefunded => "Credits were refunded.",
            Self::CreditsGranted => "An operator has granted credits.",
            Self::CreditsAdjusted => "An operator has adjusted the credits.",
            Self::HoldExpired => "A hold has ended, and what was left of it is available again.",
            Self::AutoRechargeSucceeded => "Auto-recharge has bought credits.",
            Self::AutoRechargeFailed => "A payment of auto-recharge has failed.",
            Self::AutoRechargePaused => {
                "Auto-recharge is paused although the balance is below its threshold."
            }
            Self::PurchaseFailed => "A purchase could not be paid.",
            Self::PurchaseRefunded => "Money of a purchase was refunded, and its credits were taken back.",
            Self::MonitorSuspended => "A month of a monitor could not be paid, so the monitor is suspended.",
            Self::MonitorResumed => "A suspended monitor has resumed.",
            Self::BudgetReached => "A budget has reached a percentage of its limit.",
            Self::BudgetRequested => "A larger budget was asked for.",
            Self::BudgetRequestApproved => "A budget was raised as asked for.",
            Self::BudgetRequestDeclined => "A request for a larger budget was declined.",
            Self::PlanChanged => "The organisation's subscription plan has changed.",
            Self::DisputeOpened => {
                "A customer's bank disputes a payment, and its remaining credits are set aside."
            }
            Self::DisputeClosed => "A dispute is closed.",
            Self::WebhookPaused => "Deliveries to an endpoint have stopped until its owner resumes them.",
            Self::ApiKeyCreated => "An API key was created.",
            Self::ApiKeyChanged => "The terms of an API key were changed.",
            Self::ApiKeyRolled => "An API key was given a new secret.",
            Self::ApiKeyRevoked => "An API key was revoked.",
            Self::KeyRunaway => "An API key spends far more than it used to.",
            Self::KeyResumed => "An API key that was paused was resumed.",
            Self::MemberInvited => "A member was invited.",
            Self::MemberJoined => "A member has accepted an invitation.",
            Self::MemberChanged => "A member was changed.",
            Self::MemberRemoved => "A member was removed.",
            Self::WebhookTest => "A test delivery that the owner requested.",
        }
    }

    /// Whether a webhook can subscribe to it. Test deliveries are sent on request, to any webhook.
    #[must_use]
    pub fn is_subscribable(self) -> bool {
        self != Self::WebhookTest
    }
}

impl From<EventName> for &'static str {
    fn from(name: EventName) -> Self {
        name.as_str()
    }
}

impl TryFrom<String> for EventName {
    type Error = BadEventName;

    fn try_from(text: String) -> Result<Self, BadEventName> {
        Self::ALL.into_iter().find(|name| name.as_str() == text).ok_or(BadEventName)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_parsed_and_unique() {
        for name in EventName::ALL {
            assert_eq!(EventName::try_from(name.as_str().to_owned()), Ok(name));
            let text = serde_json::to_string(&name).unwrap();
            assert_eq!(text, format!("\"{}\"", name.as_str()));
            assert_eq!(serde_json::from_str::<EventName>(&text).unwrap(), name);
        }
        assert_eq!(EventName::ALL.into_iter().collect::<BTreeSet<_>>().len(), EventName::ALL.len());
    }

    #[test]
    fn an_unknown_event_is_refused_with_all_names() {
        for wrong in ["", "credits", "credits.*", "*", "Credits.depleted", "credits.depleted "] {
            let said = EventName::try_from(wrong.to_owned()).unwrap_err().to_string();
            assert!(said.starts_with("must be one of: credits.low_balance, credits.depleted, "), "{said}");
            assert!(EventName::ALL.iter().all(|name| said.contains(name.as_str())), "{said}");
        }
    }

    #[test]
    fn a_summary_is_one_sentence() {
        for name in EventName::ALL {
            let summary = name.summary();
            assert_eq!(summary.find('.'), summary.len().checked_sub(1), "{summary}");
            assert!(summary.starts_with(char::is_uppercase), "{summary}");
        }
    }

    #[test]
    fn only_test_events_cannot_be_subscribed_to() {
        let not: Vec<_> = EventName::ALL.into_iter().filter(|name| !name.is_subscribable()).collect();
        assert_eq!(not, [EventName::WebhookTest]);
    }
}
