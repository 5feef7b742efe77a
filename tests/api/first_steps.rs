//! A caller's first requests: errors, quotes and answers that say what to do, and what they must not say.

use local::engine::Engine;
use local::{DataLocation, LEDGER_TABLE, LocalMachine, Options, Seed};
use serde_json::{Value, json};
use tests::{Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const BATCH: &str = "/api/v3/credits/consume/batch";
const QUOTE: &str = "/api/v3/credits/quote";

fn item(quantity: u64) -> Value {
    json!({ "operation": "verification.standard", "quantity": quantity })
}

fn mend(error: &Value) -> String {
    assert_eq!(error["code"], json!("INSUFFICIENT_CREDITS"), "{error}");
    error["details"]["mend"].as_str().unwrap().to_owned()
}

/// A new key of an organisation.
async fn key(world: &World, org: &str, body: &Value) -> String {
    let path = format!("/admin/v1/organisations/{org}/keys");
    let made = world.post(&path, world.operator(), &unique(), body).await.created();
    made["key"].as_str().unwrap().to_owned()
}

/// Buys 500 credits for £49; returns the purchase's id.
async fn buy(world: &World, key: &str) -> String {
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let bought = world.post("/api/v3/credits/purchase", key, &unique(), &body).await.created();
    bought["transactionId"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn insufficient_credits_say_what_this_caller_can_do() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let again = "then send the request again with the same Idempotency-Key";
    let new_batch = "then send the refused items in a new batch, under a new Idempotency-Key";
    let debit = world.consume(&org.key, &unique(), &item(11)).await;
    assert!(mend(&debit.body["error"]).ends_with(again));
    let body = |mode: &str| json!({ "items": [item(8), item(8)], "mode": mode });
    let atomic = world.post(BATCH, &org.key, &unique(), &body("atomic")).await;
    assert!(mend(&atomic.body["error"]).ends_with(again));
    for quoted in [item(11), body("atomic")] {
        let quote = world.post(QUOTE, &org.key, "", &quoted).await.data();
        let text = mend(&quote["error"]);
        assert!(text.starts_with("purchase credits") && !text.contains("Key"), "{text}");
    }
    let quote = world.post(QUOTE, &org.key, "", &body("partial")).await.data();
    assert!(!mend(&quote["items"][1]["error"]).contains("Key"), "{quote}");
    let partial = world.post(BATCH, &org.key, &unique(), &body("partial")).await.created();
    assert!(mend(&partial["results"][1]["error"]).ends_with(new_batch), "{partial}");
    let path = format!("/admin/v1/organisations/{}/adjustments", org.id);
    let taken = world.post(&path, world.operator(), &unique(), &json!({ "amount": -3, "reason": "x" })).await;
    assert_eq!(taken.failure(), "402 INSUFFICIENT_CREDITS");
    let error = &taken.body["error"];
    assert_eq!((&error["details"]["required"], &error["details"]["available"]), (&json!(3), &json!(2)));
    let text = mend(error);
    assert!(text.starts_with("take at most") && !text.contains("purchase"), "{text}");
}

/// A purchase that a quote proposes succeeds.
#[tokio::test]
async fn a_quote_proposes_no_purchase_that_would_be_refused() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let limit = async |amount: u64| {
        let path = format!("/admin/v1/organisations/{}/spending-limit", org.id);
        let body = json!({ "perDay": { "amount": amount, "currency": "GBP" } });
        world.put(&path, world.operator(), &body).await.data();
    };
    let mended =
        async |quantity: u64| world.post(QUOTE, &org.key, "", &item(quantity)).await.data()["mend"].clone();
    let starter = json!({ "action": "purchase", "lacking": 400, "package": "starter", "credits": 500,
        "price": { "amount": 4900, "currency": "GBP" } });
    assert_eq!(mended(400).await, starter);
    // The package exceeds the daily limit; exactly the missing credits do not.
    limit(4_000).await;
    assert_eq!(
        mended(400).await,
        json!({ "action": "purchase", "lacking": 400, "package": null, "credits": 400,
            "price": { "amount": 3920, "currency": "GBP" } })
    );
    for quantity in [450, 1_000_000] {
        let none = mended(quantity).await;
        assert_eq!(
            (&none["action"], &none["package"], &none["price"]),
            (&json!("none"), &Value::Null, &Value::Null)
        );
        assert!(none["reason"].as_str().unwrap().contains("daily limit"), "{none}");
    }
    let many: Vec<_> = (0..100).map(|_| item(1_000_000)).collect();
    let quote = world.post(QUOTE, &org.key, "", &json!({ "items": many })).await.data();
    let reason = quote["mend"]["reason"].as_str().unwrap();
    assert!(reason.contains("more than the maximum of one payment"), "{quote}");
}

/// A dispute moves credits between buckets: none of them has expired.
#[tokio::test]
async fn credits_in_dispute_have_not_expired() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let purchase = buy(&world, &org.key).await;
    let dispute = async |action: &str| {
        let path = format!("/_local/payments/{purchase}/dispute");
        world.post_plain(&path, &json!({ "action": action })).await.data();
        world.settle().await;
        world.transactions(&org.key, "").await[0].clone()
    };
    for (action, operation) in [("open", "credit.dispute"), ("win", "credit.dispute_won")] {
        let line = dispute(action).await;
        assert_eq!((&line["operation"], &line["amount"]), (&json!(operation), &json!(500)));
        assert!(line.get("expired").is_none(), "{line}");
    }
}

/// Merging lots move credits between lots: none of them has expired. Credits that return after their end have.
#[tokio::test]
async fn credits_of_merged_lots_have_not_expired() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    for day in (1..=20).rev() {
        let end = format!("2024-03-{day:02}T00:00:00Z");
        let body = json!({ "source": "bonus", "amount": 5, "expiresAt": end });
        let path = format!("/admin/v1/organisations/{}/grants", org.id);
        world.post(&path, world.operator(), &unique(), &body).await;
    }
    for line in world.transactions(&org.key, "operation=credit.grant").await {
        assert!(line.get("expired").is_none(), "{line}");
    }
    let org = world.open(0).await;
    let short = json!({ "source": "bonus", "amount": 5, "expiresAt": "2024-01-15T10:35:00Z" });
    world.grant(&org.id, &short).await;
    let hold = json!({ "operation": "verification.standard", "quantity": 5, "expiresInSeconds": 3600 });
    let hold = world.post("/api/v3/credits/holds", &org.key, &unique(), &hold).await.created();
    world.pass(600).await;
    let path = format!("/api/v3/credits/holds/{}/release", hold["holdId"].as_str().unwrap());
    world.post(&path, &org.key, &unique(), &json!({})).await.created();
    let line = world.transactions(&org.key, "operation=credit.release").await[0].clone();
    assert_eq!((&line["amount"], &line["expired"]), (&json!(5), &json!(5)), "{line}");
}

#[tokio::test]
async fn a_purchase_that_was_refunded_says_so_in_money() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let purchase = buy(&world, &org.key).await;
    let path = format!("/admin/v1/organisations/{}/purchases/{purchase}/refund", org.id);
    let refund = async || world.post(&path, world.operator(), &unique(), &json!({ "reason": "x" })).await;
    let made = refund().await.created();
    let again = refund().await;
    assert_eq!(again.failure(), "409 ALREADY_REFUNDED");
    let error = &again.body["error"];
    assert!(error["message"].as_str().unwrap().contains("this purchase's payment"), "{error}");
    let details = json!({ "refundable": { "amount": 0, "currency": "GBP" }, "refunds": [made["refundId"]] });
    assert_eq!(error["details"], details);
}

#[tokio::test]
async fn a_settings_key_may_read_what_it_writes() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let sets = key(&world, &org.id, &json!({ "mode": "live", "scopes": ["settings:write"] })).await;
    for path in ["/api/v3/credits/alerts", "/api/v3/credits/auto-recharge"] {
        assert!(world.get(path, &sets).await.header("etag").is_some(), "{path}");
    }
    assert_eq!(world.get("/api/v3/credits/balance", &sets).await.failure(), "403 INSUFFICIENT_PERMISSIONS");
    let put = async |body: Value| {
        let kept = world.put("/api/v3/credits/alerts", &sets, &body).await.data();
        kept["lowBalanceThreshold"].clone()
    };
    assert_eq!(put(json!({ "lowBalanceThreshold": 42 })).await, json!(42));
    assert_eq!(put(json!({ "lowBalanceThreshold": null })).await, json!(42));
    assert_eq!(put(json!({ "lowBalanceThreshold": 0 })).await, json!(0));
}

/// Bodies that are refused, each with the error of its one field.
#[tokio::test]
async fn errors_of_operators_requests_name_valid_values() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let of = |path: &str| format!("/admin/v1/organisations/{}/{path}", org.id);
    let money = r#"a JSON object, {"amount": minor units, "currency": "GBP"}, not a number"#;
    let most = "must be a whole number from 0 to 1000000000000";
    for (method, path, body, field, expected) in [
        ("POST", of("keys"), json!({}), "mode", "is required: one of: live, test".to_owned()),
        (
            "POST",
            of("grants"),
            json!({ "source": "postPaid", "amount": 1 }),
            "source",
            "must be one of: subscription, purchased, bonus".to_owned(),
        ),
        ("PUT", of("spending-limit"), json!({ "perDay": 500 }), "perDay", format!("must be {money}")),
        ("PUT", of("post-paid"), json!({ "limit": 1_000_000_000_001_u64 }), "limit", most.to_owned()),
        ("PUT", of("post-paid"), json!({ "limit": "x" }), "limit", format!("{most}, not text")),
        (
            "PUT",
            of("subscription"),
            json!({ "plan": "basic", "allowance": -1 }),
            "allowance",
            most.to_owned(),
        ),
        (
            "PUT",
            of("plan-limit"),
            json!({ "limit": -1 }),
            "limit",
            "must be a whole number from 1000000000000000 to 4000000000000000".to_owned(),
        ),
        (
            "PUT",
            "/admin/v1/pricing/aml.pep".to_owned(),
            json!({ "credits": -1 }),
            "credits",
            "must be a whole number from 0 to 1000000".to_owned(),
        ),
        (
            "POST",
            "/admin/v1/organisations".to_owned(),
            json!({ "name": "A", "allowance": 1.5 }),
            "allowance",
            format!("{most}, without decimal point or exponent"),
        ),
    ] {
        let request = world.request(method.parse().unwrap(), &path, world.operator());
        let answer = tests::send(request.header("Idempotency-Key", unique()).json(&body)).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{path} {body}");
        assert_eq!(answer.body["error"]["details"]["fields"], json!({ field: expected }), "{path} {body}");
    }
}

#[tokio::test]
async fn a_404_says_where_the_thing_may_be() {
    let world = World::at(NOW).await;
    let org = world.open(50).await;
    let test = key(&world, &org.id, &json!({ "mode": "test", "scopes": tests::EVERY_SCOPE })).await;
    let debit = world.consume(&test, &unique(), &item(1)).await.created()["transactionId"].clone();
    let purchase = buy(&world, &test).await;
    let refunds = format!("/admin/v1/organisations/{}/refunds", org.id);
    let body = json!({ "transactionId": debit, "reason": "technical_failure", "note": "x" });
    let purchases = format!("/admin/v1/organisations/{}/purchases/{purchase}/refund", org.id);
    for (path, mut body) in [(refunds, body), (purchases, json!({ "reason": "x" }))] {
        let refused = world.post(&path, world.operator(), &unique(), &body).await;
        assert_eq!(refused.failure(), "404 NOT_FOUND");
        assert!(
            refused.body["error"]["message"].as_str().unwrap().contains(r#"`mode: "test"`"#),
            "{refused:?}"
        );
        body["mode"] = json!("test");
        world.post(&path, world.operator(), &unique(), &body).await.created();
    }
    for (method, path) in
        [("GET", "/_local/clok"), ("POST", "/_local/clok"), ("DELETE", "/_local/a/b"), ("GET", "/_local/")]
    {
        let unknown = tests::send(world.request(method.parse().unwrap(), path, "")).await;
        assert_eq!(unknown.failure(), "404 NOT_FOUND");
        assert!(
            unknown.body["error"]["message"].as_str().unwrap().contains("infra/local/README.md"),
            "{unknown:?}"
        );
    }
}

/// The page of `nextAction.url` opens in a browser, and its button completes the payment.
#[tokio::test]
async fn a_payment_is_authenticated_in_a_browser() {
    let world = World::at(NOW).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_authentication" });
    let pending = world.post("/api/v3/credits/purchase", world.key(), &unique(), &body).await;
    assert_eq!(pending.status, 202);
    let url = pending.body["data"]["nextAction"]["url"].as_str().unwrap().to_owned();
    let page = tests::client().get(&url).send().await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let page = page.text().await.unwrap();
    assert!(page.contains(r#"<form method="post">"#), "{page}");
    let form = tests::client().post(&url).header("Content-Type", "application/x-www-form-urlencoded");
    assert_eq!(form.send().await.unwrap().status(), 200);
    world.settle().await;
    let id = pending.body["data"]["transactionId"].as_str().unwrap().to_owned();
    let line = world.get(&format!("/api/v3/credits/transactions/{id}"), world.key()).await.data();
    assert_eq!(line["status"], json!("approved"));
}

/// A damaged demo account does not stop the start, so that an operator can repair it.
#[tokio::test]
async fn a_broken_demo_account_starts_and_is_repaired() {
    use aws_sdk_dynamodb::types::AttributeValue;

    let engine = Engine::temporary().unwrap();
    let endpoint = format!("http://{}", engine.serve(0).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let start = async || {
        let options = Options {
            port: 0,
            data: DataLocation::Folder(folder.path().to_path_buf()),
            seed: Seed::Demo,
            now: None,
            mail: false,
            endpoint: Some(endpoint.clone()),
        };
        LocalMachine::start(options).await.unwrap()
    };
    let machine = start().await;
    let org = machine.keys.organisation_id.clone().unwrap();
    machine.stop().await.unwrap();
    let client = aws_sdk_dynamodb::Client::from_conf(engine.dynamodb_config().build());
    let edit = client.update_item().table_name(LEDGER_TABLE);
    let edit = edit.key("pk", AttributeValue::S(format!("ACCT#{org}#live")));
    let edit = edit.key("sk", AttributeValue::S("A".to_owned())).update_expression("SET held = :broken");
    edit.expression_attribute_values(":broken", AttributeValue::S("three".to_owned())).send().await.unwrap();
    let machine = start().await;
    let (url, client) = (machine.base_url(), tests::client());
    let path = format!("{url}/admin/v1/organisations/{org}/repair");
    let repair = client.post(path).bearer_auth(&machine.keys.operator_key).header("Idempotency-Key", "r1");
    let repaired = repair.json(&json!({ "reason": "Edited by hand" })).send().await.unwrap();
    assert_eq!(repaired.status(), 201);
    let balance = client.get(format!("{url}/api/v3/credits/balance"));
    let balance = balance.bearer_auth(machine.keys.api_key.clone().unwrap()).send().await.unwrap();
    assert_eq!(balance.json::<Value>().await.unwrap()["data"]["available"], json!(400));
}

#[tokio::test]
async fn a_revoked_key_says_what_to_do() {
    let world = World::at(NOW).await;
    let org: Org = world.open(0).await;
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let made = world.post(&path, world.operator(), &unique(), &json!({ "mode": "live" })).await.created();
    let id = made["keyId"].as_str().unwrap();
    world.delete(&format!("{path}/{id}"), world.operator()).await.data();
    let refused = world.get("/api/v3/credits/balance", made["key"].as_str().unwrap()).await;
    assert_eq!(refused.failure(), "401 EXPIRED_API_KEY");
    assert!(refused.body["error"]["message"].as_str().unwrap().contains("use another one, or create one"));
}

/// A purchase settles debt first, so the purchase that a quote proposes covers the debt too.
#[tokio::test]
async fn a_quote_counts_what_a_purchase_settles_first() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let limit = async |limit: u64| {
        let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
        world.put(&path, world.operator(), &json!({ "limit": limit })).await.data();
    };
    limit(20).await;
    world.consume(&org.key, &unique(), &item(20)).await.created();
    limit(0).await;
    let quote = world.post(QUOTE, &org.key, "", &item(495)).await.data();
    assert_eq!((&quote["mend"]["lacking"], &quote["mend"]["package"]), (&json!(515), &json!("growth")));
}
