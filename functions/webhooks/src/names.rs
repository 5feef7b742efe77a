use std::borrow::Cow;

use domain::EventName;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// How the description shows the name of an event that happens: what the feed has, and webhooks can ask for.
pub(super) enum Happening {}

/// How it shows the name of anything that can be sent: tests too.
pub(super) enum Sendable {}

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
    let told = names.clone().map(|name| format!("- `{}`: {}", name.as_str(), name.summary()));
    let told = told.collect::<Vec<_>>().join("\n");
    let schema = ObjectBuilder::new().schema_type(Type::String).description(Some(told));
    schema.enum_values(Some(names.map(EventName::as_str))).into()
}
