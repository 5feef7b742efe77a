//! The event envelope: the only place that renders an event, for webhook bodies, the event bus and the feed.

use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{AccountId, Event};
use ports::{BusEvent, EventOwner};
use serde_json::{Value, json};

/// An event with its fields as receivers get them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventEnvelope {
    /// The event's name, such as `credits.low_balance`. It is also sent as `type`, the name that Standard Webhooks uses.
    pub event: String,
    /// `evt_…`
    pub id: String,
    /// The event's number in the feed of its account; 0 for an event that is not in the feed.
    pub sequence: u64,
    /// When the event happened: RFC 3339, whole seconds, UTC.
    pub timestamp: String,
    /// The fields that are specific to the event.
    pub data: Value,
}

impl EventEnvelope {
    /// The envelope of an event that is not in the feed.
    #[must_use]
    pub fn unnumbered(id: String, event: &str, at: DateTime<Utc>, data: Value) -> Self {
        Self { event: event.to_owned(), id, sequence: 0, timestamp: timestamp(at), data }
    }

    /// The envelope of an event in the feed of an account.
    #[must_use]
    pub fn of(account: AccountId, event: &Event) -> Self {
        Self {
            event: event.name.clone(),
            id: event.id(account).to_string(),
            sequence: event.number,
            timestamp: timestamp(event.at),
            data: event.data.clone(),
        }
    }

    /// The body of a webhook delivery: JSON, byte for byte the same for equal events, so that every attempt can render it
    /// again. The fields are in the order below and those of `data` are sorted by name, independent of how `serde_json`
    /// orders maps.
    #[must_use]
    pub fn body(&self) -> String {
        let (event, id) = (Value::from(self.event.as_str()), Value::from(self.id.as_str()));
        let (sequence, timestamp) = (self.sequence, Value::from(self.timestamp.as_str()));
        let data = sorted(&self.data);
        format!(
            r#"{{"event":{event},"type":{event},"id":{id},"sequence":{sequence},"timestamp":{timestamp},"data":{data}}}"#
        )
    }

    /// The event of an account as it is published on the bus: the fields of the body, and the fields of its owner.
    #[must_use]
    pub fn published(account: AccountId, event: &Event) -> BusEvent {
        let envelope = Self::of(account, event);
        let mut detail = json!({
            "event": envelope.event,
            "type": envelope.event,
            "id": envelope.id,
            "sequence": envelope.sequence,
            "timestamp": envelope.timestamp,
            "data": envelope.data,
        });
        if let (Some(detail), Ok(Value::Object(owner))) =
            (detail.as_object_mut(), serde_json::to_value(EventOwner::from(account)))
        {
            detail.extend(owner);
        }
        BusEvent { account, name: envelope.event, at: event.at, detail }
    }
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn sorted(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields.into_iter().map(|(name, value)| {
                let name = Value::from(name.as_str());
                format!("{name}:{}", sorted(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(sorted).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Mode, OrgId};
    use proptest::prelude::*;

    use super::*;

    /// Any JSON, a few levels deep.
    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((any::<String>(), inner), 0..5)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn a_body_has_the_fields_of_its_event_in_a_fixed_order() {
        let data = json!({
            "currentBalance": 50, "threshold": 100, "message": "Your credit balance is running low",
        });
        let at = "2024-01-15T10:00:00.999Z".parse().unwrap();
        let id = "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA".to_owned();
        let envelope = EventEnvelope::unnumbered(id, "credits.low_balance", at, data);
        let expected = concat!(
            r#"{"event":"credits.low_balance","type":"credits.low_balance","id":"evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA","#,
            r#""sequence":5,"timestamp":"2024-01-15T10:00:00Z","#,
            r#""data":{"currentBalance":50,"message":"Your credit balance is running low","threshold":100}}"#,
        );
        assert_eq!(EventEnvelope { sequence: 5, ..envelope }.body(), expected);
    }

    #[test]
    fn an_event_on_the_bus_has_the_fields_of_its_body_and_of_its_owner() {
        let at = DateTime::from_timestamp(1_705_312_800, 0).unwrap();
        let account = AccountId { org: OrgId::new(at, 7), mode: Mode::Test };
        let event = Event { number: 5, name: "credits.depleted".to_owned(), at, data: json!({ "n": 5 }) };
        let published = EventEnvelope::published(account, &event);
        assert_eq!(
            (published.account, published.name.as_str(), published.at),
            (account, "credits.depleted", at)
        );
        let mut expected: Value = serde_json::from_str(&EventEnvelope::of(account, &event).body()).unwrap();
        assert_eq!(expected["id"], json!(event.id(account).to_string()));
        assert_eq!(expected["timestamp"], json!("2024-01-15T10:00:00Z"));
        expected["organisationId"] = json!(account.org);
        expected["livemode"] = json!(false);
        assert_eq!(published.detail, expected);
        let owner: EventOwner = serde_json::from_value(published.detail).unwrap();
        assert_eq!(AccountId::from(owner), account);
    }

    proptest! {
        #[test]
        fn a_body_reads_back_as_its_event(
            event in any::<String>(),
            id in any::<String>(),
            sequence in any::<u64>(),
            data in values(),
        ) {
            let timestamp = timestamp(DateTime::UNIX_EPOCH);
            let envelope = EventEnvelope { event: event.clone(), id: id.clone(), sequence, timestamp, data: data.clone() };
            let text = envelope.body();
            let read: Value = serde_json::from_str(&text).unwrap();
            let expected = json!({
                "event": event, "type": event, "id": id, "sequence": sequence,
                "timestamp": "1970-01-01T00:00:00Z", "data": data,
            });
            prop_assert_eq!(&read, &expected);
            let again = EventEnvelope { data: read["data"].clone(), ..envelope };
            prop_assert_eq!(again.body(), text);
        }
    }
}
