//! The machine and organisation of the examples of idempotent routes, and the things that these are about.

use serde_json::{Value, json};
use tests::{World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";

/// The machine and organisation of the examples.
pub(super) struct Scene {
    pub(super) world: World,
    pub(super) org: String,
    pub(super) key: String,
    pub(super) test: String,
}

impl Scene {
    pub(super) async fn new() -> Self {
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

    /// Creates something by POST; returns its id.
    pub(super) async fn made(&self, path: &str, body: Value, field: &str) -> String {
        let made = self.world.post(path, &self.key, &unique(), &body).await.created();
        made[field].as_str().unwrap().to_owned()
    }

    pub(super) async fn debit(&self) -> String {
        let body = json!({ "operation": "aml.basic", "settleBy": "2024-01-15T12:00:00Z" });
        self.made("/api/v3/credits/consume", body, "transactionId").await
    }

    pub(super) async fn hold(&self) -> String {
        self.made("/api/v3/credits/holds", json!({ "amount": 3 }), "holdId").await
    }

    /// Creates a webhook at an address without a listener, so that every delivery is equally fast.
    pub(super) async fn webhook(&self) -> String {
        let body = json!({ "url": "http://127.0.0.1:9/" });
        let id = self.made("/api/v3/webhooks", body, "webhookId").await;
        format!("/api/v3/webhooks/{id}")
    }

    /// Creates an API key, or an operator's key; returns its path.
    pub(super) async fn new_key(&self, template: &str) -> String {
        let (path, _) = template.split_once("/{id}").unwrap();
        let is_operators = path.starts_with("/admin/");
        let by = if is_operators { self.world.operator() } else { &self.key };
        let body = if is_operators { json!({ "name": "Jo" }) } else { json!({ "mode": "live" }) };
        let issued = self.world.post(path, by, &unique(), &body).await.created();
        format!("{path}/{}", issued["keyId"].as_str().unwrap())
    }

    /// Creates a budget; returns its path.
    pub(super) async fn budget(&self) -> String {
        let body = json!({ "scope": "customer", "id": unique(), "limit": 100, "period": "month" });
        format!("/api/v3/credits/budgets/{}", self.made("/api/v3/credits/budgets", body, "budgetId").await)
    }

    /// Creates a team; returns its path.
    pub(super) async fn team(&self) -> String {
        format!("/api/v3/teams/{}", self.made("/api/v3/teams", json!({ "name": "A" }), "teamId").await)
    }

    /// Invites a person with a new address.
    async fn invite(&self) -> Value {
        let body = json!({ "email": format!("{}@example.com", unique()), "role": "viewer" });
        self.world.post("/api/v3/invitations", &self.key, &unique(), &body).await.created()
    }

    /// Makes an invitation; returns its path.
    pub(super) async fn invitation(&self) -> String {
        format!("/api/v3/invitations/{}", self.invite().await["invitationId"].as_str().unwrap())
    }

    /// Makes a member; returns its path.
    pub(super) async fn member(&self) -> String {
        let token = self.invite().await["token"].clone();
        let member = self.world.post_plain("/api/v3/invitations/accept", &json!({ "token": token })).await;
        format!("/api/v3/members/{}", member.created()["memberId"].as_str().unwrap())
    }

    /// Signs in with the key that the place takes; returns the path of the session.
    pub(super) async fn session(&self, sessions: &str) -> String {
        let key = if sessions.starts_with("/admin/") { self.world.operator() } else { &self.key };
        let begun = self.world.post_plain(sessions, &json!({ "key": key })).await.created();
        format!("{sessions}/{}", begun["sessionId"].as_str().unwrap())
    }

    /// Asks for a larger budget; returns the path of the request.
    pub(super) async fn budget_request(&self) -> String {
        let budget = self.budget().await.replace("/api/v3/credits/budgets/", "");
        let body = json!({ "budgetId": budget, "amount": 5 });
        format!("/api/v3/budget-requests/{}", self.made("/api/v3/budget-requests", body, "requestId").await)
    }

    /// Creates a webhook that has received every event so far.
    pub(super) async fn delivered(&self) -> String {
        let inbox = format!("{}/_local/inbox/own", self.world.machine.base_url());
        let id = self.made("/api/v3/webhooks", json!({ "url": inbox }), "webhookId").await;
        let body = json!({ "source": "bonus", "amount": 5 });
        self.world.grant(&self.org, &body).await;
        self.world.grant(&self.org, &body).await;
        self.world.settle().await;
        format!("/api/v3/webhooks/{id}")
    }
}
