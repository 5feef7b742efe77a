//! Monitors: a monthly charge for a subject, suspended while it cannot be paid.

use serde_json::{Value, json};
use tests::{ApiAnswer, Org, World, unique};

async fn watch(world: &World, key: &str, resource: &str) -> ApiAnswer {
    let body = json!({ "operation": "aml.monitoring", "resourceId": resource });
    world.post("/api/v3/monitors", key, &unique(), &body).await
}

async fn listed(world: &World, org: &Org) -> Vec<String> {
    let list = world.get("/api/v3/monitors?limit=100", &org.key).await.data();
    let reported = |monitor: &Value| {
        format!("{} {}", monitor["resourceId"].as_str().unwrap(), monitor["status"].as_str().unwrap())
    };
    list.as_array().unwrap().iter().map(reported).collect()
}

/// The events of monitors.
async fn events(world: &World, key: &str) -> Vec<Value> {
    let mut events = world.events(key).await;
    events.iter().for_each(tests::assert_event);
    events.retain(|event| event["event"].as_str().unwrap().starts_with("monitor."));
    events
}

async fn clock(world: &World, now: &str) {
    world.post_plain("/_local/clock", &json!({ "now": now })).await.data();
}

/// The charges of monitors, by month.
async fn charges(world: &World, org: &Org) -> Vec<String> {
    let lines = world.transactions(&org.key, "operation=aml.monitoring").await;
    let reported = |line: &Value| {
        format!("{} {}", &line["timestamp"].as_str().unwrap()[..7], line["resourceId"].as_str().unwrap())
    };
    let mut charges: Vec<_> = lines.iter().map(reported).collect();
    charges.sort();
    charges
}

#[tokio::test]
async fn a_monitor_is_charged_when_it_is_made_and_in_every_month() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({ "operation": "aml.monitoring", "resourceId": "applicant_42", "customerId": "cust_1",
        "metadata": { "case": "A-1" } });
    let made = world.post("/api/v3/monitors", &org.key, "m1", &body).await;
    let again = world.post("/api/v3/monitors", &org.key, "m1", &body).await;
    assert_eq!(
        (made.header("idempotent-replayed"), again.header("idempotent-replayed")),
        (None, Some("true"))
    );
    let monitor = made.created();
    assert_eq!(monitor, again.created());
    let shown = json!({ "operation": "aml.monitoring", "resourceId": "applicant_42", "customerId": "cust_1",
        "status": "active", "paidThrough": "2024-02-01T00:00:00Z", "nextCharge": "2024-02-01T00:00:00Z",
        "createdAt": "2024-01-15T10:30:00Z", "metadata": { "case": "A-1" } });
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&monitor[field], value, "{field}");
    }
    let id = monitor["monitorId"].as_str().unwrap();
    assert!(id.starts_with("mon_"));
    let charge = format!("/api/v3/credits/transactions/{}", monitor["transactionId"].as_str().unwrap());
    let charge = world.get(&charge, &org.key).await.data();
    assert_eq!((&charge["amount"], &charge["monitorId"]), (&json!(1), &json!(id)));
    assert_eq!((&charge["customerId"], &charge["metadata"]), (&json!("cust_1"), &json!({ "case": "A-1" })));
    clock(&world, "2024-04-02T00:00:00Z").await;
    let months = ["2024-01", "2024-02", "2024-03", "2024-04"].map(|month| format!("{month} applicant_42"));
    assert_eq!(charges(&world, &org).await, months);
    let path = format!("/api/v3/monitors/{id}");
    let now = world.get(&path, &org.key).await.data();
    assert_eq!(now["paidThrough"], json!("2024-05-01T00:00:00Z"));
    let deleted = world.delete(&path, &org.key).await.data();
    assert_eq!(
        (&deleted["status"], &deleted["deletedAt"]),
        (&json!("deleted"), &json!("2024-04-02T00:00:00Z"))
    );
    assert_eq!(world.delete(&path, &org.key).await.data(), deleted);
    clock(&world, "2024-06-02T00:00:00Z").await;
    assert_eq!(charges(&world, &org).await, months);
    assert_eq!(listed(&world, &org).await, Vec::<String>::new());
    assert_eq!(world.balance(&org.key).await["available"], json!(10));
}

/// Without enough credits a month is not paid: the monitor is suspended with an event, and resumes when credits
/// arrive.
#[tokio::test]
async fn a_monitor_without_credits_is_suspended() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(3).await;
    for resource in ["a", "b", "c"] {
        watch(&world, &org.key, resource).await.created();
    }
    let refused = watch(&world, &org.key, "d").await;
    assert_eq!(refused.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(listed(&world, &org).await, ["a active", "b active", "c active"]);
    let adjust = format!("/admin/v1/organisations/{}/adjustments", org.id);
    clock(&world, "2024-01-31T23:59:59Z").await;
    let body = json!({ "operation": "verification.standard" });
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:00:00Z" })).await.data();
    assert_eq!(listed(&world, &org).await, ["a active", "b active", "c active"]);
    assert_eq!(world.consume(&org.key, &unique(), &body).await.failure(), "402 INSUFFICIENT_CREDITS");
    let free = json!({ "amount": 2, "reason": "goodwill" });
    world.post(&adjust, world.operator(), &unique(), &free).await.created();
    watch(&world, &org.key, "d").await.created();
    clock(&world, "2024-03-01T00:00:00Z").await;
    // Four credits are due: three from the allowance, one from other lots. The next month one is missing.
    assert_eq!(listed(&world, &org).await, ["a active", "b active", "c active", "d active"]);
    clock(&world, "2024-04-01T00:00:00Z").await;
    assert_eq!(listed(&world, &org).await, ["a active", "b active", "c active", "d suspended"]);
    let reported = events(&world, &org.key).await;
    assert_eq!(reported.len(), 1, "{reported:?}");
    assert_eq!(
        (&reported[0]["event"], &reported[0]["type"]),
        (&json!("monitor.suspended"), &json!("monitor.suspended"))
    );
    assert_eq!(reported[0]["timestamp"], json!("2024-04-01T00:00:00Z"));
    assert_eq!(reported[0]["data"]["resourceId"], json!("d"));
    assert_eq!(reported[0]["data"]["reason"], json!("insufficient_credits"));
    clock(&world, "2024-04-20T00:00:00Z").await;
    assert_eq!(events(&world, &org.key).await.len(), 1);
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 5 })).await;
    world.settle().await;
    assert_eq!(listed(&world, &org).await[3], "d active");
    let reported = events(&world, &org.key).await;
    assert_eq!(reported.len(), 2);
    assert_eq!(reported[1]["event"], json!("monitor.resumed"));
    assert_eq!(world.balance(&org.key).await["available"], json!(4));
    let path = format!("/api/v3/events?after={}", reported[1]["sequence"].as_u64().unwrap() - 1);
    assert_eq!(world.get(&path, &org.key).await.data()[0], reported[1]);
}

/// Monitors of a frozen organisation are suspended and resume with it.
#[tokio::test]
async fn monitors_of_a_frozen_organisation_wait() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(3).await;
    watch(&world, &org.key, "a").await.created();
    let path = |what: &str| format!("/admin/v1/organisations/{}/{what}", org.id);
    world.post(&path("freeze"), world.operator(), &unique(), &json!({ "reason": "x" })).await.data();
    assert_eq!(watch(&world, &org.key, "b").await.failure(), "403 ORGANISATION_FROZEN");
    clock(&world, "2024-02-01T00:00:00Z").await;
    assert_eq!(listed(&world, &org).await, ["a suspended"]);
    assert_eq!(events(&world, &org.key).await[0]["data"]["reason"], json!("frozen"));
    world.post(&path("unfreeze"), world.operator(), &unique(), &json!({ "reason": "x" })).await.data();
    world.settle().await;
    assert_eq!(listed(&world, &org).await, ["a active"]);
    assert_eq!(charges(&world, &org).await, ["2024-01 a", "2024-02 a"]);
}

/// A subject has one monitor and pays once a month, even if it is deleted and created again.
#[tokio::test(flavor = "multi_thread")]
async fn a_subject_has_one_monitor() {
    let world = std::sync::Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let org = world.open(10).await;
    let racing: Vec<_> = (0..16)
        .map(|_| {
            let (world, key) = (world.clone(), org.key.clone());
            tokio::spawn(async move { watch(&world, &key, "same").await })
        })
        .collect();
    let mut made = Vec::new();
    for answer in racing {
        let answer = answer.await.unwrap();
        match answer.status {
            201 => made.push(answer.created()["monitorId"].as_str().unwrap().to_owned()),
            _ => assert!(answer.failure().starts_with("409 "), "{answer:?}"),
        }
    }
    assert_eq!(made.len(), 1);
    let taken = watch(&world, &org.key, "same").await;
    assert_eq!(
        (taken.failure().as_str(), &taken.body["error"]["details"]["monitorId"]),
        ("409 CONFLICT", &json!(made[0]))
    );
    assert_eq!(world.balance(&org.key).await["available"], json!(9));
    for _ in 0..3 {
        world.delete(&format!("/api/v3/monitors/{}", made[0]), &org.key).await.data();
        let again = watch(&world, &org.key, "same").await.created();
        made[0] = again["monitorId"].as_str().unwrap().to_owned();
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(9));
    let body = json!({ "operation": "kyt.monitoring", "resourceId": "same" });
    world.post("/api/v3/monitors", &org.key, &unique(), &body).await.created();
    assert_eq!(world.balance(&org.key).await["available"], json!(8));
}

/// Many monitors are charged page by page, each exactly once.
#[tokio::test]
async fn hundreds_of_monitors_are_charged_once_each() {
    let world = World::at("2024-01-31T23:00:00Z").await;
    let org = world.open(230).await;
    for number in 0..230 {
        watch(&world, &org.key, &format!("subject_{number:03}")).await.created();
    }
    clock(&world, "2024-02-01T00:00:00Z").await;
    assert_eq!(world.balance(&org.key).await["available"], json!(0));
    let mut pages = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = world.get(&format!("/api/v3/monitors?limit=100{cursor}"), &org.key).await;
        pages.extend(page.data().as_array().unwrap().clone());
        match page.body["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(pages.len(), 230);
    for (number, monitor) in pages.iter().enumerate() {
        assert_eq!(monitor["resourceId"], json!(format!("subject_{number:03}")));
        assert_eq!(monitor["paidThrough"], json!("2024-03-01T00:00:00Z"));
    }
    assert_eq!(charges(&world, &org).await.len(), 460);
}

#[tokio::test]
async fn an_invalid_monitor_is_refused() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    for (body, code, field) in [
        (json!({ "operation": "aml.pep", "resourceId": "a" }), "400 VALIDATION_ERROR", "operation"),
        (json!({ "operation": "aml.monitoring" }), "400 VALIDATION_ERROR", "resourceId"),
        (json!({ "resourceId": "a" }), "400 VALIDATION_ERROR", "operation"),
        (json!({ "operation": "aml.monitoring", "resourceId": "" }), "400 VALIDATION_ERROR", "resourceId"),
        (
            json!({ "operation": "aml.monitoring", "resourceId": "a", "every": "day" }),
            "400 VALIDATION_ERROR",
            "every",
        ),
    ] {
        let answer = world.post("/api/v3/monitors", &org.key, &unique(), &body).await;
        assert_eq!(answer.failure(), code, "{body}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{answer:?}");
    }
    let unknown = json!({ "operation": "aml.mind_reading", "resourceId": "a" });
    let answer = world.post("/api/v3/monitors", &org.key, &unique(), &unknown).await;
    assert_eq!(answer.failure(), "400 UNKNOWN_OPERATION");
    let request = world.request("POST".parse().unwrap(), "/api/v3/monitors", &org.key);
    let answer =
        tests::send(request.json(&json!({ "operation": "aml.monitoring", "resourceId": "a" }))).await;
    assert_eq!(answer.failure(), "400 IDEMPOTENCY_KEY_REQUIRED");
    for path in ["mon_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "nonsense"] {
        let path = format!("/api/v3/monitors/{path}");
        assert_eq!(world.get(&path, &org.key).await.failure(), "404 NOT_FOUND");
        assert_eq!(world.delete(&path, &org.key).await.failure(), "404 NOT_FOUND");
    }
    let other = world.open(10).await;
    let theirs = watch(&world, &other.key, "a").await.created();
    let path = format!("/api/v3/monitors/{}", theirs["monitorId"].as_str().unwrap());
    assert_eq!(world.get(&path, &org.key).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.delete(&path, &org.key).await.failure(), "404 NOT_FOUND");
    assert_eq!(listed(&world, &other).await, ["a active"]);
    for query in ["limit=0", "limit=101", "cursor=x", "page=2"] {
        let answer = world.get(&format!("/api/v3/monitors?{query}"), &org.key).await;
        assert!(answer.failure().starts_with("400 "), "{query}");
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(10));
}

/// Credits of a service pay for its monitors while other monitors are suspended.
#[tokio::test]
async fn credits_of_a_service_pay_for_its_monitors() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(2).await;
    watch(&world, &org.key, "plain").await.created();
    let scoped = json!({ "operation": "aml.monitoring", "resourceId": "scoped", "service": "smartcheck" });
    world.post("/api/v3/monitors", &org.key, &unique(), &scoped).await.created();
    clock(&world, "2024-01-31T23:59:59Z").await;
    let gift = json!({ "source": "bonus", "amount": 5, "service": "smartcheck" });
    world.grant(&org.id, &gift).await;
    change_allowance_to_nothing(&world, &org).await;
    clock(&world, "2024-03-01T00:00:00Z").await;
    assert_eq!(listed(&world, &org).await, ["plain suspended", "scoped active"]);
    assert_eq!(world.balance(&org.key).await["bonusCredits"], json!(3));
}

/// Moves the organisation to a plan without credits.
async fn change_allowance_to_nothing(world: &World, org: &Org) {
    let terms = json!({ "name": "Nothing", "price": { "amount": 0, "currency": "GBP" }, "allowance": 0,
        "apiAccess": true, "maxUsers": 1 });
    world.put("/admin/v1/plans/nothing", world.operator(), &terms).await.data();
    world.put("/api/v3/subscription", &org.key, &json!({ "plan": "nothing" })).await.data();
}

/// An unlimited plan pays for everything: suspended monitors resume.
#[tokio::test]
async fn an_unlimited_plan_resumes_monitors() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1).await;
    watch(&world, &org.key, "a").await.created();
    change_allowance_to_nothing(&world, &org).await;
    clock(&world, "2024-02-01T00:00:00Z").await;
    assert_eq!(listed(&world, &org).await, ["a suspended"]);
    world.put("/api/v3/subscription", &org.key, &json!({ "plan": "enterprise" })).await.data();
    world.settle().await;
    assert_eq!(listed(&world, &org).await, ["a active"]);
}

/// A repeated request gets its first answer, whatever has become of the monitor; a refused one is not mistaken for
/// a successful one.
#[tokio::test]
async fn a_repeated_request_gets_the_first_answer() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(0).await;
    let body = json!({ "operation": "aml.monitoring", "resourceId": "a" });
    let send = async || world.post("/api/v3/monitors", &org.key, "m1", &body).await;
    assert_eq!(send().await.failure(), "402 INSUFFICIENT_CREDITS");
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 3 })).await;
    let made = send().await;
    assert_eq!((made.status, made.header("idempotent-replayed")), (201, None));
    clock(&world, "2024-02-03T00:00:00Z").await;
    let path = format!("/api/v3/monitors/{}", made.data()["monitorId"].as_str().unwrap());
    world.delete(&path, &org.key).await.data();
    let again = send().await;
    assert_eq!((again.header("idempotent-replayed"), again.data()), (Some("true"), made.data()));
    assert_eq!(world.get(&path, &org.key).await.data()["status"], json!("deleted"));
    let other = json!({ "operation": "aml.monitoring", "resourceId": "b" });
    let reused = world.post("/api/v3/monitors", &org.key, "m1", &other).await;
    assert_eq!(reused.failure(), "422 IDEMPOTENCY_KEY_REUSED");
}

/// A monitor that is deleted while others are being charged is not charged.
#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_monitor_is_not_charged() {
    let world = std::sync::Arc::new(World::at("2024-01-31T23:00:00Z").await);
    let org = world.open(1_000).await;
    let mut ids = Vec::new();
    for number in 0..90 {
        let made = watch(&world, &org.key, &format!("s{number:02}")).await.created();
        ids.push(made["monitorId"].as_str().unwrap().to_owned());
    }
    let moving = {
        let world = world.clone();
        tokio::spawn(async move { clock(&world, "2024-02-01T00:00:00Z").await })
    };
    let mut deleted = Vec::new();
    for id in ids.iter().rev() {
        let answer = world.delete(&format!("/api/v3/monitors/{id}"), &org.key).await.data();
        deleted.push((answer["resourceId"].as_str().unwrap().to_owned(), answer["paidThrough"].clone()));
    }
    moving.await.unwrap();
    world.settle().await;
    let charged = charges(&world, &org).await;
    let mut both = 0;
    for (resource, paid_through) in deleted {
        let in_february = charged.contains(&format!("2024-02 {resource}"));
        // A monitor that was deleted while it was being charged may have been charged without saying so; no
        // other may.
        if paid_through == json!("2024-03-01T00:00:00Z") {
            assert!(in_february, "{resource}");
        } else if in_february {
            both += 1;
        }
    }
    assert!(both <= 1, "{both} were charged after they were deleted");
}
