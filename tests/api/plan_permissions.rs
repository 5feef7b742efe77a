//! Which plan changes customers and operators may make, while fees are not collected.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiRequest, World, unique};

const SUBSCRIPTION: &str = "/api/v3/subscription";

struct PlanCustomer {
    /// `/admin/v1/organisations/org_…`
    path: String,
    live: String,
    test: String,
}

/// An organisation on a plan, without permission to change it.
async fn customer(world: &World, plan: &str) -> PlanCustomer {
    let body = json!({ "name": "Own", "plan": plan });
    let opened = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    assert_eq!(opened["selfServicePlans"], json!(false));
    let path = format!("/admin/v1/organisations/{}", opened["organisationId"].as_str().unwrap());
    let key = async |mode: &str| {
        let body = json!({ "mode": mode, "scopes": ["credits:read", "credits:consume", "settings:write", "dashboard"] });
        let issued = world.post(&format!("{path}/keys"), world.operator(), &unique(), &body).await.created();
        issued["key"].as_str().unwrap().to_owned()
    };
    PlanCustomer { live: key("live").await, test: key("test").await, path }
}

#[tokio::test]
async fn a_customer_needs_permission_for_a_more_expensive_plan() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "free").await;
    for key in [&customer.live, &customer.test] {
        for plan in ["basic", "professional", "enterprise"] {
            let refused = world.put(SUBSCRIPTION, key, &json!({ "plan": plan })).await;
            assert_eq!(refused.failure(), "403 PLAN_CHANGE_NOT_ALLOWED", "{plan}");
            assert!(refused.body["error"]["message"].as_str().unwrap().contains("ask the operator"));
            let preview =
                world.put(&format!("{SUBSCRIPTION}?preview=true"), key, &json!({ "plan": plan })).await;
            assert_eq!(preview.data()["plan"], json!(plan));
            assert!(preview.data()["notices"].to_string().contains("PLAN_CHANGE_NOT_ALLOWED"), "{preview:?}");
        }
        assert_eq!(world.balance(key).await["plan"], json!("free"));
        let same = world.put(SUBSCRIPTION, key, &json!({ "plan": "free" })).await;
        assert_eq!(same.data()["changed"], json!(false));
        let body = json!({ "operation": "deepfake.video", "quantity": 1_000_000 });
        assert_eq!(world.consume(key, &unique(), &body).await.failure(), "402 INSUFFICIENT_CREDITS");
    }
    let allowed = world.patch(&customer.path, world.operator(), &json!({ "selfServicePlans": true })).await;
    assert_eq!(allowed.data()["selfServicePlans"], json!(true));
    let moved = world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": "professional" })).await.data();
    assert_eq!((&moved["from"], &moved["changed"]), (&json!("free"), &json!(true)));
    world.patch(&customer.path, world.operator(), &json!({ "selfServicePlans": false })).await.data();
    for plan in ["basic", "free"] {
        let moved = world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": plan })).await.data();
        assert_eq!((&moved["plan"], &moved["changed"]), (&json!(plan), &json!(true)));
    }
    let refused = world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": "basic" })).await;
    assert_eq!(refused.failure(), "403 PLAN_CHANGE_NOT_ALLOWED");
}

/// A customer cannot end a smaller allowance that an operator set by moving to a cheaper plan with a larger one.
#[tokio::test]
async fn a_customer_cannot_end_a_smaller_allowance() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "professional").await;
    for (allowance, plan, expected) in [
        (200, "basic", 403),
        (200, "free", 200),
        (100, "free", 200),
        (99, "free", 403),
        (4_999, "basic", 200),
    ] {
        let agreed = json!({ "plan": "professional", "allowance": allowance });
        let path = format!("{}/subscription", customer.path);
        world.put(&path, world.operator(), &agreed).await.data();
        let moved = world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": plan })).await;
        assert_eq!(moved.status, expected, "{allowance}, {plan}: {moved:?}");
    }
}

#[tokio::test]
async fn a_customer_cannot_replace_a_smaller_allowance_by_an_unlimited_one() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "professional").await;
    let price = json!({ "price": { "amount": 0, "currency": "GBP" } });
    world.put("/admin/v1/plans/enterprise", world.operator(), &price).await.data();
    let agreed = json!({ "plan": "professional", "allowance": 200 });
    world.put(&format!("{}/subscription", customer.path), world.operator(), &agreed).await.data();
    let moved = world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": "enterprise" })).await;
    assert_eq!(moved.failure(), "403 PLAN_CHANGE_NOT_ALLOWED");
}

/// A preview changes nothing and does not use up the key, however the parameter is written.
#[tokio::test]
async fn a_preview_takes_no_key() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "professional").await;
    let put = async |query: &str| {
        let path = format!("{SUBSCRIPTION}{query}");
        let body = json!({ "plan": "free" });
        world.call(&ApiRequest::new(Method::PUT, &path, &customer.live).under("k1").with(&body)).await
    };
    for preview in ["?preview=true", "?p%72eview=%74rue"] {
        assert_eq!(put(preview).await.data()["preview"], json!(true));
    }
    let made = put("?preview=false").await;
    assert_eq!((made.header("idempotent-replayed"), &made.data()["changed"]), (None, &json!(true)));
    assert_eq!(put("?preview=false").await.header("idempotent-replayed"), Some("true"));
    assert_eq!(world.balance(&customer.live).await["plan"], json!("free"));
}

/// A refused change does not use up its idempotency key, and a successful one is answered the same later.
#[tokio::test]
async fn a_change_that_was_made_is_answered_the_same_later() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "free").await;
    let body = json!({ "plan": "basic" });
    let request = ApiRequest::new(Method::PUT, SUBSCRIPTION, &customer.live).under("up").with(&body);
    let send = async || world.call(&request).await;
    assert_eq!(send().await.failure(), "403 PLAN_CHANGE_NOT_ALLOWED");
    world.patch(&customer.path, world.operator(), &json!({ "selfServicePlans": true })).await.data();
    let first = send().await;
    assert_eq!(first.header("idempotent-replayed"), None);
    world.patch(&customer.path, world.operator(), &json!({ "selfServicePlans": false })).await.data();
    world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": "free" })).await.data();
    let late = send().await;
    assert_eq!((late.header("idempotent-replayed"), late.data()), (Some("true"), first.data()));
    assert_eq!(world.balance(&customer.live).await["plan"], json!("free"));
}

/// Prices are compared within a currency; a plan in another currency counts as more expensive unless it is free.
#[tokio::test]
async fn plans_in_two_currencies_are_not_compared() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    for (plan, amount) in [("yen", 1), ("gift", 0)] {
        let body = json!({ "name": plan, "price": { "amount": amount, "currency": "JPY" }, "allowance": 5,
            "apiAccess": true, "maxUsers": 1 });
        world.put(&format!("/admin/v1/plans/{plan}"), world.operator(), &body).await.data();
    }
    let customer = customer(&world, "enterprise").await;
    let refused = world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": "yen" })).await;
    assert_eq!(refused.failure(), "403 PLAN_CHANGE_NOT_ALLOWED");
    world.put(SUBSCRIPTION, &customer.live, &json!({ "plan": "gift" })).await.data();
}

#[tokio::test]
async fn operators_change_any_plan_and_its_allowance() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "free").await;
    let path = format!("{}/subscription", customer.path);
    let put = async |body: Value| world.put(&path, world.operator(), &body).await;
    let preview =
        world.put(&format!("{path}?preview=true"), world.operator(), &json!({ "plan": "basic" })).await;
    assert_eq!((&preview.data()["preview"], &preview.data()["notices"]), (&json!(true), &json!([])));
    let moved = put(json!({ "plan": "professional", "allowance": 8_000 })).await.data();
    assert_eq!(
        (&moved["from"], &moved["plan"], &moved["allowance"], &moved["balance"]["subscriptionCredits"]),
        (&json!("free"), &json!("professional"), &json!(8_000), &json!(8_000))
    );
    // The same plan with other terms is a change; with the same terms it is none.
    let more = put(json!({ "plan": "professional", "allowance": 9_000 })).await.data();
    assert_eq!((&more["changed"], &more["balance"]["available"]), (&json!(true), &json!(9_000)));
    let same = put(json!({ "plan": "professional", "allowance": 9_000 })).await.data();
    assert_eq!((&same["changed"], &same["transactionId"]), (&json!(false), &Value::Null));
    assert_eq!(world.balance(&customer.test).await["subscriptionCredits"], json!(9_000));
    let lines = world.transactions(&customer.live, "operation=credit.plan_change").await;
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["superAdmin"].as_str().unwrap().starts_with("key_"), "{}", lines[0]);
    let freeze = format!("{}/freeze", customer.path);
    world.post(&freeze, world.operator(), &unique(), &json!({ "reason": "x" })).await.data();
    let back = put(json!({ "plan": "professional" })).await.data();
    assert_eq!(back["balance"]["subscriptionCredits"], json!(5_000));
    // The test ledger can be changed without the live one.
    let tried = put(json!({ "plan": "enterprise", "mode": "test" })).await.data();
    assert_eq!(tried["unlimited"], json!(true));
    assert_eq!(world.balance(&customer.live).await["plan"], json!("professional"));
    for (body, field) in [
        (json!({ "plan": "gold" }), "plan"),
        (json!({ "plan": "free", "allowance": 1_000_000_000_001_u64 }), "allowance"),
        (json!({ "plan": "free", "allowance": -1 }), "allowance"),
        (json!({ "allowance": 5 }), "plan"),
    ] {
        let refused = put(body.clone()).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{refused:?}");
    }
    let unknown_path = "/admin/v1/organisations/org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA";
    for path in [format!("{unknown_path}/subscription"), "/admin/v1/organisations/x/subscription".to_owned()]
    {
        let unknown = world.put(&path, world.operator(), &json!({ "plan": "free" })).await;
        assert_eq!(unknown.failure(), "404 NOT_FOUND");
    }
    let unknown = world.patch(unknown_path, world.operator(), &json!({ "selfServicePlans": true })).await;
    assert_eq!(unknown.failure(), "404 NOT_FOUND");
    assert_eq!(
        world.put(&path, &customer.live, &json!({ "plan": "free" })).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
}

/// The demo organisation may change its plan itself.
#[tokio::test]
async fn the_demo_changes_its_plan_itself() {
    let world = World::demo().await;
    world.put(SUBSCRIPTION, world.key(), &json!({ "plan": "enterprise" })).await.data();
}

/// A grant by an operator emits one event.
#[tokio::test]
async fn grants_by_operators_emit_an_event() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({ "source": "bonus", "amount": 25, "expiresAt": "2024-03-01T00:00:00Z", "service": "smartcheck",
        "description": "Sorry for Tuesday" });
    let granted = world.grant(&org.id, &body).await;
    world.settle().await;
    let events = world.events(&org.key).await;
    let event = events.iter().find(|event| event["event"] == json!("credits.granted")).unwrap();
    tests::assert_event(event);
    assert_eq!(
        event["data"],
        json!({
            "transactionId": granted["transactionId"], "amount": 25, "available": 35, "service": "smartcheck",
            "sources": [{ "source": "bonus", "lotId": granted["creditId"], "amount": 25 }],
            "expiresAt": "2024-03-01T00:00:00Z", "description": "Sorry for Tuesday",
            "message": "Credits were given to you by our team",
        })
    );
    assert_eq!(events.iter().filter(|event| event["event"] == json!("credits.granted")).count(), 1);
}
