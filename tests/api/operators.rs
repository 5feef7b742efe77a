//! Operators: their keys and roles, acting for an organisation, and the audit log.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, World, send, unique};

const KEYS: &str = "/admin/v1/operator-keys";
const LOG: &str = "/admin/v1/audit-log";
const REFUSED: &str = "403 INSUFFICIENT_PERMISSIONS";

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// A new operator's key with a role: its id and its secret.
async fn issue(world: &World, role: &str) -> (String, String) {
    let body = json!({ "name": format!("Jo, {role}"), "role": role });
    let issued = world.post(KEYS, world.operator(), &unique(), &body).await.created();
    assert_eq!((&issued["role"], &issued["status"]), (&json!(role), &json!("active")));
    (text(&issued["keyId"]), text(&issued["key"]))
}

/// An operator's key, and the organisation that the operator acts for.
struct Acting<'a> {
    world: &'a World,
    key: &'a str,
    org: &'a str,
}

impl Acting<'_> {
    async fn call(&self, method: Method, path: &str, body: &Value) -> ApiAnswer {
        let request = self.world.request(method, path, self.key).header("scrip-organisation", self.org);
        let request = request.header("idempotency-key", unique());
        send(if body.is_null() { request } else { request.json(body) }).await
    }

    async fn get(&self, path: &str) -> ApiAnswer {
        self.call(Method::GET, path, &Value::Null).await
    }

    async fn post(&self, path: &str, body: &Value) -> ApiAnswer {
        self.call(Method::POST, path, body).await
    }
}

/// Requests for an organisation, and the roles besides owner that may make them. The last one refunds a debit, which is
/// possible once.
fn requests(org: &str, refund: Value) -> Vec<(Method, String, Value, &'static str)> {
    let at = |path: &str| format!("/admin/v1/organisations/{org}{path}");
    vec![
        (Method::GET, at(""), json!(null), "read support money catalogue"),
        (Method::GET, at("/keys"), json!(null), "read support money catalogue"),
        (Method::GET, "/admin/v1/exchange-rates".to_owned(), json!(null), "read support money catalogue"),
        (Method::POST, "/admin/v1/organisations".to_owned(), json!({ "name": "New" }), "support money"),
        (
            Method::POST,
            "/admin/v1/organisations".to_owned(),
            json!({ "name": "New", "allowance": 9 }),
            "money",
        ),
        (
            Method::POST,
            "/admin/v1/organisations".to_owned(),
            json!({ "name": "New", "plan": "basic" }),
            "money",
        ),
        (Method::PATCH, at(""), json!({ "selfServicePlans": true }), "money"),
        (Method::PATCH, at(""), json!({ "name": "Other" }), "support money"),
        (Method::POST, at("/keys"), json!({ "mode": "test", "scopes": ["credits:read"] }), "support money"),
        (Method::POST, at("/freeze"), json!({ "reason": "why" }), "support money"),
        (Method::POST, at("/unfreeze"), json!({ "reason": "why" }), "support money"),
        (Method::POST, at("/grants"), json!({ "source": "bonus", "amount": 1 }), "money"),
        (Method::POST, at("/adjustments"), json!({ "amount": 1, "reason": "why" }), "money"),
        (Method::PUT, at("/post-paid"), json!({ "limit": 5 }), "money"),
        (Method::PUT, at("/plan-limit"), json!({ "limit": 2_000_000_000_000_000_u64 }), "money"),
        (
            Method::PUT,
            at("/spending-limit"),
            json!({ "perDay": { "amount": 5, "currency": "GBP" } }),
            "money",
        ),
        (Method::PUT, at("/subscription"), json!({ "plan": "professional" }), "money"),
        (Method::PUT, "/admin/v1/pricing/aml.pep".to_owned(), json!({ "credits": 2 }), "catalogue"),
        (Method::PUT, "/admin/v1/exchange-rates/GBP/EUR".to_owned(), json!({ "rate": "1.2" }), "catalogue"),
        (Method::GET, KEYS.to_owned(), json!(null), ""),
        (Method::POST, KEYS.to_owned(), json!({ "name": "More", "role": "read" }), ""),
        (Method::GET, LOG.to_owned(), json!(null), ""),
        // At last: the debit is refunded once.
        (Method::POST, at("/refunds"), refund, "support"),
    ]
}

#[tokio::test]
async fn a_role_decides_what_an_operator_may_do() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let debit = world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    let refund =
        json!({ "transactionId": debit["transactionId"], "reason": "technical_failure", "note": "why" });
    let requests = requests(&org.id, refund);
    for role in ["read", "support", "money", "catalogue", "owner"] {
        let (_, key) = issue(&world, role).await;
        for (method, path, body, roles) in &requests {
            let request = world.request(method.clone(), path, &key).header("idempotency-key", unique());
            let answer = send(if body.is_null() { request } else { request.json(body) }).await;
            let may = role == "owner" || roles.split(' ').any(|able| able == role);
            let is_refused = answer.status == 403;
            if path.ends_with("/refunds") && ["money", "owner"].contains(&role) {
                assert_eq!(answer.failure(), "409 ALREADY_REFUNDED", "{role}");
            } else {
                assert_eq!(is_refused, !may, "{role}: {method} {path}: {}", answer.body);
                assert!(!may || answer.status < 300, "{role}: {method} {path}: {}", answer.body);
            }
            if is_refused {
                assert_eq!(answer.failure(), REFUSED);
                let message = text(&answer.body["error"]["message"]);
                assert!(message.contains(&format!("`{role}`")) && message.contains("`owner`"), "{message}");
            }
        }
    }
}

/// A key of support cannot issue a key that spends or buys.
#[tokio::test]
async fn an_operator_issues_no_key_with_scopes_that_its_role_lacks() {
    let world = World::demo().await;
    let org = world.open(10).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let (_, support) = issue(&world, "support").await;
    let (_, money) = issue(&world, "money").await;
    for (scopes, expected) in [
        (json!(["credits:read", "team:write"]), 201),
        (json!(["credits:consume"]), 403),
        (json!(["dashboard"]), 403),
    ] {
        let body = json!({ "mode": "live", "scopes": scopes });
        assert_eq!(world.post(&path, &support, &unique(), &body).await.status, expected, "{scopes}");
    }
    let all = json!({ "mode": "live", "scopes": tests::EVERY_SCOPE });
    assert_eq!(world.post(&path, &money, &unique(), &all).await.status, 201);
    let listed = world.get(&path, &support).await.data();
    assert_eq!(listed.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn operators_keys_are_listed_changed_rolled_and_revoked() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let (id, key) = issue(&world, "read").await;
    let path = format!("{KEYS}/{id}");
    let grants = "/admin/v1/exchange-rates";
    assert_eq!(world.get(grants, &key).await.status, 200);
    let changed = world.patch(&path, world.operator(), &json!({ "role": "owner" })).await.data();
    assert_eq!((&changed["role"], &changed["lastUsedAt"]), (&json!("owner"), &json!("2024-01-15")));
    assert_eq!(world.get(KEYS, &key).await.status, 200);
    let rolled =
        world.post(&format!("{path}/roll"), world.operator(), &unique(), &json!({ "graceSeconds": 0 })).await;
    let rolled = rolled.created();
    assert_eq!(rolled["keyId"], json!(id));
    assert_eq!(world.get(KEYS, &key).await.failure(), "401 EXPIRED_API_KEY", "at once");
    let key = text(&rolled["key"]);
    assert_eq!(world.get(KEYS, &key).await.status, 200);
    let limited = json!({ "allowedIps": ["203.0.113.7"], "expiresAt": "2024-02-01T00:00:00Z" });
    world.patch(&path, world.operator(), &limited).await.data();
    assert_eq!(world.get(KEYS, &key).await.failure(), REFUSED);
    let revoked = world.delete(&path, world.operator()).await.data();
    assert_eq!(revoked["status"], json!("revoked"));
    assert_eq!(world.get(KEYS, &key).await.failure(), "401 EXPIRED_API_KEY");
    assert_eq!(
        world.patch(&path, world.operator(), &json!({ "role": "read" })).await.failure(),
        "409 CONFLICT"
    );
    let listed = world.get(KEYS, world.operator()).await.data();
    let listed: Vec<_> =
        listed.as_array().unwrap().iter().map(|key| (&key["keyId"], &key["status"])).collect();
    assert_eq!(listed[0], (&json!(id), &json!("revoked")));
    assert_eq!(listed.len(), 2, "and the key of the first start");
    for wrong in [
        json!({ "role": "read" }),
        json!({ "name": "x", "role": "king" }),
        json!({ "name": "x", "scopes": [] }),
    ] {
        assert_eq!(
            world.post(KEYS, world.operator(), &unique(), &wrong).await.failure(),
            "400 VALIDATION_ERROR"
        );
    }
    let least = world.post(KEYS, world.operator(), &unique(), &json!({ "name": "New" })).await.created();
    assert_eq!(least["role"], json!("read"), "a new key may do the least");
    let org = world.open(1).await;
    assert_eq!(world.get(KEYS, &org.key).await.failure(), REFUSED);
    assert_eq!(world.delete(&path, &org.key).await.failure(), REFUSED);
}

/// Of two owners that are removed at the same time, one stays.
#[tokio::test]
async fn the_last_owner_stays() {
    let world = World::demo().await;
    let listed = world.get(KEYS, world.operator()).await.data();
    let first = text(&listed[0]["keyId"]);
    let path = |id: &str| format!("{KEYS}/{id}");
    let ways = [json!({ "role": "money" }), json!({ "expiresAt": "2099-01-01T00:00:00Z" })];
    for change in &ways {
        assert_eq!(
            world.patch(&path(&first), world.operator(), change).await.failure(),
            "409 CONFLICT",
            "{change}"
        );
    }
    assert_eq!(world.delete(&path(&first), world.operator()).await.failure(), "409 CONFLICT");
    // An owner with an end does not count.
    let body = json!({ "name": "For a while", "role": "owner", "expiresAt": "2099-01-01T00:00:00Z" });
    world.post(KEYS, world.operator(), &unique(), &body).await.created();
    assert_eq!(world.delete(&path(&first), world.operator()).await.failure(), "409 CONFLICT");
    for round in 0..5 {
        let (other, key) = issue(&world, "owner").await;
        let others: BTreeSet<_> = [first.clone(), other.clone()].into();
        // The owner of the first start removes the other one, and the other way round.
        let (a, b) = tokio::join!(
            async { world.patch(&path(&other), world.operator(), &json!({ "role": "read" })).await.status },
            async { world.patch(&path(&first), &key, &json!({ "role": "read" })).await.status },
        );
        let listed =
            world.get(&format!("{KEYS}?limit=100"), if a == 200 { world.operator() } else { &key }).await;
        let listed = listed.data();
        let owners = listed.as_array().unwrap().iter().filter(|listed| {
            others.contains(listed["keyId"].as_str().unwrap()) && listed["role"] == json!("owner")
        });
        assert_eq!(owners.count(), 1, "round {round}: {a} and {b}");
        if a != 200 {
            // The other one has won: give the first its role back.
            world.patch(&path(&first), &key, &json!({ "role": "owner" })).await.data();
            world.patch(&path(&other), world.operator(), &json!({ "role": "read" })).await.data();
        }
    }
}

/// One key is enough for a seller's whole backend.
#[tokio::test]
async fn an_operator_acts_for_an_organisation() {
    let world = World::demo().await;
    let body = json!({ "name": "Customer 7", "externalId": "cust-7", "plan": "free", "metadata": { "tier": "gold" } });
    let opened = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    assert_eq!((&opened["externalId"], &opened["metadata"]), (&json!("cust-7"), &json!({ "tier": "gold" })));
    let taken = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await;
    assert_eq!(taken.failure(), "409 CONFLICT");
    let org = text(&opened["organisationId"]);
    let (id, key) = issue(&world, "money").await;
    let acting = Acting { world: &world, key: &key, org: &org };
    let consume = "/api/v3/credits/consume";
    let debit = json!({ "operation": "aml.basic" });
    for name in [org.as_str(), "external:cust-7"] {
        // The plan has no API access: that is about keys of the organisation.
        let charged = Acting { world: &world, key: &key, org: name }.post(consume, &debit).await.created();
        assert_eq!(charged["superAdmin"], json!(id), "{charged}");
    }
    let balance = acting.get("/api/v3/credits/balance").await.data();
    assert_eq!(balance["usedCredits"], json!(2));
    let hold = acting.post("/api/v3/credits/holds", &debit).await.created();
    let capture = format!("/api/v3/credits/holds/{}/capture", hold["holdId"].as_str().unwrap());
    acting.post(&capture, &json!({})).await.created();
    let package = json!({ "package": "starter", "paymentMethod": "card_1" });
    acting.post("/api/v3/credits/purchase", &package).await.created();
    let lines = acting.get("/api/v3/credits/transactions").await.data();
    let lines = lines.as_array().unwrap();
    let by = |operation: &str| lines.iter().find(|line| line["operation"] == json!(operation)).unwrap();
    for operation in ["aml.basic", "credit.purchase", "credit.capture"] {
        assert_eq!(by(operation)["superAdmin"], json!(id), "{operation}");
    }
    let records = acting.get("/v2/credits?where_category=usage").await;
    assert_eq!(records.body["data"][0]["superAdmin"], json!(id));
    // The test ledger, by name.
    let test = world.request(Method::GET, "/api/v3/credits/balance", &key);
    let test = test.header("scrip-organisation", &org).header("scrip-mode", "test");
    let test = send(test).await;
    assert_eq!((&test.body["meta"]["livemode"], &test.data()["usedCredits"]), (&json!(false), &json!(0)));

    for (name, expected) in [
        ("org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "404 NOT_FOUND"),
        ("external:unknown", "404 NOT_FOUND"),
        ("external:", "404 NOT_FOUND"),
        ("cust-7", "400 VALIDATION_ERROR"),
        ("", "400 VALIDATION_ERROR"),
    ] {
        let answer = Acting { world: &world, key: &key, org: name }.get("/api/v3/credits/balance").await;
        assert_eq!(answer.failure(), expected, "{name}");
    }
    assert_eq!(world.get("/api/v3/credits/balance", &key).await.failure(), REFUSED, "without the header");
    let own = world.open(5).await;
    let foreign = Acting { world: &world, key: &own.key, org: &org }.get("/api/v3/credits/balance").await;
    assert_eq!(foreign.failure(), REFUSED, "the header is for operators");
    let twice = world.request(Method::GET, "/api/v3/credits/balance", &key);
    let twice = twice.header("scrip-organisation", &org).header("scrip-organisation", &own.id);
    assert_eq!(send(twice).await.failure(), "400 VALIDATION_ERROR");
    // A role acts with its scopes.
    let (_, reader) = issue(&world, "read").await;
    let reads = Acting { world: &world, key: &reader, org: &org };
    assert_eq!(reads.get("/api/v3/credits/balance").await.status, 200);
    assert_eq!(reads.post(consume, &debit).await.failure(), REFUSED);
}

#[tokio::test]
async fn the_audit_log_has_what_operators_have_done() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let (id, key) = issue(&world, "support").await;
    let path = format!("/admin/v1/organisations/{}", org.id);
    world.pass(1).await;
    let changed = world.patch(&path, &key, &json!({ "name": "Renamed" })).await;
    world.pass(1).await;
    let refused =
        world.post(&format!("{path}/refunds"), &key, &unique(), &json!({ "transactionId": "txn_x" })).await;
    assert_eq!(refused.status, 400);
    world.pass(1).await;
    let own = json!({ "mode": "test", "scopes": ["credits:read"] });
    let issued =
        Acting { world: &world, key: &key, org: &org.id }.post("/api/v3/api-keys", &own).await.created();
    // Reading and a refusal for lack of rights are not in it.
    world.get(&path, &key).await.data();
    assert_eq!(
        world.put("/admin/v1/pricing/aml.pep", &key, &json!({ "credits": 9 })).await.failure(),
        REFUSED
    );
    let log = world.get(&format!("{LOG}?keyId={id}"), world.operator()).await.data();
    let log = log.as_array().unwrap();
    assert_eq!(log.len(), 3, "{log:#?}");
    let [made, wrong, renamed] = [&log[0], &log[1], &log[2]];
    assert_eq!((&made["actedFor"], &made["path"]), (&json!(org.id), &json!("/api/v3/api-keys")));
    assert_eq!((&made["request"], &made["after"]["key"]), (&own, &Value::Null), "no secret: {made}");
    assert_eq!((&wrong["status"], &wrong["after"]), (&json!(400), &Value::Null));
    assert_eq!(renamed["requestId"], changed.body["meta"]["requestId"]);
    assert_eq!(
        (&renamed["method"], &renamed["path"], &renamed["status"], &renamed["role"], &renamed["address"]),
        (&json!("PATCH"), &json!(path), &json!(200), &json!("support"), &json!("127.0.0.1"))
    );
    assert_eq!(renamed["timestamp"], json!("2024-01-15T10:30:01Z"));
    assert_eq!(renamed["request"], json!({ "name": "Renamed" }));
    assert_eq!((&renamed["before"]["name"], &renamed["after"]["name"]), (&json!("Own"), &json!("Renamed")));

    // Everything that was done to the organisation, page by page.
    let (mut paths, mut cursor) = (vec![], String::new());
    loop {
        let page =
            world.get(&format!("{LOG}?organisationId={}&limit=2{cursor}", org.id), world.operator()).await;
        paths.extend(page.data().as_array().unwrap().iter().map(|entry| text(&entry["path"])));
        let Some(next) = page.body["meta"]["pagination"]["nextCursor"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    let expected = ["/api/v3/api-keys".to_owned(), format!("{path}/refunds"), path.clone()];
    assert_eq!(paths[..3], expected, "the newest first");
    let mut opening = paths[3..].to_vec();
    opening.sort();
    assert_eq!(opening, ["/admin/v1/organisations".to_owned(), format!("{path}/keys")]);
    let whole = world.get(&format!("{LOG}?limit=100"), world.operator()).await.body.to_string();
    let issued = issued["key"].as_str().unwrap();
    let secrets = [key.as_str(), &org.key, issued];
    assert!(secrets.iter().all(|secret| !whole.contains(secret)), "no key is in it");
    let empty = world.get(&format!("{LOG}?month=2023-12"), world.operator()).await.data();
    assert_eq!(empty, json!([]));
    assert_eq!(
        world.get(&format!("{LOG}?month=2024-13"), world.operator()).await.failure(),
        "400 VALIDATION_ERROR"
    );
}
