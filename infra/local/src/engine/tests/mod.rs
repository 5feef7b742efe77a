//! Tests of the engine through the ordinary SDK clients: everything that the rest of the workspace relies on.

mod items;
mod lifecycle;
mod parity;
mod streams;

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::operation::update_item::builders::UpdateItemFluentBuilder;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType,
    StreamSpecification, StreamViewType,
};

use super::Engine;

/// The table of these tests: keys `pk` and `sk`, and a stream with both images.
const TABLE: &str = "Ledger";

type ItemMap = HashMap<String, AttributeValue>;

fn s(text: impl Into<String>) -> AttributeValue {
    AttributeValue::S(text.into())
}

fn n(number: i64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// `{"a": {"left": 5}}` from `[("a", 5)]`.
fn lots(lots: &[(&str, i64)]) -> AttributeValue {
    let lot = |left: i64| AttributeValue::M(HashMap::from([("left".to_owned(), n(left))]));
    AttributeValue::M(lots.iter().map(|(id, left)| ((*id).to_owned(), lot(*left))).collect())
}

fn client(engine: &Engine) -> Client {
    Client::from_conf(engine.dynamodb_config().build())
}

async fn with_table(engine: &Engine) -> Client {
    let client = client(engine);
    let definition = |name: &str| {
        AttributeDefinition::builder()
            .attribute_name(name)
            .attribute_type(ScalarAttributeType::S)
            .build()
            .unwrap()
    };
    let key =
        |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()
        .unwrap();
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(definition("pk"))
        .attribute_definitions(definition("sk"))
        .key_schema(key("pk", KeyType::Hash))
        .key_schema(key("sk", KeyType::Range))
        .stream_specification(stream)
        .send()
        .await
        .unwrap();
    client
}

async fn put(client: &Client, pk: &str, sk: &str, more: &[(&str, AttributeValue)]) {
    let mut put = client.put_item().table_name(TABLE).item("pk", s(pk)).item("sk", s(sk));
    for (name, value) in more {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}

async fn get(client: &Client, pk: &str, sk: &str) -> Option<ItemMap> {
    let get = client.get_item().table_name(TABLE).key("pk", s(pk)).key("sk", s(sk)).consistent_read(true);
    get.send().await.unwrap().item
}

fn update(client: &Client, pk: &str, sk: &str) -> UpdateItemFluentBuilder {
    client.update_item().table_name(TABLE).key("pk", s(pk)).key("sk", s(sk))
}

/// Takes `amount` from the lot `a` of an account.
fn debit(client: &Client, pk: &str, amount: i64) -> UpdateItemFluentBuilder {
    update(client, pk, "ACCOUNT")
        .update_expression("SET lots.#a.#left = lots.#a.#left - :n")
        .condition_expression("lots.#a.#left >= :n")
        .expression_attribute_names("#a", "a")
        .expression_attribute_names("#left", "left")
        .expression_attribute_values(":n", n(amount))
}

/// `None` when the update landed; otherwise the item that its condition was checked on, if the request asks for it.
async fn refused(update: UpdateItemFluentBuilder) -> Option<Option<ItemMap>> {
    match update.send().await.map_err(aws_sdk_dynamodb::error::SdkError::into_service_error) {
        Ok(_) => None,
        Err(UpdateItemError::ConditionalCheckFailedException(refusal)) => Some(refusal.item().cloned()),
        Err(other) => panic!("{other:?}"),
    }
}
