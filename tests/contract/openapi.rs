//! The OpenAPI document, the routes and template.yaml agree.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use domain::EventName;
use serde_json::{Value, json};
use tests::{World, unique};

/// Every route of the document, as `GET /a/{b}`.
fn described(document: &Value) -> BTreeSet<String> {
    let paths = document["paths"].as_object().unwrap();
    let routes = paths.iter().flat_map(|(path, item)| {
        item.as_object().unwrap().keys().map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    routes.collect()
}

/// Every route that a file of the template sends to a function.
fn deployed(file: &str) -> BTreeSet<String> {
    let template = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file)).unwrap();
    let word = |line: &str, name: &str| {
        let rest = line.split(name).nth(1)?;
        Some(rest.trim().split([',', ' ']).next()?.trim_matches('"').to_owned())
    };
    let routes = template
        .lines()
        .filter_map(|line| Some(format!("{} {}", word(line, "Method:")?, word(line, "Path:")?)));
    routes.collect()
}

#[tokio::test]
async fn every_route_is_described_and_deployed() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    assert_eq!(document["openapi"], json!("3.1.0"));
    let described = described(&document);
    assert_eq!(described, deployed("template.yaml"));
    assert!(described.contains("POST /api/v3/credits/consume"));
    // Every documented route answers, at least by asking for a key.
    for route in described {
        let (method, path) = route.split_once(' ').unwrap();
        let is_public = is_public(&document["paths"][path][method.to_lowercase()]);
        let path = path.replace(['{', '}'], "");
        let answer = tests::send(world.request(method.parse().unwrap(), &path, "")).await;
        if route == "POST /api/v3/payments/events" {
            assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{route}");
        } else if is_public && route.starts_with("POST ") {
            assert_eq!(answer.failure(), "415 UNSUPPORTED_MEDIA_TYPE", "{route}");
        } else if is_public {
            assert_eq!(answer.status, 200, "{route}");
        } else if route.contains(" /v2/") {
            assert_eq!(
                (answer.status, &answer.body["error"]["code"]),
                (401, &json!("UNAUTHORIZED")),
                "{route}"
            );
        } else {
            assert_eq!(answer.failure(), "401 MISSING_API_KEY", "{route}");
        }
    }
}

/// Each function serves exactly the routes that its own part of the template sends to it.
#[test]
fn a_route_leads_to_the_function_that_serves_it() {
    let mut routed = 0;
    for (function, router) in local::routers() {
        let document = serde_json::to_value(router.get_openapi()).unwrap();
        let served = described(&document);
        assert_eq!(served, deployed(&format!("functions/{function}/function.yaml")), "{function}");
        routed += served.len();
    }
    assert_eq!(routed, deployed("template.yaml").len());
}

/// Whether an operation needs no API key.
fn is_public(operation: &Value) -> bool {
    operation["security"] == json!([])
}

#[tokio::test]
async fn every_answer_is_described_in_its_envelope() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    let mut checked = 0;
    let mut names = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let responses = operation["responses"].as_object().unwrap();
            assert!(names.insert(operation["operationId"].as_str().unwrap()), "{method} {path}");
            for status in ["400", "401", "403", "503"] {
                let signs_in = path.ends_with("/v1/sessions") || path.ends_with("/v3/sessions");
                let takes_key = !is_public(operation) || signs_in;
                let is_possible = takes_key || !["401", "403"].contains(&status);
                assert_eq!(responses.contains_key(status), is_possible, "{method} {path} {status}");
            }
            let may_be_kept = is_public(operation) && method == "get";
            assert_eq!(responses.contains_key("304"), may_be_kept, "{method} {path}");
            for (status, response) in responses {
                assert!(response["description"].is_string(), "{method} {path} {status}");
                if response["content"]["text/csv"].is_object() {
                    // A file has no envelope.
                    assert_eq!(path, "/api/v3/credits/transactions/export");
                    continue;
                }
                let schema = &response["content"]["application/json"]["schema"];
                if status.starts_with('2') {
                    let required: Vec<_> = schema["required"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|word| word.as_str().unwrap())
                        .collect();
                    let third = match path.as_str() {
                        "/v2/credits" => Some("pagination"),
                        "/v2/credits/{creditId}" => None,
                        _ => Some("meta"),
                    };
                    assert_eq!(
                        required,
                        ["success", "data"].into_iter().chain(third).collect::<Vec<_>>(),
                        "{method} {path}"
                    );
                    assert!(schema["properties"]["data"].is_object(), "{method} {path}");
                    checked += 1;
                } else if status != "304" {
                    let error = if path.starts_with("/v2/") { "VerifikError" } else { "Error" };
                    let error = format!("#/components/schemas/{error}");
                    assert_eq!(schema["$ref"], json!(error), "{method} {path} {status}");
                }
            }
        }
    }
    assert_eq!(checked, described(&document).len() + 5);
    let text = document.to_string();
    for name in text.split("\"#/components/schemas/").skip(1).map(|rest| rest.split('"').next().unwrap()) {
        assert!(document["components"]["schemas"][name].is_object(), "{name}");
    }
}

/// An operation names its scopes: a key with one of them may call it, a key with another may not.
#[tokio::test]
async fn every_operation_names_its_scopes() {
    let world = World::demo().await;
    let org = world.open(0).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let mut keys = Vec::new();
    for scope in tests::EVERY_SCOPE {
        let body = json!({ "mode": "test", "scopes": [scope] });
        let made = world.post(&path, world.operator(), &tests::unique(), &body).await.created();
        keys.push((scope, made["key"].as_str().unwrap().to_owned()));
    }
    let document = world.get("/openapi.json", "").await.body;
    for route in described(&document) {
        let (method, path) = route.split_once(' ').unwrap();
        let operation = &document["paths"][path][method.to_lowercase()];
        if is_public(operation) || path.starts_with("/admin/") {
            continue;
        }
        let named = operation["security"].as_array().unwrap().iter();
        let named: BTreeSet<_> = named.map(|one| one["apiKey"][0].as_str().unwrap()).collect();
        let forbidden = operation["responses"]["403"]["description"].as_str().unwrap();
        assert!(named.iter().all(|scope| forbidden.contains(scope)), "{route}: {forbidden}");
        let path = path.replace(['{', '}'], "");
        for (scope, key) in &keys {
            let request = world.request(method.parse().unwrap(), &path, key);
            let answer =
                tests::send(request.header("Idempotency-Key", tests::unique()).json(&json!({}))).await;
            let is_refused = answer.body["error"]["code"] == json!("INSUFFICIENT_PERMISSIONS");
            // It is the organisation's, and these are test keys.
            let is_live_only = route == "PATCH /api/v3/organization-settings";
            assert_eq!(is_refused, is_live_only || !named.contains(scope), "{route} {scope} {answer:?}");
        }
    }
}

/// A debit's answer has exactly the documented fields.
#[tokio::test]
async fn a_debit_has_the_documented_fields() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    let charged = world.consume(world.key(), "k1", &json!({ "operation": "aml.pep" })).await.created();
    let schemas = &document["components"]["schemas"];
    let fields = |name: &str| {
        schemas[name]["properties"].as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>()
    };
    let mut expected = fields("Transaction");
    // Only renewals, purchases, plan changes, monitors, refunds, holds, batches, failable debits and requests of members have
    // these fields.
    let others = "batch captured duplicateOf expired failure heldFor holdId monitorId net nextAction package plan price \
                  reason receipt refundOf requestedBy settleBy";
    for other in others.split_whitespace() {
        assert!(expected.remove(other), "{other}");
    }
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let mut reported = keys(&charged);
    assert!(reported.remove("balance"));
    assert_eq!(reported, expected);
    assert_eq!(keys(&charged["balance"]), fields("Balance"));
    assert_eq!(keys(&charged["sources"][0]), fields("SourceShare"));
}

/// Schemas are identified by name: two types with one name would replace each other.
#[test]
fn no_two_schemas_share_a_name() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders = vec![root.join("functions"), root.join("shared/http/src")];
    let mut names: Vec<String> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                names.extend(schemas(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    assert!(names.len() > 40, "{names:?}");
    names.sort();
    let twice: Vec<_> = names.windows(2).filter(|pair| pair[0] == pair[1]).collect();
    assert!(twice.is_empty(), "{twice:?}");
}

/// The names of the schemas that a source file derives.
fn schemas(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for derived in text.split("ToSchema)]").skip(1) {
        let item = derived.split_once('{').map_or(derived, |(item, _)| item);
        let shown = derived.split("#[schema(as = ").nth(1).filter(|_| item.contains("#[schema(as = "));
        let name = match shown {
            Some(shown) => shown.split(')').next().unwrap(),
            None => derived
                .split(['\n', ' '])
                .skip_while(|word| !["struct", "enum"].contains(word))
                .nth(1)
                .unwrap(),
        };
        found.push(name.trim_end_matches(['{', '(', ';']).to_owned());
    }
    found
}

/// The answers of plan changes and monitors have exactly the documented fields.
#[tokio::test]
async fn plans_and_monitors_have_the_documented_fields() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    let schemas = &document["components"]["schemas"];
    let fields = |name: &str| properties(schemas, &schemas[name]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let reported = world.get("/api/v3/subscription", world.key()).await.data();
    assert_eq!(keys(&reported), fields("Subscription"));
    let changed =
        world.put("/api/v3/subscription", world.key(), &json!({ "plan": "enterprise" })).await.data();
    assert_eq!(keys(&changed), fields("SubscriptionChange"));
    let body = json!({ "operation": "aml.monitoring", "resourceId": "a" });
    let made = world.post("/api/v3/monitors", world.key(), "m1", &body).await.created();
    assert_eq!(keys(&made), fields("Monitor"));
    let clock = world.get("/api/v3/test-clock", world.test_key()).await.data();
    assert_eq!(keys(&clock), fields("TestTime"));
}

/// The answers of audits and receipts have exactly the documented fields.
#[tokio::test]
async fn audits_and_receipts_have_the_documented_fields() {
    // A checkpoint is made once a day has ended.
    let world = World::at("2024-01-15T10:30:00Z").await;
    for _ in 0..2 {
        world.consume(world.key(), &unique(), &json!({ "operation": "aml.basic" })).await.created();
        world.pass(86_400).await;
        world.settle().await;
    }
    let document = world.get("/openapi.json", "").await.body;
    let schemas = &document["components"]["schemas"];
    let fields = |name: &str| properties(schemas, &schemas[name]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let audit = world.get("/api/v3/credits/audit", world.key()).await.data();
    assert_eq!(keys(&audit), fields("Audit"));
    assert_eq!(keys(&audit["rows"][0]), fields("AuditRow"));
    assert_eq!(keys(&audit["tip"]), fields("AuditTip"));
    assert_eq!(keys(&audit["checkpoints"][0]), fields("AuditCheckpoint"));
    let id = audit["rows"][0]["transactionId"].as_str().unwrap();
    let receipt = world.get(&format!("/api/v3/credits/transactions/{id}"), world.key()).await.data();
    assert!(fields("Receipt").is_superset(&keys(&receipt)), "{receipt}");
    assert_eq!(keys(&receipt["proof"]), fields("Proof"));
}

/// The answers of webhooks, deliveries and the feed have exactly the documented fields.
#[tokio::test]
async fn webhooks_have_the_documented_fields() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    let schemas = &document["components"]["schemas"];
    let fields = |name: &str| properties(schemas, &schemas[name]);
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<BTreeSet<_>>();
    let url = format!("{}/_local/inbox/me", world.machine.base_url());
    let made = world.post("/api/v3/webhooks", world.key(), "w1", &json!({ "url": url })).await.created();
    // Only a repeated request says that the secret was shown before.
    let mut expected = fields("WebhookWithSecret");
    assert!(expected.remove("secretShown"));
    assert_eq!(keys(&made), expected);
    let again = world.post("/api/v3/webhooks", world.key(), "w1", &json!({ "url": url })).await.created();
    assert_eq!(keys(&again), fields("WebhookWithSecret"));
    let path = format!("/api/v3/webhooks/{}", made["webhookId"].as_str().unwrap());
    assert_eq!(keys(&world.get(&path, world.key()).await.data()), fields("Webhook"));
    let debit = json!({ "operation": "verification.standard", "quantity": 350 });
    world.consume(world.key(), "k1", &debit).await.created();
    world.settle().await;
    let delivery = world.get(&format!("{path}/deliveries"), world.key()).await.data()[0].clone();
    assert_eq!(keys(&delivery), fields("Delivery"));
    assert_eq!(keys(&delivery["attempts"][0]), fields("DeliveryAttempt"));
    assert_eq!(keys(&world.events(world.key()).await[0]), fields("Event"));
}

/// Each place of an event name, with the schema that lists the names.
#[tokio::test]
async fn events_are_described_by_name() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    let schemas = &document["components"]["schemas"];
    let names = |schema: &str| schemas[schema]["enum"].clone();
    let all: Vec<_> = EventName::ALL.into_iter().map(EventName::as_str).collect();
    let happening: Vec<_> =
        EventName::ALL.into_iter().filter(|name| name.is_subscribable()).map(EventName::as_str).collect();
    assert_eq!((names("EventName"), names("SentEventName")), (json!(happening), json!(all)));
    for (schema, field, named) in [
        ("NewWebhook", "events", "EventName"),
        ("WebhookChange", "events", "EventName"),
        ("Webhook", "events", "EventName"),
        ("Event", "event", "EventName"),
        ("Event", "type", "EventName"),
        ("Delivery", "event", "SentEventName"),
        ("WebhookTest", "event", "SentEventName"),
    ] {
        let described = schemas[schema]["properties"][field].to_string();
        assert!(described.contains(&format!("\"#/components/schemas/{named}\"")), "{schema}: {described}");
    }
}

/// An optional body is documented as optional, and any other as required.
#[tokio::test]
async fn bodies_are_documented_as_required_or_optional() {
    let world = World::demo().await;
    let document = world.get("/openapi.json", "").await.body;
    let mut optional = BTreeSet::new();
    for route in described(&document) {
        let (method, path) = route.split_once(' ').unwrap();
        let body = &document["paths"][path][method.to_lowercase()]["requestBody"];
        if body.is_object() && body["required"] != json!(true) {
            optional.insert(route);
        }
    }
    let expected = [
        "POST /admin/v1/operator-keys/{id}/roll",
        "POST /api/v3/api-keys/{id}/roll",
        "POST /api/v3/budget-requests/{id}/approve",
        "POST /api/v3/credits/holds/{id}/capture",
        "POST /api/v3/credits/holds/{id}/release",
        "POST /api/v3/credits/transactions/{id}/fail",
        "POST /api/v3/webhooks/{id}/rotate-secret",
        "POST /api/v3/webhooks/{id}/test",
    ];
    assert_eq!(optional, expected.map(str::to_owned).into());
}

/// The properties of a schema, including those of the schemas that it combines.
fn properties(schemas: &Value, schema: &Value) -> BTreeSet<String> {
    let mut found: BTreeSet<String> =
        schema["properties"].as_object().into_iter().flat_map(|fields| fields.keys().cloned()).collect();
    for part in schema["allOf"].as_array().into_iter().flatten() {
        let named = part["$ref"].as_str().and_then(|name| name.rsplit('/').next()).map(|name| &schemas[name]);
        found.extend(properties(schemas, named.unwrap_or(part)));
    }
    found
}
