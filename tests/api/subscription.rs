//! Plan changes, up and down, at once, and never creating credits.

use serde_json::{Value, json};
use tests::{ApiAnswer, World, unique};

/// An organisation on a plan, with a key for any plan and one that needs API access.
struct Subscriber {
    id: String,
    key: String,
    plain: String,
    test: String,
}

async fn customer(world: &World, plan: &str) -> Subscriber {
    let body = json!({ "name": "Own", "plan": plan, "selfServicePlans": true });
    let opened = world.post("/admin/v1/organisations", world.operator(), &unique(), &body).await.created();
    let id = opened["organisationId"].as_str().unwrap().to_owned();
    let key = async |body: Value| {
        let path = format!("/admin/v1/organisations/{id}/keys");
        let issued = world.post(&path, world.operator(), &unique(), &body).await.created();
        issued["key"].as_str().unwrap().to_owned()
    };
    let all = ["credits:read", "credits:consume", "settings:write", "dashboard"];
    Subscriber {
        key: key(json!({ "mode": "live", "scopes": all })).await,
        plain: key(json!({ "mode": "live", "scopes": tests::EVERY_SCOPE })).await,
        test: key(json!({ "mode": "test", "scopes": all })).await,
        id,
    }
}

async fn change(world: &World, key: &str, plan: &str) -> ApiAnswer {
    world.put("/api/v3/subscription", key, &json!({ "plan": plan })).await
}

/// Repeats a plan change while it loses races against other changes.
async fn change_until_settled(world: &World, key: &str, plan: &str) -> Value {
    for _ in 0..50 {
        let answer = change(world, key, plan).await;
        if answer.status != 503 {
            return answer.data();
        }
        assert_eq!(
            (answer.failure().as_str(), answer.header("retry-after")),
            ("503 TEMPORARILY_UNAVAILABLE", Some("1"))
        );
    }
    panic!("not settled after fifty attempts");
}

async fn spend(world: &World, key: &str, amount: u64) {
    let body = json!({ "operation": "verification.standard", "quantity": amount });
    world.consume(key, &unique(), &body).await.created();
}

/// Moves through the four plans, each step by the contract's rule 4.
#[tokio::test]
async fn moving_down_and_up_refills_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "basic").await;
    world.grant(&customer.id, &json!({ "source": "purchased", "amount": 70 })).await;
    spend(&world, &customer.key, 600).await;
    for (plan, left, allowance) in [
        ("free", 0, Some(100)),
        ("professional", 4_400, Some(5_000)),
        ("basic", 400, Some(1_000)),
        ("enterprise", 0, None),
    ] {
        let foreseen =
            world.put("/api/v3/subscription?preview=true", &customer.key, &json!({ "plan": plan })).await;
        let before = world.balance(&customer.key).await;
        let changed = change(&world, &customer.key, plan).await.data();
        let balance = world.balance(&customer.key).await;
        assert_eq!(balance["subscriptionCredits"], json!(left), "{plan}");
        assert_eq!(
            (&balance["purchasedCredits"], &balance["usedCredits"]),
            (&json!(70), &json!(600)),
            "{plan}"
        );
        assert_eq!((&balance["plan"], &changed["plan"]), (&json!(plan), &json!(plan)));
        assert_eq!(
            (&changed["allowance"], &changed["unlimited"]),
            (&json!(allowance), &json!(allowance.is_none()))
        );
        assert_eq!(changed["balance"]["available"], balance["available"], "{plan}");
        let step = &changed["effect"]["subscriptionCredits"];
        assert_eq!(
            (&step["before"], &step["after"]),
            (&before["subscriptionCredits"], &json!(left)),
            "{plan}"
        );
        let foreseen = foreseen.data();
        for field in
            ["effect", "notices", "from", "plan", "allowance", "apiAccess", "maxUsers", "price", "changed"]
        {
            assert_eq!(foreseen[field], changed[field], "{plan} {field}");
        }
        assert_eq!((&foreseen["preview"], &foreseen["transactionId"]), (&json!(true), &Value::Null));
    }
    let reported = world.get("/api/v3/subscription", &customer.key).await.data();
    let history: Vec<_> =
        reported["history"].as_array().unwrap().iter().map(|past| past["to"].clone()).collect();
    assert_eq!(history, ["enterprise", "basic", "professional", "free"]);
    assert_eq!(reported["history"][3]["from"], json!("basic"));
    assert_eq!(reported["usedSubscriptionCredits"], json!(600));
    let lines = world.transactions(&customer.key, "operation=credit.plan_change").await;
    let reported: Vec<_> =
        lines.iter().map(|line| format!("{} {}", line["type"].as_str().unwrap(), line["amount"])).collect();
    assert_eq!(reported, ["DEBIT 400", "DEBIT 4000", "CREDIT 4400", "DEBIT 400"]);
    assert_eq!(lines[0]["plan"], json!({ "from": "basic", "to": "enterprise" }));
}

#[tokio::test]
async fn the_plans_are_the_seeds() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "free").await;
    for (plan, name, price, allowance, api_access, max_users) in [
        ("free", "Free", 0, json!(100), false, json!(1)),
        ("basic", "Basic", 9_900, json!(1_000), false, json!(3)),
        ("professional", "Professional", 29_900, json!(5_000), true, json!(10)),
        ("enterprise", "Enterprise", 99_900, Value::Null, true, Value::Null),
    ] {
        change(&world, &customer.key, plan).await.data();
        let reported = world.get("/api/v3/subscription", &customer.key).await.data();
        let shown = json!({
            "plan": plan, "name": name, "price": { "amount": price, "currency": "GBP" }, "allowance": allowance,
            "apiAccess": api_access, "maxUsers": max_users, "nextRenewal": "2024-02-01T00:00:00Z",
        });
        for (field, value) in shown.as_object().unwrap() {
            assert_eq!(&reported[field], value, "{plan} {field}");
        }
    }
}

/// An unlimited plan refuses nothing, records everything, and only `used` changes.
#[tokio::test]
async fn an_unlimited_plan_never_refuses() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "enterprise").await;
    world.grant(&customer.id, &json!({ "source": "bonus", "amount": 5 })).await;
    for number in 1..=3u64 {
        let body = json!({ "operation": "deepfake.video", "quantity": 200_000 });
        let charged = world.consume(&customer.key, &unique(), &body).await.created();
        let balance = &charged["balance"];
        assert_eq!(
            (&balance["unlimited"], &balance["usedCredits"]),
            (&json!(true), &json!(number * 1_000_000))
        );
        assert_eq!((&balance["subscriptionCredits"], &balance["bonusCredits"]), (&json!(0), &json!(5)));
        assert_eq!(charged["sources"][0]["source"], json!("subscription"));
    }
    // The credits of the larger plan that were spent stay spent: a smaller plan starts without credits for this
    // month.
    let changed = change(&world, &customer.key, "professional").await.data();
    assert_eq!(changed["balance"]["subscriptionCredits"], json!(0));
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:00:00Z" })).await.data();
    assert_eq!(world.balance(&customer.key).await["subscriptionCredits"], json!(5_000));
}

/// A negotiated allowance ends with a change of plan, but not with a change to the same plan.
#[tokio::test]
async fn the_same_plan_is_no_change() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let before = world.balance(world.key()).await;
    let same = change(&world, world.key(), "professional").await.data();
    assert_eq!((&same["changed"], &same["transactionId"]), (&json!(false), &Value::Null));
    assert_eq!(same["allowance"], json!(400));
    assert_eq!(world.balance(world.key()).await["asOf"]["sequence"], before["asOf"]["sequence"]);
    let preview =
        world.put("/api/v3/subscription?preview=true", world.key(), &json!({ "plan": "professional" })).await;
    assert_eq!(preview.data()["changed"], json!(false));
    // 150 of 400 are used, so a plan of 100 leaves none.
    assert_eq!(change(&world, world.key(), "enterprise").await.data()["from"], json!("professional"));
    let back = change(&world, world.key(), "professional").await.data();
    assert_eq!((&back["allowance"], &back["balance"]["subscriptionCredits"]), (&json!(5_000), &json!(4_850)));
}

/// Keys that need API access work on plans with API access only; dashboard keys always work.
#[tokio::test]
async fn api_access_depends_on_the_plan() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "professional").await;
    world.balance(&customer.plain).await;
    let changed = change(&world, &customer.plain, "basic").await.data();
    assert!(changed["notices"].to_string().contains("API_ACCESS_NOT_INCLUDED"), "{changed}");
    let refused = world.get("/api/v3/credits/balance", &customer.plain).await;
    assert_eq!(refused.failure(), "403 API_ACCESS_NOT_INCLUDED");
    let refused = change(&world, &customer.plain, "professional").await;
    assert_eq!(refused.failure(), "403 API_ACCESS_NOT_INCLUDED");
    change(&world, &customer.key, "professional").await.data();
    world.balance(&customer.plain).await;
}

/// The test ledger follows the live one's plan; a test key can try plans without changing the live one.
#[tokio::test]
async fn a_test_ledger_follows_and_tries_out() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "basic").await;
    spend(&world, &customer.test, 600).await;
    change(&world, &customer.key, "free").await.data();
    let plans = async || {
        let (live, test) = (world.balance(&customer.key).await, world.balance(&customer.test).await);
        let reported = |balance: &Value| {
            format!("{} {}", balance["plan"].as_str().unwrap(), balance["subscriptionCredits"])
        };
        (reported(&live), reported(&test))
    };
    assert_eq!(plans().await, ("free 100".to_owned(), "free 0".to_owned()));
    change(&world, &customer.test, "professional").await.data();
    assert_eq!(plans().await, ("free 100".to_owned(), "professional 4400".to_owned()));
    change(&world, &customer.key, "basic").await.data();
    assert_eq!(plans().await, ("basic 1000".to_owned(), "basic 400".to_owned()));
}

/// An idempotency key makes a late repeat harmless.
#[tokio::test]
async fn an_idempotency_key_is_honoured_and_not_required() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "basic").await;
    let send = async |name: &str, plan: &str| {
        let request = world.request("PUT".parse().unwrap(), "/api/v3/subscription", &customer.key);
        tests::send(request.header("Idempotency-Key", name).json(&json!({ "plan": plan }))).await
    };
    let first = send("p1", "free").await;
    change(&world, &customer.key, "professional").await.data();
    let late = send("p1", "free").await;
    assert_eq!(late.header("idempotent-replayed"), Some("true"));
    assert_eq!(late.data(), first.data());
    assert_eq!(world.balance(&customer.key).await["plan"], json!("professional"));
    assert_eq!(send("p1", "basic").await.failure(), "422 IDEMPOTENCY_KEY_REUSED");
    assert_eq!(send("a b", "basic").await.failure(), "400 VALIDATION_ERROR");
}

#[tokio::test]
async fn an_invalid_request_changes_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "basic").await;
    for (body, field) in [
        (json!({ "plan": "gold" }), "plan"),
        (json!({}), "plan"),
        (json!({ "plan": 7 }), "plan"),
        (json!({ "plan": null }), "plan"),
        (json!({ "plan": "free", "when": "now" }), "when"),
        (json!(["free"]), "body"),
    ] {
        for path in ["/api/v3/subscription", "/api/v3/subscription?preview=true"] {
            let answer = world.put(path, &customer.key, &body).await;
            assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
            assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{answer:?}");
        }
    }
    for path in ["/api/v3/subscription?preview=maybe", "/api/v3/subscription?prewiew=true"] {
        let answer = world.put(path, &customer.key, &json!({ "plan": "free" })).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path}");
    }
    let path = format!("/admin/v1/organisations/{}/keys", customer.id);
    let reader = json!({ "mode": "live", "scopes": ["credits:read", "dashboard"] });
    let reader = world.post(&path, world.operator(), &unique(), &reader).await.created();
    let refused = change(&world, reader["key"].as_str().unwrap(), "free").await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let freeze = format!("/admin/v1/organisations/{}/freeze", customer.id);
    world.post(&freeze, world.operator(), &unique(), &json!({ "reason": "x" })).await.data();
    assert_eq!(change(&world, &customer.key, "free").await.failure(), "403 ORGANISATION_FROZEN");
    assert_eq!(world.balance(&customer.key).await["plan"], json!("basic"));
}

/// Simultaneous plan changes: each answer is consistent, and in the end everything has the ledger's plan.
#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_changes_leave_one_plan() {
    let world = std::sync::Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let customer = customer(&world, "basic").await;
    let plans = ["free", "basic", "professional", "enterprise"];
    let clients: Vec<_> = (0..16usize)
        .map(|client| {
            let (world, key) = (world.clone(), customer.key.clone());
            tokio::spawn(async move {
                for number in 0..12usize {
                    let plan = plans[(client + number * 3) % 4];
                    let changed = change_until_settled(&world, &key, plan).await;
                    assert_eq!((&changed["plan"], &changed["balance"]["plan"]), (&json!(plan), &json!(plan)));
                    let limit = [json!(100), json!(1_000), json!(5_000), Value::Null];
                    let place = plans.iter().position(|known| *known == plan).unwrap();
                    assert_eq!(changed["allowance"], limit[place], "{changed}");
                    assert_eq!(changed["changed"], json!(changed["from"] != json!(plan)), "{changed}");
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    world.post_plain("/_local/clock", &json!({ "advanceSeconds": 120 })).await.data();
    let (live, test) = (world.balance(&customer.key).await, world.balance(&customer.test).await);
    assert_eq!(live["plan"], test["plan"]);
    let with_access = ["professional", "enterprise"].contains(&live["plan"].as_str().unwrap());
    let plain = world.get("/api/v3/credits/balance", &customer.plain).await;
    assert_eq!(plain.status, if with_access { 200 } else { 403 }, "{plain:?}");
    let reported = world.get("/api/v3/subscription", &customer.key).await.data();
    let history = reported["history"].as_array().unwrap();
    assert_eq!(history[0]["to"], live["plan"]);
    assert!(history.windows(2).all(|pair| pair[0]["from"] == pair[1]["to"]), "{history:?}");
    let lines = world.transactions(&customer.key, "operation=credit.plan_change&limit=100").await;
    let ids: Vec<_> = lines.iter().map(|line| line["transactionId"].clone()).take(100).collect();
    assert_eq!(history.iter().map(|past| past["transactionId"].clone()).collect::<Vec<_>>(), ids);
}

/// Debits during changes from and to an unlimited plan: every debit counts, on whichever plan.
#[tokio::test(flavor = "multi_thread")]
async fn debits_race_with_changes_of_plan() {
    let world = std::sync::Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let customer = customer(&world, "professional").await;
    let clients: Vec<_> = (0..12)
        .map(|client| {
            let (world, key) = (world.clone(), customer.key.clone());
            tokio::spawn(async move {
                let mut spent = 0u64;
                for number in 0..25 {
                    let body = json!({ "operation": "verification.standard", "quantity": 7 });
                    let answer = world.consume(&key, &format!("{client}-{number}"), &body).await;
                    spent += if answer.status == 201 { 7 } else { 0 };
                }
                spent
            })
        })
        .collect();
    for plan in
        ["enterprise", "professional", "free", "enterprise", "basic", "enterprise"].iter().cycle().take(18)
    {
        change_until_settled(&world, &customer.key, plan).await;
    }
    let mut spent = 0;
    for client in clients {
        spent += client.await.unwrap();
    }
    change(&world, &customer.key, "professional").await.data();
    let reported = world.get("/api/v3/subscription", &customer.key).await.data();
    assert_eq!(
        (&reported["usedSubscriptionCredits"], &reported["subscriptionCredits"]),
        (&json!(spent), &json!(5_000 - spent))
    );
    assert_eq!(world.balance(&customer.key).await["usedCredits"], json!(spent));
}

/// Under a key, "no change" is stored like any other answer.
#[tokio::test]
async fn no_change_is_stored_under_its_key() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let customer = customer(&world, "basic").await;
    let send = async |name: &str, plan: &str| {
        let request = world.request("PUT".parse().unwrap(), "/api/v3/subscription", &customer.key);
        tests::send(request.header("Idempotency-Key", name).json(&json!({ "plan": plan }))).await
    };
    let first = send("n1", "basic").await;
    assert_eq!(first.data()["changed"], json!(false));
    send("n2", "professional").await.data();
    let late = send("n1", "basic").await;
    assert_eq!((late.header("idempotent-replayed"), late.data()), (Some("true"), first.data()));
    assert_eq!(world.balance(&customer.key).await["plan"], json!("professional"));
    assert_eq!(send("n1", "free").await.failure(), "422 IDEMPOTENCY_KEY_REUSED");
    let reported = world.get("/api/v3/subscription", &customer.key).await.data();
    assert_eq!(reported["history"].as_array().unwrap().len(), 1, "no change adds no history");
}
