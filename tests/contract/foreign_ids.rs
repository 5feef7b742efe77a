//! Ids of another organisation, or of the other mode: they do not exist for a caller, whatever it may do.

use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tests::{World, send, unique};

/// The organisation whose things others ask for.
struct Owner<'a> {
    world: &'a World,
    key: String,
    id: String,
}

/// Operations with an id in the path that belongs to no organisation. Sessions belong to one key or member: `api::sessions`.
const WITHOUT: [&str; 3] = ["/api/v3/credits/statements/{month}", "/api/v3/sessions/{id}", "/admin/v1/"];

impl Owner<'_> {
    async fn made(&self, path: &str, body: Value, field: &str) -> String {
        let made = self.world.post(path, &self.key, &unique(), &body).await;
        assert!(made.status < 300, "{path} {made:?}");
        made.data()[field].as_str().unwrap().to_owned()
    }

    async fn debit(&self) -> String {
        let body = json!({ "operation": "aml.basic", "settleBy": "2024-01-15T12:00:00Z" });
        self.made("/api/v3/credits/consume", body, "transactionId").await
    }

    async fn invite(&self, field: &str) -> String {
        let body = json!({ "email": format!("{}@example.com", unique()), "role": "viewer" });
        self.made("/api/v3/invitations", body, field).await
    }

    async fn budget(&self) -> String {
        let body = json!({ "scope": "customer", "id": unique(), "limit": 100, "period": "month" });
        self.made("/api/v3/credits/budgets", body, "budgetId").await
    }

    /// The path of an operation with ids of new things of the owner.
    async fn path(&self, template: &str) -> String {
        let thing = |prefix: &str| template.starts_with(prefix);
        let (id, second) = if thing("/api/v3/credits/holds/") {
            (self.made("/api/v3/credits/holds", json!({ "amount": 1 }), "holdId").await, String::new())
        } else if thing("/api/v3/credits/transactions/exports/") {
            let body = json!({ "format": "csv" });
            (self.made("/api/v3/credits/transactions/export", body, "exportId").await, String::new())
        } else if thing("/api/v3/credits/transactions/") {
            (self.debit().await, String::new())
        } else if thing("/v2/credits/") {
            self.debit().await;
            let records = self.world.get("/v2/credits", &self.key).await.body;
            (records["data"][0]["id"].as_str().unwrap().to_owned(), String::new())
        } else if thing("/api/v3/monitors/") {
            let body = json!({ "operation": "aml.monitoring", "resourceId": unique() });
            (self.made("/api/v3/monitors", body, "monitorId").await, String::new())
        } else if thing("/api/v3/credits/budgets/") {
            (self.budget().await, String::new())
        } else if thing("/api/v3/teams/") {
            (self.made("/api/v3/teams", json!({ "name": "A" }), "teamId").await, String::new())
        } else if thing("/api/v3/budget-requests/") {
            let body = json!({ "budgetId": self.budget().await, "amount": 5 });
            (self.made("/api/v3/budget-requests", body, "requestId").await, String::new())
        } else if thing("/api/v3/invitations/") {
            (self.invite("invitationId").await, String::new())
        } else if thing("/api/v3/members/") {
            let token = self.invite("token").await;
            let accept = json!({ "token": token });
            let member = self.world.post_plain("/api/v3/invitations/accept", &accept).await.created();
            (member["memberId"].as_str().unwrap().to_owned(), String::new())
        } else if thing("/api/v3/api-keys/") {
            (self.made("/api/v3/api-keys", json!({ "mode": "live" }), "keyId").await, String::new())
        } else {
            assert!(thing("/api/v3/webhooks/"), "say how to make what {template} is about");
            let url = format!("{}/_local/inbox/own", self.world.machine.base_url());
            let hook = self.made("/api/v3/webhooks", json!({ "url": url }), "webhookId").await;
            let sent = self.made(&format!("/api/v3/webhooks/{hook}/test"), json!({}), "deliveryId").await;
            (hook, sent)
        };
        let mut ids = [id, second].into_iter();
        template
            .split('/')
            .map(|part| if part.starts_with('{') { ids.next().unwrap() } else { part.to_owned() })
            .collect::<Vec<_>>()
            .join("/")
    }
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "prints the number of cases")]
async fn what_belongs_to_another_organisation_does_not_exist() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let (first, other) = (world.open(10_000).await, world.open(10).await);
    let keys = format!("/admin/v1/organisations/{}/keys", first.id);
    let body = json!({ "mode": "test", "scopes": tests::EVERY_SCOPE });
    let test = world.post(&keys, world.operator(), &unique(), &body).await.created();
    let test = test["key"].as_str().unwrap();
    let owner = Owner { world: &world, key: first.key.clone(), id: first.id.clone() };
    let document = world.get("/openapi.json", "").await.body;
    let (mut operations, mut cases) = (BTreeSet::new(), 0);
    for (template, methods) in document["paths"].as_object().unwrap() {
        if !template.contains('{') || WITHOUT.iter().any(|without| template.starts_with(without)) {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let path = owner.path(template).await;
            let body = if path.ends_with("/replay") && !path.contains("/deliveries/") {
                json!({ "after": 0, "through": 1 })
            } else {
                json!({})
            };
            let method: Method = method.to_uppercase().parse().unwrap();
            let call = async |key: &str, acts_for: Option<&str>| {
                let mut request =
                    world.request(method.clone(), &path, key).header("idempotency-key", unique());
                if let Some(org) = acts_for {
                    request = request.header("scrip-organisation", org);
                }
                send(if method == Method::GET { request } else { request.json(&body) }).await
            };
            let strangers = [
                ("another organisation", call(&other.key, None).await),
                ("the test ledger", call(test, None).await),
                ("an operator for another organisation", call(world.operator(), Some(&other.id)).await),
            ];
            for (who, answer) in strangers {
                assert_eq!(answer.status, 404, "{method} {template} by {who}: {answer:?}");
                cases += 1;
            }
            // Afterwards it is as it was: its owner, and an operator for the owner, find it.
            let acting = call(world.operator(), Some(&owner.id)).await;
            assert!(acting.status < 300 || acting.status == 409, "{method} {template}: {acting:?}");
            let own = call(&owner.key, None).await;
            let is_gone = method == Method::DELETE && own.status == 404;
            assert!(own.status < 300 || own.status == 409 || is_gone, "{method} {template}: {own:?}");
            cases += 2;
            operations.insert(format!("{method} {template}"));
        }
    }
    assert!(operations.len() > 20, "{operations:?}");
    println!("{} operations with ids: {cases} cases", operations.len());
}
