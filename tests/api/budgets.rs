//! Budgets: what they refuse, what they count, and what comes back.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const BUDGETS: &str = "/api/v3/credits/budgets";
const REQUESTS: &str = "/api/v3/budget-requests";

async fn budget(world: &World, org: &Org, body: Value) -> Value {
    world.post(BUDGETS, &org.key, &unique(), &body).await.created()
}

async fn read(world: &World, org: &Org, budget: &Value) -> Value {
    let path = format!("{BUDGETS}/{}", budget["budgetId"].as_str().unwrap());
    world.get(&path, &org.key).await.data()
}

async fn used(world: &World, org: &Org, budget: &Value) -> u64 {
    read(world, org, budget).await["used"].as_u64().unwrap()
}

/// Charges `quantity` credits for a member.
async fn spend(world: &World, org: &Org, member: &str, quantity: u64) -> ApiAnswer {
    let body = json!({ "operation": "aml.basic", "quantity": quantity, "memberId": member });
    world.consume(&org.key, &unique(), &body).await
}

#[tokio::test]
async fn a_budget_refuses_what_exceeds_it_and_says_which() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let made =
        budget(&world, &org, json!({ "scope": "member", "id": "jo", "limit": 10, "period": "day" })).await;
    assert_eq!(
        (&made["scope"], &made["id"], &made["limit"], &made["action"], &made["alertAt"], &made["resetsAt"]),
        (
            &json!("member"),
            &json!("jo"),
            &json!(10),
            &json!("block"),
            &json!([50, 80, 100]),
            &json!("2024-01-16T00:00:00Z")
        )
    );
    spend(&world, &org, "jo", 7).await.created();
    let refused = spend(&world, &org, "jo", 4).await;
    assert_eq!(refused.failure(), "403 BUDGET_EXCEEDED");
    let details = &refused.body["error"]["details"];
    assert_eq!(
        *details,
        json!({
            "budgetId": made["budgetId"], "scope": "member", "id": "jo", "limit": 10, "used": 7, "remaining": 3,
            "required": 4, "resetsAt": "2024-01-16T00:00:00Z", "raisedBy": details["raisedBy"], "mend": details["mend"],
        })
    );
    // What fits still passes, others are not limited, and a refused request has charged nothing.
    spend(&world, &org, "kim", 50).await.created();
    spend(&world, &org, "jo", 3).await.created();
    assert_eq!(spend(&world, &org, "jo", 1).await.failure(), "403 BUDGET_EXCEEDED");
    assert_eq!(used(&world, &org, &made).await, 10);
    let balance = world.get("/api/v3/credits/balance", &org.key).await.data();
    assert_eq!(balance["available"], json!(940));
    // On the next day there is room again.
    world.pass(14 * 3_600).await;
    spend(&world, &org, "jo", 10).await.created();
    assert_eq!(read(&world, &org, &made).await["resetsAt"], json!("2024-01-17T00:00:00Z"));
}

#[tokio::test]
async fn the_same_request_succeeds_once_there_is_room_and_is_then_replayed() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let made = budget(&world, &org, json!({ "scope": "organisation", "limit": 1, "period": "month" })).await;
    let (name, body) = (unique(), json!({ "operation": "aml.basic", "quantity": 3 }));
    assert_eq!(world.consume(&org.key, &name, &body).await.failure(), "403 BUDGET_EXCEEDED");
    let path = format!("{BUDGETS}/{}", made["budgetId"].as_str().unwrap());
    world.patch(&path, &org.key, &json!({ "limit": 3 })).await.data();
    let first = world.consume(&org.key, &name, &body).await.created();
    let again = world.consume(&org.key, &name, &body).await;
    assert_eq!(
        (again.header("idempotent-replayed"), &again.data()["transactionId"]),
        (Some("true"), &first["transactionId"])
    );
    assert_eq!(used(&world, &org, &made).await, 3);
}

#[tokio::test]
async fn every_level_counts_and_the_widest_without_room_is_named() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let team = world
        .post("/api/v3/teams", &org.key, &unique(), &json!({ "name": "A", "members": ["jo", "kim"] }))
        .await;
    let team = team.created()["teamId"].clone();
    let key = world.get("/api/v3/api-keys", &org.key).await.data()[0]["keyId"].clone();
    let mut budgets = vec![];
    for (scope, id, limit) in [
        ("organisation", Value::Null, 60),
        ("team", team.clone(), 50),
        ("member", json!("jo"), 40),
        ("key", key, 70),
        ("customer", json!("acme"), 30),
        ("service", json!("smartcheck"), 20),
        ("operation", json!("aml.basic"), 80),
    ] {
        budgets.push(
            budget(&world, &org, json!({ "scope": scope, "id": id, "limit": limit, "period": "month" }))
                .await,
        );
    }
    let charge = async |quantity: u64, member: &str, customer: &str, service: Option<&str>| {
        let body = json!({
            "operation": "aml.basic", "quantity": quantity, "memberId": member, "customerId": customer, "service": service,
        });
        world.consume(&org.key, &unique(), &body).await
    };
    charge(20, "jo", "acme", Some("smartcheck")).await.created();
    let counts = async || {
        let mut counts = vec![];
        for budget in &budgets {
            counts.push(used(&world, &org, budget).await);
        }
        counts
    };
    assert_eq!(counts().await, [20; 7]);
    for (quantity, member, customer, service, named) in [
        (41, "jo", "acme", Some("smartcheck"), "organisation"),
        (31, "jo", "acme", Some("smartcheck"), "team"),
        (21, "jo", "acme", Some("smartcheck"), "member"),
        (11, "jo", "acme", Some("smartcheck"), "customer"),
        (1, "jo", "acme", Some("smartcheck"), "service"),
        (31, "kim", "other", None, "team"),
    ] {
        let refused = charge(quantity, member, customer, service).await;
        assert_eq!(
            (refused.failure().as_str(), &refused.body["error"]["details"]["scope"]),
            ("403 BUDGET_EXCEEDED", &json!(named)),
            "{quantity} for {member}"
        );
    }
    // Nothing is left of what was refused.
    assert_eq!(counts().await, [20; 7]);
    charge(10, "kim", "other", None).await.created();
    assert_eq!(counts().await, [30, 30, 20, 30, 20, 20, 30]);
    // A member that leaves a team is not counted by it.
    let path = format!("/api/v3/teams/{}", team.as_str().unwrap());
    world.patch(&path, &org.key, &json!({ "members": ["jo"] })).await.data();
    charge(10, "kim", "other", None).await.created();
    assert_eq!(counts().await, [40, 30, 20, 40, 20, 20, 40]);
}

#[tokio::test]
async fn what_comes_back_makes_room_in_the_period_that_counted_it() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let day = budget(&world, &org, json!({ "scope": "organisation", "limit": 100, "period": "day" })).await;
    let month =
        budget(&world, &org, json!({ "scope": "organisation", "limit": 200, "period": "month" })).await;
    let both = async || (used(&world, &org, &day).await, used(&world, &org, &month).await);
    let body = json!({ "operation": "aml.basic", "quantity": 40, "settleBy": "2024-01-15T12:00:00Z" });
    let debit = world.consume(&org.key, &unique(), &body).await.created();
    let debit = debit["transactionId"].as_str().unwrap().to_owned();
    let hold = async |amount: u64| {
        let held =
            world.post("/api/v3/credits/holds", &org.key, &unique(), &json!({ "amount": amount })).await;
        held.created()["holdId"].as_str().unwrap().to_owned()
    };
    let first = hold(30).await;
    assert_eq!(both().await, (70, 70));
    let end = async |hold: &str, how: &str, body: Value| {
        world
            .post(&format!("/api/v3/credits/holds/{hold}/{how}"), &org.key, &unique(), &body)
            .await
            .created();
        world.settle().await;
    };
    // A capture counts nothing more; what is released comes back.
    end(&first, "capture", json!({ "amount": 10 })).await;
    assert_eq!(both().await, (70, 70));
    end(&first, "release", json!({})).await;
    assert_eq!(both().await, (50, 50));
    let refund = json!({ "transactionId": debit, "reason": "canceled_verification", "note": "as agreed", "amount": 15 });
    let path = format!("/admin/v1/organisations/{}/refunds", org.id);
    world.post(&path, world.operator(), &unique(), &refund).await.created();
    world.settle().await;
    assert_eq!(both().await, (35, 35));
    let path = format!("/api/v3/credits/transactions/{debit}/fail");
    world.post(&path, &org.key, &unique(), &json!({})).await.created();
    world.settle().await;
    assert_eq!(both().await, (10, 10));
    // A hold of one day that is released on the next: only the month has it still.
    let second = hold(60).await;
    assert_eq!(both().await, (70, 70));
    world.pass(14 * 3_600).await;
    world.settle().await;
    assert_eq!(both().await, (0, 10), "the hold has ended meanwhile");
    let third = hold(60).await;
    world.settle().await;
    assert_eq!(both().await, (60, 70), "{second} {third}");
}

#[tokio::test]
async fn a_batch_is_counted_item_by_item() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let jo =
        budget(&world, &org, json!({ "scope": "member", "id": "jo", "limit": 10, "period": "day" })).await;
    let all = budget(&world, &org, json!({ "scope": "organisation", "limit": 20, "period": "day" })).await;
    let aml = budget(
        &world,
        &org,
        json!({ "scope": "organisation", "only": { "category": "aml" }, "limit": 100, "period": "day" }),
    )
    .await;
    let item = |operation: &str, quantity: u64, member: &str| json!({ "operation": operation, "quantity": quantity, "memberId": member });
    let batch = async |items: Value| {
        world.post("/api/v3/credits/consume/batch", &org.key, &unique(), &json!({ "items": items })).await
    };
    let three = json!([
        item("aml.basic", 4, "jo"),
        item("aml.basic", 3, "kim"),
        item("verification.standard", 5, "jo")
    ]);
    batch(three).await.created();
    let counts = async || {
        [used(&world, &org, &jo).await, used(&world, &org, &all).await, used(&world, &org, &aml).await]
    };
    assert_eq!(counts().await, [9, 12, 7]);
    let refused = batch(json!([item("aml.basic", 1, "kim"), item("aml.basic", 2, "jo")])).await;
    assert_eq!(refused.body["error"]["details"]["scope"], json!("member"), "{refused:?}");
    let refused = batch(json!([item("aml.basic", 8, "kim"), item("aml.basic", 1, "jo")])).await;
    assert_eq!(refused.body["error"]["details"]["scope"], json!("organisation"), "{refused:?}");
    assert_eq!(counts().await, [9, 12, 7]);
    // One line of a batch comes back to the budgets that have counted that line.
    let page = world.get("/api/v3/credits/transactions?memberId=kim", &org.key).await.data();
    let line = page[0]["transactionId"].as_str().unwrap();
    let refund = json!({ "transactionId": line, "reason": "canceled_verification", "note": "as agreed" });
    let answer = world
        .post(&format!("/admin/v1/organisations/{}/refunds", org.id), world.operator(), &unique(), &refund)
        .await;
    assert!(answer.status < 300, "{answer:?}");
    world.settle().await;
    assert_eq!(counts().await, [9, 9, 4]);
}

#[tokio::test]
async fn thresholds_are_announced_once_a_period() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let body = json!({ "scope": "member", "id": "jo", "limit": 10, "period": "day", "action": "alert" });
    budget(&world, &org, body).await;
    let mut told = vec![];
    for quantity in [4, 1, 1, 3, 4, 20] {
        spend(&world, &org, "jo", quantity).await.created();
        world.settle().await;
    }
    world.pass(14 * 3_600).await;
    spend(&world, &org, "jo", 8).await.created();
    world.settle().await;
    let events = world.get("/api/v3/events?after=0&limit=100", &org.key).await.data();
    for event in events.as_array().unwrap().iter().filter(|event| event["event"] == "budget.reached") {
        tests::assert_event(event);
        told.push((event["data"]["percent"].as_u64().unwrap(), event["data"]["used"].as_u64().unwrap()));
    }
    assert_eq!(told, [(50, 5), (80, 9), (100, 13), (80, 8)]);
}

#[tokio::test]
async fn a_member_asks_for_more_and_the_raise_ends_by_itself() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    let body = json!({ "mode": "live", "scopes": ["credits:read", "credits:consume"] });
    let staff = world.post("/api/v3/api-keys", &org.key, &unique(), &body).await.created();
    let staff = staff["key"].as_str().unwrap();
    let made =
        budget(&world, &org, json!({ "scope": "member", "id": "jo", "limit": 10, "period": "day" })).await;
    spend(&world, &org, "jo", 10).await.created();
    let ask = async |amount: u64| {
        let body = json!({ "budgetId": made["budgetId"], "amount": amount, "reason": "Month-end checks" });
        let asked = world.post(REQUESTS, staff, &unique(), &body).await.created();
        format!("{REQUESTS}/{}", asked["requestId"].as_str().unwrap())
    };
    let first = ask(5).await;
    let approve = format!("{first}/approve");
    assert_eq!(
        world.post(&approve, staff, &unique(), &json!({})).await.failure(),
        "403 INSUFFICIENT_PERMISSIONS"
    );
    let approved = world.post(&approve, &org.key, &unique(), &json!({})).await.data();
    assert_eq!(
        (&approved["status"], &approved["approved"], &approved["until"]),
        (&json!("approved"), &json!(5), &json!("2024-01-16T00:00:00Z"))
    );
    // An answer is given once; the same answer again changes nothing.
    world.post(&approve, &org.key, &unique(), &json!({})).await.data();
    assert_eq!(read(&world, &org, &made).await["effectiveLimit"], json!(15));
    let decline = world.post(&format!("{first}/decline"), &org.key, &unique(), &json!({})).await;
    assert_eq!(decline.failure(), "409 CONFLICT");
    spend(&world, &org, "jo", 5).await.created();
    let refused = spend(&world, &org, "jo", 1).await;
    assert_eq!(refused.body["error"]["details"]["limit"], json!(15));
    let second = ask(100).await;
    let declined = world.post(&format!("{second}/decline"), &org.key, &unique(), &json!({})).await.data();
    assert_eq!(declined["status"], json!("declined"));
    let third = ask(7).await;
    let body = json!({ "amount": 2, "until": "never" });
    world.post(&format!("{third}/approve"), &org.key, &unique(), &body).await.data();
    let now = read(&world, &org, &made).await;
    assert_eq!((&now["limit"], &now["effectiveLimit"]), (&json!(12), &json!(17)));
    world.pass(14 * 3_600).await;
    let now = read(&world, &org, &made).await;
    assert_eq!((&now["effectiveLimit"], &now["raises"], &now["used"]), (&json!(12), &json!([]), &json!(0)));
    let listed = world.get(REQUESTS, &org.key).await.data();
    let mut statuses: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| one["status"].as_str().unwrap()).collect();
    // The clock stands still, so they are in no order.
    statuses.sort_unstable();
    assert_eq!(statuses, ["approved", "approved", "declined"]);
    the_feed_has(&world, &org).await;
}

/// Each request and each answer is an event.
async fn the_feed_has(world: &World, org: &Org) {
    world.settle().await;
    let events = world.get("/api/v3/events?after=0&limit=100", &org.key).await.data();
    let names: Vec<_> = events
        .as_array()
        .unwrap()
        .iter()
        .filter(|event| event["event"].as_str().unwrap().starts_with("budget.request"))
        .map(|event| {
            tests::assert_event(event);
            event["event"].as_str().unwrap()
        })
        .collect();
    assert_eq!(
        names,
        [
            "budget.requested",
            "budget.request_approved",
            "budget.requested",
            "budget.request_declined",
            "budget.requested",
            "budget.request_approved"
        ]
    );
}
