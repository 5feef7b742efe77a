use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use tokio::net::TcpListener;

use ports::NoBus;

use super::*;
use domain::{AccountId, Event, Mode, OrgId};
use serde_json::Value;

fn published(number: u64) -> Published {
    let at = chrono::DateTime::from_timestamp(1_705_312_800, 0).unwrap();
    let account = AccountId { org: OrgId::new(at, 7), mode: Mode::Test };
    let event = Event { number, name: "credits.depleted".to_owned(), at, data: json!({ "n": number }) };
    Published { account, event }
}

/// An EventBridge that takes every entry but those whose number is in `refused`; what it was sent.
async fn bus(refused: &'static [u64]) -> (EventBridge, Arc<Mutex<Vec<Value>>>) {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["x-amz-target"], "AWSEvents.PutEvents");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let entries = body["Entries"].as_array().unwrap().clone();
        assert!(entries.len() <= 10, "EventBridge takes 10");
        let answers: Vec<Value> = entries
            .iter()
            .map(|entry| {
                let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
                match refused.contains(&detail["sequence"].as_u64().unwrap()) {
                    true => json!({ "ErrorCode": "ThrottlingException", "ErrorMessage": "too much" }),
                    false => json!({ "EventId": "1" }),
                }
            })
            .collect();
        noted.lock().unwrap().extend(entries);
        json!({ "FailedEntryCount": 0, "Entries": answers }).to_string()
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().route("/", post(take))).into_future());
    let text = |text: &str| text.to_owned();
    let bus = EventBus {
        name: text("scrip-events"),
        connection: Connection {
            region: text("us-east-1"),
            access_key: text("key"),
            secret_key: text("secret"),
            session_token: None,
            endpoint: Some(endpoint),
        },
    };
    (EventBridge::new(bus), seen)
}

#[tokio::test]
async fn an_event_stands_on_the_bus_with_its_name_and_whose_it_is() {
    let (bridge, seen) = bus(&[]).await;
    bridge.publish(&[published(5)]).await.unwrap();
    let seen = seen.lock().unwrap()[0].clone();
    assert_eq!(seen["Source"], "scrip");
    assert_eq!(seen["DetailType"], "credits.depleted");
    assert_eq!(seen["EventBusName"], "scrip-events");
    let detail: Value = serde_json::from_str(seen["Detail"].as_str().unwrap()).unwrap();
    let Published { account, event } = published(5);
    assert_eq!(detail["id"], json!(event.id(account).to_string()));
    assert_eq!(detail["organisationId"], json!(account.org));
    assert_eq!(detail["livemode"], json!(false));
    assert_eq!(detail["timestamp"], json!("2024-01-15T10:00:00Z"));
    assert_eq!(detail["data"], json!({ "n": 5 }));
}

#[tokio::test]
async fn every_entry_that_failed_is_told_although_the_call_succeeded() {
    let (bridge, seen) = bus(&[3, 11, 25]).await;
    let events: Vec<_> = (0..26).map(published).collect();
    let unpublished = bridge.publish(&events).await.unwrap_err();
    assert_eq!(unpublished.places, [3, 11, 25]);
    assert!(unpublished.why.contains("ThrottlingException"), "{unpublished}");
    assert_eq!(seen.lock().unwrap().len(), 26);
}

#[tokio::test]
async fn without_a_bus_nothing_is_published() {
    let unpublished = NoBus.publish(&[published(1), published(2)]).await.unwrap_err();
    assert_eq!(unpublished.places, [0, 1]);
}
