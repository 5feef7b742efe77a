//! The functions that read queues and the stream name the messages to deliver again, and no others. What is not named
//! is deleted, so a failure that is not named is forgotten.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use app::{App, Fatal};
use lambda_runtime::{Context, LambdaEvent};
use ports::NoQueue;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::TestProcess;

/// The time of the sample events.
const NOW: &str = "2024-01-15T10:30:00Z";

/// A function's own sample event.
fn sample(function: &str) -> Value {
    let file = format!("{}/../functions/{function}/event.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(Path::new(&file)).unwrap()).unwrap()
}

/// A batch of messages `m1`, `m2`, … with these bodies.
fn messages<B: AsRef<str>>(bodies: &[B]) -> Value {
    let records = (1..).zip(bodies).map(|(number, body)| {
        json!({ "messageId": format!("m{number}"), "body": body.as_ref(), "messageAttributes": {}, "attributes": {} })
    });
    json!({ "Records": records.collect::<Vec<_>>() })
}

/// The identifiers in a handler's response to an event.
async fn failed<E: DeserializeOwned, R: Serialize>(
    handler: impl AsyncFn(&App, LambdaEvent<E>) -> Result<R, Fatal>,
    app: &App,
    event: &Value,
) -> Vec<String> {
    let event = LambdaEvent::new(serde_json::from_value(event.clone()).unwrap(), Context::default());
    let response = serde_json::to_value(handler(app, event).await.unwrap()).unwrap();
    let failures = response["batchItemFailures"].as_array().unwrap();
    failures.iter().map(|failure| failure["itemIdentifier"].as_str().unwrap().to_owned()).collect()
}

/// Lets a function handle an event: with its tables, or while neither they nor the queue of webhooks answers.
async fn respond(function: &str, tables_answer: bool, event: &Value) -> Vec<String> {
    let process = TestProcess::open(NOW.parse().unwrap()).await;
    let mut app = process.start();
    if !tables_answer {
        process.faults.kill();
        app = Arc::new(App { deliveries: Arc::new(NoQueue), ..Arc::into_inner(app).unwrap() });
    }
    match function {
        "recharge" => failed(recharge::handle, &app, event).await,
        "renewal" => failed(renewal::handle, &app, event).await,
        "webhook-delivery" => failed(webhook_delivery::handle, &app, event).await,
        "projector" => failed(projector::handle, &app, event).await,
        unknown => panic!("{unknown} reads no queue"),
    }
}

/// Messages that are done are deleted. Messages that are not valid, and those that fail, are delivered again, so that they
/// end in the failure queue.
#[tokio::test]
async fn messages_that_fail_are_delivered_again() {
    const ONE: &str = r#"{"account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#live"}"#;
    const OTHER: &str = r#"{"account":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G#test"}"#;
    const EVENT: &str = r#"{"detail":{"organisationId":"org_01HKZNPZB0YQ3T5N1C8V6W2X4G","livemode":true}}"#;
    const ROUND: &str = r#"{"do":"round","month":"2024-01","shard":0}"#;
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("recharge", &[ONE, "{", OTHER, ROUND], &["m2", "m4"]),
        ("renewal", &[ROUND, "{", ONE, ROUND], &["m2", "m3"]),
        ("webhook-delivery", &[ONE, "{", EVENT, "", ROUND, OTHER], &["m2", "m4", "m5"]),
    ];
    for (function, bodies, invalid) in cases {
        let all: Vec<_> = (1..=bodies.len()).map(|number| format!("m{number}")).collect();
        let batch = messages(bodies);
        assert_eq!(respond(function, true, &batch).await, invalid, "{function}");
        assert_eq!(respond(function, false, &batch).await, all, "{function}, without tables");
        assert_eq!(respond(function, true, &sample(function)).await, [""; 0], "{function}, its sample");
    }
}

/// The stream is delivered again from the first record that could not be handled.
#[tokio::test]
async fn records_that_fail_are_delivered_again() {
    let (sample, none) = (sample("projector"), Vec::<String>::new());
    assert_eq!(respond("projector", true, &sample).await, none);
    let records = sample["Records"].as_array().unwrap().iter();
    let places: Vec<_> =
        records.map(|record| record["dynamodb"]["SequenceNumber"].as_str().unwrap()).collect();
    let failed = respond("projector", false, &sample).await;
    // The account of the first record has no entry yet, so there may be nothing to write.
    assert!(failed.len() == 1 && places[..2].contains(&failed[0].as_str()), "{failed:?} of {places:?}");
}
