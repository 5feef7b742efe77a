//! Budgets: what they count when holds and refunds cross days, and what they refuse to be.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const BUDGETS: &str = "/api/v3/credits/budgets";
const REQUESTS: &str = "/api/v3/budget-requests";
const TEAMS: &str = "/api/v3/teams";
const DAY: u64 = 86_400;

async fn world() -> (World, Org) {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    (world, org)
}

async fn post(world: &World, org: &Org, path: &str, body: Value) -> ApiAnswer {
    world.post(path, &org.key, &unique(), &body).await
}

async fn budget(world: &World, org: &Org, body: Value) -> String {
    let made = post(world, org, BUDGETS, body).await.created();
    format!("{BUDGETS}/{}", made["budgetId"].as_str().unwrap())
}

async fn used(world: &World, org: &Org, budget: &str) -> u64 {
    world.get(budget, &org.key).await.data()["used"].as_u64().unwrap()
}

async fn hold(world: &World, org: &Org, body: Value) -> String {
    let held = post(world, org, "/api/v3/credits/holds", body).await.created();
    format!("/api/v3/credits/holds/{}", held["holdId"].as_str().unwrap())
}

async fn end(world: &World, org: &Org, path: &str, body: Value) -> Value {
    let ended = post(world, org, path, body).await.created();
    world.settle().await;
    ended
}

/// What a hold of yesterday does not need makes room in the month, not in today, which has not counted it.
#[tokio::test]
async fn a_release_makes_room_in_the_periods_that_counted_the_hold() {
    let (world, org) = world().await;
    let day = budget(&world, &org, json!({ "scope": "organisation", "limit": 100, "period": "day" })).await;
    let month =
        budget(&world, &org, json!({ "scope": "organisation", "limit": 200, "period": "month" })).await;
    let both = async || (used(&world, &org, &day).await, used(&world, &org, &month).await);
    let held = hold(&world, &org, json!({ "amount": 60, "expiresInSeconds": 3 * DAY })).await;
    world.pass(DAY).await;
    let debit = json!({ "operation": "aml.basic", "quantity": 20 });
    world.consume(&org.key, &unique(), &debit).await.created();
    assert_eq!(both().await, (20, 80));
    end(&world, &org, &format!("{held}/release"), json!({})).await;
    assert_eq!(both().await, (20, 20));
}

/// Credits that a capture has spent were counted with its hold, and come back to the budgets of the hold.
#[tokio::test]
async fn a_refund_of_a_capture_makes_room_where_the_hold_was_counted() {
    let (world, org) = world().await;
    let kyc = json!({ "scope": "operation", "id": "verification.standard", "limit": 100, "period": "day" });
    let kyc = budget(&world, &org, kyc).await;
    let jo =
        budget(&world, &org, json!({ "scope": "member", "id": "jo", "limit": 100, "period": "day" })).await;
    let both = async || (used(&world, &org, &kyc).await, used(&world, &org, &jo).await);
    let body = json!({ "operation": "verification.standard", "quantity": 30, "memberId": "jo" });
    let held = hold(&world, &org, body).await;
    assert_eq!(both().await, (30, 30));
    let captured = end(&world, &org, &format!("{held}/capture"), json!({ "amount": 10 })).await;
    let captured = captured["transactionIds"].as_array().unwrap().last().unwrap();
    end(&world, &org, &format!("{held}/release"), json!({})).await;
    assert_eq!(both().await, (10, 10));
    let refund = json!({ "transactionId": captured, "reason": "technical_failure", "amount": 4 });
    end(&world, &org, "/api/v3/credits/refund", refund).await;
    assert_eq!(both().await, (6, 6));
}

/// Two limits of one request: the operation of a hold is counted like that of a debit, and refused like it.
#[tokio::test]
async fn a_hold_is_refused_by_the_budget_of_its_operation() {
    let (world, org) = world().await;
    let body = json!({ "scope": "operation", "id": "verification.standard", "limit": 5, "period": "day" });
    let kyc = budget(&world, &org, body).await;
    let body = |quantity: u64| json!({ "operation": "verification.standard", "quantity": quantity });
    let refused = post(&world, &org, "/api/v3/credits/holds", body(6)).await;
    assert_eq!(refused.failure(), "403 BUDGET_EXCEEDED");
    assert_eq!(refused.body["error"]["details"]["required"], json!(6));
    hold(&world, &org, body(5)).await;
    hold(&world, &org, json!({ "operation": "aml.basic", "quantity": 6 })).await;
    assert_eq!(used(&world, &org, &kyc).await, 5);
}

#[tokio::test]
async fn a_deleted_budget_shows_what_it_had_counted() {
    let (world, org) = world().await;
    let all = budget(&world, &org, json!({ "scope": "organisation", "limit": 9, "period": "once" })).await;
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic", "quantity": 7 })).await.created();
    let deleted = world.delete(&all, &org.key).await.data();
    assert_eq!(
        (&deleted["used"], &deleted["limit"], &deleted["resetsAt"]),
        (&json!(7), &json!(9), &Value::Null)
    );
    assert_eq!(world.get(&all, &org.key).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.delete(&all, &org.key).await.failure(), "404 NOT_FOUND");
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic", "quantity": 7 })).await.created();
}

/// Each of these leaves nothing behind, and says what is wrong.
#[tokio::test]
async fn what_a_budget_cannot_be() {
    let (world, org) = world().await;
    let other = "team_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA";
    for (changed, expected) in [
        (json!({ "scope": "organisation", "id": "x" }), "400 VALIDATION_ERROR"),
        (json!({ "scope": "member" }), "400 VALIDATION_ERROR"),
        (json!({ "scope": "team", "id": "team_1" }), "400 VALIDATION_ERROR"),
        (json!({ "scope": "team", "id": other }), "400 VALIDATION_ERROR"),
        (json!({ "scope": "key", "id": "mine" }), "400 VALIDATION_ERROR"),
        (json!({ "scope": "service", "id": "smart" }), "400 VALIDATION_ERROR"),
        (json!({ "scope": "operation", "id": "no.such" }), "400 UNKNOWN_OPERATION"),
        (json!({ "only": { "operation": "no.such" } }), "400 UNKNOWN_OPERATION"),
        (json!({ "only": {} }), "400 VALIDATION_ERROR"),
        (json!({ "only": { "category": "aml", "service": "api" } }), "400 VALIDATION_ERROR"),
        (json!({ "limit": 1_000_000_000_001_u64 }), "400 VALIDATION_ERROR"),
        (json!({ "limit": -1 }), "400 VALIDATION_ERROR"),
        (json!({ "period": "year" }), "400 VALIDATION_ERROR"),
        (json!({ "action": "warn" }), "400 VALIDATION_ERROR"),
        (json!({ "alertAt": [0] }), "400 VALIDATION_ERROR"),
        (json!({ "alertAt": [101] }), "400 VALIDATION_ERROR"),
        (json!({ "alertAt": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11] }), "400 VALIDATION_ERROR"),
    ] {
        let mut body = json!({ "scope": "organisation", "limit": 10, "period": "day" });
        body.as_object_mut().unwrap().extend(changed.as_object().unwrap().clone());
        assert_eq!(post(&world, &org, BUDGETS, body).await.failure(), expected, "{changed}");
    }
    assert_eq!(world.get(BUDGETS, &org.key).await.data(), json!([]));
}

#[tokio::test]
async fn teams_hold_each_member_once_and_stay_while_they_have_budgets() {
    let (world, org) = world().await;
    let named = |members: Vec<String>| json!({ "name": "Own", "members": members });
    let many = |count: usize| (0..count).map(|number| format!("m{number}")).collect::<Vec<_>>();
    let refused = post(&world, &org, TEAMS, named(many(91))).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "91 members at once");
    let team = post(&world, &org, TEAMS, named(many(90))).await.created();
    let path = format!("{TEAMS}/{}", team["teamId"].as_str().unwrap());
    let refused = post(&world, &org, TEAMS, named(vec!["m89".to_owned()])).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "in another team");
    // What was refused has moved no member: another team still cannot have them, and their own still can.
    assert_eq!(world.get(TEAMS, &org.key).await.data().as_array().unwrap().len(), 1);
    let grown = json!({ "members": many(120) });
    assert_eq!(world.patch(&path, &org.key, &grown).await.data()["members"].as_array().unwrap().len(), 120);
    let refused = world.patch(&path, &org.key, &json!({ "members": [] })).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "120 leave at once");
    assert_eq!(world.delete(&path, &org.key).await.failure(), "400 VALIDATION_ERROR");
    let body = json!({ "scope": "team", "id": team["teamId"], "limit": 5, "period": "day" });
    let own = budget(&world, &org, body.clone()).await;
    world.patch(&path, &org.key, &json!({ "members": ["m0"] })).await.failure();
    world.patch(&path, &org.key, &json!({ "members": many(60) })).await.data();
    assert_eq!(world.delete(&path, &org.key).await.failure(), "409 CONFLICT", "it has a budget");
    let debit = |member: &str| json!({ "operation": "aml.basic", "quantity": 6, "memberId": member });
    assert_eq!(world.consume(&org.key, &unique(), &debit("m0")).await.failure(), "403 BUDGET_EXCEEDED");
    world.consume(&org.key, &unique(), &debit("m60")).await.created();
    world.delete(&own, &org.key).await.data();
    world.delete(&path, &org.key).await.data();
    assert_eq!(post(&world, &org, BUDGETS, body).await.failure(), "400 VALIDATION_ERROR", "no such team");
    post(&world, &org, TEAMS, named(vec!["m0".to_owned()])).await.created();
}

/// Twelve budgets of a subject and not one more; pages of all budgets are complete and without repetition.
#[tokio::test]
async fn budgets_are_listed_page_by_page() {
    let (world, org) = world().await;
    let of = |level: &str, id: &str| json!({ "scope": level, "id": id, "limit": 10, "period": "day" });
    let mut made = vec![];
    for _ in 0..12 {
        made.push(budget(&world, &org, of("member", "jo")).await);
    }
    assert_eq!(post(&world, &org, BUDGETS, of("member", "jo")).await.failure(), "409 CONFLICT");
    for number in 0..9 {
        made.push(budget(&world, &org, of("customer", &format!("c{number}"))).await);
    }
    let mut seen = vec![];
    let mut path = format!("{BUDGETS}?limit=3");
    loop {
        let page = world.get(&path, &org.key).await;
        let budgets = page.data();
        let ids = budgets.as_array().unwrap().iter();
        seen.extend(ids.map(|budget| format!("{BUDGETS}/{}", budget["budgetId"].as_str().unwrap())));
        let Some(next) = page.body["meta"]["pagination"]["nextCursor"].as_str() else { break };
        path = format!("{BUDGETS}?limit=3&cursor={next}");
        assert!(seen.len() <= made.len(), "a budget is listed twice");
    }
    seen.sort_unstable();
    made.sort_unstable();
    assert_eq!(seen, made);
    let own = world.get(&format!("{BUDGETS}?scope=member&id=jo"), &org.key).await.data();
    assert_eq!(own.as_array().unwrap().len(), 12);
    assert_eq!(world.get(&format!("{BUDGETS}?id=jo"), &org.key).await.failure(), "400 VALIDATION_ERROR");
}

/// An approval is given once: the same one again is answered as before, another one is refused, and neither raises twice.
#[tokio::test]
async fn an_approval_is_given_once_and_says_until_when() {
    let (world, org) = world().await;
    let week = budget(&world, &org, json!({ "scope": "organisation", "limit": 10, "period": "week" })).await;
    let id = week.rsplit('/').next().unwrap().to_owned();
    let mut limit = 10;
    for (until, ends, effective) in [
        ("day", json!("2024-01-16T10:30:00Z"), 15),
        ("reset", json!("2024-01-22T00:00:00Z"), 20),
        ("never", Value::Null, 25),
    ] {
        let asked = post(&world, &org, REQUESTS, json!({ "budgetId": id, "amount": 5 })).await.created();
        let approve = format!("{REQUESTS}/{}/approve", asked["requestId"].as_str().unwrap());
        let body = json!({ "amount": 5, "until": until });
        let first = post(&world, &org, &approve, body.clone()).await.data();
        assert_eq!((&first["approved"], &first["until"]), (&json!(5), &ends), "{until}");
        assert_eq!(post(&world, &org, &approve, body).await.data()["until"], ends, "the same again");
        let others = ["day", "reset", "never"].into_iter().filter(|other| *other != until);
        for other in
            others.map(|other| json!({ "until": other })).chain([json!({ "amount": 7, "until": until })])
        {
            assert_eq!(
                post(&world, &org, &approve, other.clone()).await.failure(),
                "409 CONFLICT",
                "{other}"
            );
        }
        if until == "never" {
            limit += 5;
        }
        let now = world.get(&week, &org.key).await.data();
        assert_eq!((&now["limit"], &now["effectiveLimit"]), (&json!(limit), &json!(effective)), "{until}");
    }
}

/// The longest name that a customer may have, in characters that take four bytes each.
#[tokio::test]
async fn a_customer_of_the_longest_name_has_a_budget() {
    let (world, org) = world().await;
    let name = "\u{1f7e6}".repeat(255);
    let own = json!({ "scope": "customer", "id": name, "limit": 3, "period": "day" });
    let own = budget(&world, &org, own).await;
    let debit = |quantity: u64| json!({ "operation": "aml.basic", "quantity": quantity, "customerId": name });
    world.consume(&org.key, &unique(), &debit(3)).await.created();
    assert_eq!(world.consume(&org.key, &unique(), &debit(1)).await.failure(), "403 BUDGET_EXCEEDED");
    assert_eq!(used(&world, &org, &own).await, 3);
}

/// A budget that never resets is raised for a day or for good, and a budget that could count nothing is refused.
#[tokio::test]
async fn a_budget_says_what_it_can_be_asked_for() {
    let (world, org) = world().await;
    let body = json!({ "scope": "customer", "id": "c", "limit": 4, "period": "once", "only": { "category": "aml" } });
    let once = budget(&world, &org, body).await;
    let debit = json!({ "operation": "aml.basic", "quantity": 5, "customerId": "c" });
    let refused = world.consume(&org.key, &unique(), &debit).await;
    let message = refused.body["error"]["message"].as_str().unwrap();
    let expected = "a budget of the customer `c` for the category `aml` allows 4 credits in all, 0 are used";
    assert!(message.starts_with(expected), "{message}");
    let ask = async || {
        let body = json!({ "budgetId": once.rsplit('/').next().unwrap(), "amount": 3 });
        let asked = post(&world, &org, REQUESTS, body).await.created();
        format!("{REQUESTS}/{}/approve", asked["requestId"].as_str().unwrap())
    };
    let path = ask().await;
    assert_eq!(
        post(&world, &org, &path, json!({ "until": "reset" })).await.failure(),
        "400 VALIDATION_ERROR"
    );
    let approved = post(&world, &org, &path, json!({})).await.data();
    assert_eq!(approved["until"], Value::Null, "for good");
    assert_eq!(world.get(&once, &org.key).await.data()["limit"], json!(7));
    world.consume(&org.key, &unique(), &debit).await.created();
    for only in [json!({ "operation": "aml.pep" }), json!({ "category": "kyt" })] {
        let body =
            json!({ "scope": "operation", "id": "aml.basic", "limit": 4, "period": "day", "only": only });
        let status = post(&world, &org, BUDGETS, body).await.status;
        assert_eq!(status == 400, only["operation"].is_string(), "{only}");
    }
}
