//! The schemas of events in `infra/events`.

use std::collections::BTreeSet;

use domain::EventName;
use serde_json::{Map, Value, json};
use tests::{EVENT_SCHEMAS, assert_event, event_problems};

/// The fields of each event's data; `?` after a nullable one, `*` after an optional one.
const DATA: [(&str, &str); 37] = [
    ("credits.low_balance", "currentBalance threshold service* message"),
    ("credits.depleted", "currentBalance threshold message"),
    ("credits.recovered", "currentBalance threshold service* message"),
    (
        "credits.purchased",
        "transactionId amount package? price? paymentMethod? autoRecharge available message",
    ),
    ("credits.renewed", "transactionId amount plan unlimited available nextRenewal message"),
    ("credits.expiring", "lotId source service? amount expiresAt message"),
    ("credits.expired", "transactionId amount sources available message"),
    ("credits.refunded", "transactionId refundOf? reason? amount available message"),
    ("credits.granted", "transactionId amount sources service? expiresAt? description? available message"),
    ("credits.adjusted", "transactionId direction amount description? available message"),
    ("hold.expired", "holdId transactionId amount available message"),
    ("auto_recharge.succeeded", "transactionId credits price paymentMethod message"),
    (
        "auto_recharge.failed",
        "transactionId credits paymentMethod reason declineCode? failures enabled nextAttempt? message",
    ),
    ("auto_recharge.paused", "reason enabled until? message"),
    ("purchase.failed", "transactionId credits package? price paymentMethod reason declineCode? message"),
    ("purchase.refunded", "transactionId purchaseId? reason? amount outstanding available message"),
    ("monitor.suspended", "monitorId operation resourceId reason? message"),
    ("monitor.resumed", "monitorId operation resourceId transactionId message"),
    ("budget.reached", "budgetId scope id? limit used percent period resetsAt? action message"),
    ("budget.requested", "requestId budgetId scope id? amount reason? askedBy message"),
    (
        "budget.request_approved",
        "requestId budgetId scope id? amount reason? askedBy approved until? by message",
    ),
    ("budget.request_declined", "requestId budgetId scope id? amount reason? askedBy by message"),
    ("plan.changed", "transactionId from to allowance? available message"),
    ("dispute.opened", "transactionId disputeId? purchaseId? amount available message"),
    ("dispute.closed", "transactionId disputeId? purchaseId? amount available message outcome"),
    ("webhook.paused", "webhookId url reason eventId? sequence message"),
    ("api_key.created", "keyId name? mode scopes last4 expiresAt? allowedIps rateLimit? by message"),
    ("api_key.changed", "keyId name? mode scopes last4 expiresAt? allowedIps rateLimit? by message"),
    ("api_key.rolled", "keyId name? mode scopes last4 expiresAt? allowedIps rateLimit? by message"),
    ("api_key.revoked", "keyId name? mode scopes last4 expiresAt? allowedIps rateLimit? by message"),
    ("key.runaway", "keyId hour spent busiest action resume? message"),
    ("key.resumed", "keyId name? pausedAt by message"),
    ("member.invited", "invitationId email role expiresAt by message"),
    ("member.joined", "memberId email name? role message"),
    ("member.changed", "memberId email name? role by message"),
    ("member.removed", "memberId email name? role by message"),
    ("webhook.test", "webhookId message"),
];

/// Each event with its examples.
fn examples() -> Vec<(&'static str, &'static Value)> {
    let of = |(name, schema): (&'static String, &'static Value)| {
        let examples = schema["examples"].as_array().unwrap();
        examples.iter().map(|example| (name.as_str(), example)).collect::<Vec<_>>()
    };
    EVENT_SCHEMAS.iter().flat_map(of).collect()
}

/// Whether a field of the data may be null.
fn is_nullable(event: &str, field: &str) -> bool {
    let (_, fields) = DATA.iter().find(|(name, _)| *name == event).unwrap();
    fields.split(' ').any(|answer| answer.strip_suffix('?') == Some(field))
}

/// Whether a field of the data may be left out.
fn is_optional(event: &str, field: &str) -> bool {
    let (_, fields) = DATA.iter().find(|(name, _)| *name == event).unwrap();
    fields.split(' ').any(|answer| answer.strip_suffix('*') == Some(field))
}

#[test]
fn the_folder_and_the_code_name_the_same_events() {
    let files: BTreeSet<_> = EVENT_SCHEMAS.keys().map(String::as_str).collect();
    assert_eq!(files, EventName::ALL.map(EventName::as_str).into());
    assert_eq!(files, DATA.map(|(name, _)| name).into());
    for name in EventName::ALL {
        let schema = &EVENT_SCHEMAS[name.as_str()];
        assert_eq!(schema["title"], name.as_str());
        assert_eq!(schema["description"], name.summary());
        assert!(jsonschema::meta::is_valid(schema), "{}", name.as_str());
    }
}

#[test]
fn an_event_has_the_documented_fields_with_descriptions() {
    for (name, fields) in DATA {
        let schema = &EVENT_SCHEMAS[name];
        let promised = fields.split(' ').filter(|field| !field.ends_with('*'));
        let promised: Vec<_> = promised.map(|field| field.trim_end_matches('?')).collect();
        assert_eq!(schema["properties"]["data"]["required"], json!(promised), "{name}");
        let envelope = ["event", "type", "id", "sequence", "timestamp", "data"];
        assert_eq!(schema["required"], json!(envelope), "{name}");
        explained(name, (name, ""), schema);
    }
}

/// Checks that every object of a schema requires its fields, except optional ones, and allows no others; and that
/// every field has a type and a description.
fn explained(path: &str, (event, place): (&str, &str), schema: &Value) {
    assert!(schema["description"].as_str().is_some_and(|words| words.ends_with(['.', '…'])), "{path}");
    let types = schema["type"].as_array().cloned().unwrap_or(vec![schema["type"].clone()]);
    assert!(types.iter().all(Value::is_string), "{path}");
    if schema["items"].is_object() {
        explained(&format!("{path}[]"), (event, "[]"), &schema["items"]);
    }
    let Some(fields) = schema["properties"].as_object() else { return };
    assert_eq!(schema["additionalProperties"], false, "{path}");
    let required = schema["required"].as_array().unwrap().iter().map(|name| name.as_str().unwrap());
    let always =
        fields.keys().map(String::as_str).filter(|name| place != "data" || !is_optional(event, name));
    assert_eq!(required.collect::<BTreeSet<_>>(), always.collect(), "{path}");
    for (name, field) in fields {
        explained(&format!("{path}.{name}"), (event, name), field);
    }
}

#[test]
fn every_example_matches_its_schema() {
    for (name, example) in examples() {
        assert_event(example);
        assert_eq!((&example["event"], &example["type"]), (&json!(name), &json!(name)));
    }
    let named: BTreeSet<_> = examples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(named.len(), EventName::ALL.len(), "every event has an example");
}

/// A nullable field is null in one example and not in another, so that both cases are tested below.
#[test]
fn examples_show_both_sides_of_what_may_be_null() {
    for (event, fields) in DATA {
        for field in fields.split(' ').filter_map(|field| field.strip_suffix('?')) {
            let shown = examples().into_iter().filter(|(name, _)| *name == event);
            let nulls: BTreeSet<_> = shown.map(|(_, example)| example["data"][field].is_null()).collect();
            assert_eq!(nulls.len(), 2, "{event}: {field}");
        }
    }
}

/// The seed's payload, unchanged, with id and sequence added.
#[test]
fn the_seeds_payload_is_an_example() {
    let mut example = EVENT_SCHEMAS["credits.low_balance"]["examples"][0].clone();
    let fields = example.as_object_mut().unwrap();
    for added in ["type", "id", "sequence"] {
        assert!(fields.remove(added).is_some());
    }
    let seed = json!({
        "event": "credits.low_balance",
        "timestamp": "2024-01-15T10:00:00Z",
        "data": { "currentBalance": 50, "threshold": 100, "message": "Your credit balance is running low" }
    });
    assert_eq!(example, seed);
}

/// Every change of one place of a value, at any depth: a field more in each object, and each field removed, renamed
/// and of every other type.
fn edits(path: &str, value: &Value, may_be_null: &dyn Fn(&str) -> bool) -> Vec<(String, Value)> {
    let (fields, is_list) = match value {
        Value::Object(fields) => (fields.clone(), false),
        Value::Array(items) => {
            let keyed = items.iter().enumerate().map(|(place, item)| (place.to_string(), item.clone()));
            (keyed.collect::<Map<_, _>>(), true)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => return Vec::new(),
    };
    let whole = |fields: Map<String, Value>| {
        if is_list { fields.into_iter().map(|(_, item)| item).collect() } else { Value::Object(fields) }
    };
    let with = |name: &str, field: Value| {
        let mut fields = fields.clone();
        fields.insert(name.to_owned(), field);
        whole(fields)
    };
    let mut changed = vec![(format!("one more in {path}"), with("surplus", json!(1)))];
    for (name, field) in &fields {
        let path = format!("{path}/{name}");
        let mut without = fields.clone();
        let away = without.remove(name).unwrap();
        if !is_list {
            changed.push((format!("{path} away"), whole(without.clone())));
            without.insert(format!("{name}_"), away);
            changed.push((format!("{path} renamed"), whole(without)));
        }
        let others =
            [json!(null), json!(true), json!(7), json!(1.5), json!(-1), json!("?"), json!([]), json!({})];
        for other in others.into_iter().filter(|other| is_another(field, other)) {
            if !other.is_null() || !may_be_null(&path) {
                changed.push((format!("{path} is {other}"), with(name, other)));
            }
        }
        let deeper = edits(&path, field, may_be_null).into_iter();
        changed.extend(deeper.map(|(what, edited)| (what, with(name, edited))));
    }
    changed
}

/// Whether a value of one field is never valid for the other. There is no field for numbers that are negative or
/// not whole; where null stands, other values cannot be judged.
fn is_another(field: &Value, other: &Value) -> bool {
    match (field, other) {
        (Value::Number(_), Value::Number(_)) => other.as_u64().is_none(),
        (Value::Null, Value::String(_) | Value::Number(_)) => other.as_u64().is_none() && !other.is_string(),
        (known, other) => std::mem::discriminant(known) != std::mem::discriminant(other),
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "prints the number of cases")]
fn an_example_with_one_thing_changed_is_refused() {
    let mut tried = 0;
    for (name, example) in examples() {
        let may_be_null =
            |path: &str| path.strip_prefix("/data/").is_some_and(|field| is_nullable(name, field));
        for (what, event) in edits("", example, &may_be_null) {
            let left_out = what.strip_prefix("/data/").and_then(|what| what.strip_suffix(" away"));
            if left_out.is_some_and(|field| is_optional(name, field)) {
                assert!(event_problems(&event).is_empty(), "{name}: {what} is refused");
                continue;
            }
            assert!(!event_problems(&event).is_empty(), "{name}: {what} is accepted:\n{event:#}");
            tried += 1;
        }
    }
    assert!(tried > 1_000, "{tried}");
    println!("{tried} examples with one thing changed are refused");
}

/// Ids, times and enumerated words have a fixed format, and any other is refused.
#[test]
#[expect(clippy::print_stdout, reason = "prints the number of cases")]
fn ids_times_and_words_are_held_to_their_form() {
    let mut tried = 0;
    for (name, example) in examples() {
        for (pointer, wrong) in [
            ("/event", "credits"),
            ("/type", "credits"),
            ("/id", "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9Z"),
            ("/id", "evt_01HM6QY8R0Z3V9Q2T5W7X8Y9ZI"),
            ("/id", "evt_81HM6QY8R0Z3V9Q2T5W7X8Y9ZA"),
            ("/id", "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"),
            ("/timestamp", "2024-01-15T10:00:00.5Z"),
            ("/timestamp", "2024-01-15T10:00:00+00:00"),
            ("/timestamp", "2024-02-30T10:00:00Z"),
            ("/data/transactionId", "txn_abc123"),
            ("/data/holdId", "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"),
            ("/data/webhookId", "01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"),
            ("/data/monitorId", "mon_"),
            ("/data/sources/0/lotId", "sub_2024-13"),
            ("/data/sources/0/source", "post_paid"),
            ("/data/price/currency", "gbp"),
            ("/data/direction", "credit"),
            ("/data/service", "smart"),
            ("/data/outcome", "withdrawn"),
            ("/data/url", "yourdomain.com"),
            ("/data/message", ""),
        ] {
            let mut changed = example.clone();
            let Some(field) = changed.pointer_mut(pointer).filter(|field| field.is_string()) else {
                continue;
            };
            *field = json!(wrong);
            assert!(!event_problems(&changed).is_empty(), "{name}: {pointer} {wrong} is accepted");
            tried += 1;
        }
    }
    println!("{tried} texts of another form are refused");
}
