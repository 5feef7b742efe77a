//! Updates whose caller needs the item also where the condition does not hold.

use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{ReturnValue, ReturnValuesOnConditionCheckFailure};

use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::requests::Table;

/// How a conditional update ended.
pub(crate) enum ConditionalUpdate {
    /// The item after the update.
    Updated(StoredItem),
    /// The condition did not hold; the item as it is, `None` when there is none.
    Existing(Option<StoredItem>),
}

impl Table {
    /// Changes an item and returns the changed item; where the condition of the update does not hold, the item as it is.
    pub(crate) async fn update_or_existing(
        &self,
        key: &Key<'_>,
        update: UpdateExpression,
        doing: &'static str,
    ) -> Result<ConditionalUpdate, Fault> {
        let UpdateExpression { expression, condition } = update;
        let request = self.client.update_item().table_name(&self.name).set_key(Some(key.attributes()));
        let request = request
            .update_expression(expression)
            .set_expression_attribute_names(condition.names())
            .set_expression_attribute_values(condition.values())
            .condition_expression(condition.expression)
            .return_values(ReturnValue::AllNew)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match Box::pin(request.send()).await {
            Ok(answer) => Ok(ConditionalUpdate::Updated(answer.attributes.unwrap_or_default())),
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(existing)) => {
                    Ok(ConditionalUpdate::Existing(existing.item.clone()))
                }
                Some(_) | None => Err(Fault::unavailable(doing, error)),
            },
        }
    }
}
