//! The database of a machine: the embedded engine, or a DynamoDB at another endpoint.

use aws::Connection;

use crate::engine::Engine;
use crate::options::{DataLocation, Options};

/// The clients' configurations, and the engine if it is the embedded one.
pub(crate) struct Database {
    pub(crate) engine: Option<Engine>,
    pub(crate) ledger: aws_sdk_dynamodb::config::Builder,
    pub(crate) streams: aws_sdk_dynamodbstreams::Client,
}

impl Database {
    /// Opens the database that the options name.
    ///
    /// # Errors
    /// When the data is in use by another process or can't be read.
    pub(crate) fn open(options: &Options) -> anyhow::Result<Self> {
        if let Some(endpoint) = &options.endpoint {
            return Ok(Self::at(endpoint));
        }
        Ok(Self::of(match &options.data {
            DataLocation::Folder(folder) => Engine::open(folder)?,
            DataLocation::Memory => Engine::temporary()?,
        }))
    }

    /// The database of an engine.
    pub(crate) fn of(engine: Engine) -> Self {
        Self {
            ledger: engine.dynamodb_config(),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(engine.streams_config().build()),
            engine: Some(engine),
        }
    }

    fn at(endpoint: &str) -> Self {
        use aws_sdk_dynamodbstreams::config::{BehaviorVersion, Credentials, Region};

        let variable =
            |name: &str, otherwise: &str| std::env::var(name).unwrap_or_else(|_| otherwise.to_owned());
        let connection = Connection {
            region: variable("AWS_REGION", "us-east-1"),
            access_key: variable("AWS_ACCESS_KEY_ID", "local"),
            secret_key: variable("AWS_SECRET_ACCESS_KEY", "local"),
            session_token: std::env::var("AWS_SESSION_TOKEN").ok(),
            endpoint: Some(endpoint.to_owned()),
        };
        let credentials = Credentials::new(
            connection.access_key.clone(),
            connection.secret_key.clone(),
            connection.session_token.clone(),
            None,
            "environment",
        );
        let streams = aws_sdk_dynamodbstreams::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(connection.region.clone()))
            .credentials_provider(credentials)
            .http_client(aws::http_client())
            .endpoint_url(endpoint)
            .build();
        Self {
            engine: None,
            ledger: connection.config().to_builder(),
            streams: aws_sdk_dynamodbstreams::Client::from_conf(streams),
        }
    }
}
