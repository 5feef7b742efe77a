//! The HTTP client that all SDK clients of a function share.

use std::time::Duration;

use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

/// How long a connection takes at most to be made, with its TLS handshake: enough for one lost packet, which TCP sends
/// again after a second, and below every timeout of an attempt.
pub const CONNECT_TIMEOUT: Duration = Duration::from_millis(1_500);

/// How long an idle connection is kept. AWS and the network between close idle connections without always saying so,
/// and a call on such a connection gets no answer.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The HTTP client of this thread, with one pool of connections: a function has one thread, and makes all its SDK clients
/// there. A connection belongs to the runtime that opened it, so runtimes of different threads, such as those of tests, do
/// not share one.
///
/// SDK clients share its connections if they also have the same connect timeout, [`CONNECT_TIMEOUT`]. So a broken
/// connection is found by whichever call comes first, mostly one that may be repeated, and a debit, which is sent once,
/// does not wait on a connection of its own that broke meanwhile.
#[must_use]
pub fn http_client() -> SharedHttpClient {
    thread_local! {
        static CLIENT: SharedHttpClient = Builder::new()
            .pool_idle_timeout(IDLE_TIMEOUT)
            .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
            .build_https();
    }
    CLIENT.with(Clone::clone)
}

#[cfg(test)]
#[cfg(all(feature = "event-bridge", feature = "kms", feature = "secrets-manager", feature = "sqs"))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use aws_sdk_dynamodb::config::retry::RetryConfig;
    use axum::Router;
    use axum::serve::ListenerExt;
    use domain::{AccountId, Mode, OrgId, WebhookId, WebhookSecret};
    use ports::{Bus, BusEvent, Queue, Seal, SecretOf};
    use tokio::net::TcpListener;

    use crate::{
        Connection, EventBridge, EventBus, Kms, KmsKey, ManagedSecret, QueueUrl, SecretsManager, Sqs,
    };

    /// A server that answers every call with an empty object, and the number of its connections.
    async fn endpoint() -> (String, Arc<AtomicUsize>) {
        let connections = Arc::new(AtomicUsize::new(0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let count = connections.clone();
        let listener = listener.tap_io(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
        });
        tokio::spawn(axum::serve(listener, Router::new().fallback(|| async { "{}" })).into_future());
        (address, connections)
    }

    /// Runs what is ready, so that the connection of an answered call is back in the pool.
    async fn settle() {
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
    }

    async fn call_dynamodb(config: aws_sdk_dynamodb::Config) {
        let client = aws_sdk_dynamodb::Client::from_conf(config);
        client.list_tables().send().await.unwrap();
    }

    /// Every SDK client that the app of a function may have, also the one that sends a debit once, calls the same
    /// endpoint in turn: one connection serves all of them.
    #[tokio::test]
    async fn all_clients_of_a_process_share_their_connections() {
        let (endpoint, connections) = endpoint().await;
        let text = |text: &str| text.to_owned();
        let connection = Connection {
            region: text("us-east-1"),
            access_key: text("key"),
            secret_key: text("secret"),
            session_token: None,
            endpoint: Some(endpoint.clone()),
        };
        let at = chrono::DateTime::from_timestamp(1_705_312_800, 0).unwrap();
        let account = AccountId { org: OrgId::new(at, 7), mode: Mode::Test };

        let config = connection.clone().config();
        let once = config.to_builder().retry_config(RetryConfig::disabled()).build();
        call_dynamodb(config).await;
        settle().await;
        call_dynamodb(once).await;
        settle().await;
        let queue = QueueUrl { url: format!("{endpoint}/0/recharge"), connection: connection.clone() };
        Sqs::new(queue).send(&1, 0).await.unwrap();
        settle().await;
        let bus = EventBridge::new(EventBus { name: text("events"), connection: connection.clone() });
        let event = BusEvent { account, name: text("credits.depleted"), at, detail: serde_json::json!({}) };
        drop(bus.publish(&[event]).await);
        settle().await;
        let owner = SecretOf { account, webhook: WebhookId::new(at, 1) };
        let kms = Kms::new(KmsKey { key: text("key"), connection });
        drop(kms.seal(owner, &WebhookSecret::new([42; 32])).await);
        settle().await;
        let secret = SecretsManager {
            arn: text("arn"),
            region: text("us-east-1"),
            access_key: text("key"),
            secret_key: text("secret").into(),
            session_token: None,
            endpoint: Some(endpoint),
        };
        assert!(ManagedSecret::new(secret).read().await.unwrap().is_none());
        assert_eq!(connections.load(Ordering::SeqCst), 1);
    }
}
