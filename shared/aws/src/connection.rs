//! How the SDK clients reach AWS.

use std::time::Duration;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};

use crate::{CONNECT_TIMEOUT, http_client};

/// The region, credentials and endpoint for an AWS service. In Lambda all of them come from the environment, so no
/// credential provider chain runs at a cold start.
#[derive(Clone, Debug)]
pub struct Connection {
    /// The AWS region.
    pub region: String,
    /// The role's key id.
    pub access_key: String,
    /// The role's secret key.
    pub secret_key: String,
    /// The role's session token; none for an emulator.
    pub session_token: Option<String>,
    /// An endpoint that replaces the region's own, for example an emulator.
    pub endpoint: Option<String>,
}

impl Connection {
    /// The timeout of one attempt, in seconds: far above DynamoDB's latency, and low enough that a request with a
    /// hanging call is answered before API Gateway's timeout of 30.
    const ATTEMPT_SECONDS: u64 = 3;
    /// The timeout of one call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 8;

    /// The DynamoDB client configuration for this connection.
    #[must_use]
    pub fn config(self) -> Config {
        let credentials =
            Credentials::new(self.access_key, self.secret_key, self.session_token, None, "environment");
        let mut config = Self::defaults().region(Region::new(self.region)).credentials_provider(credentials);
        config.set_http_client(Some(http_client()));
        config.set_endpoint_url(self.endpoint);
        config.build()
    }

    /// The timeouts and behaviour version that every DynamoDB client shares.
    pub fn defaults() -> aws_sdk_dynamodb::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(Duration::from_secs(Self::ATTEMPT_SECONDS))
            .operation_timeout(Duration::from_secs(Self::CALL_SECONDS))
            .build();
        Config::builder().behavior_version(BehaviorVersion::latest()).timeout_config(timeouts)
    }
}

/// Builds an SDK client for a [`Connection`], on the process's [`http_client`], with the timeout of one attempt and of one call with all attempts, in
/// seconds. A macro, because each SDK crate defines its own copies of the same types.
#[macro_export]
macro_rules! aws_client {
    ($sdk:ident, $connection:expr, $attempt_seconds:expr, $call_seconds:expr) => {{
        let $crate::Connection { region, access_key, secret_key, session_token, endpoint } =
            $connection.clone();
        let timeouts = $sdk::config::timeout::TimeoutConfig::builder()
            .connect_timeout($crate::CONNECT_TIMEOUT)
            .operation_attempt_timeout(std::time::Duration::from_secs($attempt_seconds))
            .operation_timeout(std::time::Duration::from_secs($call_seconds))
            .build();
        let credentials =
            $sdk::config::Credentials::new(access_key, secret_key, session_token, None, "environment");
        let mut config = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new(region))
            .credentials_provider(credentials)
            .http_client($crate::http_client())
            .timeout_config(timeouts);
        config.set_endpoint_url(endpoint);
        $sdk::Client::from_conf(config.build())
    }};
}
