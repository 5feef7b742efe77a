use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_sqs::error::DisplayErrorContext;
use aws_sdk_sqs::{Client, Config};

use super::{Asleep, Wake, Wakes};
use crate::domain::AccountId;

/// Where the queue of wakes is and how to reach it. In Lambda all of it stands in the environment.
#[derive(Clone, Debug)]
pub struct Queue {
    /// The queue's URL.
    pub url: String,
    /// The AWS region.
    pub region: String,
    /// The role's key id.
    pub access_key: String,
    /// The role's secret key.
    pub secret_key: String,
    /// The role's session token; none for an emulator.
    pub session_token: Option<String>,
    /// Another SQS than the region's own.
    pub endpoint: Option<String>,
}

/// Wakes by way of an SQS queue. The client is made with the first wake: functions that send none
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
    /// One call with all of the SDK's attempts, in seconds. A wake that is lost is made up for by the
    /// next debit, so a caller is not kept waiting for one.
    const CALL_SECONDS: u64 = 5;

    /// Wakes through `queue`.
    #[must_use]
    pub fn new(queue: Queue) -> Self {
        Self { queue, client: OnceLock::new() }
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let Queue { region, access_key, secret_key, session_token, endpoint, .. } = self.queue.clone();
            let credentials = Credentials::new(access_key, secret_key, session_token, None, "environment");
            let timeouts = TimeoutConfig::builder()
                .operation_attempt_timeout(Duration::from_secs(Self::ATTEMPT_SECONDS))
                .operation_timeout(Duration::from_secs(Self::CALL_SECONDS))
                .build();
            let mut config = Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new(region))
                .credentials_provider(credentials)
                .timeout_config(timeouts);
            config.set_endpoint_url(endpoint);
            Client::from_conf(config.build())
        })
    }
}

#[async_trait]
impl Wakes for Sqs {
    async fn wake(&self, account: AccountId) -> Result<(), Asleep> {
        let body = serde_json::to_string(&Wake { account }).map_err(|error| Asleep(error.to_string()))?;
        let send = self.client().send_message().queue_url(&self.queue.url).message_body(body);
        match send.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(Asleep(DisplayErrorContext(error).to_string())),
        }
    }
}

#[async_trait]
impl Wakes for NoQueue {
    async fn wake(&self, _: AccountId) -> Result<(), Asleep> {
        Err(Asleep("none is configured".to_owned()))
    }
}
