//! The queue port on Amazon SQS.

use std::sync::OnceLock;

use async_trait::async_trait;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::DisplayErrorContext;
use ports::{Queue, QueueError};
use serde::Serialize;

use crate::{Connection, aws_client};

/// The URL of a queue and how to reach it. In Lambda all of it comes from the environment.
#[derive(Clone, Debug)]
pub struct QueueUrl {
    /// The queue's URL.
    pub url: String,
    /// How to reach SQS.
    pub connection: Connection,
}

/// An SQS queue. The client is created with the first message, so that a function that sends none starts without it.
pub struct Sqs {
    queue: QueueUrl,
    client: OnceLock<Client>,
}

impl Sqs {
    /// The timeout of one attempt, in seconds.
    const ATTEMPT_SECONDS: u64 = 2;
    /// The timeout of one call with all of the SDK's attempts, in seconds. It is short because callers wait for it and
    /// scheduled jobs cover a lost message.
    const CALL_SECONDS: u64 = 5;

    /// A sender to `queue`.
    #[must_use]
    pub fn new(queue: QueueUrl) -> Self {
        Self { queue, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            aws_client!(aws_sdk_sqs, self.queue.connection, Self::ATTEMPT_SECONDS, Self::CALL_SECONDS)
        })
    }
}

#[async_trait]
impl<M: Serialize + Sync> Queue<M> for Sqs {
    async fn send(&self, message: &M, delay_seconds: u16) -> Result<(), QueueError> {
        let body = serde_json::to_string(message).map_err(|error| QueueError(error.to_string()))?;
        let send = self.client().send_message().queue_url(&self.queue.url).message_body(body);
        let delay = Some(i32::from(delay_seconds)).filter(|seconds| *seconds > 0);
        let sent = send.set_delay_seconds(delay).send().await;
        sent.map(|_| ()).map_err(|error| QueueError(DisplayErrorContext(error).to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::Router;
    use axum::routing::post;
    use bytes::Bytes;
    use http::{HeaderMap, StatusCode};
    use ports::NoQueue;
    use serde_json::{Value, json};
    use tokio::net::TcpListener;

    use super::*;

    #[derive(Serialize)]
    struct NumberedMessage {
        number: u8,
    }

    /// A queue at loopback that responds with `status`, and the messages that it received.
    async fn queue(status: StatusCode) -> (Sqs, Arc<Mutex<Vec<Value>>>) {
        let received = Arc::new(Mutex::new(Vec::new()));
        let log = received.clone();
        let take = move |headers: HeaderMap, body: Bytes| async move {
            assert_eq!(headers["x-amz-target"], "AmazonSQS.SendMessage");
            log.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
            let kind = "com.amazonaws.sqs#QueueDoesNotExist";
            (status, json!({ "MessageId": "1", "__type": kind }).to_string())
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().route("/", post(take))).into_future());
        let text = |text: &str| text.to_owned();
        let queue = QueueUrl {
            url: format!("{endpoint}/000000000000/recharge"),
            connection: Connection {
                region: text("us-east-1"),
                access_key: text("key"),
                secret_key: text("secret"),
                session_token: None,
                endpoint: Some(endpoint),
            },
        };
        (Sqs::new(queue), received)
    }

    #[tokio::test]
    async fn a_message_is_sent_as_json_with_its_delay() {
        let (sqs, received) = queue(StatusCode::OK).await;
        for (number, delay) in [(1, 0), (2, 30)] {
            sqs.send(&NumberedMessage { number }, delay).await.unwrap();
        }
        let messages = received.lock().unwrap().clone();
        let sent: Vec<_> =
            messages.iter().map(|sent| (&sent["MessageBody"], &sent["DelaySeconds"])).collect();
        let (one, two) = (json!("{\"number\":1}"), json!("{\"number\":2}"));
        assert_eq!(sent, [(&one, &Value::Null), (&two, &json!(30))]);
        assert!(messages.iter().all(|sent| sent["QueueUrl"] == json!(sqs.queue.url)));
    }

    #[tokio::test]
    async fn a_rejected_message_is_an_error_with_its_reason() {
        let (sqs, _) = queue(StatusCode::BAD_REQUEST).await;
        let error = sqs.send(&NumberedMessage { number: 1 }, 0).await.unwrap_err();
        assert!(error.0.contains("QueueDoesNotExist"), "{error}");
        NoQueue.send(&NumberedMessage { number: 1 }, 0).await.unwrap_err();
    }
}
