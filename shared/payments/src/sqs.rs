use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;

use super::{Asleep, Wake, Wakes};
use domain::AccountId;
use store::{Connection, aws_client};

/// Where a queue is and how to reach it. In Lambda all of it stands in the environment.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The queue's URL.
    pub url: String,
    /// How to reach it.
    pub connection: Connection,
}

/// An SQS queue. The client is made with the first wake: functions that send none
/// do not pay for it at their start.
pub struct Sqs {
    queue: Queue,
    client: OnceLock<Client>,
}

/// No queue is configured.
#[derive(Clone, Copy, Debug)]
pub struct NoQueue;

impl Sqs {
    /// One attempt of one call, in seconds.
    const ATTEMPT_SECONDS: u64 = 2;
    /// One call with all of the SDK's attempts, in seconds. A caller is not kept waiting for a message: a wake
    /// that is lost is made up for by the next debit.
    const CALL_SECONDS: u64 = 5;

    /// Wakes through `queue`.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        Self { queue, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_sqs, self.queue.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }

    /// Puts a message into the queue, which holds it back for so many seconds.
    pub async fn message(&self, body: String, after_seconds: u16) -> Result<(), String> {
        let send = self.client().send_message().queue_url(&self.queue.url).message_body(body);
        let delay = Some(i32::from(after_seconds)).filter(|seconds| *seconds > 0);
        let sent = send.set_delay_seconds(delay).send().await;
        sent.map(|_| ()).map_err(|error| DisplayErrorContext(error).to_string())
    }
}

#[async_trait]
impl Wakes for Sqs {
    async fn wake(&self, account: AccountId) -> Result<(), Asleep> {
        let body = serde_json::to_string(&Wake { account }).map_err(|error| Asleep(error.to_string()))?;
        self.message(body, 0).await.map_err(Asleep)
    }
}

#[async_trait]
impl Wakes for NoQueue {
    async fn wake(&self, _: AccountId) -> Result<(), Asleep> {
        Err(Asleep("none is configured".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::routing::post;
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;
    use domain::{Mode, OrgId};

    fn account() -> AccountId {
        AccountId { org: OrgId::new(chrono::DateTime::UNIX_EPOCH, 7), mode: Mode::Test }
    }

    /// A queue at loopback that answers with `status`, and the messages that it was sent.
    async fn queue(status: StatusCode) -> (Sqs, Arc<Mutex<Vec<Value>>>) {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let noted = seen.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessage");
            noted.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            let kind = "com.amazonaws.sqs#QueueDoesNotExist";
            (status, json!({ "MessageId": "1", "__type": kind }).to_string())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().route("/", post(take))).into_future());
        let text = |text: &str| text.to_owned();
        let queue = Queue {
            url: format!("{endpoint}/000000000000/recharge"),
            connection: Connection {
                region: text("us-east-1"),
                access_key: text("key"),
                secret_key: text("secret"),
                session_token: None,
                endpoint: Some(endpoint),
            },
        };
        (Sqs::new(queue), seen)
    }

    #[tokio::test]
    async fn a_wake_is_a_message_that_names_the_account() {
        let (sqs, seen) = queue(StatusCode::OK).await;
        for _ in 0..2 {
            sqs.wake(account()).await.unwrap();
        }
        let messages = seen.lock().unwrap().clone();
        assert_eq!(messages.len(), 2);
        for message in messages {
            assert_eq!(message["QueueUrl"], json!(sqs.queue.url));
            let body: Value = serde_json::from_str(message["MessageBody"].as_str().unwrap()).unwrap();
            assert_eq!(body, json!({ "account": account().to_string() }));
            assert_eq!(serde_json::from_value::<Wake>(body).unwrap().account, account());
        }
    }

    #[tokio::test]
    async fn a_queue_that_does_not_take_it_is_told() {
        let (sqs, _) = queue(StatusCode::BAD_REQUEST).await;
        let asleep = sqs.wake(account()).await.unwrap_err();
        assert!(asleep.0.contains("QueueDoesNotExist"), "{asleep}");
        NoQueue.wake(account()).await.unwrap_err();
    }
}
