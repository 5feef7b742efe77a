//! Every route of the OpenAPI document that changes something takes effect once under an idempotency key.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, World, unique};

use super::idempotent_scene::Scene;

/// An example request of a route.
struct Example {
    method: Method,
    path: String,
    body: Value,
    /// A different request, which the same key refuses.
    other: (String, Value),
}

impl Scene {
    /// The example request of a route of the OpenAPI document; none if there is none.
    #[expect(clippy::too_many_lines, reason = "one list, a place for each route")]
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
                let other = format!("/api/v3/credits/holds/{}/release", self.hold().await);
                return Some(Example::by_path(method, path, &other));
            }
            "POST /api/v3/credits/transactions/export" => {
                (same, json!({ "format": "xlsx" }), json!({ "format": "pdf" }))
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
            "POST /api/v3/api-keys" => (same, json!({ "mode": "live" }), json!({ "mode": "test" })),
            "PATCH /api/v3/api-keys/{id}" | "PATCH /admin/v1/operator-keys/{id}" => {
                (self.new_key(template).await, json!({ "name": "a" }), json!({ "name": "b" }))
            }
            "DELETE /api/v3/api-keys/{id}" | "DELETE /admin/v1/operator-keys/{id}" => {
                let other = template.replace("{id}", "key_x");
                return Some(Example::by_path(method, self.new_key(template).await, &other));
            }
            "POST /api/v3/api-keys/{id}/roll" | "POST /admin/v1/operator-keys/{id}/roll" => {
                let path = format!("{}/roll", self.new_key(template).await);
                (path, json!({ "graceSeconds": 60 }), json!({ "graceSeconds": 61 }))
            }
            "POST /api/v3/invitations" => {
                let body = |name: &str| json!({ "email": format!("{name}@example.com"), "role": "viewer" });
                (same, body(&unique()), body(&unique()))
            }
            "DELETE /api/v3/invitations/{id}" => {
                let other = template.replace("{id}", "inv_x");
                return Some(Example::by_path(method, self.invitation().await, &other));
            }
            "PATCH /api/v3/members/{id}" => {
                (self.member().await, json!({ "name": "Jo" }), json!({ "name": "Kim" }))
            }
            "DELETE /api/v3/members/{id}" => {
                let other = template.replace("{id}", "mem_x");
                return Some(Example::by_path(method, self.member().await, &other));
            }
            "POST /api/v3/credits/budgets" => {
                let body =
                    |limit: u64| json!({ "scope": "member", "id": "jo", "limit": limit, "period": "day" });
                (same, body(100), body(200))
            }
            "PATCH /api/v3/credits/budgets/{id}" => {
                (self.budget().await, json!({ "limit": 1 }), json!({ "limit": 2 }))
            }
            "DELETE /api/v3/credits/budgets/{id}" => {
                let other = template.replace("{id}", "budget_x");
                return Some(Example::by_path(method, self.budget().await, &other));
            }
            "POST /api/v3/teams" => (same, json!({ "name": "A" }), json!({ "name": "B" })),
            "PATCH /api/v3/teams/{id}" => (self.team().await, json!({ "name": "C" }), json!({ "name": "D" })),
            "DELETE /api/v3/teams/{id}" => {
                let other = template.replace("{id}", "team_x");
                return Some(Example::by_path(method, self.team().await, &other));
            }
            "POST /api/v3/budget-requests" => {
                let budget = self.budget().await.replace("/api/v3/credits/budgets/", "");
                let body = |amount: u64| json!({ "budgetId": budget, "amount": amount });
                (same, body(1), body(2))
            }
            "POST /api/v3/budget-requests/{id}/approve" => (
                format!("{}/approve", self.budget_request().await),
                json!({ "amount": 1 }),
                json!({ "amount": 2 }),
            ),
            "POST /api/v3/budget-requests/{id}/decline" => {
                let path = format!("{}/decline", self.budget_request().await);
                return Some(Example::by_path(method, path, &template.replace("{id}", "breq_x")));
            }
            "POST /admin/v1/operator-keys" => (same, json!({ "name": "a" }), json!({ "name": "b" })),
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
            "POST /admin/v1/organisations/{id}/purchases/{transactionId}/refund" => {
                let body = json!({ "amount": 20, "paymentMethod": "card_1" });
                let bought = self.made("/api/v3/credits/purchase", body, "transactionId").await;
                let body = |reason: &str| json!({ "amount": 1, "reason": reason });
                (at(&format!("/purchases/{bought}/refund")), body("a"), body("b"))
            }
            "PUT /admin/v1/organisations/{id}/spending-limit" => {
                let body = |amount: u64| json!({ "perDay": { "amount": amount, "currency": "GBP" } });
                (same, body(5_000_000), body(6_000_000))
            }
            "PUT /admin/v1/organisations/{id}/post-paid" => {
                (same, json!({ "limit": 5 }), json!({ "limit": 6 }))
            }
            "PUT /admin/v1/organisations/{id}/plan-limit" => (
                same,
                json!({ "limit": 2_000_000_000_000_000_u64 }),
                json!({ "limit": 3_000_000_000_000_000_u64 }),
            ),
            "POST /admin/v1/organisations/{id}/exports"
            | "POST /admin/v1/organisations/{id}/freeze"
            | "POST /admin/v1/organisations/{id}/unfreeze"
            | "POST /admin/v1/organisations/{id}/reopen" => {
                (same, json!({ "reason": "a" }), json!({ "reason": "b" }))
            }
            // Another organisation, because the keys of a closed one are refused.
            "POST /admin/v1/organisations/{id}/close" => {
                let path = "/admin/v1/organisations";
                let opened =
                    self.world.post(path, self.world.operator(), &unique(), &json!({ "name": "Own" })).await;
                let path = format!("{path}/{}/close", opened.created()["organisationId"].as_str().unwrap());
                (path, json!({ "reason": "a" }), json!({ "reason": "b" }))
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

    /// The API key or operator key that the route takes.
    fn key(&self, route: &str) -> &str {
        match route {
            "POST /api/v3/test-clock" => &self.test,
            admin if admin.contains(" /admin/") => self.world.operator(),
            _ => &self.key,
        }
    }

    /// The answers of every read of what the routes change.
    async fn snapshot(&self) -> Vec<Value> {
        self.world.settle().await;
        let mut seen = Vec::new();
        for path in [
            "/api/v3/credits/balance",
            "/api/v3/credits/transactions?limit=100",
            "/api/v3/credits/auto-recharge",
            "/api/v3/credits/alerts",
            "/api/v3/subscription",
            "/api/v3/monitors",
            "/api/v3/webhooks",
            "/api/v3/api-keys?limit=100",
            "/api/v3/credits/budgets?limit=50",
            "/api/v3/teams?limit=100",
            "/api/v3/members?limit=100",
            "/api/v3/members/seats",
            "/api/v3/invitations?limit=100",
            "/api/v3/budget-requests?limit=100",
            "/api/v3/events?after=0&limit=100",
            "/api/v3/pricing",
            "/api/v3/plans",
            "/api/v3/credits/packages",
        ] {
            seen.push(self.world.get(path, &self.key).await.body["data"].clone());
        }
        seen.push(self.world.get("/api/v3/test-clock", &self.test).await.body["data"].clone());
        for path in ["/admin/v1/exchange-rates", "/admin/v1/operator-keys?limit=100"] {
            seen.push(self.world.get(path, self.world.operator()).await.body["data"].clone());
        }
        seen
    }
}

impl Example {
    /// An example without a body.
    fn by_path(method: &str, path: String, other: &str) -> Self {
        Self { method: method.parse().unwrap(), path, body: json!({}), other: (other.to_owned(), json!({})) }
    }
}

/// Routes that change nothing, or take no API key.
const WITHOUT: [&str; 4] = [
    // The token is used up: `api::members` sends it again.
    "POST /api/v3/invitations/accept",
    "POST /api/v3/credits/quote",
    "POST /api/v3/payments/events",
    // This route needs a damaged account: `crash::unreadable_accounts` repeats it under its key.
    "POST /admin/v1/organisations/{id}/repair",
];

/// Every route of the document that changes something: repeated, it gives the same answer and changes nothing; its
/// key refuses any other request.
#[tokio::test]
async fn every_route_that_changes_something_honours_a_key() {
    let document = World::demo().await.get("/openapi.json", "").await.body;
    let paths = document["paths"].as_object().unwrap();
    let mut routes = 0;
    let scene = Scene::new().await;
    // From now on the keys that it reads with were used today.
    scene.snapshot().await;
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
                let request = ApiRequest::new(method.clone(), path, key);
                scene.world.call(&request.under(&name).with(body)).await
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
            for secret in ["key", "secret", "token", "link"] {
                if expected[secret].is_string() {
                    expected[secret] = Value::Null;
                    expected["secretShown"] = json!(true);
                }
            }
            assert_eq!(again.data(), expected, "{route}");
            let reused = send(&other.0, &other.1).await;
            assert_eq!(reused.failure(), "422 IDEMPOTENCY_KEY_REUSED", "{route}");
            assert_eq!(scene.snapshot().await, before, "the repeated {route} changed something");
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
