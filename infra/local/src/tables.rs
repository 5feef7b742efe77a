//! Creates the three tables of the local machine.

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

/// Webhooks, deliveries and usage.
pub const ACTIVITY_TABLE: &str = "scrip-activity";

/// The names of the three tables.
#[derive(Clone, Copy, Debug)]
pub struct Tables<'a> {
    /// The table of accounts, claims and rows.
    pub ledger: &'a str,
    /// The table of organisations, keys and the catalogue.
    pub settings: &'a str,
    /// The table of webhooks, deliveries and usage.
    pub activity: &'a str,
}

impl Tables<'static> {
    /// The names that the local machine uses.
    pub const OWN: Self = Self { ledger: LEDGER_TABLE, settings: SETTINGS_TABLE, activity: ACTIVITY_TABLE };
}

/// Creates the tables as template.yaml defines them. Tables that exist stay as they are.
///
/// # Errors
/// When the database fails.
pub async fn create(client: &Client, tables: Tables<'_>) -> anyhow::Result<()> {
    make(client, tables, true).await
}

/// Creates the tables without a time to live, so that the database never deletes an item by itself. For tests whose clock
/// stands in the past.
///
/// # Errors
/// When the database fails.
pub async fn create_keeping_all(client: &Client, tables: Tables<'_>) -> anyhow::Result<()> {
    make(client, tables, false).await
}

async fn make(client: &Client, tables: Tables<'_>, items_expire: bool) -> anyhow::Result<()> {
    let stream = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::NewAndOldImages)
        .build()?;
    for (table, stream) in [(tables.ledger, Some(stream)), (tables.activity, None), (tables.settings, None)] {
        if create_one(client, table, stream).await? && items_expire {
            let ttl = TimeToLiveSpecification::builder().attribute_name("ttl").enabled(true).build()?;
            client.update_time_to_live().table_name(table).time_to_live_specification(ttl).send().await?;
        }
    }
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
