//! An example request of every route that changes something.

use reqwest::Method;
use serde_json::{Value, json};
use tests::unique;

use super::idempotent_scene::Scene;

/// An example request of a route.
pub(super) struct Example {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) body: Value,
    /// A different request, which the same key refuses.
    pub(super) other: (String, Value),
}

impl Scene {
    /// The example request of a route of the OpenAPI document; none if there is none.
    #[expect(clippy::too_many_lines, reason = "one list, a place for each route")]
    pub(super) async fn example(&self, route: &str) -> Option<Example> {
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
            "PATCH /api/v3/organization-settings" => {
                (same, json!({ "runawayKeys": "off" }), json!({ "runawayKeys": "pause" }))
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
            "POST /api/v3/api-keys/{id}/resume" => {
                let path = format!("{}/resume", self.new_key("/api/v3/api-keys/{id}").await);
                return Some(Example::by_path(method, path, &template.replace("{id}", "key_x")));
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
            "POST /api/v3/sign-in-links" => {
                (same, json!({}), json!({ "memberId": "mem_01HKZNPZB0YQ3T5N1C8V6W2X4H" }))
            }
            "POST /admin/v1/sign-in-links" => {
                return Some(Example::by_path(method, same, "/admin/v1/operator-keys/key_x/roll"));
            }
            "DELETE /api/v3/sessions" | "DELETE /admin/v1/sessions" => {
                let other = format!("{template}/ses_x");
                return Some(Example::by_path(method, same, &other));
            }
            "DELETE /api/v3/sessions/{id}" | "DELETE /admin/v1/sessions/{id}" => {
                let path = self.session(&template.replace("/{id}", "")).await;
                return Some(Example::by_path(method, path, &template.replace("{id}", "ses_x")));
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
}

impl Example {
    /// An example without a body.
    fn by_path(method: &str, path: String, other: &str) -> Self {
        Self { method: method.parse().unwrap(), path, body: json!({}), other: (other.to_owned(), json!({})) }
    }
}
