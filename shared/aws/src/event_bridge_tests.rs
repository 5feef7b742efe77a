//! Tests of the event bus on EventBridge, against a server at loopback.

use std::sync::{Arc, Mutex};

use axum::Router;
use axum::routing::post;
use bytes::Bytes;
use http::HeaderMap;
use serde_json::json;
use tokio::net::TcpListener;

use ports::NoBus;

use super::*;
use domain::{AccountId, Mode, OrgId};
use serde_json::Value;

fn published(number: u64) -> BusEvent {
    let at = chrono::DateTime::from_timestamp(1_705_312_800, 0).unwrap();
    let account = AccountId { org: OrgId::new(at, 7), mode: Mode::Test };
    BusEvent { account, name: "credits.depleted".to_owned(), at, detail: json!({ "sequence": number }) }
}

/// A server that accepts every entry except those with a sequence number in `refused`, and the entries it received.
async fn bus(refused: &'static [u64]) -> (EventBridge, Arc<Mutex<Vec<Value>>>) {
    let received = Arc::new(Mutex::new(Vec::new()));
    let log = received.clone();
    let take = move |headers: HeaderMap, body: Bytes| async move {
        assert_eq!(headers["x-amz-target"], "AWSEvents.PutEvents");
        let body: Value = serde_json::from_slice(&body).unwrap();
        let entries = body["Entries"].as_array().unwrap().clone();
        assert!(entries.len() <= 10, "at most 10 entries in a call");
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
        log.lock().unwrap().extend(entries);
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
    (EventBridge::new(bus), received)
}

#[tokio::test]
async fn an_entry_has_the_source_name_time_and_detail_of_its_event() {
    let (bridge, received) = bus(&[]).await;
    bridge.publish(&[published(5)]).await.unwrap();
    let entry = received.lock().unwrap()[0].clone();
    assert_eq!(entry["Source"], "scrip");
    assert_eq!(entry["DetailType"], "credits.depleted");
    assert_eq!(entry["EventBusName"], "scrip-events");
    assert_eq!(entry["Time"], json!(1_705_312_800));
    let detail: Value = serde_json::from_str(entry["Detail"].as_str().unwrap()).unwrap();
    assert_eq!(detail, published(5).detail);
}

#[tokio::test]
async fn rejected_entries_are_reported_although_the_call_succeeded() {
    let (bridge, received) = bus(&[3, 11, 25]).await;
    let events: Vec<_> = (0..26).map(published).collect();
    let unpublished = bridge.publish(&events).await.unwrap_err();
    assert_eq!(unpublished.places, [3, 11, 25]);
    assert!(unpublished.why.contains("ThrottlingException"), "{unpublished}");
    assert_eq!(received.lock().unwrap().len(), 26);
}

#[tokio::test]
async fn without_a_bus_nothing_is_published() {
    let unpublished = NoBus.publish(&[published(1), published(2)]).await.unwrap_err();
    assert_eq!(unpublished.places, [0, 1]);
}
