//! Requests to one table: the one place that builds calls of the SDK and maps their errors. There is one exception: the
//! conditional write of an account (`write/commit.rs`) is sent once, and has to tell every answer of DynamoDB apart.
//!
//! The SDK's futures are boxed: they are deeply nested, and the compiler limits how deep a future may be.

use aws_sdk_dynamodb::error::{BoxError, BuildError, SdkError};
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    CancellationReason, Delete, Put, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update,
};
use aws_sdk_dynamodb::{Client, Config};

use crate::table::attribute::text;
use crate::table::backoff::backoff;
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::query::{ItemPage, ItemQuery, SortKeys};

/// One table, and the client that reaches it.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) client: Client,
    pub(crate) name: String,
}

/// How a conditional write ended.
pub(crate) enum ConditionalPut {
    /// The item is written.
    Written,
    /// The condition did not hold; the item as it is, `None` when there is none.
    Existing(Option<StoredItem>),
}

impl Table {
    /// The table `name`.
    pub(crate) fn new(config: &Config, name: impl Into<String>) -> Self {
        Self { client: Client::from_conf(config.clone()), name: name.into() }
    }

    /// An item, strongly consistent.
    pub(crate) async fn get(&self, key: &Key<'_>, doing: &'static str) -> Result<Option<StoredItem>, Fault> {
        self.read(key, true, doing).await
    }

    /// An item, with eventual consistency unless `consistent`.
    pub(crate) async fn read(
        &self,
        key: &Key<'_>,
        consistent: bool,
        doing: &'static str,
    ) -> Result<Option<StoredItem>, Fault> {
        let get = self.client.get_item().table_name(&self.name).set_key(Some(key.attributes()));
        let got = Box::pin(get.consistent_read(consistent).send()).await;
        got.map(|answer| answer.item).map_err(|error| Fault::unavailable(doing, error))
    }

    /// Writes an item, and replaces any item with its key.
    pub(crate) async fn put(&self, item: StoredItem, doing: &'static str) -> Result<(), Fault> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        Box::pin(put.send()).await.map(|_| ()).map_err(|error| Fault::unavailable(doing, error))
    }

    /// Writes an item unless one with its key exists; then returns the existing one.
    pub(crate) async fn put_new(
        &self,
        item: StoredItem,
        doing: &'static str,
    ) -> Result<Option<StoredItem>, Fault> {
        match self.put_or_existing(item, Condition::absent(), doing).await? {
            ConditionalPut::Written => Ok(None),
            ConditionalPut::Existing(existing) => Ok(Some(existing.unwrap_or_default())),
        }
    }

    /// Writes an item if the condition holds for the item with its key.
    pub(crate) async fn put_if(
        &self,
        item: StoredItem,
        condition: Condition,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        Ok(matches!(self.put_or_existing(item, condition, doing).await?, ConditionalPut::Written))
    }

    /// As [`Table::put_if`]; returns the existing item when the condition does not hold.
    pub(crate) async fn put_or_existing(
        &self,
        item: StoredItem,
        condition: Condition,
        doing: &'static str,
    ) -> Result<ConditionalPut, Fault> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let put = put
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .condition_expression(condition.expression)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match Box::pin(put.send()).await {
            Ok(_) => Ok(ConditionalPut::Written),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(existing)) => {
                    Ok(ConditionalPut::Existing(existing.item.clone()))
                }
                Some(_) | None => Err(Fault::unavailable(doing, error)),
            },
        }
    }

    /// Replaces the item with the revision `known`; `None` stands for no item.
    pub(crate) async fn replace(
        &self,
        item: StoredItem,
        known: Option<u64>,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        self.put_if(item, Condition::at("revision", known), doing).await
    }

    /// Changes an item; `false` when the condition of the update does not hold.
    pub(crate) async fn update(
        &self,
        key: &Key<'_>,
        update: UpdateExpression,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        Ok(self.update_returning(key, update, ReturnValue::None, doing).await?.is_some())
    }

    /// Changes an item and returns the changed item; `None` when the condition of the update does not hold.
    pub(crate) async fn update_and_get(
        &self,
        key: &Key<'_>,
        update: UpdateExpression,
        doing: &'static str,
    ) -> Result<Option<StoredItem>, Fault> {
        self.update_returning(key, update, ReturnValue::AllNew, doing).await
    }

    async fn update_returning(
        &self,
        key: &Key<'_>,
        update: UpdateExpression,
        values: ReturnValue,
        doing: &'static str,
    ) -> Result<Option<StoredItem>, Fault> {
        let UpdateExpression { expression, condition } = update;
        let request = self.client.update_item().table_name(&self.name).set_key(Some(key.attributes()));
        let request = request
            .update_expression(expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .set_condition_expression(Some(condition.expression).filter(|text| !text.is_empty()))
            .return_values(values);
        match Box::pin(request.send()).await {
            Ok(answer) => Ok(Some(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                Some(_) | None => Err(Fault::unavailable(doing, error)),
            },
        }
    }

    /// Deletes an item, if it exists.
    pub(crate) async fn delete(&self, key: &Key<'_>, doing: &'static str) -> Result<(), Fault> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        Box::pin(delete.send()).await.map(|_| ()).map_err(|error| Fault::unavailable(doing, error))
    }

    /// Deletes an item if the condition holds for it.
    pub(crate) async fn delete_if(
        &self,
        key: &Key<'_>,
        condition: Condition,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key.attributes()));
        let delete = delete
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .condition_expression(condition.expression);
        match Box::pin(delete.send()).await {
            Ok(_) => Ok(true),
            Err(error) => match error.as_service_error() {
                Some(DeleteItemError::ConditionalCheckFailedException(_)) => Ok(false),
                Some(_) | None => Err(Fault::unavailable(doing, error)),
            },
        }
    }

    /// The items of one page of a query.
    pub(crate) async fn query(&self, query: ItemQuery, doing: &'static str) -> Result<ItemPage, Fault> {
        let ItemQuery { partition, keys, falling, consistent, limit, start, filter } = query;
        let request = self.client.query().table_name(&self.name).consistent_read(consistent);
        let request = request.scan_index_forward(!falling).set_limit(limit).set_exclusive_start_key(start);
        let request = request.expression_attribute_values(":pk", text(partition));
        let (condition, bounds) = match keys {
            SortKeys::All => ("pk = :pk", vec![]),
            SortKeys::From(first) => ("pk = :pk AND sk >= :sk", vec![(":sk", first)]),
            SortKeys::After(before) => ("pk = :pk AND sk > :sk", vec![(":sk", before)]),
            SortKeys::Below(end) => ("pk = :pk AND sk < :sk", vec![(":sk", end)]),
            SortKeys::Between(first, last) => {
                ("pk = :pk AND sk BETWEEN :first AND :last", vec![(":first", first), (":last", last)])
            }
        };
        let mut request = request.key_condition_expression(condition);
        for (name, bound) in bounds {
            request = request.expression_attribute_values(name, text(bound));
        }
        if let Some(filter) = filter {
            request = request.filter_expression(filter.expression);
            for (name, attribute) in filter.names {
                request = request.expression_attribute_names(name, attribute);
            }
            for (name, value) in filter.values {
                request = request.expression_attribute_values(name, value);
            }
        }
        let answer = Box::pin(request.send()).await.map_err(|error| Fault::unavailable(doing, error))?;
        let (items, last) = (answer.items.unwrap_or_default(), answer.last_evaluated_key);
        Ok(ItemPage { items, last, scanned: answer.scanned_count })
    }

    /// The items of all pages of a query.
    pub(crate) async fn query_all(
        &self,
        query: ItemQuery,
        doing: &'static str,
    ) -> Result<Vec<StoredItem>, Fault> {
        let (mut all, mut start) = (Vec::new(), None);
        loop {
            let page = self.query(query.clone().continued(start), doing).await?;
            all.extend(page.items);
            start = page.last;
            if start.is_none() {
                return Ok(all);
            }
        }
    }

    /// One write of a transaction.
    pub(crate) fn conditional_put(
        &self,
        item: StoredItem,
        condition: Condition,
        doing: &'static str,
    ) -> Result<Put, Fault> {
        let put = Put::builder().table_name(&self.name).set_item(Some(item));
        let put = put
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values());
        let put = put.condition_expression(condition.expression).build();
        put.map_err(|error| Fault::unavailable(doing, error))
    }

    /// Writes all items, or none where one of their keys exists already.
    pub(crate) async fn put_all_new(&self, items: Vec<StoredItem>, doing: &'static str) -> Result<(), Fault> {
        let put = |item| self.conditional_put(item, Condition::absent(), doing);
        let puts = items.into_iter().map(put).collect::<Result<Vec<_>, _>>()?.into_iter();
        let puts = puts.map(|put| TransactWriteItem::builder().put(put).build()).collect();
        match self.transact(puts).await {
            Transacted::Written => Ok(()),
            Transacted::Cancelled(reasons, _) if reasons.iter().all(is_about_conditions) => Ok(()),
            Transacted::Cancelled(_, error) | Transacted::Failed(error) => {
                Err(Fault::unavailable(doing, error))
            }
        }
    }

    /// Writes an item if the condition holds for the item with its key, and makes another write with it: both or neither.
    pub(crate) async fn put_beside(
        &self,
        item: StoredItem,
        condition: Condition,
        beside: Write<'_>,
        doing: &'static str,
    ) -> Result<bool, Fault> {
        let refused = self.write_together(vec![Write::PutIf(item, condition), beside], doing).await?;
        Ok(refused.is_none())
    }

    /// Makes all writes or none. Returns the place of the first one whose condition does not hold; `None` when they were
    /// made.
    pub(crate) async fn write_together(
        &self,
        writes: Vec<Write<'_>>,
        doing: &'static str,
    ) -> Result<Option<usize>, Fault> {
        let writes = writes.into_iter().map(|write| self.in_transaction(write, doing));
        let writes = writes.collect::<Result<Vec<_>, _>>()?;
        for attempt in 1..=CONFLICTS_MAX {
            match self.transact(writes.clone()).await {
                Transacted::Written => return Ok(None),
                Transacted::Cancelled(reasons, error) => {
                    let place_of = |code: &str| reasons.iter().position(|reason| reason.code() == Some(code));
                    if let Some(place) = place_of("ConditionalCheckFailed") {
                        return Ok(Some(place));
                    }
                    // Another process writes one of the items at the same moment.
                    if place_of("TransactionConflict").is_none() || CONFLICTS_MAX <= attempt {
                        return Err(Fault::unavailable(doing, error));
                    }
                    backoff(attempt).await;
                }
                Transacted::Failed(error) => return Err(Fault::unavailable(doing, error)),
            }
        }
        Err(Fault::Busy)
    }

    fn in_transaction(&self, write: Write<'_>, doing: &'static str) -> Result<TransactWriteItem, Fault> {
        let made = TransactWriteItem::builder();
        let unavailable = |error: BuildError| Fault::unavailable(doing, error);
        Ok(match write {
            Write::Put(item) => {
                let put = Put::builder().table_name(&self.name).set_item(Some(item));
                made.put(put.build().map_err(unavailable)?)
            }
            Write::PutIf(item, condition) => made.put(self.conditional_put(item, condition, doing)?),
            Write::Update(key, UpdateExpression { expression, condition }) => {
                let update = Update::builder().table_name(&self.name).set_key(Some(key.attributes()));
                let update = update
                    .update_expression(expression)
                    .set_expression_attribute_names(condition.names())
                    .set_expression_attribute_values(condition.values())
                    .set_condition_expression(Some(condition.expression).filter(|text| !text.is_empty()));
                made.update(update.build().map_err(unavailable)?)
            }
            Write::Delete(key) => {
                return self.in_transaction(Write::DeleteItem(key.attributes()), doing);
            }
            Write::DeleteItem(key) => {
                let delete = Delete::builder().table_name(&self.name).set_key(Some(key));
                made.delete(delete.build().map_err(unavailable)?)
            }
        }
        .build())
    }

    async fn transact(&self, writes: Vec<TransactWriteItem>) -> Transacted {
        let together = self.client.transact_write_items().set_transact_items(Some(writes));
        let Err(error) = Box::pin(together.send()).await else { return Transacted::Written };
        match reasons(&error) {
            Some(reasons) => Transacted::Cancelled(reasons, error.into()),
            None => Transacted::Failed(error.into()),
        }
    }
}

/// How often a transaction is sent while others write the same items.
const CONFLICTS_MAX: u32 = 16;

/// One write of a transaction.
pub(crate) enum Write<'a> {
    /// Writes an item, and replaces any item with its key.
    Put(StoredItem),
    /// Writes an item if the condition holds for the item with its key.
    PutIf(StoredItem, Condition),
    /// Changes an item, or makes it, if the condition of the update holds.
    Update(Key<'a>, UpdateExpression),
    /// Deletes an item, if it exists.
    Delete(Key<'a>),
    /// Deletes the item with these key attributes, if it exists.
    DeleteItem(StoredItem),
}

/// How a transaction ended.
enum Transacted {
    Written,
    Cancelled(Vec<CancellationReason>, BoxError),
    Failed(BoxError),
}

fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> Option<Vec<CancellationReason>> {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            Some(cancelled.cancellation_reasons().to_vec())
        }
        Some(_) | None => None,
    }
}

fn is_about_conditions(reason: &CancellationReason) -> bool {
    matches!(reason.code(), Some("ConditionalCheckFailed" | "None") | None)
}
