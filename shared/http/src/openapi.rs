//! The OpenAPI document: the functions' own descriptions, and what every route has in common.

use serde_json::{Map, Value, json};
use utoipa::openapi::OpenApi;

use super::verifik;
use domain::{Duty, OperatorRole, Scope};

/// The OpenAPI document of `routes`: the functions' own descriptions, with the envelope, the scopes and the errors that
/// every operation has.
///
/// # Errors
/// None in practice: every description can be written as JSON.
pub fn describe(routes: &OpenApi) -> Result<Value, serde_json::Error> {
    let mut document = serde_json::to_value(routes)?;
    if let Some(document) = document.as_object_mut() {
        document.insert("info".into(), info());
        document.insert("security".into(), json!([{ "apiKey": [] }]));
        let components = document.entry("components").or_insert_with(|| json!({}));
        if let Some(components) = components.as_object_mut() {
            components.insert(
                "securitySchemes".into(),
                json!({ "apiKey": { "type": "http", "scheme": "bearer", "description": "sk_live_…, sk_test_… or ok_live_…; below /v2/ also `Authorization: jwt <key>`" } }),
            );
            let schemas = components.entry("schemas").or_insert_with(|| json!({}));
            if let Some(schemas) = schemas.as_object_mut() {
                schemas.extend(envelope_schemas());
            }
        }
        let paths = document.get_mut("paths").and_then(Value::as_object_mut);
        for (path, item) in paths.into_iter().flatten() {
            for (method, operation) in item.as_object_mut().into_iter().flatten() {
                if let Some(operation) = operation.as_object_mut() {
                    around(method, path, operation);
                }
            }
        }
    }
    Ok(document)
}

fn info() -> Value {
    json!({
        "title": "Scrip",
        "version": "3.0.0",
        "description": "Prepaid credits: balances, debits the moment a call is made, and an explanation of every credit.\n\n\
            In addition to the errors of each operation: 404 NOT_FOUND for an unknown path, and 405 METHOD_NOT_ALLOWED \
            for a path that has other methods.\n\n\
            The `security` of an operation names the scope that an organisation's key needs. Operations below `/admin/` \
            take an operator's key, which has no scopes.",
    })
}

/// The schemas of the envelope.
fn envelope_schemas() -> Map<String, Value> {
    let instant = json!({ "type": "string", "format": "date-time" });
    let entries = [
        (
            "Meta",
            json!({
                "type": "object",
                "required": ["timestamp", "requestId"],
                "properties": {
                    "timestamp": instant,
                    "requestId": { "type": "string", "examples": ["req_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"] },
                    "livemode": { "type": "boolean", "description": "false for test keys" },
                    "pagination": {
                        "type": "object",
                        "properties": { "nextCursor": { "type": ["string", "null"] }, "hasMore": { "type": "boolean" } },
                    },
                },
            }),
        ),
        (
            "Error",
            json!({
                "type": "object",
                "required": ["success", "error", "meta"],
                "properties": {
                    "success": { "const": false },
                    "error": {
                        "type": "object",
                        "required": ["code", "message"],
                        "properties": {
                            "code": { "type": "string" },
                            "message": { "type": "string", "description": "what went wrong, and what to do next" },
                            "details": { "type": "object" },
                        },
                    },
                    "meta": { "$ref": "#/components/schemas/Meta" },
                },
            }),
        ),
    ];
    let verifik = verifik::schemas();
    entries.into_iter().chain(verifik).map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// Operations by POST that change nothing and take no `Idempotency-Key`.
const READS_BY_POST: [&str; 1] = ["quote"];

/// Adds the `Idempotency-Key` to an operation that changes something, unless its own description has it.
fn add_idempotency_key(operation: &mut Map<String, Value>) {
    let id = operation.get("operationId").and_then(Value::as_str).unwrap_or_default();
    if READS_BY_POST.contains(&id) {
        return;
    }
    let parameters = operation.entry("parameters").or_insert_with(|| json!([]));
    let Some(parameters) = parameters.as_array_mut() else { return };
    let is_key = |parameter: &Value| parameter.get("name") == Some(&json!("Idempotency-Key"));
    if !parameters.iter().any(is_key) {
        parameters.push(json!({
            "name": "Idempotency-Key", "in": "header", "required": false, "schema": { "type": "string" },
            "description": "Your name for this request, optional, 1 to 255 visible ASCII characters. A retry with the same \
                key gets the same answer and changes nothing, however late it arrives",
        }));
    }
}

/// The scopes of which an organisation's key needs one.
fn scopes(method: &str, path: &str) -> &'static [Scope] {
    let below = |places: &[&str]| places.iter().any(|place| path.starts_with(place));
    if below(&["/api/v3/api-keys", "/api/v3/members", "/api/v3/invitations", "/api/v3/teams"]) {
        return &[Scope::TeamWrite];
    }
    let is_read = method == "get" || path.ends_with("/quote") || path.ends_with("/export");
    const SETTINGS: [&str; 5] = [
        "/api/v3/budget-requests",
        "/api/v3/credits/alerts",
        "/api/v3/credits/auto-recharge",
        "/api/v3/credits/budgets",
        "/api/v3/webhooks",
    ];
    if is_read && below(&SETTINGS) {
        &[Scope::CreditsRead, Scope::SettingsWrite]
    } else if is_read {
        &[Scope::CreditsRead]
    } else if path == "/api/v3/budget-requests"
        || below(&["/api/v3/credits/consume", "/api/v3/credits/holds", "/api/v3/monitors"])
    {
        &[Scope::CreditsConsume]
    } else if path.ends_with("/purchase") {
        &[Scope::CreditsPurchase]
    } else if path.ends_with("/refund") {
        &[Scope::CreditsRefund]
    } else if path.ends_with("/fail") {
        &[Scope::CreditsRefund, Scope::CreditsConsume]
    } else {
        &[Scope::SettingsWrite]
    }
}

/// What an operator's role must include for an operation.
fn duty(method: &str, path: &str) -> Duty {
    const CATALOGUE: [&str; 4] = ["pricing/", "packages/", "plans/", "exchange-rates"];
    const MONEY: [&str; 6] =
        ["/grants", "/adjustments", "/post-paid", "/plan-limit", "/spending-limit", "/subscription"];
    let thing = path.strip_prefix("/admin/v1/").unwrap_or_default();
    if thing.starts_with("operator-keys") || thing == "audit-log" {
        Duty::Operators
    } else if method == "get" && !thing.contains("/exports") {
        // An export has a link to everything of an organisation.
        Duty::Reading
    } else if CATALOGUE.iter().any(|part| thing.starts_with(part)) {
        Duty::Catalogue
    } else if MONEY.iter().any(|part| thing.ends_with(part)) || thing.contains("/purchases/") {
        Duty::Money
    } else {
        Duty::Customers
    }
}

/// Adds the scopes or roles of an operation; returns the description of 403 for keys that lack them.
fn add_scopes(method: &str, path: &str, operation: &mut Map<String, Value>) -> String {
    if path.starts_with("/admin/") {
        let roles = OperatorRole::ALL.into_iter().filter(|role| role.may(duty(method, path)));
        let roles: Vec<_> = roles.map(OperatorRole::as_str).collect();
        let words = roles.iter().map(|role| format!("`{role}`")).collect::<Vec<_>>().join(" or ");
        operation.insert("x-roles".to_owned(), json!(roles));
        return format!("INSUFFICIENT_PERMISSIONS: the key is not an operator's key with the role {words}");
    }
    let scopes = scopes(method, path);
    let any = scopes.iter().map(|scope| json!({ "apiKey": [scope.as_str()] })).collect();
    operation.insert("security".to_owned(), Value::Array(any));
    let names: Vec<_> = scopes.iter().map(|scope| format!("`{}`", scope.as_str())).collect();
    format!(
        "INSUFFICIENT_PERMISSIONS: the key lacks the scope {}; API_ACCESS_NOT_INCLUDED",
        names.join(" or ")
    )
}

/// The envelope around `data` of a successful response.
fn envelope(path: &str, data: Value) -> Value {
    let is_list = data.get("type") == Some(&json!("array"));
    let third = match (verifik::is_below(path), is_list) {
        (false, _) => Some(("meta", "#/components/schemas/Meta")),
        (true, true) => Some(("pagination", "#/components/schemas/PageNumbers")),
        (true, false) => None,
    };
    let mut required = vec!["success", "data"];
    let mut properties =
        Map::from_iter([("success".to_owned(), json!({ "const": true })), ("data".to_owned(), data)]);
    if let Some((name, schema)) = third {
        required.push(name);
        properties.insert(name.to_owned(), json!({ "$ref": schema }));
    }
    json!({ "type": "object", "required": required, "properties": properties })
}

/// Puts the envelope around the successful responses, and describes those that have no description.
fn envelop(path: &str, responses: &mut Map<String, Value>) {
    for (status, response) in responses.iter_mut() {
        if let Some(response) = response.as_object_mut() {
            response.entry("description").or_insert_with(|| "Success".into());
        }
        let schema = response.pointer_mut("/content/application~1json/schema");
        if let Some(schema) = schema.filter(|_| status.starts_with('2')) {
            *schema = envelope(path, schema.take());
        }
    }
}

/// Adds to an operation the envelope, its scopes, its idempotency key and the errors that every operation may return.
fn around(method: &str, path: &str, operation: &mut Map<String, Value>) {
    let is_public = operation.get("security") == Some(&json!([]));
    let forbidden = if is_public { String::new() } else { add_scopes(method, path, operation) };
    if method != "get" && !is_public {
        add_idempotency_key(operation);
    }
    let responses = operation.entry("responses").or_insert_with(|| json!({}));
    let Some(responses) = responses.as_object_mut() else { return };
    envelop(path, responses);
    if let Some(own) = responses.get_mut("403").and_then(|response| response.get_mut("description")) {
        *own = format!("{}; {forbidden}", own.as_str().unwrap_or_default()).into();
    }
    let (invalid, unknown) = match verifik::is_below(path) {
        true => ("INVALID_PARAMETERS: see `details.fields`", "UNAUTHORIZED"),
        false => (
            "VALIDATION_ERROR: see `details.fields`; or another code for an invalid request",
            "MISSING_API_KEY, INVALID_API_KEY, EXPIRED_API_KEY",
        ),
    };
    let always = [
        ("400", invalid),
        ("401", unknown),
        ("403", forbidden.as_str()),
        (
            "429",
            "RATE_LIMITED, with Retry-After: the key or its organisation has made all requests that its limit allows",
        ),
        (
            "503",
            "TEMPORARILY_UNAVAILABLE, with Retry-After: retry the request; RECORD_UNREADABLE: do not retry",
        ),
    ];
    let always =
        always.into_iter().filter(|(status, _)| !is_public || !["401", "403", "429"].contains(status));
    let with_body = [
        ("409", "OPERATION_IN_PROGRESS, with Retry-After; CONFLICT"),
        ("413", "PAYLOAD_TOO_LARGE: more than 64 KiB"),
        ("415", "UNSUPPORTED_MEDIA_TYPE: send application/json, without Content-Encoding"),
        ("422", "IDEMPOTENCY_KEY_REUSED: the key was used with another body"),
    ];
    let changes = ["post", "put", "patch", "delete"].contains(&method);
    let with_body = with_body.into_iter().filter(|_| changes);
    if is_public && method == "get" {
        share(responses);
    }
    for (status, description) in always.chain(with_body) {
        responses.entry(status).or_insert_with(|| json!({ "description": description }));
    }
    for (status, response) in responses.iter_mut().filter(|(status, _)| status.starts_with(['4', '5'])) {
        if let Some(response) = response.as_object_mut() {
            let description = response.get("description").cloned().unwrap_or_else(|| status.clone().into());
            *response = Map::from_iter([
                ("description".to_owned(), description),
                (
                    "content".to_owned(),
                    json!({ "application/json": { "schema": { "$ref": error_schema(path) } } }),
                ),
            ]);
        }
    }
}

/// The schema of an error of a path.
fn error_schema(path: &str) -> &'static str {
    if verifik::is_below(path) { "#/components/schemas/VerifikError" } else { "#/components/schemas/Error" }
}

/// Adds the `ETag` and the 304 of a public answer.
fn share(responses: &mut Map<String, Value>) {
    let tag = json!({ "ETag": { "schema": { "type": "string" }, "description": "for `If-None-Match`" } });
    if let Some(answer) = responses.get_mut("200").and_then(Value::as_object_mut) {
        answer.insert("headers".to_owned(), tag.clone());
    }
    let description = "Not modified: its tag was in `If-None-Match`";
    responses.insert("304".to_owned(), json!({ "description": description, "headers": tag }));
}
