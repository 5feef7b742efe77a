//! A request under an idempotency key is carried out once, whichever route it is for: a sending that comes late
//! undoes nothing.

use chrono::TimeDelta;
use reqwest::Method;
use serde_json::{Value, json};
use shared::domain::{ClaimKey, Fingerprint, IdempotencyKey};
use shared::store::{Begun, Changes, ClaimsOf, Moment, Start, Unsettled};
use tests::{Books, World, backends, moment, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const RECHARGE: &str = "/api/v3/credits/auto-recharge";
const ALERTS: &str = "/api/v3/credits/alerts";

/// Each line: a request, another one that undoes it, and what is to be read once the first has come again.
#[tokio::test]
async fn a_late_duplicate_undoes_nothing() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let at = |path: &str| format!("/admin/v1/organisations/{}{path}", org.id);
    let hook = json!({ "url": "https://hooks.example.com/" });
    let hook = world.post("/api/v3/webhooks", &org.key, &unique(), &hook).await.created();
    let hook = format!("/api/v3/webhooks/{}", hook["webhookId"].as_str().unwrap());
    let (owner, operator) = (org.key.as_str(), world.operator());
    let on = json!({ "enabled": true, "threshold": 5, "amount": 500, "paymentMethod": "card_1" });
    let price = |amount: u64| json!({ "price": { "amount": amount, "currency": "GBP" } });
    let why = json!({ "reason": "x" });
    let (put, patch, post) = (Method::PUT, Method::PATCH, Method::POST);
    for (key, method, (first, body), (later, other), (read, pointer, expected)) in [
        (
            owner,
            &put,
            (RECHARGE, on),
            (RECHARGE, json!({ "enabled": false })),
            (RECHARGE, "/data/enabled", json!(false)),
        ),
        (
            owner,
            &put,
            (ALERTS, json!({ "lowBalanceThreshold": 5 })),
            (ALERTS, json!({ "lowBalanceThreshold": 9 })),
            (ALERTS, "/data/lowBalanceThreshold", json!(9)),
        ),
        (
            owner,
            &patch,
            (&hook, json!({ "status": "PAUSED" })),
            (&hook, json!({ "status": "ACTIVE" })),
            (&hook, "/data/status", json!("ACTIVE")),
        ),
        (
            operator,
            &put,
            (&at("/post-paid"), json!({ "limit": 1_000 })),
            (&at("/post-paid"), json!({ "limit": 7 })),
            ("/api/v3/credits/balance", "/data/postPaid/limit", json!(7)),
        ),
        (
            operator,
            &patch,
            (&at(""), json!({ "selfServicePlans": false })),
            (&at(""), json!({ "selfServicePlans": true })),
            ("/api/v3/subscription", "/data/plan", json!("professional")),
        ),
        (
            operator,
            &put,
            ("/admin/v1/pricing/aml.pep", json!({ "credits": 1 })),
            ("/admin/v1/pricing/aml.pep", json!({ "credits": 9 })),
            ("/api/v3/pricing", "/data/1/credits", json!(9)),
        ),
        (
            operator,
            &put,
            ("/admin/v1/packages/starter", price(4_800)),
            ("/admin/v1/packages/starter", price(5_000)),
            ("/api/v3/credits/packages", "/data/0/price/amount", json!(5_000)),
        ),
        (
            operator,
            &put,
            ("/admin/v1/plans/basic", json!({ "allowance": 1_000 })),
            ("/admin/v1/plans/basic", json!({ "allowance": 7 })),
            ("/api/v3/plans", "/data/1/allowance", json!(7)),
        ),
        (
            operator,
            &post,
            (&at("/freeze"), why.clone()),
            (&at("/unfreeze"), why),
            ("/api/v3/credits/balance", "/data/available", json!(10)),
        ),
    ] {
        let name = unique();
        let send = async || world.call(method.clone(), first, key, (&name, &body)).await;
        let answered = send().await;
        assert_eq!((answered.status, answered.header("idempotent-replayed")), (200, None), "{answered:?}");
        world.call(method.clone(), later, key, (&unique(), &other)).await.data();
        let late = send().await;
        assert_eq!(late.header("idempotent-replayed"), Some("true"), "{first}");
        assert_eq!(late.data(), answered.data(), "{first}");
        let found = world.get(read, owner).await.body;
        assert_eq!(found.pointer(pointer), Some(&expected), "{first}: {found}");
    }
    // Neither is it frozen again, nor are its plans the operator's alone again.
    world.consume(owner, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    world.put("/api/v3/subscription", owner, &json!({ "plan": "enterprise" })).await.data();
}

/// A request that an example is made of.
struct Example {
    method: Method,
    path: String,
    body: Value,
    /// Another request that may not have the same key.
    other: (String, Value),
}

/// What the examples are about.
struct Scene {
    world: World,
    org: String,
    key: String,
    test: String,
}

impl Scene {
    async fn new() -> Self {
        let world = World::at(NOW).await;
        let body = json!({ "name": "Own", "plan": "professional", "selfServicePlans": true });
        let opened =
            world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
        let org = opened["organisationId"].as_str().unwrap().to_owned();
        let key = async |mode: &str| {
            let body = json!({ "mode": mode, "scopes": tests::EVERY_SCOPE });
            let path = format!("/admin/v1/organisations/{org}/keys");
            let issued = world.post(&path, world.operator(), &unique(), &body).await.created();
            issued["key"].as_str().unwrap().to_owned()
        };
        let (key, test) = (key("live").await, key("test").await);
        Self { world, org, key, test }
    }

    /// Makes something by POST, and says what it is called.
    async fn made(&self, path: &str, body: Value, field: &str) -> String {
        let made = self.world.post(path, &self.key, &unique(), &body).await.created();
        made[field].as_str().unwrap().to_owned()
    }

    async fn debit(&self) -> String {
        let body = json!({ "operation": "aml.basic", "settleBy": "2024-01-15T12:00:00Z" });
        self.made("/api/v3/credits/consume", body, "transactionId").await
    }

    async fn hold(&self) -> String {
        self.made("/api/v3/credits/holds", json!({ "amount": 3 }), "holdId").await
    }

    /// Every webhook goes to an address that nothing answers at, so that it is always as quick.
    async fn webhook(&self) -> String {
        let body = json!({ "url": "http://127.0.0.1:9/" });
        let id = self.made("/api/v3/webhooks", body, "webhookId").await;
        format!("/api/v3/webhooks/{id}")
    }

    /// A webhook that has taken what has happened so far.
    async fn delivered(&self) -> String {
        let inbox = format!("{}/_local/inbox/own", self.world.machine.base_url());
        let id = self.made("/api/v3/webhooks", json!({ "url": inbox }), "webhookId").await;
        let body = json!({ "source": "bonus", "amount": 5 });
        self.world.grant(&self.org, &body).await;
        self.world.grant(&self.org, &body).await;
        self.world.settle().await;
        format!("/api/v3/webhooks/{id}")
    }

    /// A request for a route of the OpenAPI document; none for a route that nobody has given one.
    async fn example(&self, route: &str) -> Option<Example> {
        let at = |path: &str| format!("/admin/v1/organisations/{}{path}", self.org);
        let (method, template) = route.split_once(' ').unwrap();
        let missing = "/api/v3/webhooks/wh_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA";
        let on_account = template.strip_prefix("/admin/v1/organisations/{id}").map(at);
        let same = on_account.unwrap_or_else(|| template.to_owned());
        let (path, body, other) = match route {
            "POST /api/v3/credits/consume" => {
                (same, json!({ "operation": "aml.basic" }), json!({ "operation": "aml.pep" }))
            }
            "POST /api/v3/credits/consume/batch" => (
                same,
                json!({ "items": [{ "operation": "aml.basic" }] }),
                json!({ "items": [{ "operation": "aml.pep" }] }),
            ),
            "POST /api/v3/credits/holds" => (same, json!({ "amount": 3 }), json!({ "amount": 4 })),
            "POST /api/v3/credits/holds/{id}/capture" => {
                let path = format!("/api/v3/credits/holds/{}/capture", self.hold().await);
                (path, json!({ "amount": 1 }), json!({ "amount": 2 }))
            }
            "POST /api/v3/credits/holds/{id}/release" => {
                let path = format!("/api/v3/credits/holds/{}/release", self.hold().await);
                return Some(Example::by_path(method, path, "/api/v3/credits/holds/hold_x/release"));
            }
            "POST /api/v3/credits/purchase" => (
                same,
                json!({ "package": "starter", "paymentMethod": "card_1" }),
                json!({ "package": "growth", "paymentMethod": "card_1" }),
            ),
            "POST /api/v3/credits/refund" => {
                let body = |reason: &str, id: &str| json!({ "transactionId": id, "reason": reason });
                let id = self.debit().await;
                (same, body("technical_failure", &id), body("canceled_verification", &id))
            }
            "POST /api/v3/credits/transactions/{id}/fail" => {
                let path = format!("/api/v3/credits/transactions/{}/fail", self.debit().await);
                let other = format!("/api/v3/credits/transactions/{}/fail", self.debit().await);
                return Some(Example::by_path(method, path, &other));
            }
            "PUT /api/v3/credits/auto-recharge" => (
                same,
                json!({ "enabled": false, "threshold": 5, "amount": 500, "paymentMethod": "card_1" }),
                json!({ "enabled": false, "threshold": 6, "amount": 500, "paymentMethod": "card_1" }),
            ),
            "PUT /api/v3/credits/alerts" => {
                (same, json!({ "lowBalanceThreshold": 3 }), json!({ "lowBalanceThreshold": 4 }))
            }
            "PUT /api/v3/subscription" => (same, json!({ "plan": "enterprise" }), json!({ "plan": "free" })),
            "PUT /admin/v1/organisations/{id}/subscription" => {
                (same, json!({ "plan": "professional", "allowance": 900 }), json!({ "plan": "professional" }))
            }
            "POST /api/v3/monitors" => {
                let body = |id: &str| json!({ "operation": "aml.monitoring", "resourceId": id });
                (same, body("applicant_1"), body("applicant_2"))
            }
            "DELETE /api/v3/monitors/{id}" => {
                let body = json!({ "operation": "aml.monitoring", "resourceId": "applicant_3" });
                let path =
                    format!("/api/v3/monitors/{}", self.made("/api/v3/monitors", body, "monitorId").await);
                return Some(Example::by_path(method, path, "/api/v3/monitors/mon_x"));
            }
            "POST /api/v3/webhooks" => (
                same,
                json!({ "url": "https://hooks.example.com/a" }),
                json!({ "url": "https://hooks.example.com/b" }),
            ),
            "PATCH /api/v3/webhooks/{id}" => {
                (self.webhook().await, json!({ "description": "a" }), json!({ "description": "b" }))
            }
            "DELETE /api/v3/webhooks/{id}" => {
                return Some(Example::by_path(method, self.webhook().await, missing));
            }
            "POST /api/v3/webhooks/{id}/rotate-secret" => (
                format!("{}/rotate-secret", self.webhook().await),
                json!({ "overlapSeconds": 60 }),
                json!({ "overlapSeconds": 61 }),
            ),
            "POST /api/v3/webhooks/{id}/test" => {
                (format!("{}/test", self.webhook().await), json!({}), json!({ "event": "credits.depleted" }))
            }
            "POST /api/v3/webhooks/{id}/replay" => (
                format!("{}/replay", self.delivered().await),
                json!({ "after": 0, "through": 1 }),
                json!({ "after": 0, "through": 2 }),
            ),
            "POST /api/v3/webhooks/{id}/deliveries/{deliveryId}/replay" => {
                let log = format!("{}/deliveries", self.delivered().await);
                let deliveries = self.world.get(&log, &self.key).await.data();
                let path = format!("{log}/{}/replay", deliveries[0]["deliveryId"].as_str().unwrap());
                return Some(Example::by_path(method, path, &format!("{missing}/deliveries/del_x/replay")));
            }
            "POST /api/v3/test-clock" => {
                (same, json!({ "advanceSeconds": 60 }), json!({ "advanceSeconds": 61 }))
            }
            "POST /admin/v1/organisations" => (same, json!({ "name": "A" }), json!({ "name": "B" })),
            "PATCH /admin/v1/organisations/{id}" => {
                (same, json!({ "selfServicePlans": true }), json!({ "selfServicePlans": false }))
            }
            "POST /admin/v1/organisations/{id}/keys" => {
                (same, json!({ "mode": "live" }), json!({ "mode": "live", "scopes": ["dashboard"] }))
            }
            "DELETE /admin/v1/organisations/{id}/keys/{keyId}" => {
                let body = json!({ "mode": "live" });
                let issued =
                    self.world.post(&at("/keys"), self.world.operator(), &unique(), &body).await.created();
                let path = at(&format!("/keys/{}", issued["keyId"].as_str().unwrap()));
                return Some(Example::by_path(method, path, &at("/keys/key_x")));
            }
            "POST /admin/v1/organisations/{id}/grants" => {
                let body = |amount: u64| json!({ "source": "bonus", "amount": amount });
                (same, body(1), body(2))
            }
            "POST /admin/v1/organisations/{id}/adjustments" => {
                let body = |amount: i64| json!({ "amount": amount, "reason": "x" });
                (same, body(1), body(2))
            }
            "POST /admin/v1/organisations/{id}/refunds" => {
                let id = self.debit().await;
                let body =
                    |note: &str| json!({ "transactionId": id, "reason": "false_positive", "note": note });
                (same, body("a"), body("b"))
            }
            "PUT /admin/v1/organisations/{id}/post-paid" => {
                (same, json!({ "limit": 5 }), json!({ "limit": 6 }))
            }
            "POST /admin/v1/organisations/{id}/freeze" | "POST /admin/v1/organisations/{id}/unfreeze" => {
                (same, json!({ "reason": "a" }), json!({ "reason": "b" }))
            }
            "PUT /admin/v1/pricing/{operation}" => {
                ("/admin/v1/pricing/aml.pep".to_owned(), json!({ "credits": 5 }), json!({ "credits": 6 }))
            }
            "PUT /admin/v1/packages/{package}" => {
                ("/admin/v1/packages/starter".to_owned(), json!({ "name": "One" }), json!({ "name": "Two" }))
            }
            "PUT /admin/v1/plans/{plan}" => {
                ("/admin/v1/plans/basic".to_owned(), json!({ "maxUsers": 4 }), json!({ "maxUsers": 5 }))
            }
            "PUT /admin/v1/exchange-rates/{from}/{to}" => (
                "/admin/v1/exchange-rates/GBP/EUR".to_owned(),
                json!({ "rate": 1.17 }),
                json!({ "rate": 1.18 }),
            ),
            _ => return None,
        };
        let method = method.parse().unwrap();
        Some(Example { method, other: (path.clone(), other), path, body })
    }

    /// Whose key the route takes.
    fn key(&self, route: &str) -> &str {
        match route {
            "POST /api/v3/test-clock" => &self.test,
            admin if admin.contains(" /admin/") => self.world.operator(),
            _ => &self.key,
        }
    }

    /// What can be read of everything that the routes change.
    async fn snapshot(&self) -> Vec<Value> {
        self.world.settle().await;
        let mut seen = Vec::new();
        for path in [
            "/api/v3/credits/balance",
            "/api/v3/credits/transactions?limit=100",
            RECHARGE,
            ALERTS,
            "/api/v3/subscription",
            "/api/v3/monitors",
            "/api/v3/webhooks",
            "/api/v3/events?after=0&limit=100",
            "/api/v3/pricing",
            "/api/v3/plans",
            "/api/v3/credits/packages",
        ] {
            seen.push(self.world.get(path, &self.key).await.body["data"].clone());
        }
        seen.push(self.world.get("/api/v3/test-clock", &self.test).await.body["data"].clone());
        seen.push(
            self.world.get("/admin/v1/exchange-rates", self.world.operator()).await.body["data"].clone(),
        );
        seen
    }
}

impl Example {
    /// One that says it all by its path.
    fn by_path(method: &str, path: String, other: &str) -> Self {
        Self { method: method.parse().unwrap(), path, body: json!({}), other: (other.to_owned(), json!({})) }
    }
}

/// Routes that change nothing, or take no key of a caller.
const WITHOUT: [&str; 2] = ["POST /api/v3/credits/quote", "POST /api/v3/payments/events"];

/// Every route of the document that changes something, so that a new one is in it: sent again it is answered the
/// same and changes nothing; the key serves no other request.
#[tokio::test]
async fn every_route_that_changes_something_honours_a_key() {
    let document = World::demo().await.get("/openapi.json", "").await.body;
    let paths = document["paths"].as_object().unwrap();
    let mut routes = 0;
    let scene = Scene::new().await;
    for (path, item) in paths {
        for (method, operation) in item.as_object().unwrap() {
            let route = format!("{} {path}", method.to_uppercase());
            if method == "get" || WITHOUT.contains(&route.as_str()) {
                continue;
            }
            let parameters = operation["parameters"].as_array().unwrap();
            let named = parameters.iter().filter(|one| one["name"] == json!("Idempotency-Key")).count();
            assert_eq!(named, 1, "{route} does not say that it takes an Idempotency-Key");
            let Some(Example { method, path, body, other }) = scene.example(&route).await else {
                panic!("give {route} an example in `Scene::example`, or name it in `WITHOUT` with a reason");
            };
            let (key, name) = (scene.key(&route), unique());
            let send = async |path: &str, body: &Value| {
                scene.world.call(method.clone(), path, key, (&name, body)).await
            };
            let first = send(&path, &body).await;
            assert!((200..300).contains(&first.status), "{route}: {first:?}");
            assert_eq!(first.header("idempotent-replayed"), None, "{route}");
            let before = scene.snapshot().await;
            let again = send(&path, &body).await;
            assert_eq!(
                (again.status, again.header("idempotent-replayed")),
                (first.status, Some("true")),
                "{route}: {again:?}"
            );
            let mut expected = first.data();
            for secret in ["key", "secret"] {
                if expected[secret].is_string() {
                    expected[secret] = Value::Null;
                    expected["secretShown"] = json!(true);
                }
            }
            assert_eq!(again.data(), expected, "{route}");
            let reused = send(&other.0, &other.1).await;
            assert_eq!(reused.failure(), "422 IDEMPOTENCY_KEY_REUSED", "{route}");
            assert_eq!(scene.snapshot().await, before, "{route} changed something when it was sent again");
            routes += 1;
            if route.ends_with("/freeze") {
                let path = format!("/admin/v1/organisations/{}/unfreeze", scene.org);
                let body = json!({ "reason": "go on" });
                scene.world.post(&path, scene.world.operator(), &unique(), &body).await.data();
            }
        }
    }
    assert!(routes > 30, "{routes}");
}

/// A refused request takes no key: it may be sent again, and so may another one.
#[tokio::test]
async fn a_refused_request_takes_no_key() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let put = async |body: Value| world.call(Method::PUT, RECHARGE, &org.key, ("k", &body)).await;
    assert_eq!(put(json!({ "enabled": true, "threshold": 5 })).await.failure(), "400 VALIDATION_ERROR");
    assert_eq!(put(json!({ "enabled": 7 })).await.failure(), "400 VALIDATION_ERROR");
    let on = json!({ "enabled": true, "threshold": 5, "amount": 500, "paymentMethod": "card_1" });
    assert_eq!(put(on.clone()).await.header("idempotent-replayed"), None);
    assert_eq!(put(on).await.header("idempotent-replayed"), Some("true"));
    // A key may be left out, and is checked where it is sent.
    world.put(RECHARGE, &org.key, &json!({ "enabled": false })).await.data();
    for name in ["a b", ""] {
        let request = world.request(Method::PUT, RECHARGE, &org.key).header("Idempotency-Key", name);
        let refused = tests::send(request.json(&json!({ "enabled": false }))).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{name:?}");
    }
    // Two organisations' keys do not meet, nor do those of one organisation's settings and debits but by a refusal.
    let other = world.open(10).await;
    let body = json!({ "enabled": false, "threshold": 5, "amount": 500, "paymentMethod": "card_1" });
    world.call(Method::PUT, RECHARGE, &other.key, ("k", &body)).await.data();
    let debit = world.consume(&org.key, "k", &json!({ "operation": "aml.basic" })).await;
    assert_eq!(debit.failure(), "422 IDEMPOTENCY_KEY_REUSED");
}

/// Many sendings of one request at once: one is carried out, the others are answered the same or told to wait.
#[tokio::test(flavor = "multi_thread")]
async fn sendings_at_once_are_one_request() {
    let world = std::sync::Arc::new(World::at(NOW).await);
    let org = world.open(10).await;
    let mut sendings = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (world, key) = (world.clone(), org.key.clone());
        sendings.spawn(async move {
            let body = json!({ "url": "https://hooks.example.com/" });
            world.post("/api/v3/webhooks", &key, "one", &body).await
        });
    }
    let answers = sendings.join_all().await;
    let shown = answers.iter().filter(|answer| answer.body["data"]["secret"].is_string()).count();
    assert_eq!(shown, 1, "{answers:?}");
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        assert_eq!(
            (answer.failure().as_str(), answer.header("retry-after")),
            ("409 OPERATION_IN_PROGRESS", Some("1"))
        );
    }
    assert_eq!(world.get("/api/v3/webhooks", &org.key).await.data().as_array().unwrap().len(), 1);
}

/// A request to change something, in the store.
struct Setting<'a> {
    books: &'a Books,
    changes: Changes,
    asked: Fingerprint,
}

impl<'a> Setting<'a> {
    fn new(books: &'a Books, account: shared::domain::AccountId, name: &str, thing: Option<&str>) -> Self {
        let key = ClaimKey::Caller(IdempotencyKey::try_from(name.to_owned()).unwrap());
        let (of, thing) = (ClaimsOf::Account(account), thing.map(str::to_owned));
        Self {
            books,
            changes: Changes { of, key: Some(key), thing },
            asked: Fingerprint(format!("of {name}")),
        }
    }

    async fn begin(&self, moment: Moment) -> Result<Start, Unsettled> {
        self.books.ledger.begin(&self.changes, &self.asked, moment).await
    }

    async fn carried_out(&self, moment: Moment) -> Begun {
        match self.begin(moment).await {
            Ok(Start::CarryOut(begun)) => begun,
            other => panic!("{other:?}"),
        }
    }

    async fn answer(&self, begun: &Begun, answer: &str) {
        self.books.ledger.keep_answer(&self.changes, begun, answer).await.unwrap();
    }
}

/// A sending that broke off is gone on with by the next, under the same id; but not once another request has set
/// the same thing and was answered.
#[tokio::test]
async fn a_request_that_broke_off_does_not_undo_a_later_one() {
    for backend in backends() {
        let books = Books::on(backend.as_deref()).await;
        let start = moment(NOW.parse().unwrap());
        let account = books.open(10, start.now).await;
        let at = |seconds: i64| Moment { wall: start.wall + TimeDelta::seconds(seconds), ..start };
        let on = Setting::new(&books, account, "on", Some("recharge"));
        let off = Setting::new(&books, account, "off", Some("recharge"));
        let begun = on.carried_out(at(0)).await;
        assert!(matches!(on.begin(at(29)).await, Err(Unsettled::InProgress)));
        // Nobody has answered since: the next sending goes on, one at a time.
        let next = on.carried_out(at(30)).await;
        assert_eq!(next.id, begun.id);
        assert!(matches!(on.begin(at(31)).await, Err(Unsettled::InProgress)));
        // Another one is carried out and answered meanwhile.
        let other = off.carried_out(at(40)).await;
        assert!(matches!(on.begin(at(61)).await, Ok(Start::CarryOut(_))), "nobody was answered yet");
        off.answer(&other, "off").await;
        assert_eq!(on.begin(at(92)).await.unwrap(), Start::Overtaken);
        assert_eq!(off.begin(at(92)).await.unwrap(), Start::Answered("off".to_owned()));
        // Without a thing that it sets, nothing overtakes a request.
        let made = Setting::new(&books, account, "made", None);
        let first = made.carried_out(at(0)).await;
        assert_eq!(made.carried_out(at(100)).await.id, first.id);
        // What a fault has broken off goes on at once; what was refused gives its key back.
        let broken = Setting::new(&books, account, "broken", Some("alerts"));
        let first = broken.carried_out(at(0)).await;
        books.ledger.break_off(&broken.changes, &first).await.unwrap();
        let second = broken.carried_out(at(1)).await;
        assert_eq!(second.id, first.id);
        books.ledger.give_key_back(&broken.changes, &second).await.unwrap();
        assert_ne!(broken.carried_out(at(2)).await.id, first.id);
        // After 31 days a key means nothing any more, whatever was asked under it.
        let late = Moment { wall: start.wall + TimeDelta::days(32), ..start };
        let reused = Setting { asked: Fingerprint("another".to_owned()), ..off };
        assert!(matches!(reused.begin(at(100)).await, Err(Unsettled::KeyReused)));
        reused.carried_out(late).await;
    }
}
