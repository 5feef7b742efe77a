//! Conditions and updates of an item, with the names and values that they use.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::attribute::number;

/// What must be true of an item for a write to be made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    pub(crate) expression: String,
    pub(crate) names: HashMap<String, String>,
    pub(crate) values: HashMap<String, AttributeValue>,
}

impl Condition {
    /// A condition in DynamoDB's language.
    pub(crate) fn new(expression: impl Into<String>) -> Self {
        Self { expression: expression.into(), ..Self::default() }
    }

    /// There is no item of this key.
    pub(crate) fn absent() -> Self {
        Self::new("attribute_not_exists(pk)")
    }

    /// The attribute has this number; without a number, there is no item of this key.
    pub(crate) fn at(attribute: &str, known: Option<u64>) -> Self {
        match known {
            Some(known) => Self::equal(attribute, number(known)),
            None => Self::absent(),
        }
    }

    /// The attribute has this value.
    pub(crate) fn equal(attribute: &str, value: AttributeValue) -> Self {
        Self::new("#attribute = :value").name("#attribute", attribute).value(":value", value)
    }

    /// Says which attribute a `#name` stands for.
    pub(crate) fn name(mut self, name: impl Into<String>, attribute: impl Into<String>) -> Self {
        self.names.insert(name.into(), attribute.into());
        self
    }

    /// Says what a `:name` stands for.
    pub(crate) fn value(mut self, name: impl Into<String>, value: AttributeValue) -> Self {
        self.values.insert(name.into(), value);
        self
    }

    /// The names, as the SDK takes them: `None` where there are none.
    pub(crate) fn names(&self) -> Option<HashMap<String, String>> {
        Some(self.names.clone()).filter(|names| !names.is_empty())
    }

    /// The values, as the SDK takes them: `None` where there are none.
    pub(crate) fn values(&self) -> Option<HashMap<String, AttributeValue>> {
        Some(self.values.clone()).filter(|values| !values.is_empty())
    }
}

/// What a write changes in an item, and under which condition.
#[derive(Clone, Debug)]
pub(crate) struct UpdateExpression {
    pub(crate) expression: String,
    /// The condition, if its expression is not empty; and the names and values of both.
    pub(crate) condition: Condition,
}

impl UpdateExpression {
    /// An update in DynamoDB's language.
    pub(crate) fn new(expression: &str) -> Self {
        Self { expression: expression.to_owned(), condition: Condition::default() }
    }

    /// Makes the update depend on a condition.
    pub(crate) fn only_if(mut self, expression: &str) -> Self {
        expression.clone_into(&mut self.condition.expression);
        self
    }

    /// Says which attribute a `#name` stands for.
    pub(crate) fn name(mut self, name: &str, attribute: &str) -> Self {
        self.condition = self.condition.name(name, attribute);
        self
    }

    /// Says what a `:name` stands for.
    pub(crate) fn value(mut self, name: &str, value: AttributeValue) -> Self {
        self.condition = self.condition.value(name, value);
        self
    }
}
