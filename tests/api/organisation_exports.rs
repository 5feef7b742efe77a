//! Exports of everything of an organisation: each kind as the API serves it, without a secret, with hash chains that can be
//! verified from the file alone.

use local::{DataLocation, LocalMachine, Options, Seed, ShowcaseScale};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::{ApiAnswer, OrganisationFile, Receiver, World, hexadecimal, send, unique};

const NOW: &str = "2024-01-30T10:30:00Z";

/// An organisation with some of everything.
struct Scene {
    world: World,
    id: String,
    key: String,
    test_key: String,
    /// What must be in no file.
    secrets: Vec<String>,
}

impl Scene {
    async fn build() -> Self {
        let world = World::at(NOW).await;
        let org = world.open(10_000).await;
        let keys = format!("/admin/v1/organisations/{}/keys", org.id);
        let body = json!({ "mode": "test", "scopes": tests::EVERY_SCOPE });
        let test = world.post(&keys, world.operator(), &unique(), &body).await.created();
        let test_key = text(&test["key"]);
        let secrets = vec![org.key.clone(), test_key.clone()];
        let mut scene = Self { world, id: org.id, key: org.key, test_key, secrets };
        for key in [scene.key.clone(), scene.test_key.clone()] {
            scene.spend(&key).await;
            scene.set(&key).await;
        }
        scene.invite().await;
        scene.world.settle().await;
        // The month ends, so that it has a statement, and what unused credits were worth is counted.
        scene.world.pass(3 * 86_400).await;
        scene.world.settle().await;
        let report = "/admin/v1/reports/roll-forward?month=2024-01";
        assert!(scene.world.get(report, scene.world.operator()).await.status < 300);
        scene.world.settle().await;
        scene
    }

    async fn made(&self, key: &str, path: &str, body: Value) -> Value {
        let made = self.world.post(path, key, &unique(), &body).await;
        assert!(made.status < 300, "{path}: {made:?}");
        made.data()
    }

    async fn spend(&self, key: &str) {
        let debit = json!({ "operation": "aml.basic", "customerId": "c_1", "metadata": { "case": "7" } });
        let paid = self.made(key, "/api/v3/credits/consume", debit.clone()).await;
        let refund = json!({ "transactionId": paid["transactionId"], "reason": "technical_failure" });
        self.made(key, "/api/v3/credits/refund", refund).await;
        self.made(key, "/api/v3/credits/consume/batch", json!({ "items": [debit.clone(), debit] })).await;
        let hold = self.made(key, "/api/v3/credits/holds", json!({ "amount": 5 })).await;
        let capture = format!("/api/v3/credits/holds/{}/capture", text(&hold["holdId"]));
        self.made(key, &capture, json!({ "amount": 2 })).await;
        let open = json!({ "amount": 4, "expiresInSeconds": 2_000_000 });
        self.made(key, "/api/v3/credits/holds", open).await;
        for card in ["card_1", "card_authentication"] {
            let package = json!({ "package": "starter", "paymentMethod": card });
            self.made(key, "/api/v3/credits/purchase", package).await;
        }
        let monitor = json!({ "operation": "aml.monitoring", "resourceId": "applicant_1" });
        self.made(key, "/api/v3/monitors", monitor).await;
        self.made(key, "/api/v3/credits/transactions/export", json!({ "format": "csv" })).await;
    }

    async fn set(&mut self, key: &str) {
        let receiver = Receiver::start().await;
        let webhook = self.made(key, "/api/v3/webhooks", json!({ "url": receiver.url })).await;
        self.secrets.push(text(&webhook["secret"]));
        self.made(key, "/api/v3/credits/consume", json!({ "operation": "aml.pep" })).await;
        let team = json!({ "name": "Onboarding", "members": ["m_1"] });
        self.made(key, "/api/v3/teams", team).await;
        let budget = json!({ "scope": "member", "id": "m_1", "limit": 9, "period": "month" });
        let budget = self.made(key, "/api/v3/credits/budgets", budget).await;
        let debit = json!({ "operation": "aml.basic", "memberId": "m_1" });
        self.made(key, "/api/v3/credits/consume", debit).await;
        let more = json!({ "budgetId": budget["budgetId"], "amount": 5 });
        self.made(key, "/api/v3/budget-requests", more).await;
        let recharge = json!({ "enabled": false, "threshold": 10, "amount": 100, "paymentMethod": "card_9" });
        let alerts = json!({ "lowBalanceThreshold": 100 });
        for (path, body) in [("auto-recharge", recharge), ("alerts", alerts)] {
            let set = self.world.put(&format!("/api/v3/credits/{path}"), key, &body).await;
            assert_eq!(set.status, 200, "{set:?}");
        }
        let plan = self.world.put("/api/v3/subscription", key, &json!({ "plan": "enterprise" })).await;
        assert_eq!(plan.status, 200, "{plan:?}");
    }

    async fn invite(&mut self) {
        let invite = |name: &str| json!({ "email": format!("{name}@example.com"), "role": "viewer" });
        let joins = self.made(&self.key, "/api/v3/invitations", invite("jo")).await;
        let waits = self.made(&self.key, "/api/v3/invitations", invite("al")).await;
        let accept = json!({ "token": joins["token"], "name": "Jo" });
        self.world.post_plain("/api/v3/invitations/accept", &accept).await.created();
        self.secrets.extend([text(&joins["token"]), text(&waits["token"])]);
    }

    async fn close(&self) {
        let path = format!("/admin/v1/organisations/{}/close", self.id);
        let why = json!({ "reason": "The customer leaves" });
        let closed = self.world.post(&path, self.world.operator(), &unique(), &why).await;
        assert_eq!(closed.data()["status"], json!("closed"));
        self.world.settle().await;
    }

    async fn ask(&self, key: &str) -> ApiAnswer {
        let why = json!({ "reason": "The customer has asked for its data" });
        self.world.post(&exports(&self.id), key, &unique(), &why).await
    }

    /// A finished export, and its file.
    async fn export(&self) -> (Value, OrganisationFile) {
        let asked = self.ask(self.world.operator()).await;
        assert_eq!((asked.status, &asked.data()["url"]), (202, &Value::Null), "{asked:?}");
        self.world.settle().await;
        let path = format!("{}/{}", exports(&self.id), text(&asked.data()["exportId"]));
        let export = self.world.get(&path, self.world.operator()).await.data();
        assert_eq!(export["status"], json!("ready"), "{export}");
        let file = tests::client().get(export["url"].as_str().unwrap()).send().await.unwrap();
        assert_eq!(file.headers()["content-type"], "application/gzip");
        let bytes = file.bytes().await.unwrap();
        assert_eq!(export["bytes"], json!(bytes.len()));
        assert_eq!(export["sha256"], json!(hexadecimal(&Sha256::digest(&bytes))));
        (export, OrganisationFile::read(&bytes))
    }

    /// What the API answers an operator who acts for the organisation.
    async fn read(&self, mode: &str, path: &str) -> Value {
        let request = self.world.request(Method::GET, path, self.world.operator());
        let request = request.header("scrip-organisation", &self.id).header("scrip-mode", mode);
        let answer = send(request).await;
        assert_eq!(answer.status, 200, "{path}: {answer:?}");
        answer.body
    }

    /// All pages of a list.
    async fn list(&self, mode: &str, path: &str) -> Vec<Value> {
        let (mut lines, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = self.read(mode, &format!("{path}?{cursor}")).await;
            lines.extend(page["data"].as_array().unwrap().iter().cloned());
            let Some(next) = page["meta"]["pagination"]["nextCursor"].as_str() else { return lines };
            cursor = format!("cursor={next}");
        }
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("{value}")).to_owned()
}

fn exports(org: &str) -> String {
    format!("/admin/v1/organisations/{org}/exports")
}

/// A value without the times of the answer, and without links, which differ from answer to answer.
fn lasting(mut value: Value) -> Value {
    for (object, field) in [("", "url"), ("/asOf", "timestamp")] {
        if let Some(fields) = value.pointer_mut(object).and_then(Value::as_object_mut) {
            fields.remove(field);
        }
    }
    value
}

fn all_lasting(values: Vec<Value>) -> Vec<Value> {
    values.into_iter().map(lasting).collect()
}

/// Of a closed organisation, each kind is what the API answers, and nothing is missing.
#[tokio::test]
async fn a_file_has_everything_as_the_api_serves_it() {
    let scene = Scene::build().await;
    scene.close().await;
    let (export, file) = scene.export().await;
    assert_eq!(export["progress"]["counts"], file.footer["counts"]);
    let key = export["createdBy"].clone();
    assert_eq!((&file.header["createdBy"], &file.header["organisationId"]), (&key, &json!(scene.id)));
    let admin = format!("/admin/v1/organisations/{}", scene.id);
    let organisation = file.of("organisation", None).remove(0);
    let known = scene.world.get(&admin, scene.world.operator()).await.data();
    for (field, value) in organisation.as_object().unwrap() {
        assert_eq!(&known[field], value, "{field}");
    }
    assert!(organisation["closedAt"].is_string(), "{organisation}");
    for (kind, path) in
        [("apiKey", "/api/v3/api-keys"), ("member", "/api/v3/members"), ("invitation", "/api/v3/invitations")]
    {
        let known = scene.list("live", path).await;
        assert!(!known.is_empty(), "{kind}");
        assert_eq!(file.of(kind, None), known, "{kind}");
    }
    for mode in ["live", "test"] {
        has_each_list(&scene, &file, mode).await;
        has_each_transaction(&scene, &file, mode).await;
    }
    assert_eq!(file.of("monthValue", Some("live")).len(), 1);
    assert!(file.of("problem", Some("live")).is_empty() && file.of("unreadableRow", Some("live")).is_empty());
    file.verify_chains();
}

async fn has_each_list(scene: &Scene, file: &OrganisationFile, mode: &str) {
    for (kind, path) in [
        ("balance", "/api/v3/credits/balance"),
        ("subscription", "/api/v3/subscription"),
        ("autoRecharge", "/api/v3/credits/auto-recharge"),
        ("alerts", "/api/v3/credits/alerts"),
    ] {
        let known = scene.read(mode, path).await["data"].clone();
        assert_eq!(all_lasting(file.of(kind, Some(mode))), [lasting(known)], "{mode} {kind}");
    }
    for (kind, path) in [
        ("budget", "/api/v3/credits/budgets"),
        ("team", "/api/v3/teams"),
        ("budgetRequest", "/api/v3/budget-requests"),
        ("webhook", "/api/v3/webhooks"),
        ("monitor", "/api/v3/monitors"),
        ("lot", "/api/v3/credits/lots"),
        ("purchase", "/api/v3/credits/purchases"),
        ("export", "/api/v3/credits/transactions/exports"),
        ("statement", "/api/v3/credits/statements"),
    ] {
        let known = scene.list(mode, path).await;
        assert!(!known.is_empty(), "{mode} {kind}");
        assert_eq!(all_lasting(file.of(kind, Some(mode))), all_lasting(known), "{mode} {kind}");
    }
    let mut deliveries = Vec::new();
    for webhook in file.of("webhook", Some(mode)) {
        let path = format!("/api/v3/webhooks/{}/deliveries", text(&webhook["webhookId"]));
        for mut delivery in scene.list(mode, &path).await {
            delivery["webhookId"] = webhook["webhookId"].clone();
            deliveries.push(delivery);
        }
    }
    assert!(!deliveries.is_empty(), "{mode}");
    assert_eq!(file.of("webhookDelivery", Some(mode)), deliveries, "{mode}");
}

async fn has_each_transaction(scene: &Scene, file: &OrganisationFile, mode: &str) {
    let transactions = file.of("transaction", Some(mode));
    let mut listed = scene.list(mode, "/api/v3/credits/transactions").await;
    listed.reverse();
    let ids = |lines: &[Value]| lines.iter().map(|line| line["transactionId"].clone()).collect::<Vec<_>>();
    assert_eq!(ids(&transactions), ids(&listed), "{mode}");
    for transaction in &transactions {
        let path = format!("/api/v3/credits/transactions/{}", text(&transaction["transactionId"]));
        assert_eq!(&scene.read(mode, &path).await["data"], transaction, "{mode}");
    }
    let holds = file.of("hold", Some(mode));
    assert_eq!(holds.len(), 2, "{mode}");
    for hold in holds {
        let path = format!("/api/v3/credits/holds/{}", text(&hold["holdId"]));
        assert_eq!(scene.read(mode, &path).await["data"], hold, "{mode}");
    }
}

/// Neither a secret nor its hash is in the file, nor the beginning of any.
#[tokio::test]
async fn a_file_has_no_secret() {
    let scene = Scene::build().await;
    let (_, file) = scene.export().await;
    assert!(scene.secrets.len() > 5, "{}", scene.secrets.len());
    for secret in &scene.secrets {
        let digest = Sha256::digest(secret.as_bytes());
        for hidden in [secret.clone(), hexadecimal(&digest)] {
            assert!(!file.text.contains(&hidden), "{hidden}");
        }
    }
    for beginning in ["sk_live_", "sk_test_", "ok_live_", "whsec_", "join_"] {
        assert!(!file.text.contains(beginning), "{beginning}");
    }
    for line in file.lines.iter().filter(|line| line["kind"] != json!("transaction")) {
        let kind = text(&line["kind"]);
        let words = line.to_string().to_lowercase();
        let may_have = ["monthValue"].contains(&kind.as_str());
        assert!(may_have || !words.contains("\"hash\":"), "{line}");
        assert!(!words.contains("\"sealed"), "{line}");
    }
}

/// A file has the ledgers through the transactions that there were when it was asked for.
#[tokio::test]
async fn a_file_ends_where_the_ledgers_ended() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let (scene, key) = {
        let keys = org.key.clone();
        (Scene { world, id: org.id, key: keys.clone(), test_key: String::new(), secrets: vec![] }, keys)
    };
    scene.made(&key, "/api/v3/credits/consume", json!({ "operation": "aml.basic" })).await;
    let (first, file) = scene.export().await;
    file.verify_chains();
    let before = file.of("balance", Some("live")).remove(0);
    scene.made(&key, "/api/v3/credits/consume", json!({ "operation": "aml.basic" })).await;
    let (second, file) = scene.export().await;
    file.verify_chains();
    let after = file.of("balance", Some("live")).remove(0);
    let end = |export: &Value| export["ledgers"]["live"]["throughSequence"].as_u64().unwrap();
    assert_eq!(end(&second), end(&first) + 1);
    let available = |balance: &Value| balance["available"].as_u64().unwrap();
    assert_eq!(available(&before), available(&after) + 1);
    let path = exports(&scene.id);
    let listed = scene.world.get(&path, scene.world.operator()).await.data();
    assert_eq!(listed.as_array().unwrap().len(), 2);
    // The organisation itself sees none of it.
    let own = scene.world.get("/api/v3/credits/transactions/exports", &key).await.data();
    assert_eq!(own, json!([]));
    let one = format!("/api/v3/credits/transactions/exports/{}", text(&first["exportId"]));
    assert_eq!(scene.world.get(&one, &key).await.status, 404);
    // A day later the file is gone, and the record stays.
    scene.world.pass(86_401).await;
    let gone = scene.world.get(&format!("{path}/{}", text(&first["exportId"])), scene.world.operator()).await;
    assert_eq!((&gone.data()["status"], &gone.data()["url"]), (&json!("expired"), &Value::Null));
}

/// Who helps customers makes exports, and what is done is in the audit log, without a link; another organisation's path
/// finds none of them; the same request is one export.
#[tokio::test]
async fn exports_need_a_role_and_are_audited() {
    let world = World::at(NOW).await;
    let (org, other) = (world.open(10).await, world.open(10).await);
    let scene = Scene { world, id: org.id, key: org.key, test_key: String::new(), secrets: vec![] };
    let world = &scene.world;
    for (role, may) in [("read", false), ("catalogue", false), ("support", true), ("money", true)] {
        let body = json!({ "name": role, "role": role });
        let key = world.post("/admin/v1/operator-keys", world.operator(), &unique(), &body).await.created();
        let key = text(&key["key"]);
        let asked = scene.ask(&key).await;
        assert_eq!(asked.status, if may { 202 } else { 403 }, "{role}: {asked:?}");
        assert_eq!(world.get(&exports(&scene.id), &key).await.status, if may { 200 } else { 403 }, "{role}");
        world.settle().await;
    }
    assert_eq!(scene.ask(&scene.key).await.status, 403);
    let why = json!({ "reason": "Asked for" });
    let first = world.post(&exports(&scene.id), world.operator(), "once", &why).await;
    let again = world.post(&exports(&scene.id), world.operator(), "once", &why).await;
    assert_eq!(first.data()["exportId"], again.data()["exportId"]);
    world.settle().await;
    let id = text(&first.data()["exportId"]);
    for (path, expected) in [
        (format!("{}/{id}", exports(&scene.id)), 200),
        (format!("{}/{id}", exports(&other.id)), 404),
        (format!("{}/exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", exports(&scene.id)), 404),
        (exports("org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"), 404),
        (format!("{}?cursor=x", exports(&scene.id)), 400),
    ] {
        assert_eq!(world.get(&path, world.operator()).await.status, expected, "{path}");
    }
    let log = format!("/admin/v1/audit-log?organisationId={}&limit=100", scene.id);
    let log = world.get(&log, world.operator()).await.data();
    let entries: Vec<_> =
        log.as_array().unwrap().iter().filter(|entry| entry["path"] == json!(exports(&scene.id))).collect();
    assert!(
        entries.len() >= 3 && entries.iter().all(|entry| entry["after"]["url"] == Value::Null),
        "{entries:?}"
    );
    assert!(entries.iter().any(|entry| entry["reason"] == json!("Asked for")), "{entries:?}");
    for (body, field) in [(json!({}), "reason"), (json!({ "reason": "x", "format": "csv" }), "format")] {
        let refused = world.post(&exports(&scene.id), world.operator(), &unique(), &body).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{field}");
    }
}

/// Months of history are one file, whose pages are many and whose chain is whole.
#[tokio::test]
async fn months_of_history_are_one_file() {
    let options = Options {
        port: 0,
        data: DataLocation::Memory,
        seed: Seed::Showcase(ShowcaseScale { days: 90, transactions: 2_400 }),
        now: Some("2024-03-20T15:40:00Z".parse().unwrap()),
        endpoint: None,
    };
    let world = World::running(LocalMachine::start(options).await.unwrap()).await;
    let id = world.machine.keys.showcase.as_ref().unwrap().organisation_id.clone();
    let scene = Scene { world, id, key: String::new(), test_key: String::new(), secrets: vec![] };
    let (export, file) = scene.export().await;
    file.verify_chains();
    let transactions = file.of("transaction", Some("live"));
    assert!(2_000 < transactions.len(), "{}", transactions.len());
    assert_eq!(export["ledgers"]["live"]["throughSequence"], json!(transactions.len()));
    // What the lots have left is the balance.
    let left = |lot: &Value| lot["remaining"].as_u64().unwrap();
    let remaining: u64 = file.of("lot", Some("live")).iter().map(left).sum();
    let balance = file.of("balance", Some("live")).remove(0);
    assert_eq!(json!(remaining), balance["available"]);
}
