use std::collections::BTreeMap;

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::Value;

/// An event as its receivers get it.
#[derive(Clone, Copy, Debug)]
pub struct Envelope<'a> {
    /// What has happened: `credits.low_balance`.
    pub event: &'a str,
    /// `evt_…`
    pub id: &'a str,
    /// Its number among the organisation's events; 0 for one that is not in the feed.
    pub sequence: u64,
    /// When it happened; told in whole seconds.
    pub timestamp: DateTime<Utc>,
    /// The particulars.
    pub data: &'a Value,
}

/// The body of a delivery: JSON, byte for byte the same for equal events, so that it can be made anew for
/// every attempt. The envelope's fields come in the order of [`Envelope`], those of the data in the order of
/// their names, whichever order `serde_json` was built to keep. A field that the seed does not have, `type`,
/// says the same as `event`: that is what Standard Webhooks calls it.
#[must_use]
pub fn body(envelope: &Envelope<'_>) -> String {
    let Envelope { event, id, sequence, timestamp, data } = *envelope;
    let (event, id) = (Value::from(event), Value::from(id));
    let timestamp = Value::from(timestamp.to_rfc3339_opts(SecondsFormat::Secs, true));
    let data = ordered(data);
    format!(
        r#"{{"event":{event},"type":{event},"id":{id},"sequence":{sequence},"timestamp":{timestamp},"data":{data}}}"#
    )
}

fn ordered(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.iter().collect();
            let fields = fields.into_iter().map(|(name, value)| {
                let name = Value::from(name.as_str());
                format!("{name}:{}", ordered(value))
            });
            format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(ordered).collect::<Vec<_>>().join(",")),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

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
    fn the_seeds_payload_is_told_with_its_number() {
        let data = json!({
            "currentBalance": 50, "threshold": 100, "message": "Your credit balance is running low",
        });
        let envelope = Envelope {
            event: "credits.low_balance",
            id: "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA",
            sequence: 5,
            timestamp: "2024-01-15T10:00:00.999Z".parse().unwrap(),
            data: &data,
        };
        let expected = concat!(
            r#"{"event":"credits.low_balance","type":"credits.low_balance","id":"evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA","#,
            r#""sequence":5,"timestamp":"2024-01-15T10:00:00Z","#,
            r#""data":{"currentBalance":50,"message":"Your credit balance is running low","threshold":100}}"#,
        );
        assert_eq!(body(&envelope), expected);
    }

    proptest! {
        #[test]
        fn a_body_says_what_its_event_is(
            (event, id, sequence, data) in (any::<String>(), any::<String>(), any::<u64>(), values()),
        ) {
            let timestamp = DateTime::UNIX_EPOCH;
            let text = body(&Envelope { event: &event, id: &id, sequence, timestamp, data: &data });
            let read: Value = serde_json::from_str(&text).unwrap();
            let expected = json!({
                "event": event, "type": event, "id": id, "sequence": sequence,
                "timestamp": "1970-01-01T00:00:00Z", "data": data,
            });
            prop_assert_eq!(&read, &expected);
            // What was read is written as it was.
            let again = Envelope { event: &event, id: &id, sequence, timestamp, data: &read["data"] };
            prop_assert_eq!(body(&again), text);
        }
    }
}
