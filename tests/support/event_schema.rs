//! The JSON Schemas of events, and checks against them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// The schemas in `infra/events`, by event name.
pub static EVENT_SCHEMAS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../infra/events");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let schemas = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: &Path| serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    schemas.map(|path| (path.file_stem().unwrap().to_str().unwrap().to_owned(), read(&path))).collect()
});

static VALIDATORS: LazyLock<BTreeMap<&str, Validator>> = LazyLock::new(|| {
    let options = jsonschema::draft202012::options().should_validate_formats(true);
    let made = EVENT_SCHEMAS.iter().map(|(name, schema)| (name.as_str(), options.build(schema).unwrap()));
    made.collect()
});

/// The problems of an event's whole body, by the schema of its `event` field.
pub fn event_problems(event: &Value) -> Vec<String> {
    let Some(validator) = event["event"].as_str().and_then(|name| VALIDATORS.get(name)) else {
        return vec![format!("no schema is there for {}", event["event"])];
    };
    let problems = validator.iter_errors(event).map(|error| format!("{}: {error}", error.instance_path()));
    problems.collect()
}

/// Checks the whole body of an event (as delivered, or as the feed lists it) against its schema.
#[track_caller]
pub fn assert_event(event: &Value) {
    let problems = event_problems(event);
    assert!(problems.is_empty(), "{}\n{event:#}", problems.join("\n"));
}
