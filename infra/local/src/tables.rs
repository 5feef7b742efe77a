use anyhow::Context;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType, StreamSpecification,
    StreamViewType, TimeToLiveSpecification,
};

/// Accounts, claims and rows.
pub const LEDGER_TABLE: &str = "scrip-ledger";

/// Organisations, keys and the catalogue.
pub const SETTINGS_TABLE: &str = "scrip-settings";

/// Makes both tables as template.yaml has them; those that exist stay.
///
/// # Errors
/// When the database refuses.
pub async fn create(client: &Client, ledger: &str, settings: &str) -> anyhow::Result<()> {
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()?;
    if create_one(client, ledger, Some(stream)).await? {
        let ttl = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build()?;
        client.update_time_to_live().table_name(ledger).time_to_live_specification(ttl).send().await?;
    }
    create_one(client, settings, None).await?;
    Ok(())
}

async fn create_one(
    client: &Client,
    name: &str,
    stream: Option<StreamSpecification>,
) -> anyhow::Result<bool> {
    let mut table = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    for (attribute, kind) in [("pk", KeyType::Hash), ("sk", KeyType::Range)] {
        let definition =
            AttributeDefinition::builder().attribute_name(attribute).attribute_type(ScalarAttributeType::S);
        table = table.attribute_definitions(definition.build()?);
        table =
            table.key_schema(KeySchemaElement::builder().attribute_name(attribute).key_type(kind).build()?);
    }
    match table.set_stream_specification(stream).send().await {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(|error| error.is_resource_in_use_exception()) => {
            Ok(false)
        }
        Err(error) => Err(error).with_context(|| format!("cannot create the table {name}")),
    }
}
