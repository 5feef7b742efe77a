//! Holds, captures and releases over HTTP.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const HOLDS: &str = "/api/v3/credits/holds";

async fn hold(world: &World, org: &Org, body: Value) -> Value {
    world.post(HOLDS, &org.key, &unique(), &body).await.created()
}

async fn act(world: &World, org: &Org, hold: &Value, (act, name): (&str, &str), body: Value) -> ApiAnswer {
    world.post(&format!("{HOLDS}/{}/{act}", hold["holdId"].as_str().unwrap()), &org.key, name, &body).await
}

async fn hold_now(world: &World, org: &Org, hold: &Value) -> Value {
    world.get(&format!("{HOLDS}/{}", hold["holdId"].as_str().unwrap()), &org.key).await.data()
}

async fn go_to(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

/// Available, held and used.
async fn numbers(world: &World, org: &Org) -> [u64; 3] {
    let balance = world.balance(&org.key).await;
    ["available", "heldCredits", "usedCredits"].map(|name| balance[name].as_u64().unwrap())
}

/// Status, captured and remaining.
fn summary(hold: &Value) -> (String, u64, u64) {
    let number = |name: &str| hold[name].as_u64().unwrap();
    (hold["status"].as_str().unwrap().to_owned(), number("captured"), number("remaining"))
}

#[tokio::test]
async fn a_hold_is_captured_in_parts_and_released() {
    let world = World::at(NOW).await;
    let org = world.open(20).await;
    let body = json!({ "operation": "verification.biometric", "quantity": 4, "resourceId": "verif_1", "expiresInSeconds": 600 });
    let made = hold(&world, &org, body).await;
    assert_eq!((&made["amount"], &made["expiresAt"]), (&json!(12), &json!("2024-01-15T10:40:00Z")));
    assert_eq!(made["sources"], json!([{ "source": "subscription", "lotId": "sub_2024-01", "amount": 12 }]));
    assert_eq!(numbers(&world, &org).await, [8, 12, 0]);
    let first = act(&world, &org, &made, ("capture", "c1"), json!({ "amount": 5 })).await;
    assert_eq!(summary(&first.created()), ("held".into(), 5, 7));
    assert_eq!(numbers(&world, &org).await, [8, 7, 5]);
    let more = act(&world, &org, &made, ("capture", &unique()), json!({ "amount": 8 })).await;
    assert_eq!(more.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(more.body["error"]["details"]["available"], json!(7));
    let second = act(&world, &org, &made, ("capture", "c2"), json!({ "amount": 3 })).await.created();
    assert_eq!(summary(&second), ("held".into(), 8, 4));
    let end = act(&world, &org, &made, ("release", "r1"), json!({})).await.created();
    assert_eq!(summary(&end), ("released".into(), 8, 0));
    assert_eq!(numbers(&world, &org).await, [12, 0, 8]);
    for (what, body) in [("capture", json!({})), ("capture", json!({ "amount": 1 })), ("release", json!({}))]
    {
        let closed = act(&world, &org, &made, (what, &unique()), body).await;
        assert_eq!(closed.failure(), "409 HOLD_CLOSED", "{what}");
        assert_eq!(closed.body["error"]["details"]["status"], json!("released"));
    }
    // Each repeated request gets its first answer, though the hold has moved on.
    let again = act(&world, &org, &made, ("capture", "c1"), json!({ "amount": 5 })).await;
    assert_eq!((again.header("idempotent-replayed"), again.created()), (Some("true"), first.created()));
    assert_eq!(act(&world, &org, &made, ("capture", "c2"), json!({ "amount": 3 })).await.created(), second);
    assert_eq!(act(&world, &org, &made, ("release", "r1"), json!({})).await.created(), end);
    assert_eq!(
        act(&world, &org, &made, ("capture", "c2"), json!({ "amount": 2 })).await.failure(),
        "422 IDEMPOTENCY_KEY_REUSED"
    );
    assert_eq!(hold_now(&world, &org, &made).await, end);
    lines_of(&world, &org, &end).await;
}

/// The rows of the ledger: a debit, captures of 0, a credit; captures are found by their operation.
async fn lines_of(world: &World, org: &Org, end: &Value) {
    let mut lines = world.transactions(&org.key, "limit=4").await;
    lines.truncate(4);
    let short: Vec<_> = lines
        .iter()
        .map(|line| {
            (line["operation"].as_str().unwrap(), line["amount"].as_u64().unwrap(), line["captured"].as_u64())
        })
        .collect();
    assert_eq!(
        short,
        [
            ("credit.release", 4, None),
            ("credit.capture", 0, Some(3)),
            ("credit.capture", 0, Some(5)),
            ("credit.hold", 12, None)
        ]
    );
    let ids: Vec<_> = lines.iter().rev().map(|line| &line["transactionId"]).collect();
    assert_eq!(ids, end["transactionIds"].as_array().unwrap().iter().collect::<Vec<_>>());
    assert!(
        lines.iter().all(|line| line["holdId"] == end["holdId"] && line["resourceId"] == json!("verif_1"))
    );
    let used = world.transactions(&org.key, "operation=verification.biometric").await;
    assert_eq!(used.iter().map(|line| line["captured"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 5]);
    let body =
        json!({ "transactionId": used[1]["transactionId"], "reason": "technical_failure", "amount": 4 });
    let back = world.post("/api/v3/credits/refund", &org.key, &unique(), &body).await.created();
    assert_eq!((&back["balance"]["usedCredits"], &back["balance"]["available"]), (&json!(4), &json!(16)));
}

#[tokio::test]
async fn a_hold_captured_whole_is_closed() {
    let world = World::at(NOW).await;
    let org = world.open(20).await;
    for body in [json!({}), json!({ "amount": 6 })] {
        let made = hold(&world, &org, json!({ "amount": 6 })).await;
        assert_eq!(made["operation"], Value::Null);
        let end = act(&world, &org, &made, ("capture", &unique()), body).await.created();
        assert_eq!(summary(&end), ("captured".into(), 6, 0));
        let closed = act(&world, &org, &made, ("release", &unique()), json!({})).await;
        assert_eq!(
            (closed.failure().as_str(), &closed.body["error"]["details"]["status"]),
            ("409 HOLD_CLOSED", &json!("captured"))
        );
    }
    assert_eq!(numbers(&world, &org).await, [8, 0, 12]);
    let made = hold(&world, &org, json!({ "operation": "applicants.import" })).await;
    let end = act(&world, &org, &made, ("capture", &unique()), json!({})).await.created();
    assert_eq!(summary(&end), ("captured".into(), 0, 0));
}

/// Any request finds an ended hold expired before the scheduler has closed it: a read of the hold, the balance, a
/// debit that needs the credits, a batch, a quote.
#[tokio::test]
async fn any_request_finds_an_ended_hold_expired() {
    for who in ["hold", "capture", "balance", "consume", "batch", "scheduler"] {
        let world = World::at(NOW).await;
        let org = world.open(20).await;
        let made = hold(&world, &org, json!({ "amount": 15, "expiresInSeconds": 60 })).await;
        act(&world, &org, &made, ("capture", &unique()), json!({ "amount": 4 })).await.created();
        let body = json!({ "operation": "verification.standard", "quantity": 16 });
        assert_eq!(world.consume(&org.key, &unique(), &body).await.failure(), "402 INSUFFICIENT_CREDITS");
        let quote =
            async || world.post("/api/v3/credits/quote", &org.key, "", &body).await.data()["allowed"].clone();
        assert_eq!(quote().await, json!(false));
        if who == "scheduler" {
            go_to(&world, "2024-01-15T10:31:00Z").await;
            assert_eq!(
                world.transactions(&org.key, "limit=1").await[0]["operation"],
                json!("credit.release")
            );
            continue;
        }
        world.machine.set_clock_without_scheduler("2024-01-15T10:31:00Z".parse().unwrap()).unwrap();
        assert_eq!(quote().await, json!(true), "{who}");
        assert_eq!(
            world.transactions(&org.key, "limit=1").await[0]["operation"],
            json!("credit.capture"),
            "nothing is written"
        );
        match who {
            "hold" => assert_eq!(summary(&hold_now(&world, &org, &made).await), ("expired".into(), 4, 0)),
            "capture" => {
                let late = act(&world, &org, &made, ("capture", &unique()), json!({})).await;
                assert_eq!(late.failure(), "409 HOLD_CLOSED");
            }
            "consume" => drop(world.consume(&org.key, &unique(), &body).await.created()),
            "batch" => {
                let batch = json!({ "items": [body], "mode": "partial" });
                let path = "/api/v3/credits/consume/batch";
                let answer = world.post(path, &org.key, &unique(), &batch).await.created();
                assert_eq!(answer["results"][0]["status"], json!("approved"));
            }
            _ => (),
        }
        let spent = if ["consume", "batch"].contains(&who) { 16 } else { 0 };
        assert_eq!(numbers(&world, &org).await, [16 - spent, 0, 4 + spent], "{who}");
        let lines = world.transactions(&org.key, "operation=credit.release").await;
        assert_eq!((lines.len(), &lines[0]["amount"]), (1, &json!(11)), "{who}");
    }
}

/// A capture after the end of the month counts in the new month; released credits of the old month are gone.
#[tokio::test]
async fn a_hold_outlives_the_month() {
    let world = World::at("2024-01-31T23:00:00Z").await;
    let org = world.open(10).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 10 })).await;
    let made = hold(&world, &org, json!({ "amount": 14, "expiresInSeconds": 86_400 })).await;
    go_to(&world, "2024-02-01T01:00:00Z").await;
    assert_eq!(numbers(&world, &org).await, [16, 14, 0]);
    act(&world, &org, &made, ("capture", &unique()), json!({ "amount": 6 })).await.created();
    assert_eq!(numbers(&world, &org).await, [16, 8, 6]);
    act(&world, &org, &made, ("release", &unique()), json!({})).await.created();
    let line = &world.transactions(&org.key, "limit=1").await[0];
    assert_eq!(
        (&line["amount"], &line["expired"], &line["balanceAfter"]),
        (&json!(8), &json!(4), &json!(20))
    );
    assert_eq!(numbers(&world, &org).await, [20, 0, 6]);
}

#[tokio::test]
async fn holds_follow_the_rules_of_debits() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    world
        .put(
            &format!("/admin/v1/organisations/{}/post-paid", org.id),
            world.operator(),
            &json!({ "limit": 10 }),
        )
        .await
        .data();
    let made = hold(&world, &org, json!({ "amount": 10 })).await;
    assert_eq!(world.balance(&org.key).await["postPaid"]["outstanding"], json!(10));
    act(&world, &org, &made, ("release", &unique()), json!({})).await.created();
    assert_eq!(world.balance(&org.key).await["postPaid"]["outstanding"], json!(0));
    world.put("/api/v3/subscription", &org.key, &json!({ "plan": "enterprise" })).await.data();
    let made = hold(&world, &org, json!({ "amount": 500 })).await;
    act(&world, &org, &made, ("capture", &unique()), json!({ "amount": 200 })).await.created();
    act(&world, &org, &made, ("release", &unique()), json!({})).await.created();
    assert_eq!(numbers(&world, &org).await, [0, 0, 200]);
    let made = hold(&world, &org, json!({ "amount": 5 })).await;
    let freeze = format!("/admin/v1/organisations/{}/freeze", org.id);
    world.post(&freeze, world.operator(), &unique(), &json!({ "reason": "A stolen card" })).await.data();
    let refused = world.post(HOLDS, &org.key, &unique(), &json!({ "amount": 1 })).await;
    assert_eq!(refused.failure(), "403 ORGANISATION_FROZEN");
    let refused = act(&world, &org, &made, ("capture", &unique()), json!({})).await;
    assert_eq!(refused.failure(), "403 ORGANISATION_FROZEN");
    assert_eq!(summary(&hold_now(&world, &org, &made).await), ("held".into(), 0, 5), "nothing is reserved");
    act(&world, &org, &made, ("release", &unique()), json!({})).await.created();
    assert_eq!(numbers(&world, &org).await, [0, 0, 200]);
}

#[tokio::test]
async fn an_invalid_request_is_refused() {
    let world = World::at(NOW).await;
    let org = world.open(20).await;
    for (body, field) in [
        (json!({}), "operation"),
        (json!({ "operation": "aml.pep", "amount": 1 }), "amount"),
        (json!({ "amount": 1, "quantity": 2 }), "quantity"),
        (json!({ "amount": 0 }), "amount"),
        (json!({ "amount": 1, "expiresInSeconds": 0 }), "expiresInSeconds"),
        (json!({ "amount": 1, "expiresInSeconds": 2_678_401 }), "expiresInSeconds"),
        (json!({ "amount": 1, "dedupe": {} }), "dedupe"),
    ] {
        let refused = world.post(HOLDS, &org.key, &unique(), &body).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{body}: {:?}", refused.body);
    }
    let unknown = world.post(HOLDS, &org.key, &unique(), &json!({ "operation": "nope" })).await;
    assert_eq!(unknown.failure(), "400 UNKNOWN_OPERATION");
    let made = hold(&world, &org, json!({ "amount": 1, "expiresInSeconds": 2_678_400 })).await;
    let other = world.open(20).await;
    for id in [made["holdId"].as_str().unwrap(), "hold_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "hold_1"] {
        assert_eq!(world.get(&format!("{HOLDS}/{id}"), &other.key).await.failure(), "404 NOT_FOUND");
        let foreign = json!({ "holdId": id });
        for what in ["capture", "release"] {
            assert_eq!(
                act(&world, &other, &foreign, (what, &unique()), json!({})).await.failure(),
                "404 NOT_FOUND"
            );
        }
    }
    let paid = world.consume(&org.key, &unique(), &json!({ "operation": "aml.pep" })).await.created();
    let id = paid["transactionId"].as_str().unwrap().replace("txn_", "hold_");
    assert_eq!(world.get(&format!("{HOLDS}/{id}"), &org.key).await.failure(), "404 NOT_FOUND");
}

/// More ended holds than one request closes: a debit that needs them all is to be repeated, and each repeat closes
/// two more, the largest first.
#[tokio::test]
async fn many_ended_holds_are_closed_step_by_step() {
    let world = World::at(NOW).await;
    let org = world.open(60).await;
    for _ in 0..20 {
        hold(&world, &org, json!({ "amount": 1, "expiresInSeconds": 60 })).await;
    }
    hold(&world, &org, json!({ "amount": 40, "expiresInSeconds": 60 })).await;
    world.machine.set_clock_without_scheduler("2024-01-15T10:31:00Z".parse().unwrap()).unwrap();
    let body = json!({ "operation": "verification.standard", "quantity": 60 });
    assert_eq!(world.post("/api/v3/credits/quote", &org.key, "", &body).await.data()["allowed"], json!(true));
    let answer = world.consume(&org.key, "all", &body).await;
    assert_eq!(
        (answer.failure().as_str(), answer.header("retry-after")),
        ("409 OPERATION_IN_PROGRESS", Some("1"))
    );
    let large = json!({ "operation": "verification.standard", "quantity": 40 });
    world.consume(&org.key, "large", &large).await.created();
    assert_eq!(numbers(&world, &org).await, [20, 0, 40]);
    let body = json!({ "operation": "verification.standard", "quantity": 20 });
    let mut sent = 1;
    while world.consume(&org.key, "rest", &body).await.status != 201 {
        sent += 1;
    }
    // The first consume closed two holds besides the large one, the balance two, and each request after it two.
    assert!(sent <= 9, "{sent}");
    assert_eq!(numbers(&world, &org).await, [0, 0, 60]);
}

/// Credits of an ended hold are available once it is closed. A debit that needs them closes it; any other is paid
/// from available credits, in the order of consumption, and a quote says the same.
#[tokio::test]
async fn returned_credits_are_spent_in_order() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 10 })).await;
    hold(&world, &org, json!({ "amount": 10, "expiresInSeconds": 60 })).await;
    world.machine.set_clock_without_scheduler("2024-01-15T10:31:00Z".parse().unwrap()).unwrap();
    for (quantity, source) in [(3, "purchased"), (9, "subscription")] {
        let body = json!({ "operation": "verification.standard", "quantity": quantity });
        let quote = world.post("/api/v3/credits/quote", &org.key, "", &body).await.data();
        let paid = world.consume(&org.key, &unique(), &body).await.created();
        assert_eq!(paid["sources"][0]["source"], json!(source));
        assert_eq!(
            (&quote["sources"], &quote["balanceAfter"]),
            (&paid["sources"], &paid["balance"]["available"])
        );
    }
}
