//! Batches, and quotes for them.

use serde_json::{Value, json};
use tests::{ApiAnswer, Dice, Org, World, unique};

const NOW: &str = "2024-01-15T10:30:00Z";
const BATCH: &str = "/api/v3/credits/consume/batch";
const QUOTE: &str = "/api/v3/credits/quote";

async fn batch(world: &World, org: &Org, name: &str, items: &[Value], mode: &str) -> ApiAnswer {
    world.post(BATCH, &org.key, name, &json!({ "items": items, "mode": mode })).await
}

fn item(operation: &str, quantity: u64) -> Value {
    json!({ "operation": operation, "quantity": quantity })
}

/// Each result in short: amount and balance after it, or the reason.
fn results(batch: &Value) -> Vec<(u64, String)> {
    let results = batch["results"].as_array().unwrap().iter();
    let short = results.map(|result| match result["status"].as_str().unwrap() {
        "approved" => {
            let line = &result["transaction"];
            (line["amount"].as_u64().unwrap(), line["balanceAfter"].to_string())
        }
        _ => (0, result["error"]["code"].as_str().unwrap().to_owned()),
    });
    short.collect()
}

#[tokio::test]
async fn an_atomic_batch_is_charged_whole_or_not_at_all() {
    let world = World::at(NOW).await;
    let org = world.open(5).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 4 })).await;
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 10 })).await;
    let items = [
        item("aml.pep", 2),
        item("verification.biometric", 1),
        item("applicants.import", 1),
        item("aml.pep", 3),
    ];
    let first = batch(&world, &org, "b1", &items, "atomic").await;
    let made = first.created();
    let expected =
        [(4, "15"), (3, "12"), (0, "12"), (6, "6")].map(|(amount, after)| (amount, after.to_owned()));
    assert_eq!(results(&made), expected);
    assert_eq!(made["balance"]["available"], json!(6));
    let sources: Vec<Vec<(&str, u64)>> = made["results"].as_array().unwrap().iter().map(sources).collect();
    assert_eq!(
        sources,
        [
            vec![("subscription", 4)],
            vec![("subscription", 1), ("purchased", 2)],
            vec![],
            vec![("purchased", 2), ("bonus", 4)],
        ]
    );
    let lines = world.transactions(&org.key, "type=DEBIT").await;
    let mut of_batch: Vec<_> =
        made["results"].as_array().unwrap().iter().map(|result| &result["transaction"]).collect();
    of_batch.reverse();
    assert_eq!(lines.iter().collect::<Vec<_>>(), of_batch, "one row for each item, equal to the answer");
    let again = batch(&world, &org, "b1", &items, "atomic").await;
    assert_eq!((again.header("idempotent-replayed"), again.created()), (Some("true"), made));
    assert_eq!(
        batch(&world, &org, "b1", &items[..3], "atomic").await.failure(),
        "422 IDEMPOTENCY_KEY_REUSED"
    );

    let refused = batch(&world, &org, "b2", &[item("aml.pep", 3), item("aml.basic", 1)], "atomic").await;
    assert_eq!(refused.failure(), "402 INSUFFICIENT_CREDITS");
    let details = &refused.body["error"]["details"];
    assert_eq!((&details["required"], &details["available"]), (&json!(7), &json!(6)));
    assert_eq!(world.balance(&org.key).await["available"], json!(6));
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 1 })).await;
    batch(&world, &org, "b2", &[item("aml.pep", 3), item("aml.basic", 1)], "atomic").await.created();
}

fn sources(result: &Value) -> Vec<(&str, u64)> {
    let shares = result["transaction"]["sources"].as_array().unwrap().iter();
    shares.map(|share| (share["source"].as_str().unwrap(), share["amount"].as_u64().unwrap())).collect()
}

#[tokio::test]
async fn a_partial_batch_charges_payable_items_in_order() {
    let world = World::at(NOW).await;
    let org = world.open(6).await;
    let items = [
        item("aml.pep", 2),
        item("verification.biometric", 1),
        item("nope", 1),
        item("aml.basic", 1),
        item("aml.basic", 2),
    ];
    let first = batch(&world, &org, "b1", &items, "partial").await.created();
    let expected = [
        (4, "2"),
        (0, "INSUFFICIENT_CREDITS"),
        (0, "UNKNOWN_OPERATION"),
        (1, "1"),
        (0, "INSUFFICIENT_CREDITS"),
    ];
    assert_eq!(results(&first), expected.map(|(amount, after)| (amount, after.to_owned())));
    let short = &first["results"][1]["error"]["details"];
    assert_eq!((&short["required"], &short["available"]), (&json!(3), &json!(2)));
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 100 })).await;
    assert_eq!(batch(&world, &org, "b1", &items, "partial").await.created(), first);
    let lines = world.transactions(&org.key, "type=DEBIT").await;
    assert_eq!(lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(lines[0]["batch"], json!({ "batchId": lines[1]["transactionId"], "item": 3 }));
    let org = world.open(0).await;
    let nothing = batch(&world, &org, "b2", &items, "partial").await.created();
    assert!(nothing["results"].as_array().unwrap().iter().all(|result| result["status"] == json!("refused")));
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 100 })).await;
    assert_eq!(batch(&world, &org, "b2", &items, "partial").await.created(), nothing);
    let line = &world.transactions(&org.key, "type=DEBIT").await[0];
    assert_eq!((&line["operation"], &line["amount"]), (&json!("credit.batch"), &json!(0)));
    let refused = batch(&world, &org, "b3", &items, "atomic").await;
    assert_eq!(refused.failure(), "400 UNKNOWN_OPERATION");
}

#[tokio::test]
async fn a_batch_has_one_to_a_hundred_items() {
    let world = World::at(NOW).await;
    let org = world.open(1_000).await;
    for (count, status) in [(0, 400), (1, 201), (100, 201), (101, 400)] {
        let items = vec![item("verification.standard", 2); count];
        let answer = batch(&world, &org, &unique(), &items, "atomic").await;
        assert_eq!(answer.status, status, "{count}");
        if status == 400 {
            assert!(answer.body["error"]["details"]["fields"]["items"].is_string());
        }
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(798));
    let once = json!({ "operation": "aml.pep", "resourceId": "a", "dedupe": { "windowSeconds": 60 } });
    let answer = batch(&world, &org, &unique(), &[item("aml.pep", 1), once], "atomic").await;
    assert!(answer.body["error"]["details"]["fields"]["items[1].dedupe"].is_string(), "{answer:?}");
    // With names and metadata a batch may have more than 64 KiB, but not more than 512 KiB.
    let with = |bytes: usize| {
        let metadata =
            json!({ "a": "x".repeat(490), "b": "x".repeat(490), "c": "x".repeat(bytes.saturating_sub(980)) });
        json!({ "operation": "aml.pep", "metadata": metadata })
    };
    let large = vec![with(1_400); 80];
    batch(&world, &org, &unique(), &large, "atomic").await.created();
    let metadata: serde_json::Map<_, _> = (0..4).map(|n| (format!("k{n}"), json!("y".repeat(495)))).collect();
    let full = json!({ "operation": "aml.pep", "resourceId": "\u{1f980}".repeat(255), "customerId": "\u{1f980}".repeat(255),
        "memberId": "\u{1f980}".repeat(255), "metadata": metadata });
    let refused = batch(&world, &org, &unique(), &vec![full.clone(); 80], "atomic").await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
    batch(&world, &org, &unique(), &vec![full; 50], "atomic").await.created();
    let huge = json!({ "items": [item("aml.pep", 1)], "mode": " ".repeat(530_000) });
    assert_eq!(world.post(BATCH, &org.key, &unique(), &huge).await.failure(), "413 PAYLOAD_TOO_LARGE");
}

/// An organisation with some lots, and sometimes credits on account.
async fn some_state(world: &World, dice: &mut Dice) -> Org {
    let org = world.open(dice.roll(12)).await;
    for _ in 0..dice.roll(4) {
        let source = ["purchased", "bonus"][usize::try_from(dice.roll(2)).unwrap()];
        let service =
            [Value::Null, json!("api"), json!("smartcheck")][usize::try_from(dice.roll(3)).unwrap()].clone();
        world
            .grant(&org.id, &json!({ "source": source, "amount": dice.roll(9) + 1, "service": service }))
            .await;
    }
    if dice.roll(3) == 0 {
        let terms = format!("/admin/v1/organisations/{}/post-paid", org.id);
        world.put(&terms, world.operator(), &json!({ "limit": dice.roll(9) })).await.data();
    }
    org
}

/// A request has exactly the result that its quote predicted, and the quote writes nothing.
#[tokio::test]
async fn a_quote_predicts_the_result() {
    let world = World::at(NOW).await;
    let mut dice = Dice(7);
    let mut outcomes = [0, 0];
    for _ in 0..40 {
        let org = some_state(&world, &mut dice).await;
        for _ in 0..3 {
            let service = [Value::Null, json!("api")][usize::try_from(dice.roll(2)).unwrap()].clone();
            let mut one = item(
                ["aml.pep", "verification.biometric"][usize::try_from(dice.roll(2)).unwrap()],
                dice.roll(4) + 1,
            );
            one["service"] = service;
            let (path, body) = match dice.roll(3) {
                0 => ("/api/v3/credits/consume", one),
                mode => {
                    let mode = ["atomic", "partial"][usize::try_from(mode - 1).unwrap()];
                    (
                        BATCH,
                        json!({ "items": [one, item("aml.basic", dice.roll(5) + 1), item("aml.pep", 2)], "mode": mode }),
                    )
                }
            };
            let quote = world.post(QUOTE, &org.key, "", &body).await.data();
            let before = world.balance(&org.key).await;
            let made = world.post(path, &org.key, &unique(), &body).await;
            let is_allowed = quote["allowed"] == json!(true);
            outcomes[usize::from(is_allowed)] += 1;
            if body["mode"] == json!("partial") {
                agrees(&quote, &made.created());
                continue;
            }
            assert_eq!(made.status == 201, is_allowed, "{quote} {made:?}");
            if made.status == 201 {
                assert_eq!(quote["balanceAfter"], made.data()["balance"]["available"], "{quote} {made:?}");
            } else {
                assert_eq!(but_mend(&quote["error"]), but_mend(&made.body["error"]), "{quote}");
                assert_eq!(quote["balanceAfter"], before["available"]);
            }
            if path != BATCH && made.status == 201 {
                assert_eq!(
                    (&quote["amount"], &quote["sources"]),
                    (&made.data()["amount"], &made.data()["sources"])
                );
                assert_eq!(quote["priceVersion"], made.data()["priceVersion"]);
            }
        }
    }
    assert!(outcomes.iter().all(|count| *count > 20), "{outcomes:?}");
}

/// An error without its hints, which differ: a quote has no key to repeat.
fn but_mend(error: &Value) -> Value {
    let mut error = error.clone();
    if let Some(mend) = error.pointer_mut("/details/mend") {
        mend.take();
    }
    error
}

/// Compares a quote with the batch, item by item.
fn agrees(quote: &Value, made: &Value) {
    let (quoted, results) = (quote["items"].as_array().unwrap(), made["results"].as_array().unwrap());
    for (quoted, result) in quoted.iter().zip(results) {
        assert_eq!(quoted["allowed"], json!(result["status"] == json!("approved")), "{quote} {made}");
        assert_eq!(but_mend(&quoted["error"]), but_mend(&result["error"]));
    }
    assert_eq!(quote["balanceAfter"], made["balance"]["available"]);
}

/// Required and available credits, with the package that covers the difference.
#[tokio::test]
async fn a_quote_proposes_a_sufficient_package() {
    let world = World::at(NOW).await;
    let org = world.open(10).await;
    for (quantity, lacking, package, credits, price) in [
        (11, 1, json!("starter"), 500, 4_900),
        (510, 500, json!("starter"), 500, 4_900),
        (511, 501, json!("growth"), 1_000, 8_900),
        (1_011, 1_001, json!("professional"), 5_000, 39_900),
        // More than the largest package: exactly as many credits as are missing, at the price of the largest.
        (6_010, 6_000, Value::Null, 6_000, 47_880),
    ] {
        let quote = world.post(QUOTE, &org.key, "", &item("verification.standard", quantity)).await.data();
        let mend = json!({ "action": "purchase", "lacking": lacking, "package": package, "credits": credits,
            "price": { "amount": price, "currency": "GBP" } });
        assert_eq!((&quote["allowed"], &quote["mend"]), (&json!(false), &mend), "{quantity}");
    }
    let many = json!({ "items": [item("verification.standard", 8), item("verification.standard", 8)], "mode": "partial" });
    assert_eq!(world.post(QUOTE, &org.key, "", &many).await.data()["mend"]["lacking"], json!(6));
    let once = json!({ "operation": "aml.pep", "resourceId": "a", "dedupe": { "windowSeconds": 60 } });
    assert_eq!(world.post(QUOTE, &org.key, "", &once).await.data()["amount"], json!(2));
    let paid = world.consume(&org.key, &unique(), &once).await.created();
    let quote = world.post(QUOTE, &org.key, "", &once).await.data();
    assert_eq!((&quote["amount"], &quote["duplicateOf"]), (&json!(0), &paid["transactionId"]));
    for (body, field) in [
        (json!({}), "operation"),
        (json!({ "items": [] }), "items"),
        (json!({ "items": [{}] }), "items[0].operation"),
        (json!({ "operation": "aml.pep", "items": [item("aml.pep", 1)] }), "operation"),
        (json!({ "operation": "aml.pep", "mode": "atomic" }), "mode"),
    ] {
        let refused = world.post(QUOTE, &org.key, "", &body).await;
        assert_eq!(refused.failure(), "400 VALIDATION_ERROR", "{body}");
        assert!(refused.body["error"]["details"]["fields"][field].is_string(), "{body}: {:?}", refused.body);
    }
}
