//! Writes many items at once, past the SDK: in one transaction, and without records in the stream.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::types::AttributeValue as EngineValue;
use dynoxide::{DynoxideError, ImportOptions};

use super::{Engine, EngineError};

impl Engine {
    /// Writes items, and replaces any items with their keys: all of them or none. Blocks.
    ///
    /// # Errors
    /// [`EngineError::Database`] when SQLite fails, or an item has a value of an unknown type.
    pub(crate) fn import(
        &self,
        table: &str,
        items: Vec<HashMap<String, AttributeValue>>,
    ) -> Result<(), EngineError> {
        let unknown = || DynoxideError::ValidationException("a value of an unknown type".to_owned());
        let items = items.into_iter().map(|item| values(item).ok_or_else(unknown)).collect::<Result<_, _>>();
        let imported =
            items.and_then(|items| self.0.database.0.import_items(table, items, ImportOptions::default()));
        imported.map(|_| ()).map_err(|source| self.0.home.fault(source))
    }
}

fn values(item: HashMap<String, AttributeValue>) -> Option<HashMap<String, EngineValue>> {
    item.into_iter().map(|(name, value)| Some((name, engine_value(value)?))).collect()
}

/// A value of the SDK as one of the engine; `None` for a type that this code does not know.
#[expect(clippy::wildcard_enum_match_arm, reason = "the SDK may add types of values")]
fn engine_value(value: AttributeValue) -> Option<EngineValue> {
    Some(match value {
        AttributeValue::S(text) => EngineValue::S(text),
        AttributeValue::N(number) => EngineValue::N(number),
        AttributeValue::B(bytes) => EngineValue::B(bytes.into_inner()),
        AttributeValue::Bool(bool) => EngineValue::BOOL(bool),
        AttributeValue::Null(null) => EngineValue::NULL(null),
        AttributeValue::Ss(texts) => EngineValue::SS(texts),
        AttributeValue::Ns(numbers) => EngineValue::NS(numbers),
        AttributeValue::Bs(all) => EngineValue::BS(all.into_iter().map(|bytes| bytes.into_inner()).collect()),
        AttributeValue::L(list) => EngineValue::L(list.into_iter().map(engine_value).collect::<Option<_>>()?),
        AttributeValue::M(map) => EngineValue::M(values(map)?),
        // A type that DynamoDB adds later.
        unknown => {
            tracing::error!(?unknown, "a value that cannot be imported");
            return None;
        }
    })
}
