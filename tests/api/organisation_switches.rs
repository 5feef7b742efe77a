//! What an organisation switches on or off: known members, requests for larger budgets.

use http::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, ApiRequest, TestProcess, WarmProcess, World, send, unique};

const SWITCHES: &str = "/api/v3/organization-settings";
const MEMBERS: &str = "/api/v3/members";

/// A member who has joined with the key of an organisation; returns the id.
async fn member(process: &WarmProcess, key: &str) -> String {
    let post = async |path: &str, body: Value| {
        let answer = process.call(&ApiRequest::new(Method::POST, path, key).with(&body)).await;
        assert_eq!(answer.0, 201, "{answer:?}");
        answer.1["data"].clone()
    };
    let body = json!({ "email": format!("{}@example.com", unique()), "role": "member" });
    let token = post("/api/v3/invitations", body).await["token"].clone();
    let joined = post("/api/v3/invitations/accept", json!({ "token": token })).await;
    joined["memberId"].as_str().unwrap().to_owned()
}

async fn set(process: &WarmProcess, key: &str, body: Value) -> (u16, Value) {
    process.call(&ApiRequest::new(Method::PATCH, SWITCHES, key).with(&body)).await
}

/// The status of a consume for a member, and what is wrong with the field.
async fn consume(process: &WarmProcess, key: &str, name: &str, member: &str) -> (u16, Value) {
    let body = json!({ "operation": "aml.basic", "memberId": member });
    let request = ApiRequest::new(Method::POST, "/api/v3/credits/consume", key).under(name).with(&body);
    let (status, body) = process.call(&request).await;
    (status, body["error"]["details"]["fields"].clone())
}

#[tokio::test]
async fn switches_are_read_and_changed_one_by_one() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let usual = json!({ "requireKnownMembers": false, "budgetRequests": true, "runawayKeys": "announce" });
    for key in [world.key(), world.test_key()] {
        assert_eq!(world.get(SWITCHES, key).await.data(), usual);
    }
    let org = world.open(10).await;
    let mut expected = usual.clone();
    for (field, value) in [
        ("runawayKeys", json!("pause")),
        ("requireKnownMembers", json!(true)),
        ("budgetRequests", json!(false)),
        ("runawayKeys", json!("off")),
        ("budgetRequests", json!(true)),
        ("requireKnownMembers", json!(false)),
        ("runawayKeys", json!("announce")),
    ] {
        expected[field] = value.clone();
        assert_eq!(world.patch(SWITCHES, &org.key, &json!({ field: value })).await.data(), expected);
        assert_eq!(world.get(SWITCHES, &org.key).await.data(), expected);
        let nothing = json!({ "runawayKeys": null });
        assert_eq!(world.patch(SWITCHES, &org.key, &nothing).await.data(), expected, "null changes nothing");
    }
    assert_eq!(expected, usual);
    for (wrong, field) in [
        (json!({ "budgets": true }), "budgets"),
        (json!({ "runawayKeys": "stop" }), "runawayKeys"),
        (json!({ "requireKnownMembers": "yes" }), "requireKnownMembers"),
    ] {
        let refused = world.patch(SWITCHES, &org.key, &wrong).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{refused:?}");
    }
    let test = world.patch(SWITCHES, world.test_key(), &json!({ "budgetRequests": false })).await;
    assert_eq!(test.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert!(test.body["error"]["message"].as_str().unwrap().ends_with("use a live key"), "{test:?}");
    assert_eq!(world.get(SWITCHES, world.key()).await.data(), usual, "another organisation has its own");
}

/// The audit log shows what an operator has switched, and what was before.
#[tokio::test]
async fn an_operator_switches_for_an_organisation() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let call = async |method: Method, mode: &str, body: &Value| -> ApiAnswer {
        let request = world.request(method, SWITCHES, world.operator());
        send(request.header("scrip-organisation", &org.id).header("scrip-mode", mode).json(body)).await
    };
    let change = json!({ "requireKnownMembers": true });
    assert_eq!(call(Method::PATCH, "live", &change).await.data()["requireKnownMembers"], json!(true));
    assert_eq!(call(Method::PATCH, "test", &change).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert_eq!(world.get(SWITCHES, &org.key).await.data()["requireKnownMembers"], json!(true));
    let log = world.get(&format!("/admin/v1/audit-log?organisationId={}", org.id), world.operator()).await;
    let log = log.data();
    let entry = log.as_array().unwrap().iter().find(|entry| entry["status"] == json!(200)).unwrap();
    let states = ["before", "after"].map(|name| entry[name]["requireKnownMembers"].clone());
    assert_eq!(states, [json!(false), json!(true)], "{entry}");
    // The switch is in force for the operator, too.
    let request = world.request(Method::POST, "/api/v3/credits/consume", world.operator());
    let request = request.header("scrip-organisation", &org.id).header("idempotency-key", unique());
    let refused = send(request.json(&json!({ "operation": "aml.basic", "memberId": "jo" }))).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
}

/// Every request that charges for a member names the field, and says what to do.
#[tokio::test]
async fn an_unknown_member_is_refused_wherever_a_request_names_one() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let invite = async || {
        let invited = json!({ "email": format!("{}@example.com", unique()), "role": "member" });
        world.post("/api/v3/invitations", &org.key, &unique(), &invited).await.created()
    };
    let open = invite().await["invitationId"].as_str().unwrap().replace("inv_", "mem_");
    let routes = |member: &str| {
        let one = json!({ "operation": "aml.basic", "memberId": member });
        let subject = json!({ "operation": "aml.monitoring", "resourceId": unique(), "memberId": member });
        [
            ("/api/v3/credits/consume", "memberId", one.clone()),
            ("/api/v3/credits/quote", "memberId", one.clone()),
            (
                "/api/v3/credits/consume/batch",
                "items[1].memberId",
                json!({ "items": [{ "operation": "aml.basic" }, one] }),
            ),
            (
                "/api/v3/credits/quote",
                "items[1].memberId",
                json!({ "items": [{ "operation": "aml.basic" }, one] }),
            ),
            ("/api/v3/credits/holds", "memberId", json!({ "amount": 1, "memberId": member })),
            ("/api/v3/monitors", "memberId", subject),
        ]
    };
    for (path, _, body) in routes("jo") {
        assert!(world.post(path, &org.key, &unique(), &body).await.status < 300, "off: {path}");
    }
    world.patch(SWITCHES, &org.key, &json!({ "requireKnownMembers": true })).await.data();
    let before = world.balance(&org.key).await;
    for member in ["jo", "mem_x", "mem_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", &open, &org.id] {
        for (path, field, body) in routes(member) {
            let refused = world.post(path, &org.key, &unique(), &body).await;
            assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{path} {member}");
            let problem = refused.body["error"]["details"]["fields"][field].as_str().unwrap().to_owned();
            assert!(problem.contains("GET /api/v3/members"), "{problem}");
        }
    }
    assert_eq!(world.balance(&org.key).await["available"], before["available"]);
    let accept = json!({ "token": invite().await["token"] });
    let joined = world.post_plain("/api/v3/invitations/accept", &accept).await.created();
    for (path, _, body) in routes(joined["memberId"].as_str().unwrap()) {
        assert!(world.post(path, &org.key, &unique(), &body).await.status < 300, "{path}");
    }
    // A request without a member needs none, and a filter names what was charged before.
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    let listed = world.transactions(&org.key, "memberId=jo").await;
    assert_eq!(listed.len(), 4, "{listed:#?}");
    let export = json!({ "format": "csv", "memberId": "jo" });
    assert_eq!(
        world.post("/api/v3/credits/transactions/export", &org.key, &unique(), &export).await.status,
        201
    );
}

/// Five seconds after the answer, a warm function knows of a switch and of a member who was removed. A request that was
/// charged before is still answered.
#[tokio::test]
async fn other_functions_notice_a_switch_and_a_removed_member_within_five_seconds() {
    let process = TestProcess::open("2024-01-15T10:30:00Z".parse().unwrap()).await;
    let (account, key) = process.customer(1_000).await;
    let (here, there) = (process.warm(), process.warm());
    let operator = process.operator().await;
    let member = member(&here, &key).await;
    assert_eq!(consume(&there, &key, "free", "jo").await.0, 201);
    process.pass(10);
    assert_eq!(consume(&there, &key, "free-again", "jo").await.0, 201);
    assert_eq!(set(&here, &key, json!({ "requireKnownMembers": true })).await.0, 200);
    assert_eq!(consume(&here, &key, "at-once", "jo").await.0, 400, "the function that has changed it");
    process.pass(5);
    assert_eq!(consume(&there, &key, "later", "jo").await.0, 400);
    for (name, warm) in [("here", &here), ("there", &there)] {
        assert_eq!(consume(warm, &key, name, &member).await.0, 201);
    }
    process.pass(6);
    let path = format!("{MEMBERS}/{member}");
    assert_eq!(here.call(&ApiRequest::new(Method::DELETE, &path, &key)).await.0, 200);
    let (status, fields) = consume(&here, &key, "removed", &member).await;
    assert_eq!(status, 400, "{fields}");
    process.pass(5);
    assert_eq!(consume(&there, &key, "removed-there", &member).await.0, 400);
    assert_eq!(consume(&there, &key, "there", &member).await.0, 201, "it was charged before");
    // An operator who acts for the organisation has no other way around.
    let body = json!({ "operation": "aml.basic", "memberId": member });
    let warm = process.warm();
    let acting = async |name: &str| {
        let request = http::Request::post("/api/v3/credits/consume")
            .header("authorization", format!("Bearer {operator}"))
            .header("scrip-organisation", account.org.to_string())
            .header("idempotency-key", name)
            .header("content-type", "application/json")
            .body(axum::body::Body::from(body.to_string()));
        warm.send(request.unwrap()).await.0
    };
    assert_eq!(acting("acting").await, 400);
    process.pass(10);
    assert_eq!(acting("acting-still").await, 400);
    assert_eq!(set(&here, &key, json!({ "requireKnownMembers": false })).await.0, 200);
    process.pass(5);
    assert_eq!(acting("acting-free").await, 201);
}

#[tokio::test]
async fn an_organisation_takes_no_requests_for_larger_budgets() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let budget = json!({ "scope": "member", "id": "jo", "limit": 1, "period": "day" });
    let budget = world.post("/api/v3/credits/budgets", &org.key, &unique(), &budget).await.created();
    let body = json!({ "budgetId": budget["budgetId"], "amount": 1 });
    let ask = async || world.post("/api/v3/budget-requests", &org.key, &unique(), &body).await;
    let asked = [ask().await.created(), ask().await.created()];
    world.patch(SWITCHES, &org.key, &json!({ "budgetRequests": false })).await.data();
    let refused = ask().await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("budgetRequests"), "{refused:?}");
    assert_eq!(world.get("/api/v3/budget-requests", &org.key).await.data().as_array().unwrap().len(), 2);
    for (request, answer) in asked.iter().zip(["approve", "decline"]) {
        let path = format!("/api/v3/budget-requests/{}/{answer}", request["requestId"].as_str().unwrap());
        world.post(&path, &org.key, &unique(), &json!({})).await.data();
    }
    world.patch(SWITCHES, &org.key, &json!({ "budgetRequests": true })).await.data();
    ask().await.created();
}
