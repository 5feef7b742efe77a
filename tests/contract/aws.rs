//! Services of AWS, on an emulator that `SCRIP_SECRETS_MANAGER` names.

use aws::{Connection, Kms, KmsKey};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use domain::{AccountId, Mode, OrgId, WebhookId, WebhookSecret};
use local::QueueAddress;
use ports::{Seal, SecretOf, random};
use serde_json::{Value, json};
use tests::{TestLedger, keyed, moment, settle};

use crate::model::ledger::Request;

/// Calls a service of the emulator as an SDK does.
async fn call(endpoint: &str, (service, operation): (&str, &str), body: Value) -> Value {
    let scope = format!(
        "AWS4-HMAC-SHA256 Credential=test/20260115/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
    );
    let request = tests::client().post(endpoint).header("authorization", scope);
    let request =
        request.header("content-type", "application/x-amz-json-1.1").header("x-amz-target", operation);
    request.body(body.to_string()).send().await.unwrap().json().await.unwrap()
}

#[tokio::test]
async fn a_secret_that_kms_has_sealed_opens_for_its_own_webhook_alone() {
    let Ok(endpoint) = std::env::var("SCRIP_SECRETS_MANAGER") else { return };
    let made = call(&endpoint, ("kms", "TrentService.CreateKey"), json!({})).await;
    let kms = || {
        Kms::new(KmsKey {
            key: made["KeyMetadata"]["Arn"].as_str().unwrap().to_owned(),
            connection: Connection {
                region: "us-east-1".to_owned(),
                access_key: "test".to_owned(),
                secret_key: "test".to_owned(),
                session_token: None,
                endpoint: Some(endpoint.clone()),
            },
        })
    };
    let now = "2026-01-15T10:30:00Z".parse().unwrap();
    let account = AccountId { org: OrgId::new(now, 1), mode: Mode::Live };
    let owner = |webhook| SecretOf { account, webhook: WebhookId::new(now, webhook) };
    let secret = WebhookSecret::new([42; 32]);
    let (sealer, opener) = (kms(), kms());
    let sealed = sealer.seal(owner(1), &secret).await.unwrap();
    assert!(!sealed.contains(secret.reveal()));
    for _ in 0..2 {
        assert_eq!(opener.open(owner(1), &sealed).await.unwrap(), secret);
    }
    opener.open(owner(2), &sealed).await.unwrap_err();
    opener.open(owner(1), "bm8gY2lwaGVyIHRleHQ=").await.unwrap_err();
}

fn queues(endpoint: &str) -> Client {
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint);
    Client::from_conf(config.build())
}

async fn queue(client: &Client, name: &str) -> String {
    let made = client.create_queue().queue_name(format!("{name}-{:x}", random())).send().await.unwrap();
    made.queue_url.unwrap()
}

/// Has the records that the messages of `queue` name projected again, and collects the progress lines.
async fn reprocess(
    fixture: &TestLedger,
    queue: QueueAddress<'_>,
    said: &mut Vec<String>,
) -> anyhow::Result<()> {
    let ((streams, _), activity) = (fixture.stream().await, fixture.activity());
    let progress = &mut |line: &str| said.push(line.to_owned());
    local::reprocess_failures(queue, &streams, &fixture.ledger, &tests::others(&activity), progress).await
}

/// Lambda's failure message names the records that the function could not process; they are read from the stream
/// and projected.
#[tokio::test]
async fn records_that_the_projector_failed_at_are_projected_from_the_stream() {
    let Ok(endpoint) = std::env::var("SCRIP_SECRETS_MANAGER") else { return };
    let fixture = TestLedger::on(Some(&endpoint)).await;
    let now = "2024-01-15T10:30:00Z".parse().unwrap();
    let id = fixture.open(40, now).await;
    for number in 0..5 {
        let decide = |account: &_, attempt: &_| Request::Freeze(false).decide(account, attempt);
        settle(&fixture.ledger, id, keyed(&format!("k{number}"), "x"), moment(now), decide).await.unwrap();
    }
    let (streams, stream) = fixture.stream().await;
    let described = streams.describe_stream().stream_arn(&stream).send().await.unwrap();
    let shard = described.stream_description().unwrap().shards()[0].shard_id().unwrap();
    let records = fixture.records().await;
    let of_account = |record: &&jobs::projection::Record| {
        let image = record.image.clone().and_then(|image| store::account_image(image).unwrap());
        image.is_some_and(|account| account.last.is_some())
    };
    let places: Vec<_> = records.iter().filter(of_account).map(|record| &record.place).collect();
    assert_eq!(places.len(), 6);
    let (client, account) = (queues(&endpoint), fixture.ledger.account(id).await.unwrap().unwrap());
    let failures = queue(&client, "projector-failures").await;
    let failed = json!({
        "requestContext": { "condition": "RetryAttemptsExhausted", "approximateInvokeCount": 51 },
        "version": "1.0",
        "timestamp": "2024-01-15T10:31:00.000Z",
        "DDBStreamBatchInfo": {
            "shardId": shard, "startSequenceNumber": places[0], "endSequenceNumber": places[4],
            "batchSize": 5, "streamArn": stream,
        },
    });
    // AWS's answer for a shard whose records are all older than a day.
    let mut old = failed.clone();
    old["DDBStreamBatchInfo"]["shardId"] = json!("shardId-00000001700000000000-deadbeef");
    for body in [failed.to_string(), old.to_string(), "no message of Lambda's".to_owned()] {
        client.send_message().queue_url(&failures).message_body(body).send().await.unwrap();
    }
    let mut said = Vec::new();
    let again = reprocess(&fixture, QueueAddress { client: &client, url: &failures }, &mut said).await;
    assert!(again.unwrap_err().to_string().starts_with("1 batches failed again"));
    assert_eq!(
        said.last().unwrap(),
        "batches of the stream: 1 processed, 1 older than the stream keeps them"
    );
    assert_eq!(fixture.ledger.watermark(id).await.unwrap(), account.sequence - 1);
    // Messages that were projected are deleted; the other is invisible for a while.
    let said_before = said.len();
    reprocess(&fixture, QueueAddress { client: &client, url: &failures }, &mut said).await.unwrap();
    assert_eq!(said.len(), said_before + 1);
}

#[tokio::test]
async fn failed_messages_are_redriven_once() {
    let Ok(endpoint) = std::env::var("SCRIP_SECRETS_MANAGER") else { return };
    let client = queues(&endpoint);
    let (failures, work) = (queue(&client, "failures").await, queue(&client, "work").await);
    for number in 0..23 {
        client.send_message().queue_url(&failures).message_body(format!("{number}")).send().await.unwrap();
    }
    let mut said = Vec::new();
    let mut progress = |line: &str| said.push(line.to_owned());
    let sent = local::redrive(&client, &failures, &work, Some(5), &mut progress).await.unwrap();
    assert_eq!(sent, 5);
    let sent = local::redrive(&client, &failures, &work, None, &mut progress).await.unwrap();
    assert_eq!(sent, 18);
    assert_eq!(local::redrive(&client, &failures, &work, None, &mut progress).await.unwrap(), 0);
    assert_eq!(said.first().map(String::as_str), Some("23 messages are there; 5 are sent again"));
    let mut found = Vec::new();
    while found.len() < 23 {
        let taken =
            client.receive_message().queue_url(&work).max_number_of_messages(10).send().await.unwrap();
        let messages = taken.messages.unwrap_or_default();
        assert!(!messages.is_empty(), "{} of 23", found.len());
        found.extend(messages.into_iter().map(|message| message.body.unwrap().parse::<u32>().unwrap()));
    }
    found.sort_unstable();
    assert_eq!(found, (0..23).collect::<Vec<_>>());
    local::redrive(&client, &work, &work, None, &mut |_| ()).await.unwrap_err();
}
