//! The list of purchases, and the filters of the list of transactions.

use serde_json::{Value, json};
use tests::World;

fn ids(lines: &Value) -> Vec<&str> {
    lines.as_array().unwrap().iter().map(|line| line["transactionId"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn pending_and_failed_purchases_are_listed() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    let mut bought = Vec::new();
    for (n, (card, status)) in
        [("card_a", 201), ("card_declined", 402), ("card_authentication", 202), ("card_b", 201)]
            .iter()
            .enumerate()
    {
        let body = json!({ "package": "starter", "paymentMethod": card });
        let answer = world.post("/api/v3/credits/purchase", &org.key, &format!("buy-{n}"), &body).await;
        assert_eq!(answer.status, *status, "{}", answer.body);
        world.pass(60).await;
    }
    let list = async |query: &str| world.get(&format!("/api/v3/credits/purchases?{query}"), &org.key).await;
    let all = list("").await.data();
    let statuses: Vec<_> =
        all.as_array().unwrap().iter().map(|line| line["status"].as_str().unwrap()).collect();
    assert_eq!(statuses, ["approved", "pending", "failed", "approved"]);
    let lines = all.as_array().unwrap();
    assert_eq!(
        (&lines[1]["sequence"], &lines[2]["failure"]["reason"]),
        (&Value::Null, &json!("card_declined"))
    );
    assert!(lines[1]["nextAction"]["url"].is_string());
    // An approved purchase is the transaction in the ledger.
    let booked = world.transactions(&org.key, "operation=credit.purchase").await;
    assert_eq!((&lines[0], &lines[3]), (&booked[0], &booked[1]));
    for (status, place) in [("pending", 1), ("failed", 2)] {
        let some = list(&format!("status={status}")).await.data();
        assert_eq!(ids(&some), [ids(&all)[place]], "{status}");
    }
    let mut cursor = String::new();
    loop {
        let page = list(&format!("limit=1{cursor}")).await;
        bought.extend(ids(&page.data()).into_iter().map(str::to_owned));
        match page.body["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(bought, ids(&all));
    let other = world.open(1).await;
    assert_eq!(world.get("/api/v3/credits/purchases", &other.key).await.data(), json!([]));
    for (query, field) in [("status=lost", "status"), ("limit=0", "limit"), ("page=2", "page")] {
        let answer = list(query).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{query}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{}", answer.body);
    }
    assert_eq!(list("cursor=abc").await.failure(), "400 INVALID_CURSOR");
}

#[tokio::test]
async fn transactions_are_filtered_by_service_status_key_and_resource() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 5, "service": "biometric" })).await;
    let limit = format!("/admin/v1/organisations/{}/post-paid", org.id);
    world.put(&limit, world.operator(), &json!({ "limit": 100 })).await.data();
    let issued = format!("/admin/v1/organisations/{}/keys", org.id);
    let scopes = json!({ "mode": "live", "scopes": ["credits:consume", "credits:read"] });
    let second = world.post(&issued, world.operator(), "second", &scopes).await.created();
    let second = (second["keyId"].as_str().unwrap(), second["key"].as_str().unwrap());
    let consume = async |key: &str, name: &str, body: Value| {
        world.consume(key, name, &body).await.created()["transactionId"].as_str().unwrap().to_owned()
    };
    let biometric = consume(
        &org.key,
        "a",
        json!({ "operation": "verification.biometric", "service": "biometric", "resourceId": "face_1" }),
    )
    .await;
    let second_key = consume(second.1, "b", json!({ "operation": "aml.pep", "resourceId": "name_1" })).await;
    let owed = consume(&org.key, "c", json!({ "operation": "deepfake.video", "quantity": 3 })).await;
    let filtered = async |query: String| {
        let lines = world.transactions(&org.key, &query).await;
        lines.iter().map(|line| line["transactionId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let services = filtered("service=biometric&type=DEBIT".to_owned()).await;
    assert_eq!(services, [biometric.as_str()]);
    // The grant is reserved for the service.
    assert_eq!(filtered("service=biometric".to_owned()).await.len(), 2);
    assert_eq!(filtered("status=postPaid".to_owned()).await, [owed.as_str()]);
    let approved = filtered("status=approved&type=DEBIT".to_owned()).await;
    assert_eq!(approved, [second_key.clone(), biometric.clone()]);
    assert_eq!(filtered(format!("keyId={}", second.0)).await, [second_key]);
    assert_eq!(filtered("resourceId=face_1".to_owned()).await, [biometric]);
    assert!(filtered("resourceId=face_2".to_owned()).await.is_empty());
    for query in ["service=other", "status=pending", "keyId=abc", "resourceId="] {
        let answer = world.get(&format!("/api/v3/credits/transactions?{query}"), &org.key).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{query}");
    }
}
