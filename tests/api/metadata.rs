//! Metadata, names that look alike, and hints of refusals.

use serde_json::{Value, json};
use tests::{ApiAnswer, World};

const CONSUME: &str = "/api/v3/credits/consume";

fn fields(answer: &ApiAnswer) -> Value {
    assert_eq!(answer.failure(), "400 VALIDATION_ERROR");
    answer.body["error"]["details"]["fields"].clone()
}

#[tokio::test]
async fn metadata_may_have_several_lines() {
    let world = World::demo().await;
    let note = "first line\nsecond line\r\n\tindented \u{e9}";
    let body = json!({ "operation": "aml.basic", "metadata": { "note": note } });
    let made = world.consume(world.key(), "k1", &body).await.created();
    assert_eq!(made["metadata"]["note"], json!(note));
    let again = world.consume(world.key(), "k1", &body).await;
    assert_eq!(again.created()["metadata"]["note"], json!(note));
    world.settle().await;
    let id = made["transactionId"].as_str().unwrap();
    let one = world.get(&format!("/api/v3/credits/transactions/{id}"), world.key()).await.data();
    assert_eq!(one["metadata"]["note"], json!(note));
    // The hash chain covers the metadata byte by byte.
    let audit = world.get("/api/v3/credits/audit?limit=100", world.key()).await.data();
    assert_eq!((audit["verified"].clone(), audit["problems"].clone()), (json!(true), json!([])));
}

#[tokio::test]
async fn invalid_metadata_is_reported_by_its_key() {
    let world = World::demo().await;
    let long = "k".repeat(41);
    let value = "must be at most 500 characters, without control characters other than line breaks and tabs";
    let key = "is a key that must have 1 to 40 characters, without control characters";
    let all = "must be at most 20 keys, and 2048 bytes of keys and values in all";
    let many: serde_json::Map<_, _> = (0..21).map(|n| (format!("k{n}"), json!("v"))).collect();
    let large: serde_json::Map<_, _> = (0..5).map(|n| (format!("k{n}"), json!("v".repeat(450)))).collect();
    for (metadata, path, problem) in [
        (json!({ "a": "sound", "b": "x".repeat(501) }), "metadata.b".to_owned(), value),
        (json!({ "a": "sound", "b": "bell \u{7}" }), "metadata.b".to_owned(), value),
        (json!({ "b": "nul \0" }), "metadata.b".to_owned(), value),
        (json!({ "b": "c1 \u{85}" }), "metadata.b".to_owned(), value),
        (json!({ &long: "sound" }), format!("metadata.{long}"), key),
        (json!({ "line\nbreak": "sound" }), "metadata.line\nbreak".to_owned(), key),
        (json!({ "b": 7 }), "metadata.b".to_owned(), "must be text, not a number"),
        (json!({ "b": null }), "metadata.b".to_owned(), "must be text, not null"),
        (json!(many), "metadata".to_owned(), all),
        (json!(large), "metadata".to_owned(), all),
        (json!([]), "metadata".to_owned(), "must be a JSON object, not a list"),
    ] {
        let body = json!({ "operation": "aml.basic", "metadata": metadata });
        let answer = world.consume(world.key(), "k1", &body).await;
        assert_eq!(fields(&answer), json!({ path.as_str(): problem }), "{metadata}");
        let batch = json!({ "items": [{ "operation": "aml.basic" }, body] });
        let answer = world.post(&format!("{CONSUME}/batch"), world.key(), "k2", &batch).await;
        assert_eq!(fields(&answer), json!({ format!("items[1].{path}"): problem }), "{metadata}");
    }
    let twice = r#"{"operation": "aml.basic", "metadata": {"a": "1", "a": "2"}}"#;
    let request = world.request(reqwest::Method::POST, CONSUME, world.key()).header("Idempotency-Key", "k3");
    let answer = tests::send(request.header("Content-Type", "application/json").body(twice)).await;
    assert_eq!(fields(&answer), json!({ "metadata.a": "must be sent once" }));
}

/// A letter with an accent is the same name in its composed and decomposed forms.
#[tokio::test]
async fn dedupe_matches_a_resource_in_any_unicode_form() {
    let world = World::demo().await;
    let body = |resource: &str, customer: &str| {
        json!({ "operation": "aml.basic", "resourceId": resource, "customerId": customer,
            "dedupe": { "windowSeconds": 3600 } })
    };
    let composed = body("r\u{e9}sum\u{e9}", "Zo\u{eb}");
    let paid = world.consume(world.key(), "k1", &composed).await.created();
    let decomposed = body("re\u{301}sume\u{301}", "Zoe\u{308}");
    let quoted = world.post("/api/v3/credits/quote", world.key(), "q1", &decomposed).await.data();
    let again = world.consume(world.key(), "k2", &decomposed).await;
    assert_eq!(again.status, 200, "{again:?}");
    let again = again.data();
    assert_eq!(
        (again["deduplicated"].clone(), again["transactionId"].clone()),
        (json!(true), paid["transactionId"].clone())
    );
    assert_eq!(quoted["duplicateOf"], paid["transactionId"], "{quoted}");
    assert_eq!(paid["resourceId"], json!("r\u{e9}sum\u{e9}"));
    world.consume(world.key(), "k3", &body("resume", "Zoe")).await.created();
}

/// The duplicate of a debit is found by the same comparison.
#[tokio::test]
async fn a_duplicate_is_found_in_any_unicode_form() {
    let world = World::demo().await;
    let mut ids = Vec::new();
    for (name, resource) in [("k1", "caf\u{e9}"), ("k2", "cafe\u{301}")] {
        let body = json!({ "operation": "aml.basic", "resourceId": resource });
        let made = world.consume(world.key(), name, &body).await.created();
        ids.push(made["transactionId"].as_str().unwrap().to_owned());
    }
    for (name, twin) in [("r1", None), ("r2", Some(&ids[0]))] {
        let body = json!({ "transactionId": ids[1], "reason": "duplicate_operation", "duplicateOf": twin });
        let answer = world.post("/api/v3/credits/refund", world.key(), name, &body).await;
        assert!([201, 409].contains(&answer.status), "{answer:?}");
        if name == "r1" {
            assert_eq!(answer.created()["duplicateOf"], json!(ids[0]));
        }
    }
}

/// Buying credits would not enlarge a hold, so no hint proposes it.
#[tokio::test]
async fn capturing_more_than_is_held_says_so() {
    let world = World::demo().await;
    let hold = json!({ "operation": "verification.enhanced", "quantity": 5 });
    let hold = world.post("/api/v3/credits/holds", world.key(), "h1", &hold).await.created();
    let path = format!("/api/v3/credits/holds/{}/capture", hold["holdId"].as_str().unwrap());
    world.post(&path, world.key(), "c1", &json!({ "amount": 4 })).await.data();
    let answer = world.post(&path, world.key(), "c2", &json!({ "amount": 7 })).await;
    assert_eq!(answer.failure(), "402 INSUFFICIENT_CREDITS");
    let error = &answer.body["error"];
    assert_eq!(
        error["message"],
        json!(
            "7 credits were to be captured, and the hold has 6 left; capture at most 6, or omit `amount` to capture all"
        )
    );
    assert_eq!(
        (error["details"]["required"].clone(), error["details"]["available"].clone()),
        (json!(7), json!(6))
    );
    let mend = error["details"]["mend"].as_str().unwrap();
    assert!(mend.contains("capture at most") && !mend.contains("purchase"), "{mend}");
    let short =
        world.consume(world.key(), "k1", &json!({ "operation": "aml.pep", "quantity": 100_000 })).await;
    assert_eq!(short.body["error"]["message"], json!("Not enough credits to perform this operation"));
}
