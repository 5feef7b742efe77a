//! Statements of closed months, as JSON and as PDF.

use std::path::Path;
use std::process::Stdio;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::{Org, World, unique};
use tokio::io::AsyncWriteExt;

const NOW: &str = "2024-01-15T10:30:00Z";
const STATEMENTS: &str = "/api/v3/credits/statements";

/// Days as seconds.
const DAY: u64 = 86_400;

pub(crate) async fn statement(world: &World, org: &Org, month: &str) -> Value {
    world.get(&format!("{STATEMENTS}/{month}"), &org.key).await.data()
}

/// The bytes of a statement's PDF.
pub(crate) async fn pdf(world: &World, org: &Org, month: &str) -> Vec<u8> {
    let path = format!("{STATEMENTS}/{month}?format=pdf");
    let answer = world.request("GET".parse().unwrap(), &path, &org.key).send().await.unwrap();
    assert_eq!(answer.status().as_u16(), 200);
    assert_eq!(answer.headers()["content-type"], "application/pdf");
    answer.bytes().await.unwrap().to_vec()
}

/// The words of a PDF as pypdf reads them, if `SCRIP_DOCUMENT_READERS` names a Python that has it. `cargo xtask test`
/// installs it.
async fn words_of(pdf: &[u8]) -> Option<String> {
    let mut program = tokio::process::Command::new(std::env::var("SCRIP_DOCUMENT_READERS").ok()?);
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/api/pdf_text.py");
    program.arg(script).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut running = program.spawn().unwrap();
    running.stdin.take().unwrap().write_all(pdf).await.unwrap();
    let ended = running.wait_with_output().await.unwrap();
    assert!(ended.status.success());
    let text = String::from_utf8(ended.stdout).unwrap();
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// An organisation with a purchase, debits, a hold that goes on into the next month, and a bonus that expires.
async fn history(world: &World) -> Org {
    let org = world.open(100).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created();
    let end = "2024-01-20T00:00:00Z";
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 10, "expiresAt": end })).await;
    let debit = json!({ "operation": "verification.standard", "quantity": 130 });
    let debit = world.consume(&org.key, &unique(), &debit).await.created();
    let hold = json!({ "operation": "aml.pep", "quantity": 4, "expiresInSeconds": 30 * DAY });
    let hold = world.post("/api/v3/credits/holds", &org.key, &unique(), &hold).await.created();
    world.pass(10 * DAY).await;
    world.settle().await;
    let debit =
        json!({ "transactionId": debit["transactionId"], "reason": "technical_failure", "amount": 5 });
    world.pass(12 * DAY).await;
    // In February: a late refund, and a part of the hold.
    world.post("/api/v3/credits/refund", &org.key, &unique(), &debit).await.created();
    let capture = format!("/api/v3/credits/holds/{}/capture", hold["holdId"].as_str().unwrap());
    world.post(&capture, &org.key, &unique(), &json!({ "amount": 6 })).await.data();
    world.pass(40 * DAY).await;
    world.settle().await;
    org
}

/// Checks the hash of a statement as its guide says, without Scrip's code.
fn check_hash(statement: &Value) {
    let mut fields: std::collections::BTreeMap<String, Value> =
        serde_json::from_value(statement.clone()).unwrap();
    let hash = fields.remove("hash").unwrap();
    let text = serde_json_canonicalizer::to_string(&fields).unwrap();
    let digest: String = Sha256::digest(text).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hash, json!(digest));
}

#[tokio::test]
async fn a_statement_says_what_the_month_had_gained_and_lost() {
    let world = World::at(NOW).await;
    let org = history(&world).await;
    let january = statement(&world, &org, "2024-01").await;
    check_hash(&january);
    let short = &org.id[org.id.len() - 8..];
    assert_eq!(january["number"], json!(format!("2024-01-{short}-LIVE")));
    assert_eq!(
        january["buckets"]["subscription"],
        json!({
            "opening": 0, "in": { "credit.renewal": 100 }, "out": { "verification.standard": 100 }, "added": 100,
            "used": 100, "refunded": 0, "expired": 0, "held": 0, "withdrawn": 0, "closing": 0
        })
    );
    assert_eq!(
        january["buckets"]["purchased"],
        json!({
            "opening": 0, "in": { "credit.purchase": 500 }, "out": { "verification.standard": 30, "credit.hold": 8 },
            "added": 500, "used": 30, "refunded": 0, "expired": 0, "held": 8, "withdrawn": 0, "closing": 462
        })
    );
    assert_eq!(
        january["buckets"]["bonus"],
        json!({
            "opening": 0, "in": { "credit.grant": 10 }, "out": { "credit.expiry": 10 }, "added": 10, "used": 0,
            "refunded": 0, "expired": 10, "held": 0, "withdrawn": 0, "closing": 0
        })
    );
    // 100 of 100 credits at the list price of £299 for 5,000, and 30 of 500 for £49.
    let cost = json!({ "amount": 598 + 294, "currency": "GBP" });
    assert_eq!(january["usage"]["total"], json!({ "credits": 130, "calls": 1, "cost": cost }));
    assert_eq!(january["usage"]["operations"][0]["operation"], json!("verification.standard"));
    let usage = &january["usage"];
    assert_eq!((&usage["includesListPrices"], &usage["unpricedCredits"]), (&json!(true), &json!(0)));
    assert_eq!(usage["others"]["credits"], json!(0));
    let paid = json!([{ "amount": 4900, "currency": "GBP" }]);
    assert_eq!(
        january["purchases"],
        json!({ "count": 1, "credits": 500, "paid": paid, "unpricedCredits": 0 })
    );
    assert_eq!((&january["balance"]["closing"], &january["held"]["closing"]), (&json!(462), &json!(8)));
    assert_eq!(january["ledger"]["firstSequence"], json!(1));

    let february = statement(&world, &org, "2024-02").await;
    let purchased = &february["buckets"]["purchased"];
    assert_eq!(
        (&purchased["refunded"], &purchased["used"], &purchased["held"], &purchased["opening"]),
        (&json!(5), &json!(6), &json!(-8), &json!(462))
    );
    let lines = february["usage"]["operations"].as_array().unwrap();
    let credits: Vec<_> =
        lines.iter().map(|line| (line["operation"].as_str().unwrap(), &line["credits"])).collect();
    assert_eq!(credits, [("aml.pep", &json!(6)), ("credit.refund", &json!(-5))]);
    assert_eq!(february["held"], json!({ "opening": 8, "closing": 0 }));
    assert_eq!(february["ledger"]["openingHash"], january["ledger"]["closingHash"]);
}

/// The demo's purchase is a row of its seed: it brought credits, and no payment is recorded.
#[tokio::test]
async fn a_purchase_without_a_payment_is_in_the_statement() {
    let world = World::demo().await;
    world.pass(40 * DAY).await;
    world.settle().await;
    let listed = world.get(STATEMENTS, world.key()).await.data();
    let mut purchases = vec![];
    for line in listed.as_array().unwrap() {
        let statement = world.get(line["path"].as_str().unwrap(), world.key()).await.data();
        purchases.push(statement["purchases"].clone());
    }
    let bought = purchases.into_iter().rfind(|purchases| purchases["count"] != json!(0)).unwrap();
    assert_eq!(bought, json!({ "count": 1, "credits": 100, "paid": [], "unpricedCredits": 100 }));
}

#[tokio::test]
async fn closed_months_are_listed_and_open_ones_say_when_they_close() {
    let world = World::at(NOW).await;
    let org = history(&world).await;
    let listed = world.get(STATEMENTS, &org.key).await;
    assert_eq!(listed.body["meta"]["pagination"], json!({ "nextCursor": null, "hasMore": false }));
    let listed = listed.data();
    let months: Vec<_> =
        listed.as_array().unwrap().iter().map(|line| line["month"].as_str().unwrap()).collect();
    assert_eq!(months, ["2024-02", "2024-01"]);
    for line in listed.as_array().unwrap() {
        let statement = world.get(line["path"].as_str().unwrap(), &org.key).await.data();
        assert_eq!((&statement["number"], &statement["month"]), (&line["number"], &line["month"]));
    }
    let open = world.get(&format!("{STATEMENTS}/2024-03"), &org.key).await;
    assert_eq!(open.failure(), "404 NOT_FOUND");
    assert!(open.body["error"]["message"].as_str().unwrap().contains("2024-04-01T00:00:00Z"), "{open:?}");
    let early = world.get(&format!("{STATEMENTS}/2023-12"), &org.key).await;
    assert_eq!(early.failure(), "404 NOT_FOUND");
    for wrong in ["2024-13", "2024-1", "january", "2024-01-01"] {
        let answer = world.get(&format!("{STATEMENTS}/{wrong}"), &org.key).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{wrong}");
        assert!(answer.body["error"]["details"]["fields"]["month"].is_string(), "{answer:?}");
    }
    let format = world.get(&format!("{STATEMENTS}/2024-01?format=xlsx"), &org.key).await;
    assert_eq!(format.failure(), "400 VALIDATION_ERROR");
    let other = world.open(1).await;
    assert_eq!(world.get(STATEMENTS, &other.key).await.data(), json!([]));
}

/// The hashes of a statement are those of the chain, and a customer verifies them as any hash that they have kept.
#[tokio::test]
async fn a_statement_is_proved_by_the_chain() {
    let world = World::at(NOW).await;
    let org = history(&world).await;
    for month in ["2024-01", "2024-02"] {
        let ledger = statement(&world, &org, month).await["ledger"].clone();
        let (first, last) = (&ledger["firstSequence"], &ledger["lastSequence"]);
        let audit = world
            .get(&format!("/api/v3/credits/audit?from={first}&to={last}&limit=100"), &org.key)
            .await
            .data();
        assert_eq!(audit["verified"], json!(true));
        let rows = audit["rows"].as_array().unwrap();
        assert_eq!(rows.last().unwrap()["hash"], ledger["closingHash"]);
        let kept = format!("{last}:{}", ledger["closingHash"].as_str().unwrap());
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/transactions/verify.py");
        for (kept, sound) in [(kept, true), (format!("{last}:{}", "0".repeat(64)), false)] {
            let mut python = tokio::process::Command::new("python3");
            python
                .arg(&program)
                .arg(kept)
                .env("SCRIP_URL", world.machine.base_url())
                .env("SCRIP_KEY", &org.key);
            assert_eq!(python.output().await.unwrap().status.success(), sound, "{month}");
        }
    }
}

#[tokio::test]
async fn a_pdf_shows_the_totals() {
    let world = World::at(NOW).await;
    let org = history(&world).await;
    let january = statement(&world, &org, "2024-01").await;
    let bytes = pdf(&world, &org, "2024-01").await;
    assert!(bytes.starts_with(b"%PDF-1.7"));
    assert_eq!(bytes, pdf(&world, &org, "2024-01").await);
    let february = statement(&world, &org, "2024-02").await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    for (bytes, expected) in [
        (
            bytes,
            vec![
                "Own, January 2024".to_owned(),
                text(&january["number"]),
                text(&january["hash"]),
                text(&january["ledger"]["closingHash"]),
                "Total 0 610 0 \u{2212}130 \u{2212}10 \u{2212}8 0 462".to_owned(),
                "verification.standard 1 130 8.92 GBP".to_owned(),
                "1 purchase, 500 credits for 49.00 GBP".to_owned(),
                "Held by holds 0 8".to_owned(),
            ],
        ),
        (
            pdf(&world, &org, "2024-02").await,
            vec![
                "Own, February 2024".to_owned(),
                text(&february["hash"]),
                "Held by holds 8 0".to_owned(),
                "aml.pep 1 6 0.58 GBP".to_owned(),
                // Money that came back is below zero.
                "credit.refund 0 \u{2212}5 \u{2212}0.49 GBP".to_owned(),
            ],
        ),
    ] {
        let Some(words) = words_of(&bytes).await else { return };
        for expected in expected {
            assert!(words.contains(&expected), "{expected} is not in:\n{words}");
        }
    }
}

/// Purchases are found whose own records lie behind those of many later ones.
#[tokio::test]
async fn a_purchase_is_found_behind_later_ones() {
    let world = World::at("2024-01-31T22:30:00Z").await;
    let org = world.open(0).await;
    let buy = async |count: u64| {
        for _ in 0..count {
            let body = json!({ "package": "starter", "paymentMethod": "card_1" });
            world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created();
        }
    };
    buy(2).await;
    world.pass(2 * 3_600).await;
    buy(51).await;
    world.pass(30 * DAY).await;
    world.settle().await;
    for (month, count) in [("2024-01", 2), ("2024-02", 51)] {
        let paid = json!([{ "amount": 4_900 * count, "currency": "GBP" }]);
        let expected = json!({ "count": count, "credits": 500 * count, "paid": paid, "unpricedCredits": 0 });
        assert_eq!(statement(&world, &org, month).await["purchases"], expected, "{month}");
    }
}

/// A statement names two hundred operations, and adds up the others. Credits whose price is not known are counted.
#[tokio::test]
async fn a_statement_adds_up_the_operations_that_it_does_not_name() {
    const OPERATIONS: u64 = 205;
    let world = World::at(NOW).await;
    let org = world.open(20_000).await;
    world.grant(&org.id, &json!({ "source": "purchased", "amount": 10_000 })).await;
    let mut items = vec![];
    for number in 1..=OPERATIONS {
        let operation = format!("own.{number}");
        let price = json!({ "credits": 1, "category": "other" });
        world.put(&format!("/admin/v1/pricing/{operation}"), world.operator(), &price).await.data();
        items.push(json!({ "operation": operation, "quantity": number }));
    }
    world.pass(120).await;
    for items in items.chunks(100) {
        let body = json!({ "items": items });
        world.post("/api/v3/credits/consume/batch", &org.key, &unique(), &body).await.created();
    }
    world.pass(30 * DAY).await;
    world.settle().await;
    let usage = statement(&world, &org, "2024-01").await["usage"].clone();
    let lines = usage["operations"].as_array().unwrap();
    assert_eq!(
        (lines.len(), &lines[0]["operation"], &lines[0]["credits"]),
        (200, &json!("own.205"), &json!(205))
    );
    let others = &usage["others"];
    assert_eq!((&others["credits"], &others["calls"]), (&json!(1 + 2 + 3 + 4 + 5), &json!(5)));
    assert_eq!((&usage["total"]["credits"], &usage["total"]["calls"]), (&json!(21_115), &json!(OPERATIONS)));
    let cost = |line: &Value| line["cost"]["amount"].as_i64().unwrap();
    assert_eq!(lines.iter().map(cost).sum::<i64>() + cost(others), cost(&usage["total"]));
    assert_eq!((&usage["includesListPrices"], &usage["unpricedCredits"]), (&json!(true), &json!(1_115)));
}
