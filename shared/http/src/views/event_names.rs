//! Event names in the OpenAPI document.

use std::borrow::Cow;

use domain::EventName;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The schema of an event name that occurs in the feed and that webhooks can subscribe to.
#[derive(Clone, Copy, Debug)]
pub enum Happening {}

/// The schema of an event name that can be delivered, including tests.
#[derive(Clone, Copy, Debug)]
pub enum Sendable {}

impl PartialSchema for Happening {
    fn schema() -> RefOr<Schema> {
        one_of(EventName::ALL.into_iter().filter(|name| name.is_subscribable()))
    }
}

impl ToSchema for Happening {
    fn name() -> Cow<'static, str> {
        "EventName".into()
    }
}

impl PartialSchema for Sendable {
    fn schema() -> RefOr<Schema> {
        one_of(EventName::ALL.into_iter())
    }
}

impl ToSchema for Sendable {
    fn name() -> Cow<'static, str> {
        "SentEventName".into()
    }
}

fn one_of(names: impl Iterator<Item = EventName> + Clone) -> RefOr<Schema> {
    let list = names.clone().map(|name| format!("- `{}`: {}", name.as_str(), name.summary()));
    let list = list.collect::<Vec<_>>().join("\n");
    let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(list));
    schema.enum_values(Some(names.map(EventName::as_str))).into()
}
