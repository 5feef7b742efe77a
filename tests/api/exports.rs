//! Exports: files of transactions, what they cost, and their links.

use std::collections::BTreeSet;
use std::io::Cursor;

use calamine::{Data, Reader, Xlsx};
use reqwest::Method;
use scrip_documents::{COLUMNS, unguarded};
use serde_json::{Value, json};
use tests::{Org, World, send, unique};

const EXPORT: &str = "/api/v3/credits/transactions/export";
const EXPORTS: &str = "/api/v3/credits/transactions/exports";
const NOW: &str = "2024-01-15T10:30:00Z";

/// An organisation with some transactions, also such as a spreadsheet program could take for formulas.
async fn organisation(world: &World) -> Org {
    let org = world.open(100).await;
    for (operation, resource) in [
        ("aml.basic", "=1+1"),
        ("aml.pep", "@SUM(A1)"),
        ("verification.document", "-2"),
        ("aml.basic", "plain"),
    ] {
        let body = json!({
            "operation": operation, "resourceId": resource, "customerId": "c\u{e9}, \"1\"", "metadata": { "=k": "+v" },
        });
        world.consume(&org.key, &unique(), &body).await.created();
    }
    org
}

async fn made(world: &World, org: &Org, body: &Value) -> Value {
    world.post(EXPORT, &org.key, &unique(), body).await.created()
}

/// Downloads a link; returns status, content type and content.
async fn download(link: &str) -> (u16, String, Vec<u8>) {
    let answer = tests::client().get(link).send().await.unwrap();
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let (status, kind) = (answer.status().as_u16(), header("content-type").unwrap_or_default());
    if status == 200 {
        assert!(header("content-disposition").unwrap().starts_with("attachment; filename=\"transactions-"));
    }
    (status, kind, answer.bytes().await.unwrap().to_vec())
}

fn file(export: &Value) -> String {
    assert_eq!(export["status"], json!("ready"), "{export}");
    export["url"].as_str().unwrap().to_owned()
}

/// The rows of a CSV file, each with its values by column.
fn csv_rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = csv::Reader::from_reader(bytes);
    let header: Vec<_> = reader.headers().unwrap().iter().map(str::to_owned).collect();
    assert_eq!(header, COLUMNS.iter().map(|column| column.name.to_owned()).collect::<Vec<_>>());
    reader.records().map(|row| row.unwrap().iter().map(str::to_owned).collect()).collect()
}

fn column(rows: &[Vec<String>], name: &str) -> Vec<String> {
    let place = COLUMNS.iter().position(|column| column.name == name).unwrap();
    rows.iter().map(|row| row[place].clone()).collect()
}

fn ids(lines: &[Value]) -> Vec<String> {
    lines.iter().map(|line| line["transactionId"].as_str().unwrap().to_owned()).collect()
}

fn sum(numbers: &[String]) -> i64 {
    numbers.iter().map(|number| number.parse::<i64>().unwrap()).sum()
}

/// Every format has the transactions of the list, and their sums. Free formats cost nothing; the others cost a credit, held
/// and captured.
#[tokio::test]
async fn every_format_has_the_transactions_of_the_list() {
    let world = World::at(NOW).await;
    let org = organisation(&world).await;
    let lines = world.transactions(&org.key, "limit=100").await;
    let available = world.balance(&org.key).await["available"].as_u64().unwrap();

    let csv = made(&world, &org, &json!({ "format": "csv" })).await;
    let (status, kind, bytes) = download(&file(&csv)).await;
    assert_eq!((status, kind.as_str()), (200, "text/csv; charset=utf-8; header=present"));
    assert_eq!(csv["bytes"], json!(bytes.len()));
    let rows = csv_rows(&bytes);
    assert_eq!(column(&rows, "transactionId"), ids(&lines));
    assert_eq!(sum(&column(&rows, "net")), i64::try_from(available).unwrap());
    // No cell begins as a formula does, and what was sent can be read back.
    let texts = [column(&rows, "resourceId"), column(&rows, "metadata")].concat();
    assert!(texts.iter().all(|text| !text.starts_with(['=', '+', '-', '@'])), "{texts:?}");
    let sent: BTreeSet<_> =
        column(&rows, "resourceId").iter().map(|text| unguarded(text).to_owned()).collect();
    assert!(["=1+1", "@SUM(A1)", "-2", "plain"].iter().all(|name| sent.contains(*name)), "{sent:?}");

    let jsonl = made(&world, &org, &json!({ "format": "jsonl" })).await;
    let (_, kind, bytes) = download(&file(&jsonl)).await;
    let text = String::from_utf8(bytes).unwrap();
    let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((kind.as_str(), ids(&rows)), ("application/jsonl", ids(&lines)));
    for free in [&csv, &jsonl] {
        assert_eq!((&free["creditsCharged"], &free["transactionId"]), (&json!(0), &Value::Null));
    }
    assert_eq!(world.balance(&org.key).await["available"], json!(available));

    let xlsx = made(&world, &org, &json!({ "format": "xlsx" })).await;
    let (_, _, bytes) = download(&file(&xlsx)).await;
    let mut book: Xlsx<_> = calamine::open_workbook_from_rs(Cursor::new(bytes)).unwrap();
    let sheet = book.worksheet_range_at(0).unwrap().unwrap();
    let cells = |place: usize| {
        let column = sheet.rows().skip(1).map(move |row| row[place].clone());
        column.filter(|cell| *cell != Data::Empty).map(|cell| cell.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(cells(1), ids(&lines));

    let pdf = made(&world, &org, &json!({ "format": "pdf" })).await;
    let (_, kind, bytes) = download(&file(&pdf)).await;
    assert!(kind == "application/pdf" && bytes.starts_with(b"%PDF-"));

    for (charged, operation) in [(&xlsx, "export.excel"), (&pdf, "export.pdf")] {
        assert_eq!((&charged["creditsCharged"], &charged["creditsHeld"]), (&json!(1), &json!(0)));
        let id = charged["transactionId"].as_str().unwrap();
        let capture = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert_eq!(capture["operation"], json!("credit.capture"));
        assert_eq!((&capture["captured"], &capture["heldFor"]), (&json!(1), &json!(operation)));
        assert_eq!(capture["resourceId"], charged["exportId"]);
    }
    let balance = world.balance(&org.key).await;
    assert_eq!(balance["available"], json!(available - 2));
    assert_eq!(balance["heldCredits"], json!(0));
}

/// An export has what the list with the same filters and range has, and shows them.
#[tokio::test]
async fn an_export_has_the_filters_of_the_list() {
    let world = World::at(NOW).await;
    let org = organisation(&world).await;
    world.pass(3_600).await;
    world.consume(&org.key, &unique(), &json!({ "operation": "aml.basic" })).await.created();
    for filter in [
        json!({ "type": "CREDIT" }),
        json!({ "category": "usage" }),
        json!({ "operation": "aml.basic" }),
        json!({ "customerId": "c\u{e9}, \"1\"", "type": "DEBIT" }),
        json!({ "resourceId": "=1+1" }),
        json!({ "memberId": "m_other" }),
        json!({ "service": "api" }),
        json!({ "status": "approved" }),
        json!({ "from": "2024-01-15T10:31:00Z" }),
        json!({ "to": "2024-01-15T10:31:00Z" }),
        json!({ "from": "2024-01-15T10:30:00Z", "to": "2024-01-15T10:30:01Z", "operation": "aml.pep" }),
    ] {
        let query = serde_urlencoded::to_string(filter.as_object().unwrap()).unwrap();
        let lines = world.transactions(&org.key, &query).await;
        let mut body = filter.clone();
        body["format"] = json!("csv");
        let export = made(&world, &org, &body).await;
        let (_, _, bytes) = download(&file(&export)).await;
        assert_eq!(column(&csv_rows(&bytes), "transactionId"), ids(&lines), "{filter}");
        assert_eq!(export["progress"], json!({ "rows": lines.len(), "of": lines.len() }), "{filter}");
        assert_eq!((&export["from"], &export["to"]), (&filter["from"], &filter["to"]), "{filter}");
        // The same as the answer of a GET.
        let path = format!("{EXPORT}?format=csv&{query}");
        let answer = world.request(Method::GET, &path, &org.key).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200, "{filter}");
        assert_eq!(answer.bytes().await.unwrap(), bytes, "{filter}");
    }
}

#[tokio::test]
async fn a_request_that_cannot_be_carried_out_says_why() {
    let world = World::at(NOW).await;
    let org = organisation(&world).await;
    let refused = async |body: Value, field: &str| {
        let answer = world.post(EXPORT, &org.key, &unique(), &body).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{body}");
        let fields = &answer.body["error"]["details"]["fields"];
        assert!(fields[field].is_string(), "{body}: {fields}");
    };
    refused(json!({ "format": "docx" }), "format").await;
    refused(json!({}), "format").await;
    refused(json!({ "format": "csv", "limit": 5 }), "limit").await;
    refused(json!({ "format": "csv", "from": NOW, "to": "2024-01-01T00:00:00Z" }), "from").await;
    refused(json!({ "format": "csv", "type": "DEBIT", "category": "purchase" }), "category").await;
    let unnamed = world.post(EXPORT, &org.key, "", &json!({ "format": "csv" })).await;
    assert_eq!(unnamed.failure(), "400 IDEMPOTENCY_KEY_REQUIRED");
    for query in ["format=xlsx", "format=pdf", "format=doc", "", "format=csv&limit=5"] {
        let answer = world.get(&format!("{EXPORT}?{query}"), &org.key).await;
        assert_eq!(answer.failure(), "400 VALIDATION_ERROR", "{query}");
    }
}

/// A charged export needs the right to spend, a free one the right to read; a key that may only spend exports nothing.
#[tokio::test]
async fn exports_need_the_scopes_of_what_they_do() {
    let world = World::at(NOW).await;
    let org = organisation(&world).await;
    let key = async |scopes: Value| {
        let path = format!("/admin/v1/organisations/{}/keys", org.id);
        let body = json!({ "mode": "live", "scopes": scopes });
        let issued = world.post(&path, world.operator(), &unique(), &body).await.created();
        issued["key"].as_str().unwrap().to_owned()
    };
    let (reader, spender) = (key(json!(["credits:read"])).await, key(json!(["credits:consume"])).await);
    for (key, format, expected) in [
        (&reader, "csv", ""),
        (&reader, "pdf", "403 INSUFFICIENT_PERMISSIONS"),
        (&spender, "csv", "403 INSUFFICIENT_PERMISSIONS"),
        (&spender, "pdf", "403 INSUFFICIENT_PERMISSIONS"),
    ] {
        let answer = world.post(EXPORT, key, &unique(), &json!({ "format": format })).await;
        if expected.is_empty() {
            answer.created();
        } else {
            assert_eq!(answer.failure(), expected, "{format}");
        }
    }
}

/// Without credits nothing is begun, and the same request is carried out once there are some.
#[tokio::test]
async fn an_export_without_credits_is_refused_and_leaves_nothing() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let body = json!({ "format": "xlsx" });
    let refused = world.post(EXPORT, &org.key, "once", &body).await;
    assert_eq!(refused.failure(), "402 INSUFFICIENT_CREDITS");
    assert_eq!(refused.body["error"]["details"]["required"], json!(1));
    assert_eq!(world.get(EXPORTS, &org.key).await.data(), json!([]));
    world.pass(600).await;
    assert_eq!(world.get(EXPORTS, &org.key).await.data(), json!([]));
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 5 })).await;
    let export = world.post(EXPORT, &org.key, "once", &body).await.created();
    assert_eq!(export["creditsCharged"], json!(1));
    assert_eq!(world.balance(&org.key).await["available"], json!(4));
}

/// A refused export leaves its key free for another request, which then has it.
#[tokio::test]
async fn a_refused_export_leaves_its_key_free() {
    let world = World::at(NOW).await;
    let org = world.open(0).await;
    let (pdf, csv) = (json!({ "format": "pdf" }), json!({ "format": "csv" }));
    assert_eq!(world.post(EXPORT, &org.key, "once", &pdf).await.failure(), "402 INSUFFICIENT_CREDITS");
    let made = world.post(EXPORT, &org.key, "once", &csv).await.created();
    assert_eq!(made["format"], json!("csv"));
    assert_eq!(world.post(EXPORT, &org.key, "once", &csv).await.created(), made);
    world.grant(&org.id, &json!({ "source": "bonus", "amount": 5 })).await;
    assert_eq!(world.post(EXPORT, &org.key, "once", &pdf).await.failure(), "422 IDEMPOTENCY_KEY_REUSED");
    assert_eq!(world.balance(&org.key).await["available"], json!(5));
}

/// The same key gives the same export and one charge; another request under it is refused.
#[tokio::test]
async fn one_key_is_one_export_and_one_charge() {
    let world = World::at(NOW).await;
    let org = organisation(&world).await;
    let before = world.balance(&org.key).await["available"].as_u64().unwrap();
    let body = json!({ "format": "pdf" });
    let first = world.post(EXPORT, &org.key, "once", &body).await;
    for _ in 0..2 {
        let again = world.post(EXPORT, &org.key, "once", &body).await;
        assert_eq!(again.header("idempotent-replayed"), Some("true"));
        assert_eq!(again.created(), first.created());
    }
    let other = world.post(EXPORT, &org.key, "once", &json!({ "format": "xlsx" })).await;
    assert_eq!(other.failure(), "422 IDEMPOTENCY_KEY_REUSED");
    assert_eq!(world.balance(&org.key).await["available"], json!(before - 1));
    assert_eq!(world.get(EXPORTS, &org.key).await.data().as_array().unwrap().len(), 1);
}

/// A link is valid for 24 hours, and only as it is.
#[tokio::test]
async fn a_link_ends_and_cannot_be_changed() {
    let world = World::at(NOW).await;
    let org = organisation(&world).await;
    let export = made(&world, &org, &json!({ "format": "csv" })).await;
    let other = made(&world, &org, &json!({ "format": "jsonl" })).await;
    assert_eq!(export["urlExpiresAt"], json!("2024-01-16T10:30:00Z"));
    let link = file(&export);
    let id = |export: &Value| export["exportId"].as_str().unwrap().to_owned();
    for changed in [
        link.replace("until=1705401000", "until=1999999999"),
        link.replace(&id(&export), &id(&other)),
        link.replace("name=transactions", "name=transactiona"),
        link.replace("type=text", "type=texx"),
        link.replace("signature=", "signature=A"),
    ] {
        assert_ne!(changed, link);
        let (status, _, bytes) = download(&changed).await;
        let body: Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(status, 403, "{changed}");
        assert!(body["error"]["message"].as_str().unwrap().contains("was changed"), "{body}");
    }
    world.pass(24 * 3_600 - 1).await;
    assert_eq!(download(&link).await.0, 200);
    world.pass(1).await;
    let (status, _, bytes) = download(&link).await;
    assert_eq!(status, 403);
    assert!(String::from_utf8(bytes).unwrap().contains("this link has ended"));
    let path = format!("{EXPORTS}/{}", id(&export));
    let known = world.get(&path, &org.key).await.data();
    assert_eq!((&known["status"], &known["url"]), (&json!("expired"), &Value::Null));
    world.pass(34 * 86_400).await;
    assert_eq!(world.get(&path, &org.key).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.get(EXPORTS, &org.key).await.data(), json!([]));
}

/// Exports belong to one ledger: another organisation, and the organisation's own test ledger, have others.
#[tokio::test]
async fn exports_of_others_are_not_found() {
    let world = World::at(NOW).await;
    let (org, other) = (organisation(&world).await, world.open(10).await);
    let mut made_ids = Vec::new();
    for _ in 0..3 {
        let export = made(&world, &org, &json!({ "format": "csv" })).await;
        made_ids.push(export["exportId"].as_str().unwrap().to_owned());
    }
    for id in &made_ids {
        world.get(&format!("{EXPORTS}/{id}"), &org.key).await.data();
        assert_eq!(world.get(&format!("{EXPORTS}/{id}"), &other.key).await.failure(), "404 NOT_FOUND");
    }
    assert_eq!(world.get(&format!("{EXPORTS}/exp_1"), &org.key).await.failure(), "404 NOT_FOUND");
    assert_eq!(world.get(EXPORTS, &other.key).await.data(), json!([]));
    let page = world.get(&format!("{EXPORTS}?limit=2"), &org.key).await;
    let next = page.body["meta"]["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    let last = world.get(&format!("{EXPORTS}?limit=2&cursor={next}"), &org.key).await.data();
    let listed = [page.data().as_array().unwrap().clone(), last.as_array().unwrap().clone()].concat();
    let listed: BTreeSet<_> =
        listed.iter().map(|export| export["exportId"].as_str().unwrap().to_owned()).collect();
    assert_eq!(listed, made_ids.into_iter().collect());
    let theirs = world.get(&format!("{EXPORTS}?cursor={next}"), &other.key).await;
    assert_eq!(theirs.failure(), "400 INVALID_CURSOR");
}

/// More than a thousand transactions are exported in the background, with what there was when it was asked for.
#[tokio::test]
async fn a_large_export_is_made_in_the_background() {
    let world = World::at(NOW).await;
    let org = world.open(10_000).await;
    let items = vec![json!({ "operation": "aml.basic", "customerId": "c" }); 100];
    for _ in 0..10 {
        let batch = json!({ "items": items });
        world.post("/api/v3/credits/consume/batch", &org.key, &unique(), &batch).await.created();
    }
    let whole = json!({ "format": "xlsx" });
    let asked = world.post(EXPORT, &org.key, "large", &whole).await;
    assert_eq!(asked.status, 202, "{asked:?}");
    let id = asked.data()["exportId"].as_str().unwrap().to_owned();
    let state = asked.data();
    assert_eq!((&state["url"], &state["progress"]["of"]), (&Value::Null, &json!(1_001)));
    world.settle().await;
    let export = world.get(&format!("{EXPORTS}/{id}"), &org.key).await.data();
    assert_eq!(export["progress"], json!({ "rows": 1_001, "of": 1_001 }));
    assert_eq!((&export["creditsCharged"], &export["creditsHeld"]), (&json!(1), &json!(0)));
    assert_eq!(download(&file(&export)).await.0, 200);
    assert_eq!(world.post(EXPORT, &org.key, "large", &whole).await.created(), export);
    let refused = world.get(&format!("{EXPORT}?format=csv"), &org.key).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
    // With a filter the number is not known before the transactions are read.
    let filtered = json!({ "format": "csv", "customerId": "c" });
    made(&world, &org, &filtered).await;
    let refused =
        send(world.request(Method::GET, &format!("{EXPORT}?format=csv&type=DEBIT"), &org.key)).await;
    assert_eq!(refused.failure(), "400 VALIDATION_ERROR");
}

/// A download has at most 4 MB, however few transactions these are.
#[tokio::test]
async fn a_download_has_a_limit_of_bytes() {
    let world = World::at(NOW).await;
    let org = world.open(1_000).await;
    let long = "\u{1f980}".repeat(250);
    let metadata = json!({ "note": "\u{1f980}".repeat(490) });
    let item = json!({
        "operation": "aml.basic", "resourceId": long, "customerId": long, "memberId": long, "metadata": metadata
    });
    for minute in 0..20 {
        let body = json!({ "items": vec![item.clone(); 40], "mode": "partial" });
        let path = "/api/v3/credits/consume/batch";
        world.post(path, &org.key, &unique(), &body).await.created();
        if minute == 9 {
            world.pass(60).await;
        }
    }
    let all = world.get(&format!("{EXPORT}?format=jsonl"), &org.key).await;
    assert_eq!(all.failure(), "400 VALIDATION_ERROR");
    assert!(all.body["error"]["details"]["fields"]["from"].as_str().unwrap().contains("4 MB"), "{all:?}");
    let path = format!("{EXPORT}?format=jsonl&from=2024-01-15T10:31:00Z");
    let half = world.request(Method::GET, &path, &org.key).send().await.unwrap();
    assert_eq!(half.status().as_u16(), 200);
    let bytes = half.bytes().await.unwrap().len();
    assert!((1 << 21..1 << 22).contains(&bytes), "{bytes}");
}
