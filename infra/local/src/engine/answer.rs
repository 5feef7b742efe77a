//! Answers a request in DynamoDB's JSON as the engine's own HTTP server does.

use std::sync::atomic::{AtomicU64, Ordering};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// The services, as `x-amz-target` names them before its dot.
const SERVICES: [&str; 2] = ["DynamoDB_20120810", "DynamoDBStreams_20120810"];

/// The text that DynamoDB puts before a refused value in a write of one item.
const ENVELOPE: &str = "1 validation error detected: ";

/// DynamoDB's message for a value without a type.
const EMPTY_VALUE: &str =
    "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes";

/// Answers one request. Blocks until the engine is done.
pub(super) fn answer(database: &Database, request: &HttpRequest) -> HttpResponse {
    let target = request.headers().get("x-amz-target").and_then(|target| target.split_once('.'));
    let (Some((service, operation)), Some(body)) = (target, request.body().bytes()) else {
        return response(400, unknown_operation());
    };
    if !SERVICES.contains(&service) {
        return response(400, unknown_operation());
    }
    match run(database, operation, body) {
        None => response(400, unknown_operation()),
        Some(Ok(body)) => response(200, body),
        Some(Err(refusal)) => response(refusal.status_code(), refusal.to_json()),
    }
}

/// Runs an operation; `None` if it does not exist.
fn run(database: &Database, operation: &str, body: &[u8]) -> Option<dynoxide::Result<String>> {
    let call = EngineCall { operation, body };
    Some(match operation {
        "BatchGetItem" => call.of(|request| database.batch_get_item(request)),
        "BatchWriteItem" => call.of(|request| database.batch_write_item(request)),
        "CreateTable" => call.of(|request| database.create_table(request)),
        "DeleteItem" => call.of(|request| database.delete_item(request)),
        "DeleteTable" => call.of(|request| database.delete_table(request)),
        "DescribeStream" => call.of(|request| database.describe_stream(request)),
        "DescribeTable" => call.of(|request| database.describe_table(request)),
        "DescribeTimeToLive" => call.of(|request| database.describe_time_to_live(request)),
        "GetItem" => call.of(|request| database.get_item(request)),
        "GetRecords" => call.of(|request| database.get_records(request)),
        "GetShardIterator" => call.of(|request| database.get_shard_iterator(request)),
        "ListStreams" => call.of(|request| database.list_streams(request)),
        "ListTables" => call.of(|request| database.list_tables(request)),
        "ListTagsOfResource" => call.of(|request| database.list_tags_of_resource(request)),
        "PutItem" => call.of(|request| database.put_item(request)),
        "Query" => call.of(|request| database.query(request)),
        "Scan" => call.of(|request| database.scan(request)),
        "TagResource" => call.of(|request| database.tag_resource(request)),
        "TransactGetItems" => call.of(|request| database.transact_get_items(request)),
        "TransactWriteItems" => call.of(|request| database.transact_write_items(request)),
        "UntagResource" => call.of(|request| database.untag_resource(request)),
        "UpdateItem" => call.of(|request| database.update_item(request)),
        "UpdateTable" => call.of(|request| database.update_table(request)),
        "UpdateTimeToLive" => call.of(|request| database.update_time_to_live(request)),
        _ => return None,
    })
}

#[derive(Clone, Copy)]
struct EngineCall<'a> {
    operation: &'a str,
    body: &'a [u8],
}

impl EngineCall<'_> {
    fn of<Q: DeserializeOwned, A: Serialize>(
        self,
        act: impl FnOnce(Q) -> dynoxide::Result<A>,
    ) -> dynoxide::Result<String> {
        let request = serde_json::from_slice(self.body).map_err(|unread| self.unread(&unread))?;
        let answer = act(request)?;
        serde_json::to_string(&answer)
            .map_err(|unwritten| DynoxideError::InternalServerError(unwritten.to_string()))
    }

    /// The error for a body that the engine can't read. The engine marks its reason with the kind of error.
    fn unread(self, unread: &serde_json::Error) -> DynoxideError {
        let message = unread.to_string();
        let reason = message.split(" at line ").next().unwrap_or_default();
        if let Some(reason) = reason.strip_prefix("VALIDATION_REQUEST:") {
            let envelope = match self.operation {
                "DeleteItem" | "PutItem" | "UpdateItem" => ENVELOPE,
                _ => "",
            };
            return DynoxideError::ValidationException(format!("{envelope}{reason}"));
        }
        if let Some(reason) = reason.strip_prefix("VALIDATION:") {
            return DynoxideError::ValidationException(reason.to_owned());
        }
        if reason.contains("empty AttributeValue") {
            return DynoxideError::ValidationException(EMPTY_VALUE.to_owned());
        }
        if reason.contains("missing field") {
            return DynoxideError::ValidationException(message);
        }
        // No SDK writes such a body; DynamoDB often gives no message for it.
        DynoxideError::SerializationException(String::new())
    }
}

fn unknown_operation() -> String {
    r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#.to_owned()
}

fn response(status: u16, body: String) -> HttpResponse {
    /// Counts the requests of this process, to make their ids unique.
    static ANSWERED: AtomicU64 = AtomicU64::new(1);
    let status = StatusCode::try_from(status)
        // The engine uses only 200, 400, 500 and 501.
        .unwrap_or_else(|_| http::StatusCode::INTERNAL_SERVER_ERROR.into());
    let checksum = crc32fast::hash(body.as_bytes()).to_string();
    let id = format!("{:052X}", ANSWERED.fetch_add(1, Ordering::Relaxed));
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    let headers = response.headers_mut();
    headers.insert("content-type", "application/x-amz-json-1.0");
    headers.insert("x-amz-crc32", checksum);
    headers.insert("x-amzn-requestid", id);
    response
}
