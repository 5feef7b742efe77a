//! The connector answers as the engine's own HTTP server does.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;

use super::super::answer::answer;
use super::*;

/// Refusals and reads only: both sides answer from the same data.
const REQUESTS: &[(&str, &str)] = &[
    ("DescribeTable", r#"{"TableName":"Ledger"}"#),
    ("DescribeTable", r#"{"TableName":"Missing"}"#),
    ("DescribeTimeToLive", r#"{"TableName":"Ledger"}"#),
    ("ListTables", "{}"),
    (
        "CreateTable",
        r#"{"TableName":"Ledger","BillingMode":"PAY_PER_REQUEST",
        "AttributeDefinitions":[{"AttributeName":"pk","AttributeType":"S"}],
        "KeySchema":[{"AttributeName":"pk","KeyType":"HASH"}]}"#,
    ),
    (
        "GetItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},"ReturnConsumedCapacity":"TOTAL"}"#,
    ),
    ("GetItem", r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"}}}"#),
    ("GetItem", r#"{"TableName":"Missing","Key":{"pk":{"S":"a"}}}"#),
    (
        "Query",
        r#"{"TableName":"Ledger","KeyConditionExpression":"pk = :p",
        "ExpressionAttributeValues":{":p":{"S":"a"}},"Limit":1,"ReturnConsumedCapacity":"TOTAL"}"#,
    ),
    (
        "Query",
        r#"{"TableName":"Ledger","KeyConditionExpression":"pk > :p",
        "ExpressionAttributeValues":{":p":{"S":"a"}}}"#,
    ),
    ("Scan", r#"{"TableName":"Ledger","Limit":0}"#),
    (
        "PutItem",
        r#"{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "ConditionExpression":"attribute_not_exists(pk)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}"#,
    ),
    ("PutItem", r#"{"TableName":"Ledger","Item":{"pk":{"S":""},"sk":{"S":"b"}}}"#),
    ("PutItem", r#"{"TableName":"Ledger","Item":{"pk":{"N":"1"},"sk":{"S":"b"}}}"#),
    ("PutItem", r#"{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"b"},"n":{"N":"abc"}}}"#),
    ("PutItem", r#"{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"b"},"n":{"SS":[]}}}"#),
    ("PutItem", r#"{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"b"},"n":{}}}"#),
    ("PutItem", r#"{"TableName":"Ledger"}"#),
    ("PutItem", "{}"),
    ("PutItem", r#"{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"b"},"n":{"NULL":false}}}"#),
    (
        "UpdateItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "UpdateExpression":"SET lots.a.n = lots.a.n - :n","ConditionExpression":"lots.a.n >= :n",
        "ExpressionAttributeValues":{":n":{"N":"7"}},"ReturnValuesOnConditionCheckFailure":"ALL_OLD"}"#,
    ),
    (
        "UpdateItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "UpdateExpression":"SET lots.a.n = lots.a.n - :n","ExpressionAttributeValues":{":n":{"N":"7"}}}"#,
    ),
    (
        "UpdateItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "UpdateExpression":"SET n = :n","ExpressionAttributeValues":{":n":{"N":""}}}"#,
    ),
    (
        "UpdateItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},"UpdateExpression":"SIT n"}"#,
    ),
    (
        "UpdateItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "UpdateExpression":"SET n = :n","ExpressionAttributeValues":{":n":{"S":"x"},":m":{"S":"y"}}}"#,
    ),
    ("UpdateItem", r#"{"TableName":"Ledger","UpdateExpression":"SET n = :n"}"#),
    (
        "UpdateItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "UpdateExpression":"SET pk = :n","ExpressionAttributeValues":{":n":{"S":"x"}}}"#,
    ),
    (
        "DeleteItem",
        r#"{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}},
        "ConditionExpression":"attribute_not_exists(pk)"}"#,
    ),
    ("BatchWriteItem", r#"{"RequestItems":{"Ledger":[]}}"#),
    ("BatchGetItem", r#"{"RequestItems":{"Ledger":{"Keys":[{"pk":{"S":"a"},"sk":{"S":"b"}}]}}}"#),
    (
        "TransactGetItems",
        r#"{"TransactItems":[{"Get":{"TableName":"Ledger","Key":{"pk":{"S":"a"},"sk":{"S":"b"}}}}]}"#,
    ),
    (
        "TransactWriteItems",
        r#"{"TransactItems":[
        {"Put":{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"c"}}}},
        {"Put":{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"b"}},
            "ConditionExpression":"attribute_not_exists(pk)","ReturnValuesOnConditionCheckFailure":"ALL_OLD"}}]}"#,
    ),
    (
        "TransactWriteItems",
        r#"{"TransactItems":[
        {"Put":{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"c"}}}},
        {"Put":{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"c"}}}}]}"#,
    ),
    ("TransactWriteItems", r#"{"TransactItems":[]}"#),
    (
        "TransactWriteItems",
        r#"{"TransactItems":[
        {"Put":{"TableName":"Ledger","Item":{"pk":{"S":"a"},"sk":{"S":"c"},"n":{"N":"abc"}}}}]}"#,
    ),
    ("ListStreams", "{}"),
    ("DescribeStream", r#"{"StreamArn":"arn:aws:dynamodb:dynoxide:000000000000:table/Ledger/stream/x"}"#),
    ("DescribeStream", r#"{"StreamArn":"arn:aws:dynamodb:dynoxide:000000000000:table/Missing/stream/x"}"#),
    (
        "GetShardIterator",
        r#"{"StreamArn":"arn:aws:dynamodb:dynoxide:000000000000:table/Ledger/stream/x",
        "ShardId":"shardId-00000001-Ledger","ShardIteratorType":"AFTER_SEQUENCE_NUMBER","SequenceNumber":"7"}"#,
    ),
    ("GetRecords", r#"{"ShardIterator":"nonsense"}"#),
    ("UnknownOperation", "{}"),
];

#[tokio::test]
async fn refusals_and_reads_are_the_same_as_the_servers() {
    let engine = Engine::temporary().unwrap();
    let client = with_table(&engine).await;
    put(&client, "a", "b", &[("lots", lots(&[("a", 1)]))]).await;
    let address = engine.serve(0).unwrap();
    for (operation, body) in REQUESTS {
        let here = in_process(&engine, operation, body);
        let (status, headers, body_over_http) = over_http(address, operation, body);
        assert_eq!(
            (here.status().as_u16(), json(&text(&here))),
            (status, json(&body_over_http)),
            "{operation} {body}"
        );
        for (name, _) in here.headers() {
            assert!(headers.contains(&format!("{name}: ")), "the server sends no {name}: {headers}");
        }
        let checksum = crc32fast::hash(text(&here).as_bytes()).to_string();
        assert_eq!(here.headers().get("x-amz-crc32"), Some(checksum.as_str()));
        assert_eq!(here.headers().get("x-amzn-requestid").unwrap().len(), 52);
    }
    for body in ["", "not json", r#"{"TableName":7}"#] {
        let here = in_process(&engine, "GetItem", body);
        let (status, _, body_over_http) = over_http(address, "GetItem", body);
        assert_eq!(here.status().as_u16(), status);
        assert_eq!(json(&text(&here))["__type"], json(&body_over_http)["__type"], "no SDK writes {body:?}");
    }
}

fn text(response: &HttpResponse) -> String {
    String::from_utf8(response.body().bytes().unwrap().to_vec()).unwrap()
}

/// The engine writes the attributes of an item in no particular order.
fn json(text: &str) -> serde_json::Value {
    serde_json::from_str(text).unwrap()
}

fn in_process(engine: &Engine, operation: &str, body: &str) -> HttpResponse {
    let mut request = HttpRequest::new(SdkBody::from(body));
    request.headers_mut().insert("x-amz-target", format!("DynamoDB_20120810.{operation}"));
    answer(&engine.0.database.0, &request)
}

/// Status, headers and body.
fn over_http(address: SocketAddr, operation: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let length = body.len();
    let signed =
        "AWS4-HMAC-SHA256 Credential=k/20260101/local/dynamodb/aws4_request, SignedHeaders=host, Signature=0";
    write!(
        stream,
        "POST / HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\nauthorization: {signed}\r\n\
         x-amz-date: 20260101T000000Z\r\ncontent-type: application/x-amz-json-1.0\r\n\
         x-amz-target: DynamoDB_20120810.{operation}\r\ncontent-length: {length}\r\n\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (headers, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    (status, format!("{headers}\r\n"), body.to_owned())
}
