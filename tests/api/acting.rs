//! What an operator leaves behind when it acts for organisations: `superAdmin`, the audit log, idempotency keys.

use http::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, ApiRequest, TestProcess, World, WriteFault, send, unique};

/// An owner's key, and the organisation that it acts for.
struct Acting<'a> {
    world: &'a World,
    org: &'a str,
    mode: &'a str,
}

impl Acting<'_> {
    async fn call(&self, method: Method, path: &str, name: &str, body: &Value) -> ApiAnswer {
        let request = self.world.request(method, path, self.world.operator());
        let request = request.header("scrip-organisation", self.org).header("scrip-mode", self.mode);
        let request = request.header("idempotency-key", name);
        send(if body.is_null() { request } else { request.json(body) }).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.call(Method::POST, path, &unique(), body).await.created()
    }
}

/// The id of the key of the first start.
async fn owner(world: &World) -> String {
    let listed = world.get("/admin/v1/operator-keys", world.operator()).await.data();
    listed[0]["keyId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn every_transaction_of_an_operator_has_its_key() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let (id, acting) = (owner(&world).await, Acting { world: &world, org: &org.id, mode: "live" });
    let debit = json!({ "operation": "aml.basic", "settleBy": "2024-01-15T12:00:00Z" });
    let charged = acting.post("/api/v3/credits/consume", &debit).await;
    let other = acting.post("/api/v3/credits/consume", &debit).await;
    let fail = format!("/api/v3/credits/transactions/{}/fail", other["transactionId"].as_str().unwrap());
    acting.post(&fail, &json!({})).await;
    let refund = json!({ "transactionId": charged["transactionId"], "reason": "technical_failure" });
    acting.post("/api/v3/credits/refund", &refund).await;
    acting.post("/api/v3/credits/consume/batch", &json!({ "items": [{ "operation": "aml.pep" }] })).await;
    let hold = acting.post("/api/v3/credits/holds", &json!({ "amount": 5 })).await;
    let hold = format!("/api/v3/credits/holds/{}", hold["holdId"].as_str().unwrap());
    acting.post(&format!("{hold}/capture"), &json!({ "amount": 2 })).await;
    acting.post(&format!("{hold}/release"), &json!({})).await;
    let package = json!({ "package": "starter", "paymentMethod": "card_1" });
    acting.post("/api/v3/credits/purchase", &package).await;
    acting.post("/api/v3/credits/transactions/export", &json!({ "format": "xlsx" })).await;
    let monitor = json!({ "operation": "aml.monitoring", "resourceId": "applicant_1" });
    let monitor = acting.post("/api/v3/monitors", &monitor).await;
    let plan = json!({ "plan": "enterprise" });
    assert_eq!(acting.call(Method::PUT, "/api/v3/subscription", &unique(), &plan).await.status, 200);
    world.settle().await;
    let lines = world.transactions(&org.key, "").await;
    let mut made: Vec<_> = lines
        .iter()
        .filter(|line| line["operation"] != json!("credit.renewal"))
        .map(|line| (line["operation"].as_str().unwrap(), line["superAdmin"].as_str()))
        .collect();
    made.sort_unstable();
    made.dedup();
    assert!(made.iter().all(|(_, by)| *by == Some(&id)), "{made:#?}");
    let operations: Vec<_> = made.iter().map(|(operation, _)| *operation).collect();
    for expected in [
        "aml.basic",
        "aml.monitoring",
        "credit.capture",
        "credit.hold",
        "credit.purchase",
        "credit.refund",
        "credit.release",
    ] {
        assert!(operations.contains(&expected), "{expected}: {operations:?}");
    }
    // The monitor's next month is charged for the operator too.
    world.pass(1_431_000).await;
    let next = world.transactions(&org.key, "operation=aml.monitoring").await;
    assert_eq!((next.len(), &next[0]["superAdmin"]), (2, &json!(id)));
    // Ending it makes no transaction: it is in the audit log.
    let path = format!("/api/v3/monitors/{}", monitor["monitorId"].as_str().unwrap());
    assert_eq!(acting.call(Method::DELETE, &path, &unique(), &Value::Null).await.status, 200);
    let log =
        world.get(&format!("/admin/v1/audit-log?organisationId={}", org.id), world.operator()).await.data();
    assert_eq!((&log[0]["method"], &log[0]["path"]), (&json!("DELETE"), &json!(path)));
    let paths: Vec<_> = log.as_array().unwrap().iter().map(|entry| entry["path"].as_str().unwrap()).collect();
    assert_eq!(paths.len(), 1, "what is in the ledger is not in the log: {paths:?}");
}

/// One idempotency key for two organisations is two requests.
#[tokio::test]
async fn idempotency_keys_are_those_of_the_organisation() {
    let world = World::demo().await;
    let (one, other) = (world.open(10).await, world.open(10).await);
    let hook = json!({ "url": "https://hooks.example.com/" });
    let mut made = vec![];
    for (org, replayed) in [(&one, None), (&other, None), (&one, Some("true")), (&other, Some("true"))] {
        let acting = Acting { world: &world, org: &org.id, mode: "live" };
        let answer = acting.call(Method::POST, "/api/v3/webhooks", "same", &hook).await;
        assert_eq!((answer.status, answer.header("idempotent-replayed")), (201, replayed));
        made.push(answer.data()["webhookId"].as_str().unwrap().to_owned());
    }
    assert_eq!((&made[0], &made[1]), (&made[2], &made[3]));
    assert_ne!(made[0], made[1]);
    for (org, id) in [(&one, &made[0]), (&other, &made[1])] {
        let listed = world.get("/api/v3/webhooks", &org.key).await.data();
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["webhookId"]), (1, &json!(id)));
    }
    // A request under the organisation's own key is the same request.
    let own = ApiRequest::new(Method::POST, "/api/v3/webhooks", &one.key).under("same").with(&hook);
    assert_eq!(world.call(&own).await.data()["webhookId"], json!(made[0]));
    let wrong = Acting { world: &world, org: &one.id, mode: "both" };
    let refused = wrong.call(Method::GET, "/api/v3/webhooks", "x", &Value::Null).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
}

/// A test ledger has a clock of its own; keys end by the clock of all.
#[tokio::test]
async fn keys_do_not_follow_a_test_clock() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let acting = Acting { world: &world, org: &org.id, mode: "test" };
    let ahead = json!({ "advanceSeconds": 86_400 });
    assert_eq!(acting.call(Method::POST, "/api/v3/test-clock", &unique(), &ahead).await.status, 200);
    let keys = "/api/v3/api-keys";
    let body = json!({ "mode": "test", "expiresAt": "2024-01-15T11:00:00Z" });
    let made = acting.post(keys, &body).await;
    let (path, key) = (format!("{keys}/{}", made["keyId"].as_str().unwrap()), made["key"].as_str().unwrap());
    assert_eq!((&made["status"], &made["createdAt"]), (&json!("active"), &json!("2024-01-15T10:30:00Z")));
    let rolled = acting.post(&format!("{path}/roll"), &json!({ "graceSeconds": 0 })).await;
    let balance = "/api/v3/credits/balance";
    assert_eq!(world.get(balance, key).await.failure(), "401 EXPIRED_API_KEY", "at once");
    let revoked = acting.call(Method::DELETE, &path, &unique(), &Value::Null).await.data();
    assert_eq!(revoked["revokedAt"], json!("2024-01-15T10:30:00Z"));
    assert_eq!(world.get(balance, rolled["key"].as_str().unwrap()).await.failure(), "401 EXPIRED_API_KEY");
}

/// Nothing is done that is not in the log; a freeze is, if the log can be written.
#[tokio::test]
async fn a_request_that_cannot_be_logged_is_not_carried_out() {
    let process = TestProcess::open("2024-01-15T10:30:00Z".parse().unwrap()).await;
    let (account, _) = process.customer(10).await;
    let (operator, warm) = (process.operator().await, process.warm());
    let path = format!("/admin/v1/organisations/{}", account.org);
    // The day on which the key is used is written with the first request.
    let read = async || warm.call(&ApiRequest::new(Method::GET, &path, &operator)).await.1["data"].clone();
    assert_eq!(read().await["name"], json!("Own"));
    let change = json!({ "name": "Other" });
    let rename = || ApiRequest::new(Method::PATCH, &path, &operator).with(&change);
    process.faults.arm_all(0..3, WriteFault::RequestLost);
    assert_eq!(warm.call(&rename()).await.0, 503);
    assert_eq!(read().await["name"], json!("Own"));
    process.faults.arm(usize::MAX, WriteFault::RequestLost);
    assert_eq!(warm.call(&rename()).await.0, 200);
    let writes = process.faults.writes();
    assert_eq!(read().await["name"], json!("Other"));
    // The outcome, which is written last, is lost: the entry has none.
    process.faults.arm_all(writes - 1..writes + 2, WriteFault::RequestLost);
    let again = json!({ "name": "Third" });
    assert_eq!(warm.call(&ApiRequest::new(Method::PATCH, &path, &operator).with(&again)).await.0, 200);
    process.faults.arm(usize::MAX, WriteFault::RequestLost);
    let (freeze, why) = (format!("{path}/freeze"), json!({ "reason": "why" }));
    assert_eq!(warm.call(&ApiRequest::new(Method::POST, &freeze, &operator).with(&why)).await.0, 200);
    let log =
        warm.call(&ApiRequest::new(Method::GET, "/admin/v1/audit-log", &operator)).await.1["data"].clone();
    let states: Vec<_> =
        log.as_array().unwrap().iter().map(|entry| (&entry["path"], &entry["status"])).collect();
    let (ok, unknown) = (json!(200), Value::Null);
    let expected = [(&json!(freeze), &ok), (&json!(path), &unknown), (&json!(path), &ok)];
    let mut found = states.clone();
    found.sort_by_key(|(path, status)| (path.to_string(), status.to_string()));
    let mut wanted = expected.to_vec();
    wanted.sort_by_key(|(path, status)| (path.to_string(), status.to_string()));
    assert_eq!(found, wanted);
}

#[tokio::test]
async fn the_audit_log_shows_previews_long_bodies_and_what_was_before() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    world.pass(1).await;
    let path = format!("/admin/v1/organisations/{}/subscription", org.id);
    world.put(&format!("{path}?preview=true"), world.operator(), &json!({ "plan": "basic" })).await.data();
    world.pass(1).await;
    let made = json!({ "name": "Jo", "role": "read" });
    let made = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &made).await.created();
    let key = format!("/admin/v1/operator-keys/{}", made["keyId"].as_str().unwrap());
    world.pass(1).await;
    world.patch(&key, world.operator(), &json!({ "role": "money" })).await.data();
    world.pass(1).await;
    world.delete(&key, world.operator()).await.data();
    world.pass(1).await;
    let long = json!({ "name": "x".repeat(17_000) });
    assert_eq!(world.patch(&key, world.operator(), &long).await.status, 400);
    let log = world.get("/admin/v1/audit-log", world.operator()).await.data();
    assert_eq!((&log[0]["request"], &log[0]["status"]), (&Value::Null, &json!(400)));
    assert_eq!(
        (&log[1]["before"]["status"], &log[1]["after"]["status"]),
        (&json!("active"), &json!("revoked"))
    );
    assert_eq!((&log[2]["before"]["role"], &log[2]["after"]["role"]), (&json!("read"), &json!("money")));
    assert_eq!((&log[3]["after"]["key"], &log[3]["organisationId"]), (&Value::Null, &Value::Null));
    assert_eq!(log[4]["path"], json!(format!("{path}?preview=true")));
    assert_eq!(log[4]["organisationId"], json!(org.id));
    for cursor in ["", "x", "req_", "req_01HM6QY8R0Z3V9Q2T5W7X8Y9Z%23", "req_01HM6QY8R0Z3V9Q2T5W7X8Y9ZAA"] {
        let answer = world.get(&format!("/admin/v1/audit-log?cursor={cursor}"), world.operator()).await;
        assert_eq!(answer.failure(), "400 INVALID_CURSOR", "{cursor}");
    }
}

/// A header that would change nothing is refused, so that no request is about another ledger than its sender thinks.
#[tokio::test]
async fn the_headers_of_acting_are_refused_where_they_mean_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let grant = format!("/admin/v1/organisations/{}/grants", org.id);
    let send = async |path: &str, key: &str, headers: &[(&str, &str)], body: Value| {
        let request = world.request(Method::POST, path, key).header("idempotency-key", unique());
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        tests::send(request.json(&body)).await
    };
    let bonus = json!({ "source": "bonus", "amount": 3 });
    for header in [("scrip-mode", "test"), ("scrip-mode", "live"), ("scrip-organisation", org.id.as_str())] {
        let refused = send(&grant, world.operator(), &[header], bonus.clone()).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{header:?}");
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(10));
    let debit = json!({ "operation": "aml.pep" });
    let test = send("/api/v3/credits/consume", &org.key, &[("scrip-mode", "test")], debit.clone()).await;
    assert_eq!(test.failure(), "400 VALIDATION_ERROR");
    assert_eq!(send("/api/v3/credits/consume", &org.key, &[("scrip-mode", "live")], debit).await.status, 201);
    // An answer says which ledger it was about.
    for mode in ["live", "test"] {
        let body = json!({ "source": "bonus", "amount": 3, "mode": mode });
        let granted = send(&grant, world.operator(), &[], body).await;
        assert_eq!(granted.body["meta"]["livemode"], json!(mode == "live"));
    }
    let named = world.request(Method::GET, "/api/v3/credits/balance", world.operator());
    let unknown = tests::send(named.header("scrip-organisation", "cust-1")).await;
    assert_eq!(unknown.failure(), "400 VALIDATION_ERROR");
    assert!(unknown.body["error"]["details"]["fields"]["Scrip-Organisation"].is_string(), "{unknown:?}");
}

/// What an operator's role may not do for an organisation, it is told with the roles that may.
#[tokio::test]
async fn an_operator_is_told_which_role_may() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({ "name": "Jo", "role": "support" });
    let support = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &body).await.created();
    let request = world.request(Method::POST, "/api/v3/credits/consume", support["key"].as_str().unwrap());
    let request = request.header("scrip-organisation", &org.id).header("idempotency-key", unique());
    let refused = tests::send(request.json(&json!({ "operation": "aml.pep" }))).await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let message = refused.body["error"]["message"].as_str().unwrap();
    assert!(message.contains("`support`") && message.contains("`money` or `owner`"), "{message}");
}
