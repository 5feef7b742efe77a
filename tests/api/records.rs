//! Credit records in Verifik's shape: the seed's objects, pages, filters and errors.

use reqwest::Method;
use serde_json::{Value, json};
use tests::{ApiAnswer, World, send, unique};

const NOW: &str = "2024-01-15T10:30:00Z";

/// Status and code of an error in Verifik's shape.
#[track_caller]
fn failure(answer: &ApiAnswer) -> String {
    let error = &answer.body["error"];
    assert_eq!(answer.body["success"], json!(false), "{answer:?}");
    assert!(error["message"].as_str().is_some_and(|words| words.len() > 10), "{answer:?}");
    assert_eq!(answer.body.get("meta"), None, "{answer:?}");
    assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req_")), "{answer:?}");
    format!("{} {}", answer.status, error["code"].as_str().unwrap())
}

async fn list(world: &World, key: &str, query: &str) -> Vec<Value> {
    let answer = world.get(&format!("/v2/credits?{query}"), key).await;
    answer.data().as_array().unwrap().clone()
}

fn texts(records: &[Value], field: &str) -> Vec<String> {
    records.iter().map(|record| record[field].as_str().unwrap_or("null").to_owned()).collect()
}

/// The first seed's object, field for field: 1,000 credits for SmartCheck of which 250 are used.
#[tokio::test]
async fn a_grant_is_the_first_seeds_object() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let granted = world
        .grant(
            &org.id,
            &json!({ "source": "bonus", "amount": 1000, "service": "smartcheck", "expiresAt": "2024-12-31T23:59:59Z",
                "description": "SmartCheck verification credits" }),
        )
        .await;
    let debit = json!({ "operation": "verification.standard", "quantity": 250, "service": "smartcheck" });
    world.consume(&org.key, "k1", &debit).await.created();
    let shown = json!({
        "amount": 1000,
        "used": 250,
        "remaining": 750,
        "expiresAt": "2024-12-31T23:59:59Z",
        "service": "smartcheck",
        "description": "SmartCheck verification credits",
        "createdAt": "2024-01-15T10:30:00Z",
        "updatedAt": "2024-01-15T10:30:00Z"
    });
    let id = granted["creditId"].as_str().unwrap();
    let answer = world.get(&format!("/v2/credits/{id}"), &org.key).await;
    let record = answer.data();
    for (field, value) in shown.as_object().unwrap() {
        assert_eq!(&record[field], value, "{field}");
    }
    assert_eq!((&record["id"], &record["_id"]), (&json!(id), &json!(id)));
    assert_eq!((&record["isExpired"], &record["category"]), (&json!(false), &json!("purchase")));
    assert_eq!(record["transactionId"], granted["transactionId"]);
    assert_eq!(answer.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "success"]);
    let purchases = list(&world, &org.key, "where_category=purchase").await;
    assert_eq!(purchases, [record]);
    // When the lot has ended, nothing is left of it.
    world.post_plain("/_local/clock", &json!({ "now": "2025-01-01T00:00:00Z" })).await.data();
    let ended = world.get(&format!("/v2/credits/{id}"), &org.key).await.data();
    assert_eq!(
        (&ended["isExpired"], &ended["remaining"], &ended["used"]),
        (&json!(true), &json!(0), &json!(250))
    );
}

/// The second seed's object: a purchase, with every attribute in the types that it shows.
#[tokio::test]
async fn a_purchase_is_the_second_seeds_object() {
    let world = World::at(NOW).await;
    let dollars =
        json!({ "name": "Thousand", "credits": 1000, "price": { "amount": 8900, "currency": "USD" } });
    world.put("/admin/v1/packages/thousand", world.operator(), &dollars).await.data();
    let body = json!({ "name": "Dollars", "plan": "professional", "allowance": 0, "currency": "USD" });
    let opened = world.post("/admin/v1/organisations", world.operator(), "open", &body).await.created();
    let org = opened["organisationId"].as_str().unwrap();
    let scopes = json!({ "mode": "live", "scopes": ["credits:read", "credits:purchase"] });
    let path = format!("/admin/v1/organisations/{org}/keys");
    let issued = world.post(&path, world.operator(), "key", &scopes).await.created();
    let key = issued["key"].as_str().unwrap();
    let body = json!({ "package": "thousand", "paymentMethod": "card_xyz123" });
    let bought = world.post("/api/v3/credits/purchase", key, "buy", &body).await.created();
    let records = list(&world, key, "").await;
    let shown = json!({
        "_id": "credit_123456789",
        "amount": 1000,
        "status": "approved",
        "category": "purchase",
        "client": "client_123456789",
        "superAdmin": "admin_123456789",
        "description": "Credit purchase for API usage",
        "transactionId": "txn_123456789",
        "paymentMethod": "credit_card",
        "currency": "USD",
        "exchangeRate": 1.0,
        "createdAt": "2024-01-15T10:30:00Z",
        "updatedAt": "2024-01-15T10:30:00Z"
    });
    let record = &records[0];
    for (field, value) in shown.as_object().unwrap() {
        assert!(record.get(field).is_some(), "{field}");
        match field.as_str() {
            "amount" | "status" | "category" | "currency" | "exchangeRate" | "createdAt" | "updatedAt" => {
                assert_eq!(&record[field], value, "{field}");
            }
            // The customer bought it, and no operator.
            "superAdmin" => assert_eq!(record[field], Value::Null),
            _ => assert!(record[field].is_string(), "{field}"),
        }
    }
    assert!(record["exchangeRate"].is_f64());
    assert_eq!((&record["client"], &record["paymentMethod"]), (&json!(org), &json!("card_xyz123")));
    assert_eq!((&record["transactionId"], &record["remaining"]), (&bought["transactionId"], &json!(1000)));
    assert_eq!((&record["expiresAt"], &record["isExpired"]), (&Value::Null, &json!(false)));
    // The id that the purchase had before it was granted leads to the same record.
    let transaction = bought["transactionId"].as_str().unwrap().replace("txn_", "credit_");
    assert_eq!(&world.get(&format!("/v2/credits/{transaction}"), key).await.data(), record);
}

#[tokio::test]
async fn records_have_pages_in_verifiks_envelope() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    for n in 0..45 {
        let body = json!({ "operation": "verification.standard", "resourceId": format!("verif_{n}") });
        world.consume(&org.key, &format!("k{n}"), &body).await.created();
    }
    let page = async |query: &str| world.get(&format!("/v2/credits?{query}"), &org.key).await;
    let first = page("").await;
    assert_eq!(first.body.as_object().unwrap().keys().collect::<Vec<_>>(), ["data", "pagination", "success"]);
    assert_eq!(first.body["pagination"], json!({ "page": 1, "perPage": 20, "total": 46, "pages": 3 }));
    let mut all = Vec::new();
    for number in 1..=4 {
        let answer = page(&format!("page={number}&perPage=20")).await;
        assert_eq!(
            answer.body["pagination"],
            json!({ "page": number, "perPage": 20, "total": 46, "pages": 3 })
        );
        all.extend(answer.data().as_array().unwrap().clone());
    }
    assert_eq!(all.len(), 46);
    let lines = world.transactions(&org.key, "").await;
    assert_eq!(texts(&all, "transactionId"), texts(&lines, "transactionId"));
    assert_eq!(all[0]["description"], json!("verification.standard"));
    assert_eq!((&all[45]["category"], &all[45]["amount"]), (&json!("purchase"), &json!(100)));
    assert_eq!((&all[45]["used"], &all[45]["remaining"]), (&json!(45), &json!(55)));
    assert_eq!(all[45]["expiresAt"], json!("2024-02-01T00:00:00Z"));
    let far = page("page=18446744073709551615&perPage=100").await;
    assert_eq!((far.data(), &far.body["pagination"]["total"]), (json!([]), &json!(46)));
    // Test keys see their own ledger.
    assert_eq!(world.get("/v2/credits", world.test_key()).await.body["pagination"]["page"], json!(1));
}

#[tokio::test]
async fn records_are_filtered_by_status_category_and_client() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let limit = format!("/admin/v1/organisations/{}/post-paid", org.id);
    world.put(&limit, world.operator(), &json!({ "limit": 100 })).await.data();
    for (n, (card, status)) in
        [("card_a", 201), ("card_declined", 402), ("card_authentication", 202)].iter().enumerate()
    {
        let body = json!({ "amount": 5, "paymentMethod": card });
        let answer = world.post("/api/v3/credits/purchase", &org.key, &format!("buy-{n}"), &body).await;
        assert_eq!(answer.status, *status, "{}", answer.body);
        world.pass(1).await;
    }
    let debit = |quantity: u64| json!({ "operation": "verification.standard", "quantity": quantity });
    let spent = world.consume(&org.key, "k1", &debit(2)).await.created();
    world.consume(&org.key, "k2", &debit(20)).await.created();
    let refund =
        json!({ "transactionId": spent["transactionId"], "reason": "technical_failure", "amount": 1 });
    world.post("/api/v3/credits/refund", &org.key, "back", &refund).await.created();
    let hold = json!({ "amount": 3 });
    let held = world.post("/api/v3/credits/holds", &org.key, "hold", &hold).await.created();
    let path = format!("/api/v3/credits/holds/{}", held["holdId"].as_str().unwrap());
    world.post(&format!("{path}/capture"), &org.key, "capture", &json!({ "amount": 2 })).await.created();
    world.post(&format!("{path}/release"), &org.key, "release", &json!({})).await.created();
    let all = list(&world, &org.key, "").await;
    assert_eq!(
        texts(&all, "status"),
        ["postPaid", "postPaid", "approved", "pending", "failed", "approved", "approved"]
    );
    // A hold, its release and a refund are no records; the debit shows the refund.
    assert_eq!((&all[0]["amount"], &all[2]["amount"], &all[2]["used"]), (&json!(2), &json!(2), &json!(1)));
    assert_eq!((&all[3]["used"], &all[3]["remaining"]), (&json!(0), &json!(0)));
    for (query, places) in [
        ("where_status=approved", vec![2, 5, 6]),
        ("where_status=pending", vec![3]),
        ("where_status=failed", vec![4]),
        ("where_status=postPaid", vec![0, 1]),
        ("where_category=purchase", vec![3, 4, 5, 6]),
        ("where_category=usage", vec![0, 1, 2]),
        ("where_category=usage&where_status=approved", vec![2]),
        ("where_category=usage&where_status=failed", vec![]),
        ("where_category=purchase&perPage=2&page=2", vec![5, 6]),
    ] {
        let expected: Vec<_> = places.into_iter().map(|place: usize| all[place].clone()).collect();
        assert_eq!(list(&world, &org.key, query).await, expected, "{query}");
    }
    assert_eq!(list(&world, &org.key, &format!("where_client={}", org.id)).await, all);
    let foreign = world.get(&format!("/v2/credits?where_client={}", world.org()), &org.key).await;
    assert_eq!(foreign.data(), json!([]));
    assert_eq!(foreign.body["pagination"], json!({ "page": 1, "perPage": 20, "total": 0, "pages": 0 }));
    for record in &all {
        let id = record["id"].as_str().unwrap();
        assert_eq!(&world.get(&format!("/v2/credits/{id}"), &org.key).await.data(), record);
    }
}

/// Debits that lie far apart in the ledger each show what was refunded of them.
#[tokio::test]
async fn debits_that_lie_far_apart_show_their_refunds() {
    let world = World::at(NOW).await;
    let org = world.open(100).await;
    let debit = async |quantity: u64| {
        let body = json!({ "operation": "verification.standard", "quantity": quantity });
        world.consume(&org.key, &unique(), &body).await.created()["transactionId"].clone()
    };
    let refund = async |of: &Value, amount: u64| {
        let body = json!({ "transactionId": of, "reason": "technical_failure", "amount": amount });
        world.post("/api/v3/credits/refund", &org.key, &unique(), &body).await.created();
    };
    let first = debit(9).await;
    refund(&first, 4).await;
    for _ in 0..80 {
        world.grant(&org.id, &json!({ "source": "bonus", "amount": 1 })).await;
    }
    let last = debit(8).await;
    refund(&last, 2).await;
    let usage = list(&world, &org.key, "where_category=usage").await;
    let used: Vec<_> = usage.iter().map(|record| record["used"].as_u64().unwrap()).collect();
    assert_eq!(used, [6, 5]);
}

#[tokio::test]
async fn a_client_and_an_operator_have_names() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 7 })).await;
    let plain = &list(&world, &org.key, "").await[0];
    let key = plain["superAdmin"].as_str().unwrap();
    assert!(key.starts_with("key_"), "{plain}");
    let named = json!({ "id": org.id, "name": "Own" });
    let client = &list(&world, &org.key, "populates[]=client").await[0];
    assert_eq!((&client["client"], &client["superAdmin"]), (&named, &json!(key)));
    let both = list(&world, &org.key, "populates%5B%5D=client&populates%5B%5D=superAdmin").await;
    assert_eq!(both[0]["client"], named);
    assert_eq!(both[0]["superAdmin"]["id"], json!(key));
    assert!(both[0]["superAdmin"]["name"].as_str().is_some_and(|name| !name.is_empty()));
    // The month's allowance is no operator's.
    assert_eq!(both[1]["superAdmin"], Value::Null);
    let one = format!("/v2/credits/{}?populates[]=client,superAdmin", plain["id"].as_str().unwrap());
    assert_eq!(world.get(&one, &org.key).await.data(), both[0]);
}

#[tokio::test]
async fn verifiks_scheme_and_bad_input() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    let with = async |path: &str, value: String| {
        send(world.request(Method::GET, path, "").header("Authorization", value)).await
    };
    for scheme in ["jwt", "JWT", "Bearer", "bearer"] {
        let answer = with("/v2/credits", format!("{scheme} {}", org.key)).await;
        assert_eq!(answer.status, 200, "{scheme} {answer:?}");
    }
    let ours = with("/api/v3/credits/balance", format!("jwt {}", org.key)).await;
    assert_eq!(ours.failure(), "401 INVALID_API_KEY");
    for path in ["/v2/credits", "/v2/credits/credit_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"] {
        assert_eq!(failure(&world.get(path, "").await), "401 UNAUTHORIZED");
        assert_eq!(failure(&world.get(path, "sk_live_wrong").await), "401 UNAUTHORIZED");
        assert_eq!(failure(&with(path, "jwt ".to_owned()).await), "401 UNAUTHORIZED");
        assert_eq!(failure(&with(path, format!("Basic {}", org.key)).await), "401 UNAUTHORIZED");
    }
    let hold = world.post("/api/v3/credits/holds", &org.key, "hold", &json!({ "amount": 3 })).await.created();
    let hold = hold["holdId"].as_str().unwrap().replace("hold_", "credit_");
    let other = &list(&world, world.key(), "").await[0];
    for id in [
        "credit_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA",
        "credit_123456789",
        "txn_1",
        "1",
        &hold,
        other["id"].as_str().unwrap(),
    ] {
        let answer = world.get(&format!("/v2/credits/{id}"), &org.key).await;
        assert_eq!(failure(&answer), "404 CREDIT_RECORD_NOT_FOUND", "{id}");
    }
    for (query, field) in [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("perPage=0", "perPage"),
        ("perPage=101", "perPage"),
        ("where_status=lost", "where_status"),
        ("where_category=refund", "where_category"),
        ("where_client=client_1", "where_client"),
        ("where_client=", "where_client"),
        ("populates[]=plan", "populates[]"),
        ("populates[]=", "populates[]"),
        ("limit=5", "limit"),
        ("sort=-createdAt", "sort"),
        ("populates=client", "populates"),
    ] {
        let answer = world.get(&format!("/v2/credits?{query}"), &org.key).await;
        assert_eq!(failure(&answer), "400 INVALID_PARAMETERS", "{query}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{query}: {}", answer.body);
    }
}

#[tokio::test]
async fn every_error_has_verifiks_shape() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    assert_eq!(failure(&world.get("/v2/credits?page=%FF", &org.key).await), "400 INVALID_PARAMETERS");
    assert_eq!(failure(&world.get("/v2/credit", &org.key).await), "404 NOT_FOUND");
    let posted = send(world.request(Method::POST, "/v2/credits", &org.key)).await;
    assert_eq!(failure(&posted), "405 METHOD_NOT_ALLOWED");
    assert_eq!(failure(&world.get("/v2/credits", world.operator()).await), "403 INSUFFICIENT_PERMISSIONS");
    let path = format!("/admin/v1/organisations/{}/keys", org.id);
    let body = json!({ "mode": "live", "scopes": ["credits:consume"] });
    let issued = world.post(&path, world.operator(), "no-read", &body).await.created();
    let key = issued["key"].as_str().unwrap();
    assert_eq!(failure(&world.get("/v2/credits", key).await), "403 INSUFFICIENT_PERMISSIONS");
    world.delete(&format!("{path}/{}", issued["keyId"].as_str().unwrap()), world.operator()).await.data();
    assert_eq!(failure(&world.get("/v2/credits", key).await), "401 UNAUTHORIZED");
}
