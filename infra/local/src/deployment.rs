use std::env;
use std::time::Duration;

use anyhow::Context;
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_sqs::Client as Queues;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region};

/// How long one call takes at most, with all attempts.
const CALL_TIME: Duration = Duration::from_secs(30);

/// A deployment's queues, as the environment says: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`,
/// `AWS_SESSION_TOKEN`, `AWS_ENDPOINT_URL_SQS`.
///
/// # Errors
/// When one of the first three is missing.
pub fn queues() -> anyhow::Result<Queues> {
    let mut config = aws_sdk_sqs::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(credentials()?)
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIME).build());
    config.set_endpoint_url(endpoint("AWS_ENDPOINT_URL_SQS"));
    Ok(Queues::from_conf(config.build()))
}

/// The streams of its tables, in the same way; `AWS_ENDPOINT_URL_DYNAMODB_STREAMS`.
///
/// # Errors
/// When one of the first three is missing.
pub fn streams() -> anyhow::Result<Streams> {
    use aws_sdk_dynamodbstreams::config::timeout::TimeoutConfig;

    let mut config = aws_sdk_dynamodbstreams::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(credentials()?)
        .timeout_config(TimeoutConfig::builder().operation_timeout(CALL_TIME).build());
    config.set_endpoint_url(endpoint("AWS_ENDPOINT_URL_DYNAMODB_STREAMS"));
    Ok(Streams::from_conf(config.build()))
}

fn credentials() -> anyhow::Result<Credentials> {
    let (id, secret) = (variable("AWS_ACCESS_KEY_ID")?, variable("AWS_SECRET_ACCESS_KEY")?);
    Ok(Credentials::new(id, secret, env::var("AWS_SESSION_TOKEN").ok(), None, "environment"))
}

fn endpoint(name: &str) -> Option<String> {
    env::var(name).ok().filter(|url| !url.is_empty())
}

fn variable(name: &str) -> anyhow::Result<String> {
    env::var(name).with_context(|| format!("{name} is not set"))
}
