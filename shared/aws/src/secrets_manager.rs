//! Secrets in AWS Secrets Manager.

use std::time::Duration;

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::{Client, Config};
use secrecy::{ExposeSecret, SecretString};

use crate::{CONNECT_TIMEOUT, http_client};

/// The timeout of one attempt to read a secret.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// The timeout of reading a secret with all of the SDK's attempts.
const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// The ARN of a secret and how to reach it. In Lambda all of it comes from the environment, so no credential provider
/// chain runs.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    /// The secret's ARN.
    pub arn: String,
    /// The AWS region.
    pub region: String,
    /// The role's key id.
    pub access_key: String,
    /// The role's secret key.
    pub secret_key: SecretString,
    /// The role's session token; none for an emulator.
    pub session_token: Option<SecretString>,
    /// An endpoint that replaces the region's own.
    pub endpoint: Option<String>,
}

/// A secret in AWS Secrets Manager.
pub struct ManagedSecret {
    client: Client,
    arn: String,
}

impl ManagedSecret {
    /// A reader of the secret that `manager` names.
    #[must_use]
    pub fn new(manager: SecretsManager) -> Self {
        let arn = manager.arn.clone();
        Self { client: Client::from_conf(manager.config()), arn }
    }

    /// Reads the secret's text; `None` when it has no text.
    ///
    /// # Errors
    /// The error code of Secrets Manager, or `no answer`. The error never quotes the secret.
    pub async fn read(&self) -> Result<Option<SecretString>, String> {
        let response = self.client.get_secret_value().secret_id(&self.arn).send().await;
        let response = response.map_err(|error| error.code().unwrap_or("no answer").to_owned())?;
        Ok(response.secret_string().map(SecretString::from))
    }
}

impl SecretsManager {
    fn config(self) -> Config {
        let secret = |secret: &SecretString| secret.expose_secret().to_owned();
        let token = self.session_token.as_ref().map(secret);
        let credentials =
            Credentials::new(self.access_key, secret(&self.secret_key), token, None, "environment");
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(READ_TIMEOUT)
            .build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .http_client(http_client())
            .timeout_config(timeouts)
            .region(Region::new(self.region))
            .credentials_provider(credentials);
        config.set_endpoint_url(self.endpoint);
        config.build()
    }
}
