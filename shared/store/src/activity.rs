use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};

use super::Fault;
use super::key::{Item, Key};
use super::settings::is_there;

/// What goes on around the money: webhooks, their deliveries, and how much was used. One table, without a
/// stream; what is lost of it costs nobody a credit.
#[derive(Debug)]
pub struct Activity {
    pub(super) client: Client,
    pub(super) table: String,
}

impl Activity {
    /// Activity kept in `table`.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        Self { client: Client::from_conf(config.clone()), table: table.into() }
    }

    /// An item, strongly consistent.
    pub(super) async fn get(&self, key: &Key<'_>, doing: &'static str) -> Result<Option<Item>, Fault> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let got = get.consistent_read(true).send().await;
        got.map(|answer| answer.item).map_err(|error| Fault::unavailable(doing)(error.into()))
    }

    /// Writes an item whose attribute `guard.0` is `guard.1`, or one that is new; false when it is otherwise.
    pub(super) async fn replace(
        &self,
        item: Item,
        guard: Option<(&str, u64)>,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = match guard {
            Some((attribute, value)) => put
                .condition_expression("#attribute = :seen")
                .expression_attribute_names("#attribute", attribute)
                .expression_attribute_values(":seen", AttributeValue::N(value.to_string())),
            None => put.condition_expression("attribute_not_exists(pk)"),
        };
        match put.send().await {
            Ok(_) => Ok(true),
            Err(error) if is_there(error.as_service_error()) => Ok(false),
            Err(error) => Err(Fault::unavailable(doing)(error.into())),
        }
    }

    /// Writes an item over whatever stands there.
    pub(super) async fn write(&self, item: Item, doing: &'static str) -> Result<(), Fault> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(item)).send().await;
        put.map(|_| ()).map_err(|error| Fault::unavailable(doing)(error.into()))
    }

    /// Deletes an item, if it is there.
    pub(super) async fn delete(&self, key: &Key<'_>, doing: &'static str) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.table).set_key(Some(key.attributes()));
        delete.send().await.map(|_| ()).map_err(|error| Fault::unavailable(doing)(error.into()))
    }

    /// Some items of a partition, strongly consistent, and whether there are more: those that sort after
    /// `after` when the order rises, before it when it falls.
    pub(super) async fn items(
        &self,
        partition: String,
        (after, rising): (Option<String>, bool),
        limit: i32,
        doing: &'static str,
    ) -> Result<(Vec<Item>, bool), Fault> {
        let query = self.client.query().table_name(&self.table).consistent_read(true).limit(limit);
        let query = query.scan_index_forward(rising);
        let query = query.expression_attribute_values(":pk", AttributeValue::S(partition));
        let query = match after {
            Some(after) => query
                .key_condition_expression(if rising {
                    "pk = :pk AND sk > :sk"
                } else {
                    "pk = :pk AND sk < :sk"
                })
                .expression_attribute_values(":sk", AttributeValue::S(after)),
            None => query.key_condition_expression("pk = :pk"),
        };
        let answer = query.send().await.map_err(|error| Fault::unavailable(doing)(error.into()))?;
        let more = answer.last_evaluated_key.is_some();
        Ok((answer.items.unwrap_or_default(), more))
    }
}
