use std::time::Duration;

use aws_sdk_secretsmanager::config::timeout::TimeoutConfig;
use aws_sdk_secretsmanager::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use aws_sdk_secretsmanager::{Client, Config};
use secrecy::{ExposeSecret, SecretString};

/// One attempt to read a secret.
const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(2);

/// Reading a secret with all of the SDK's attempts.
const READ_TIMEOUT: Duration = Duration::from_secs(4);

/// How to reach a secret in AWS Secrets Manager. In Lambda all of it stands in the environment, so no
/// chain of credential providers is asked.
#[derive(Clone, Debug)]
pub struct SecretsManager {
    /// The secret.
    pub arn: String,
    /// The AWS region.
    pub region: String,
    /// The role's key id.
    pub access_key: String,
    /// The role's secret key.
    pub secret_key: SecretString,
    /// The role's session token; none for an emulator.
    pub session_token: Option<SecretString>,
    /// Another Secrets Manager than the region's own.
    pub endpoint: Option<String>,
}

/// A secret in AWS Secrets Manager.
pub struct ManagedSecret {
    client: Client,
    arn: String,
}

impl ManagedSecret {
    /// The secret that `manager` names.
    #[must_use]
    pub fn new(manager: SecretsManager) -> Self {
        let arn = manager.arn.clone();
        Self { client: Client::from_conf(manager.config()), arn }
    }

    /// The secret's text; none when it has none.
    ///
    /// # Errors
    /// The code that Secrets Manager answered with, or `no answer`. It never quotes the secret.
    pub async fn read(&self) -> Result<Option<SecretString>, String> {
        let answer = self.client.get_secret_value().secret_id(&self.arn).send().await;
        let answer = answer.map_err(|error| error.code().unwrap_or("no answer").to_owned())?;
        Ok(answer.secret_string().map(SecretString::from))
    }
}

impl SecretsManager {
    fn config(self) -> Config {
        let secret = |secret: &SecretString| secret.expose_secret().to_owned();
        let token = self.session_token.as_ref().map(secret);
        let credentials =
            Credentials::new(self.access_key, secret(&self.secret_key), token, None, "environment");
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_TIMEOUT)
            .operation_timeout(READ_TIMEOUT)
            .build();
        let mut config = Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .timeout_config(timeouts)
            .region(Region::new(self.region))
            .credentials_provider(credentials);
        config.set_endpoint_url(self.endpoint);
        config.build()
    }
}
