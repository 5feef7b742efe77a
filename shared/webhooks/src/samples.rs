//! The JSON Schemas of events, and sample data from their examples.

use serde_json::{Value, json};

use domain::{EventName, WebhookId};

macro_rules! schema {
    ($name:literal) => {
        include_str!(concat!("../../../infra/events/", $name, ".json"))
    };
}

/// The JSON Schema of an event's body (infra/events).
#[must_use]
pub fn schema(event: EventName) -> &'static str {
    match event {
        EventName::CreditsLowBalance => schema!("credits.low_balance"),
        EventName::CreditsDepleted => schema!("credits.depleted"),
        EventName::CreditsRecovered => schema!("credits.recovered"),
        EventName::CreditsPurchased => schema!("credits.purchased"),
        EventName::CreditsRenewed => schema!("credits.renewed"),
        EventName::CreditsExpiring => schema!("credits.expiring"),
        EventName::CreditsExpired => schema!("credits.expired"),
        EventName::CreditsRefunded => schema!("credits.refunded"),
        EventName::CreditsGranted => schema!("credits.granted"),
        EventName::CreditsAdjusted => schema!("credits.adjusted"),
        EventName::HoldExpired => schema!("hold.expired"),
        EventName::AutoRechargeSucceeded => schema!("auto_recharge.succeeded"),
        EventName::AutoRechargeFailed => schema!("auto_recharge.failed"),
        EventName::AutoRechargePaused => schema!("auto_recharge.paused"),
        EventName::PurchaseFailed => schema!("purchase.failed"),
        EventName::PurchaseRefunded => schema!("purchase.refunded"),
        EventName::MonitorSuspended => schema!("monitor.suspended"),
        EventName::MonitorResumed => schema!("monitor.resumed"),
        EventName::BudgetReached => schema!("budget.reached"),
        EventName::BudgetRequested => schema!("budget.requested"),
        EventName::BudgetRequestApproved => schema!("budget.request_approved"),
        EventName::BudgetRequestDeclined => schema!("budget.request_declined"),
        EventName::PlanChanged => schema!("plan.changed"),
        EventName::DisputeOpened => schema!("dispute.opened"),
        EventName::DisputeClosed => schema!("dispute.closed"),
        EventName::WebhookPaused => schema!("webhook.paused"),
        EventName::ApiKeyCreated => schema!("api_key.created"),
        EventName::ApiKeyChanged => schema!("api_key.changed"),
        EventName::ApiKeyRolled => schema!("api_key.rolled"),
        EventName::ApiKeyRevoked => schema!("api_key.revoked"),
        EventName::KeyRunaway => schema!("key.runaway"),
        EventName::KeyResumed => schema!("key.resumed"),
        EventName::MemberInvited => schema!("member.invited"),
        EventName::MemberJoined => schema!("member.joined"),
        EventName::MemberChanged => schema!("member.changed"),
        EventName::MemberRemoved => schema!("member.removed"),
        EventName::WebhookTest => schema!("webhook.test"),
    }
}

/// The data of a test event: the example of its schema.
#[must_use]
pub fn sample(event: EventName, webhook: WebhookId) -> Value {
    let schema: Value = serde_json::from_str(schema(event)).unwrap_or_default();
    let mut data = schema.pointer("/examples/0/data").cloned().unwrap_or_default();
    if event == EventName::WebhookTest
        && let Some(id) = data.get_mut("webhookId")
    {
        *id = json!(webhook);
    }
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_event_has_sample_data_and_a_test_event_has_its_webhooks_id() {
        let webhook = WebhookId::new(chrono::DateTime::UNIX_EPOCH, 7);
        for event in EventName::ALL {
            let data = sample(event, webhook);
            assert!(data["message"].is_string(), "{event:?}: {data}");
        }
        assert_eq!(sample(EventName::WebhookTest, webhook)["webhookId"], json!(webhook));
        assert_eq!(sample(EventName::CreditsLowBalance, webhook)["currentBalance"], 50);
    }
}
