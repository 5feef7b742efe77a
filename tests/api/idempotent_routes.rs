//! Every route of the OpenAPI document that changes something takes effect once under an idempotency key.

use serde_json::{Value, json};
use tests::{ApiRequest, World, unique};

use super::idempotent_examples::Example;
use super::idempotent_scene::Scene;

impl Scene {
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
            "/api/v3/organization-settings",
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

/// Routes that change nothing, or take no API key.
const WITHOUT: [&str; 9] = [
    // The token is used up: `api::members` sends it again.
    "POST /api/v3/invitations/accept",
    // They take no key, or need a session: `api::sessions` calls them.
    "POST /api/v3/sessions",
    "POST /admin/v1/sessions",
    "DELETE /api/v3/sessions/current",
    "DELETE /admin/v1/sessions/current",
    "POST /api/v3/sign-in-mails",
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
