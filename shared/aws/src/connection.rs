use std::time::Duration;

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};

/// How to reach DynamoDB, or another service of AWS. In Lambda all of it stands in the environment, so no chain of
/// credential providers is asked at a cold start.
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
    /// Another DynamoDB, or whatever service it is, than the region's own.
    pub endpoint: Option<String>,
}

impl Connection {
    /// One attempt of one call, in seconds: far above what DynamoDB takes, and low enough that a
    /// request with a call that hangs is answered before API Gateway gives up at 30.
    const ATTEMPT_SECONDS: u64 = 3;
    /// One call with all of the SDK's attempts, in seconds.
    const CALL_SECONDS: u64 = 8;

    /// The SDK's configuration for it.
    #[must_use]
    pub fn config(self) -> Config {
        let credentials =
            Credentials::new(self.access_key, self.secret_key, self.session_token, None, "environment");
        let mut config = Self::defaults().region(Region::new(self.region)).credentials_provider(credentials);
        config.set_endpoint_url(self.endpoint);
        config.build()
    }

    /// What every connection shares, whatever it leads to.
    pub fn defaults() -> aws_sdk_dynamodb::config::Builder {
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(Duration::from_secs(Self::ATTEMPT_SECONDS))
            .operation_timeout(Duration::from_secs(Self::CALL_SECONDS))
            .build();
        Config::builder().behavior_version(BehaviorVersion::latest()).timeout_config(timeouts)
    }
}

/// A client of one of AWS's SDKs for a [`Connection`], with the seconds that one attempt of one call may take, and
/// one call with all attempts. The SDKs have the same types under names of their own.
#[macro_export]
macro_rules! aws_client {
    ($sdk:ident, $connection:expr, $attempt_seconds:expr, $call_seconds:expr) => {{
        let $crate::Connection { region, access_key, secret_key, session_token, endpoint } =
            $connection.clone();
        let timeouts = $sdk::config::timeout::TimeoutConfig::builder()
            .operation_attempt_timeout(std::time::Duration::from_secs($attempt_seconds))
            .operation_timeout(std::time::Duration::from_secs($call_seconds))
            .build();
        let credentials =
            $sdk::config::Credentials::new(access_key, secret_key, session_token, None, "environment");
        let mut config = $sdk::Config::builder()
            .behavior_version($sdk::config::BehaviorVersion::latest())
            .region($sdk::config::Region::new(region))
            .credentials_provider(credentials)
            .timeout_config(timeouts);
        config.set_endpoint_url(endpoint);
        $sdk::Client::from_conf(config.build())
    }};
}
