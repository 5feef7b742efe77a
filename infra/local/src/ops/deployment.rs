//! Clients of a deployment's queues and streams, configured by the environment.

use aws::aws_client;
use aws_sdk_dynamodbstreams::Client as Streams;
use aws_sdk_sqs::Client as Queues;
use scrip_http::{MissingVariable, connection};

/// How many seconds one attempt of a call may take. A call that waits for messages takes several.
const ATTEMPT_SECONDS: u64 = 15;

/// How many seconds a call takes at most, with all attempts.
const CALL_SECONDS: u64 = 30;

/// A client of SQS. It reads `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, and if set `AWS_SESSION_TOKEN` and
/// `AWS_ENDPOINT_URL_SQS`.
///
/// # Errors
/// When one of the first three is missing.
pub fn queues() -> Result<Queues, MissingVariable> {
    Ok(aws_client!(aws_sdk_sqs, connection("AWS_ENDPOINT_URL_SQS")?, ATTEMPT_SECONDS, CALL_SECONDS))
}

/// A client of DynamoDB Streams. It reads the variables of [`queues`], with `AWS_ENDPOINT_URL_DYNAMODB_STREAMS`.
///
/// # Errors
/// When one of the first three is missing.
pub fn streams() -> Result<Streams, MissingVariable> {
    let connection = connection("AWS_ENDPOINT_URL_DYNAMODB_STREAMS")?;
    Ok(aws_client!(aws_sdk_dynamodbstreams, connection, ATTEMPT_SECONDS, CALL_SECONDS))
}
