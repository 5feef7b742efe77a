//! A webhook that is resumed after its events were deleted.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{
    AddressPolicy, Credits, DeliveryState, EntryId, Lot, Notification, OnFailure, Source, Webhook, WebhookId,
    WebhookUrl,
};
use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, TestProcess, moment};

fn start() -> DateTime<Utc> {
    "2024-01-15T10:30:00Z".parse().unwrap()
}

fn webhook(id: WebhookId) -> Webhook {
    Webhook {
        id,
        url: WebhookUrl::parse("https://example.com/events", AddressPolicy::Public).unwrap(),
        events: BTreeSet::new(),
        description: None,
        on_failure: OnFailure::Block,
        secrets: vec![],
        rotated: false,
        created_at: start(),
        revision: 0,
    }
}

/// The table deletes events after 30 days, also those that a paused webhook did not get. The answer that resumes it says
/// which.
#[tokio::test]
async fn a_resumed_webhook_is_told_which_events_were_deleted() {
    let process = TestProcess::open(start()).await;
    let (account, key) = process.customer(100).await;
    let (fixture, id) = (&process.fixture, WebhookId::new(start(), 7));
    let paused = DeliveryState::new(1).paused();
    fixture.activity().add_webhook(account, &webhook(id), &paused, moment(start())).await.unwrap();
    for number in 1..=5 {
        let left = Credits::try_from(number).unwrap();
        let terms = Lot { source: Source::Bonus, left, service: None, expires_at: Some(start()) };
        let notification = Notification::Expiring { lot: EntryId::new(start(), number.into()), terms };
        fixture.ledger.emit(account, &notification, moment(start())).await.unwrap();
    }
    let path = format!("/api/v3/webhooks/{id}");
    let change = async |name: &str, body: &Value| {
        let request = ApiRequest::new(Method::PATCH, &path, &key).under(name).with(body);
        let (status, answer) = process.call(&request).await;
        assert_eq!(status, 200, "{answer}");
        answer["data"].clone()
    };
    let first = change("k1", &json!({ "description": "All events are there" })).await;
    assert_eq!((first.get("lostEvents"), &first["status"]), (None, &json!("PAUSED")));
    for event in fixture.items(&format!("EVENTS#{account}")).await.iter().take(3) {
        fixture.delete(event).await;
    }
    let resumed = change("k2", &json!({ "status": "ACTIVE" })).await;
    assert_eq!(resumed["lostEvents"], json!({ "firstSequence": 2, "lastSequence": 3 }));
    assert_eq!(resumed["status"], json!("ACTIVE"));
    let moved = change("k3", &json!({ "deliverAfter": 3 })).await;
    assert_eq!(moved.get("lostEvents"), None);
}
