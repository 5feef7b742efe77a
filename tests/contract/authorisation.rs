//! Who may call what: every operation of the OpenAPI document, called by every kind of caller.

use std::collections::{BTreeMap, BTreeSet};

use domain::{MemberRole, OperatorRole, Scope};
use serde_json::{Value, json};
use tests::{Browser, World, send, unique};

/// What a caller gets from an operation, besides what it does with the request itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Expected {
    /// The key is refused: 401 with this code.
    Unknown(&'static str),
    /// The key may not do this: 403 with this code.
    Forbidden(&'static str),
    /// The request reaches the operation.
    Admitted,
}

/// A caller of an operation.
struct Visitor {
    name: String,
    /// The `Authorization` header; none without a key.
    authorization: Option<String>,
    /// The cookie of a session, and what its pages send with it.
    session: Option<PageHeaders>,
    /// The organisation that an operator acts for.
    acts_for: Option<String>,
    /// What it gets from an operation of organisations with these scopes, and of operators with these roles.
    expected: Box<dyn Fn(&Operation) -> Expected>,
}

/// What a page in a session sends.
struct PageHeaders {
    cookie: String,
    csrf: Option<String>,
}

/// An operation, and who may call it by its description.
struct Operation {
    method: String,
    path: String,
    scopes: BTreeSet<String>,
    roles: BTreeSet<String>,
    is_public: bool,
}

const FORBIDDEN: Expected = Expected::Forbidden("INSUFFICIENT_PERMISSIONS");

fn operations(document: &Value) -> Vec<Operation> {
    let mut found = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let texts = |value: &Value, pick: &dyn Fn(&Value) -> Value| -> BTreeSet<String> {
                let list = value.as_array().into_iter().flatten();
                list.filter_map(|one| pick(one).as_str().map(str::to_owned)).collect()
            };
            found.push(Operation {
                method: method.to_uppercase(),
                path: path.clone(),
                scopes: texts(&operation["security"], &|one| one["apiKey"][0].clone()),
                roles: texts(&operation["x-roles"], &Value::clone),
                is_public: operation["security"] == json!([]),
            });
        }
    }
    found
}

impl Visitor {
    fn new(
        name: impl Into<String>,
        key: Option<&str>,
        expected: impl Fn(&Operation) -> Expected + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            authorization: key.map(|key| format!("Bearer {key}")),
            session: None,
            acts_for: None,
            expected: Box::new(
                move |operation| {
                    if operation.is_public { Expected::Admitted } else { expected(operation) }
                },
            ),
        }
    }

    /// A visitor that no operation admits.
    fn refused(name: &str, key: Option<&str>, expected: Expected) -> Self {
        Self::new(name, key, move |_| expected)
    }

    /// The same visitor in the session of a browser.
    fn in_session(self, browser: &Browser<'_>) -> Self {
        let page = PageHeaders { cookie: browser.cookie().to_owned(), csrf: Some(browser.csrf.clone()) };
        Self { session: Some(page), ..self }
    }

    async fn visit(&self, world: &World, operation: &Operation) -> (Expected, Value) {
        let path = operation.path.replace(['{', '}'], "");
        let mut request = world.request(operation.method.parse().unwrap(), &path, "");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(org) = &self.acts_for {
            request = request.header("scrip-organisation", org);
        }
        if let Some(PageHeaders { cookie, csrf }) = &self.session {
            request = request.header("cookie", cookie);
            request = csrf.iter().fold(request, |request, csrf| request.header("scrip-csrf-token", csrf));
        }
        let request = request.header("idempotency-key", unique());
        let request = if operation.method == "GET" { request } else { request.json(&json!({})) };
        let answer = send(request).await;
        // Below /v2/ errors have Verifik's shape.
        let code = answer.body["error"]["code"].as_str().or(answer.body["code"].as_str()).unwrap_or_default();
        let code = ["INSUFFICIENT_PERMISSIONS", "API_ACCESS_NOT_INCLUDED", "ORGANISATION_FROZEN"]
            .into_iter()
            .chain(["SESSION_EXPIRED", "INVALID_CSRF_TOKEN"])
            .chain(["MISSING_API_KEY", "INVALID_API_KEY", "EXPIRED_API_KEY", "UNAUTHORIZED"])
            .find(|known| *known == code)
            .unwrap_or_default();
        let found = match answer.status {
            401 => Expected::Unknown(code),
            403 => Expected::Forbidden(code),
            _ => Expected::Admitted,
        };
        (found, answer.body)
    }
}

/// A key of an organisation with some scopes.
async fn key(world: &World, org: &str, body: Value) -> Value {
    let path = format!("/admin/v1/organisations/{org}/keys");
    world.post(&path, world.operator(), &unique(), &body).await.created()
}

fn secret(key: &Value) -> &str {
    key["key"].as_str().unwrap()
}

/// An operation of organisations for a key with these scopes; operators' operations are not for it.
fn by_scope(scopes: impl IntoIterator<Item = String>) -> impl Fn(&Operation) -> Expected {
    let own: BTreeSet<_> = scopes.into_iter().collect();
    move |operation| {
        if operation.scopes.is_disjoint(&own) { FORBIDDEN } else { Expected::Admitted }
    }
}

async fn visitors(world: &World) -> Vec<Visitor> {
    let org = world.open(1_000).await;
    let mut all = vec![
        Visitor::refused("no key", None, Expected::Unknown("MISSING_API_KEY")),
        Visitor::refused("malformed", Some("sk_live_x"), Expected::Unknown("INVALID_API_KEY")),
        Visitor::refused(
            "never issued",
            Some("sk_live_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA3kzPiu"),
            Expected::Unknown("INVALID_API_KEY"),
        ),
    ];
    let every = json!({ "mode": "live", "scopes": Scope::ALL.map(Scope::as_str) });
    let revoked = key(world, &org.id, every.clone()).await;
    let path = format!("/admin/v1/organisations/{}/keys/{}", org.id, revoked["keyId"].as_str().unwrap());
    world.delete(&path, world.operator()).await.data();
    let expired = Expected::Unknown("EXPIRED_API_KEY");
    all.push(Visitor::refused("revoked", Some(secret(&revoked)), expired));
    let mut ending = every.clone();
    ending["expiresAt"] = json!("2024-01-15T10:30:01Z");
    let ending = key(world, &org.id, ending).await;
    let mut elsewhere = every.clone();
    elsewhere["allowedIps"] = json!(["203.0.113.7"]);
    let elsewhere = key(world, &org.id, elsewhere).await;
    world.pass(1).await;
    all.push(Visitor::refused("expired", Some(secret(&ending)), expired));
    all.push(Visitor::refused("from another address", Some(secret(&elsewhere)), FORBIDDEN));
    let free = json!({ "name": "Small", "plan": "free" });
    let free = world.post("/admin/v1/organisations", world.operator(), &unique(), &free).await.created();
    let free = key(world, free["organisationId"].as_str().unwrap(), json!({ "mode": "live" })).await;
    let no_access = Expected::Forbidden("API_ACCESS_NOT_INCLUDED");
    all.push(Visitor::refused("a plan without API access", Some(secret(&free)), no_access));
    let closed = world.open(1).await;
    let why = json!({ "reason": "Left" });
    let path = format!("/admin/v1/organisations/{}/close", closed.id);
    world.post(&path, world.operator(), &unique(), &why).await.data();
    let frozen = Expected::Forbidden("ORGANISATION_FROZEN");
    all.push(Visitor::refused("a closed organisation", Some(&closed.key), frozen));
    for mode in ["live", "test"] {
        for scope in Scope::ALL {
            let made = key(world, &org.id, json!({ "mode": mode, "scopes": [scope.as_str()] })).await;
            // A live ledger has no clock of its own, and a test key changes nothing of the whole organisation.
            let own = by_scope([scope.as_str().to_owned()]);
            let expected = move |operation: &Operation| {
                let is_clock = mode == "live" && operation.path == "/api/v3/test-clock";
                let is_switch =
                    operation.path == "/api/v3/organization-settings" && operation.method == "PATCH";
                if is_clock || mode == "test" && is_switch { FORBIDDEN } else { own(operation) }
            };
            all.push(Visitor::new(format!("{mode} {}", scope.as_str()), Some(secret(&made)), expected));
        }
    }
    operators(world, &org.id, &mut all).await;
    sessions(world, &org.key, &mut all).await;
    all
}

/// Members of every role in their sessions, an operator in one, and sessions that are not admitted.
async fn sessions(world: &World, key: &str, all: &mut Vec<Visitor>) {
    for role in MemberRole::ALL {
        let browser = world.member(key, role.as_str()).await;
        let own = by_scope(role.scopes().into_iter().map(|scope| scope.as_str().to_owned()));
        let expected = move |operation: &Operation| {
            // A member's session is about the live ledger unless a request says otherwise.
            if operation.path == "/api/v3/test-clock" { FORBIDDEN } else { own(operation) }
        };
        all.push(Visitor::new(format!("member {}", role.as_str()), None, expected).in_session(&browser));
    }
    let operator = world.sign_in("/admin/v1/sessions", &json!({ "key": world.operator() })).await;
    let expected = |operation: &Operation| {
        if operation.roles.contains("owner") { Expected::Admitted } else { FORBIDDEN }
    };
    all.push(Visitor::new("an operator's session", None, expected).in_session(&operator));
    let browser = world.member(key, "owner").await;
    let mut stranger = Visitor::new("another site", None, |operation| match operation.method.as_str() {
        "GET" if operation.scopes.is_empty() => FORBIDDEN,
        "GET" if operation.path == "/api/v3/test-clock" => FORBIDDEN,
        "GET" => Expected::Admitted,
        _ => Expected::Forbidden("INVALID_CSRF_TOKEN"),
    });
    stranger.session = Some(PageHeaders { cookie: browser.cookie().to_owned(), csrf: None });
    all.push(stranger);
    let ended = world.member(key, "owner").await;
    ended.delete("/api/v3/sessions").await.data();
    let over = Visitor::refused("an ended session", None, Expected::Unknown("SESSION_EXPIRED"));
    all.push(over.in_session(&ended));
}

/// Operators of every role, for themselves and for an organisation.
async fn operators(world: &World, org: &str, all: &mut Vec<Visitor>) {
    for role in OperatorRole::ALL {
        let body = json!({ "name": role.as_str(), "role": role.as_str() });
        let made = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &body).await.created();
        let name = role.as_str().to_owned();
        let expected = move |operation: &Operation| {
            if operation.roles.contains(&name) { Expected::Admitted } else { FORBIDDEN }
        };
        all.push(Visitor::new(format!("operator {}", role.as_str()), Some(secret(&made)), expected));
        let name = role.as_str().to_owned();
        let own = by_scope(role.scopes().into_iter().map(|scope| scope.as_str().to_owned()));
        let expected = move |operation: &Operation| {
            let is_clock = operation.path == "/api/v3/test-clock";
            if operation.path.starts_with("/admin/") {
                if operation.roles.contains(&name) { Expected::Admitted } else { FORBIDDEN }
            } else if is_clock || operation.path == "/api/v3/sign-in-links" {
                FORBIDDEN
            } else {
                own(operation)
            }
        };
        let acting = Visitor::new(format!("acting {}", role.as_str()), Some(secret(&made)), expected);
        all.push(Visitor { acts_for: Some(org.to_owned()), ..acting });
    }
}

/// Every operation by every caller: who is admitted is what the document says.
#[tokio::test]
#[expect(clippy::print_stdout, reason = "prints the number of cases")]
async fn every_operation_admits_whom_its_description_names() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let document = world.get("/openapi.json", "").await.body;
    let (operations, visitors) = (operations(&document), visitors(&world).await);
    let (mut tried, mut unexpected) = (0, BTreeMap::new());
    for operation in &operations {
        assert!(
            operation.is_public || operation.scopes.is_empty() != operation.roles.is_empty(),
            "{} {} names scopes or roles",
            operation.method,
            operation.path
        );
        for visitor in &visitors {
            // It would end the sessions of the next cases. `api::sessions` signs out.
            if visitor.session.is_some()
                && operation.path.ends_with("/sessions")
                && operation.method == "DELETE"
                || visitor.session.is_some() && operation.path.ends_with("/sessions/current")
            {
                continue;
            }
            let (found, body) = visitor.visit(&world, operation).await;
            let mut expected = (visitor.expected)(operation);
            if operation.path.starts_with("/v2/") && matches!(expected, Expected::Unknown(_)) {
                expected = Expected::Unknown("UNAUTHORIZED");
            }
            tried += 1;
            if found != expected {
                let case = format!("{} by {}", operation.path, visitor.name);
                unexpected.insert(format!("{} {case}", operation.method), (found, expected, body));
            }
        }
    }
    assert!(unexpected.is_empty(), "{} of {tried}: {unexpected:#?}", unexpected.len());
    println!("{} operations by {} callers: {tried} cases, 0 unexpected", operations.len(), visitors.len());
}
