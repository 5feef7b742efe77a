//! What AWS does for us, as an emulator of it does, where `SCRIP_SECRETS_MANAGER` names one that serves all of it.

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use serde_json::{Value, json};
use shared::domain::{AccountId, HookSecret, Mode, OrgId, WebhookId};
use shared::hooks::{Kms, KmsKey, Owner, Seal};
use shared::store::{Connection, random};

/// Calls a service of the emulator, as an SDK would.
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
    let owner = |webhook| Owner { account, webhook: WebhookId::new(now, webhook) };
    let secret = HookSecret::new([42; 32]);
    let (sealer, opener) = (kms(), kms());
    let sealed = sealer.seal(owner(1), &secret).await.unwrap();
    assert!(!sealed.contains(secret.reveal()));
    for _ in 0..2 {
        assert_eq!(opener.open(owner(1), &sealed).await.unwrap(), secret);
    }
    opener.open(owner(2), &sealed).await.unwrap_err();
    opener.open(owner(1), "bm8gY2lwaGVyIHRleHQ=").await.unwrap_err();
}

#[tokio::test]
async fn what_failed_is_sent_again_once_and_no_more_than_was_there() {
    let Ok(endpoint) = std::env::var("SCRIP_SECRETS_MANAGER") else { return };
    let config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(&endpoint);
    let client = Client::from_conf(config.build());
    let queue = async |name: &str| {
        let made = client.create_queue().queue_name(format!("{name}-{:x}", random())).send().await.unwrap();
        made.queue_url.unwrap()
    };
    let (failures, work) = (queue("failures").await, queue("work").await);
    for number in 0..23 {
        client.send_message().queue_url(&failures).message_body(format!("{number}")).send().await.unwrap();
    }
    let mut said = Vec::new();
    let mut tell = |line: &str| said.push(line.to_owned());
    let sent = local::redrive(&client, (&failures, &work), Some(5), &mut tell).await.unwrap();
    assert_eq!(sent, 5);
    let sent = local::redrive(&client, (&failures, &work), None, &mut tell).await.unwrap();
    assert_eq!(sent, 18);
    assert_eq!(local::redrive(&client, (&failures, &work), None, &mut tell).await.unwrap(), 0);
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
    local::redrive(&client, (&work, &work), None, &mut |_| ()).await.unwrap_err();
}
