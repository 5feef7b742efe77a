//! A customer verifies their ledger with functions/transactions/verify.py: it finds whatever was changed in the
//! table.

use std::collections::HashMap;
use std::path::Path;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use local::LEDGER_TABLE;
use local::engine::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::Ledger;
use tests::{TableItem, World, unique};

/// A machine on a database that the test can change.
async fn tampered_world() -> (World, Engine) {
    let engine = Engine::temporary().unwrap();
    let address = engine.serve(0).unwrap();
    (World::on(&format!("http://{address}"), "2024-01-30T09:00:00Z").await, engine)
}

async fn rows(client: &Client, org: &str) -> Vec<TableItem> {
    let mut rows = Vec::new();
    for month in ["2024-01", "2024-02"] {
        let pk = AttributeValue::S(format!("TXN#{org}#live#{month}"));
        let query = client.query().table_name(LEDGER_TABLE).key_condition_expression("pk = :pk");
        rows.extend(query.expression_attribute_values(":pk", pk).send().await.unwrap().items.unwrap());
    }
    rows
}

async fn write(client: &Client, item: &TableItem) {
    client.put_item().table_name(LEDGER_TABLE).set_item(Some(item.clone())).send().await.unwrap();
}

/// Whether the program accepts the ledger, and its output.
async fn verify(world: &World, key: &str, kept: &[&str]) -> (bool, String) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("../functions/transactions/verify.py");
    let mut python = tokio::process::Command::new("python3");
    python.arg(program).args(kept).env("SCRIP_URL", world.machine.base_url()).env("SCRIP_KEY", key);
    let ended = python.output().await.unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    (ended.status.success(), String::from_utf8(said).unwrap().trim().to_owned())
}

#[tokio::test]
async fn the_verifier_finds_every_change() {
    let (world, engine) = tampered_world().await;
    let client = Client::from_conf(engine.dynamodb_config().build());
    let org = world.open(1_000).await;
    let body = json!({ "operation": "aml.basic", "resourceId": "é🦀 \"\\", "metadata": { "$B": "x" } });
    let mut kept = String::new();
    for day in 0..4 {
        for n in 0..30 {
            world.consume(&org.key, &format!("{day}-{n}"), &body).await.created();
        }
        world.post_plain("/_local/clock", &json!({ "advanceSeconds": 86_400 })).await.data();
        if day == 1 {
            let (sound, said) = verify(&world, &org.key, &[]).await;
            assert!(sound, "{said}");
            kept = said.rsplit(' ').next().unwrap().to_owned();
        }
    }
    let (sound, said) = verify(&world, &org.key, &[&kept]).await;
    assert!(sound && said.starts_with("122 rows, all sound. Keep 122:"), "{said}");

    let rows = rows(&client, &org.id).await;
    let row = rows.iter().find(|row| row["seq"] == AttributeValue::N("70".into())).unwrap();
    let mut changed = row.clone();
    let AttributeValue::M(details) = changed.get_mut("d").unwrap() else { panic!("no details") };
    details.insert("resourceId".into(), AttributeValue::S("é🦀 \"\\.".into()));
    write(&client, &changed).await;
    let (sound, said) = verify(&world, &org.key, &[&kept]).await;
    assert!(!sound && said.starts_with("row 70 (txn_"), "{said}");
    let page = world.get("/api/v3/credits/audit?from=60&to=80", &org.key).await.data();
    assert_eq!((&page["verified"], &page["problems"][0]["problem"]), (&json!(false), &json!("altered")));
    assert_eq!(page["problems"].as_array().unwrap().len(), 1);
    assert_eq!(page["problems"][0]["sequence"], json!(70));
    assert_eq!(page["problems"][0]["transactionId"], page["rows"][10]["transactionId"]);
    let elsewhere = world.get("/api/v3/credits/audit?from=71&to=122&limit=100", &org.key).await.data();
    assert_eq!((&elsewhere["verified"], &elsewhere["problems"]), (&json!(true), &json!([])));
    write(&client, row).await;
    assert!(verify(&world, &org.key, &[&kept]).await.0);

    let key = HashMap::from(["pk", "sk"].map(|name| (name.to_owned(), row[name].clone())));
    client.delete_item().table_name(LEDGER_TABLE).set_key(Some(key)).send().await.unwrap();
    let (sound, said) = verify(&world, &org.key, &[&kept]).await;
    assert!(!sound && said.starts_with("row 70 (txn_"), "{said}");
    write(&client, row).await;
    let (number, _) = kept.split_once(':').unwrap();
    let other = format!("{number}:{}", "0".repeat(64));
    let (sound, said) = verify(&world, &org.key, &[&other]).await;
    assert_eq!((sound, said), (false, format!("the ledger up to row {number} has changed")));
    let (sound, said) = verify(&world, &org.key, &[&kept.replacen(number, "123", 1)]).await;
    let beyond = "this ledger has only 122 rows, and not 123; is the hash another ledger's?";
    assert_eq!((sound, said.as_str()), (false, beyond));
    for word in ["7", "7:abc", "x:", &kept.to_uppercase()] {
        let (sound, said) = verify(&world, &org.key, &[word]).await;
        assert!(!sound && said.starts_with(&format!("{word} is not a number and a hash")), "{said}");
    }
    let (sound, said) = verify(&world, "sk_live_unknown", &[]).await;
    assert_eq!(
        (sound, said.as_str()),
        (false, "the ledger could not be read: SCRIP_KEY is no key of this service")
    );
}

/// A ledger of several days, and its key.
async fn ledger() -> (World, String) {
    let world = World::at("2024-01-30T09:00:00Z").await;
    let org = world.open(1_000).await;
    for day in 0..3 {
        for n in 0..9 {
            world
                .consume(&org.key, &format!("{day}-{n}"), &json!({ "operation": "aml.pep" }))
                .await
                .created();
        }
        world.post_plain("/_local/clock", &json!({ "advanceSeconds": 86_400 })).await.data();
    }
    (world, org.key)
}

#[tokio::test]
async fn an_audit_lists_the_chain_page_by_page() {
    let (world, key) = ledger().await;
    let all = world.get("/api/v3/credits/audit?limit=100", &key).await.data();
    let rows = all["rows"].as_array().unwrap();
    // Two months' allowances and 27 debits on three days.
    let numbers: Vec<_> = rows.iter().map(|row| row["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=29).collect::<Vec<_>>());
    assert_eq!((&all["tip"]["sequence"], &all["tip"]["hash"]), (&json!(29), &rows[28]["hash"]));
    assert_eq!((&all["previousHash"], &all["verified"]), (&all["genesis"], &json!(true)));
    let days: Vec<_> = all["checkpoints"].as_array().unwrap().iter().map(|day| &day["date"]).collect();
    assert_eq!(days, ["2024-01-01", "2024-01-30", "2024-01-31"]);
    let lines = world.transactions(&key, "").await;
    for (row, line) in rows.iter().zip(lines.iter().rev()) {
        assert_eq!((&row["transactionId"], &row["timestamp"]), (&line["transactionId"], &line["timestamp"]));
    }
    for limit in [1, 7, 29] {
        let (mut reported, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = world.get(&format!("/api/v3/credits/audit?limit={limit}{cursor}"), &key).await;
            reported.extend(page.data()["rows"].as_array().unwrap().clone());
            let pagination = &page.body["meta"]["pagination"];
            assert_eq!(pagination["hasMore"], json!(pagination["nextCursor"].is_string()));
            match pagination["nextCursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(&reported, rows, "limit {limit}");
    }
    for (query, from, to) in [
        ("from=5&to=9", 5, 9),
        ("from=29", 29, 29),
        ("from=30", 30, 29),
        ("from=9007199254740991", 9_007_199_254_740_991, 9_007_199_254_740_990),
        ("to=1", 1, 1),
        ("from=2030-01-01T00:00:00Z", 30, 29),
        ("to=2030-01-01T00:00:00Z&limit=100", 1, 29),
        ("from=2024-01-31T09:00:00Z&to=2024-02-01T00:00:00Z", 11, 19),
        ("from=2024-02-01T00:00:00Z", 20, 29),
        ("to=2024-01-30T09:00:01Z&limit=100", 1, 10),
        ("from=2000-01-01T00:00:00Z&to=2000-01-02T00:00:00Z", 1, 0),
    ] {
        let part = world.get(&format!("/api/v3/credits/audit?{query}"), &key).await.data();
        assert_eq!((&part["from"], &part["to"]), (&json!(from), &json!(to)), "{query}");
        let expected: Vec<_> =
            rows.iter().filter(|row| (from..=to).contains(&row["sequence"].as_u64().unwrap())).collect();
        assert_eq!(part["rows"], json!(expected), "{query}");
    }
}

/// A receipt's proof is valid and equals the audit's.
#[tokio::test]
async fn a_receipt_carries_its_proof() {
    let (world, key) = ledger().await;
    let all = world.get("/api/v3/credits/audit?limit=100", &key).await.data();
    for row in all["rows"].as_array().unwrap() {
        let path = format!("/api/v3/credits/transactions/{}", row["transactionId"].as_str().unwrap());
        let proof = world.get(&path, &key).await.data()["proof"].clone();
        let bytes = |hex: &Value| {
            let hex = hex.as_str().unwrap();
            let byte = |place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap();
            (0..hex.len()).step_by(2).map(byte).collect::<Vec<_>>()
        };
        let hashed = Sha256::digest(
            [&bytes(&proof["previousHash"]), proof["row"].as_str().unwrap().as_bytes()].concat(),
        );
        assert_eq!(hashed.as_slice(), bytes(&proof["hash"]));
        for field in ["sequence", "hash", "row"] {
            assert_eq!(proof[field], row[field], "{field}");
        }
    }
    let body = json!({ "package": "starter", "paymentMethod": "card_xyz123" });
    let bought = world.post("/api/v3/credits/purchase", &key, "p1", &body).await.created();
    world.settle().await;
    let path = format!("/api/v3/credits/transactions/{}", bought["transactionId"].as_str().unwrap());
    let reported = world.get(&path, &key).await.data();
    assert_eq!(
        (&reported["transactionId"], &reported["proof"]["sequence"]),
        (&bought["transactionId"], &reported["sequence"])
    );
    let last = world.get("/api/v3/credits/audit?from=30", &key).await.data();
    assert_eq!(last["rows"][0]["transactionId"], bought["transactionId"]);
    let body = json!({ "package": "starter", "paymentMethod": "card_authentication" });
    let pending = world.post("/api/v3/credits/purchase", &key, "p2", &body).await.data();
    let path = format!("/api/v3/credits/transactions/{}", pending["transactionId"].as_str().unwrap());
    assert_eq!(world.get(&path, &key).await.data()["proof"], Value::Null);
}

#[tokio::test]
async fn an_audit_is_of_the_callers_own_ledger() {
    let (world, key) = ledger().await;
    let other = world.open(10).await;
    world.settle().await;
    let theirs = world.get("/api/v3/credits/audit", &other.key).await.data();
    assert_eq!(theirs["ledger"], json!(format!("{}#live", other.id)));
    assert_eq!(theirs["rows"].as_array().unwrap().len(), 1);
    let live = world.get("/api/v3/credits/audit", world.key()).await.data();
    let test = world.get("/api/v3/credits/audit", world.test_key()).await.data();
    assert_eq!(test["ledger"], json!(format!("{}#test", world.org())));
    assert_ne!(live["genesis"], test["genesis"]);
    let page = world.get("/api/v3/credits/audit?limit=5", &key).await;
    let cursor = page.body["meta"]["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    for (key, cursor) in [(&other.key, cursor.clone()), (&key, format!("{cursor}x")), (&key, "x".to_owned())]
    {
        let answer = world.get(&format!("/api/v3/credits/audit?cursor={cursor}"), key).await;
        assert_eq!(answer.failure(), "400 INVALID_CURSOR");
    }
    let path = format!("/admin/v1/organisations/{}/keys", other.id);
    let spender = json!({ "mode": "live", "scopes": ["credits:consume"] });
    let spender = world.post(&path, world.operator(), &unique(), &spender).await.created();
    let refused = world.get("/api/v3/credits/audit", spender["key"].as_str().unwrap()).await;
    assert_eq!(refused.failure(), "403 INSUFFICIENT_PERMISSIONS");
    for (query, field) in [
        ("limit=0", "limit"),
        ("limit=101", "limit"),
        ("limit=x", "limit"),
        ("from=0", "from"),
        ("from=-1", "from"),
        ("from=1.5", "from"),
        ("from=9007199254740992", "from"),
        ("from=99999999999999999999999", "from"),
        ("from=", "from"),
        ("to=yesterday", "to"),
        ("to=1999-12-31T23:59:59Z", "to"),
        ("page=2", "page"),
    ] {
        let answer = world.get(&format!("/api/v3/credits/audit?{query}"), &other.key).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{query}");
        assert!(answer.body["error"]["details"]["fields"][field].is_string(), "{query}: {}", answer.body);
    }
}

/// A day that ends with the first row of the next page is none of this page's days.
#[tokio::test]
async fn a_day_that_ends_beside_a_page_is_on_its_own_page() {
    let (world, _engine) = tampered_world().await;
    let org = world.open(1_000).await;
    for number in 0..100 {
        world.consume(&org.key, &number.to_string(), &json!({ "operation": "aml.basic" })).await.created();
    }
    world.pass(86_400).await;
    world.consume(&org.key, "next-day", &json!({ "operation": "aml.basic" })).await.created();
    world.settle().await;
    let days = async |query: &str| -> Vec<Value> {
        let page = world.get(&format!("/api/v3/credits/audit?{query}"), &org.key).await.data();
        page["checkpoints"].as_array().unwrap().iter().map(|day| day["sequence"].clone()).collect()
    };
    // The renewal is the first row, on a day of its own.
    assert_eq!(days("limit=100").await, [json!(1)]);
    assert_eq!(days("from=101&limit=100").await, [json!(101)]);
    let (sound, said) = verify(&world, &org.key, &[]).await;
    assert!(sound && said.starts_with("102 rows, all sound"), "{said}");
}

/// The command's output, and its exit code when it finds a problem.
#[tokio::test]
async fn all_ledgers_of_a_database_are_audited() {
    let (world, engine) = tampered_world().await;
    let org = world.open(10).await;
    world.consume(&org.key, "k1", &json!({ "operation": "aml.pep" })).await.created();
    world.settle().await;
    let ledger = Ledger::new(&engine.dynamodb_config().build(), LEDGER_TABLE);
    let run = async |account: Option<String>| {
        let mut lines = Vec::new();
        let account = account.map(|account| account.parse().unwrap());
        let now = "2024-01-30T09:00:00Z".parse().unwrap();
        let done = local::audit(&ledger, account, now, &mut |line| lines.push(line.to_owned())).await;
        (done.map_err(|error| error.to_string()), lines)
    };
    let (done, lines) = run(None).await;
    assert_eq!((done, lines.len(), lines[4].as_str()), (Ok(()), 5, "accounts: 4, all sound"));
    let live = format!("{}#live", org.id);
    let (done, lines) = run(Some(live.clone())).await;
    assert_eq!((done, lines[1].as_str()), (Ok(()), "accounts: 1, all sound"));
    assert!(lines[0].starts_with(&format!("{live}: entries 2, chained through 2 (")), "{lines:?}");
    let client = Client::from_conf(engine.dynamodb_config().build());
    let mut row = rows(&client, &org.id).await.pop().unwrap();
    row.insert("n".into(), AttributeValue::N("3".into()));
    write(&client, &row).await;
    let (done, lines) = run(None).await;
    assert_eq!(done, Err("problems: 1, in 1 of 4 accounts".to_owned()));
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("    row 2 (txn_") && line.ends_with("after it was chained"))
    );
    let (done, _) = run(Some("org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live".to_owned())).await;
    assert_eq!(done, Err("there is no account org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live".to_owned()));
}
