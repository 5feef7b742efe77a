//! Lists accept only signed cursors, and every page makes a bounded number of requests.

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use local::{DataLocation, LocalMachine, Options, Seed};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use store::{StatementCursor, StatementPlace, StatementQuery};
use tests::{ApiAnswer, Org, TestLedger, World, moment};

const TRANSACTIONS: &str = "/api/v3/credits/transactions";
const AUDIT: &str = "/api/v3/credits/audit";

/// The most requests of one page: 31 for a statement, one for the refunds of its rows, and four for the caller
/// (key, organisation, catalogue, test clock).
const REQUESTS_MAX: u64 = 36;

/// The most reads of one page of a statement.
const READS_MAX: u64 = 24;

/// A page, and the number of its requests.
async fn page(world: &World, route: &str, query: &str, key: &str) -> (ApiAnswer, u64) {
    world.delete("/_local/capacity", "").await.data();
    let answer = world.get(&format!("{route}?{query}"), key).await;
    let reported = world.get("/_local/capacity", "").await.data();
    let requests = reported["routes"][format!("GET {route}")]["requests"].as_u64().unwrap_or(0);
    (answer, requests)
}

fn next(answer: &ApiAnswer) -> Option<String> {
    answer.body["meta"]["pagination"]["nextCursor"].as_str().map(str::to_owned)
}

/// The entries of all pages of a list, and the number of pages. Checks the requests of each page.
async fn pages(world: &World, (route, rows): (&str, &str), query: &str, key: &str) -> (Vec<Value>, usize) {
    let (mut lines, mut count, mut cursor) = (Vec::new(), 0, String::new());
    loop {
        let (answer, requests) = page(world, route, &format!("{query}{cursor}"), key).await;
        assert!(requests <= REQUESTS_MAX, "{requests} requests for page {count} of {route}?{query}");
        let found = answer.data();
        lines.extend(found.pointer(rows).unwrap().as_array().unwrap().clone());
        count += 1;
        match next(&answer) {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return (lines, count),
        }
    }
}

async fn spend(world: &World, org: &Org, count: usize) {
    for n in 0..count {
        world.consume(&org.key, &format!("k{n}"), &json!({ "operation": "aml.basic" })).await.created();
    }
}

/// Thirty years without a transaction: a page ends after a number of reads, whatever it found, and the next one
/// continues.
#[tokio::test]
async fn years_without_rows_are_read_in_bounded_pages() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    spend(&world, &org, 3).await;
    world.settle().await;
    let all = world.transactions(&org.key, "").await;
    assert_eq!(all.len(), 4);
    world.machine.set_clock_without_scheduler("2054-01-15T10:30:00Z".parse().unwrap()).unwrap();

    let (lines, count) = pages(&world, (TRANSACTIONS, ""), "limit=100", &org.key).await;
    assert_eq!((lines, count), (all.clone(), 16));
    let (lines, count) = pages(&world, (TRANSACTIONS, ""), "memberId=unknown", &org.key).await;
    assert_eq!((lines, count), (vec![], 16));
    let (first, requests) = page(&world, TRANSACTIONS, "", &org.key).await;
    assert_eq!((first.data(), first.body["meta"]["pagination"]["hasMore"].clone()), (json!([]), json!(true)));
    assert!((READS_MAX..=READS_MAX + 2).contains(&requests), "{requests}");

    // The audit searches the row of a time, at both ends.
    let from = "from=2024-02-01T00:00:00Z&limit=100";
    let (rows, count) = pages(&world, (AUDIT, "/rows"), from, &org.key).await;
    assert!(rows.is_empty() && count > 20, "{count} pages, {rows:?}");
    let to = "from=1&to=2024-02-01T00:00:00Z&limit=100";
    let (rows, _) = pages(&world, (AUDIT, "/rows"), to, &org.key).await;
    assert_eq!(rows.len(), 4);
}

/// A filter that few rows pass reads more rows at once, not more often.
#[tokio::test]
async fn a_sparse_filter_makes_no_more_requests_than_a_page_may() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10_000).await;
    let items: Vec<_> = (0..100).map(|_| json!({ "operation": "aml.basic" })).collect();
    for n in 0..12 {
        let body = json!({ "items": items, "mode": "atomic" });
        world.post("/api/v3/credits/consume/batch", &org.key, &format!("b{n}"), &body).await.created();
    }
    let rare = json!({ "operation": "aml.pep", "memberId": "m1" });
    world.consume(&org.key, "rare", &rare).await.created();
    world.settle().await;
    for query in ["memberId=unknown&limit=1", "operation=credit.renewal&limit=1"] {
        let (lines, count) = pages(&world, (TRANSACTIONS, ""), query, &org.key).await;
        assert!(lines.len() <= 1 && count <= 3, "{query}: {count} pages, {lines:?}");
    }
}

/// A cursor with a digest that anyone can compute. Once, it caused 106,363 reads.
#[tokio::test]
async fn a_forged_cursor_reads_nothing() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(100).await;
    spend(&world, &org, 3).await;
    let query =
        "Query { direction: None, operation: None, customer: None, member: None, from: None, to: None }";
    let place = format!("{}.{}", u64::MAX, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ");
    let digest = Sha256::digest(format!("{place} {}#live {query}", org.id));
    let unkeyed = URL_SAFE_NO_PAD.encode(format!("{place}.{}", URL_SAFE_NO_PAD.encode(&digest[..8])));
    let bare = URL_SAFE_NO_PAD.encode(&place);
    for forged in [unkeyed.as_str(), bare.as_str(), "x", ""] {
        for (route, list) in [(TRANSACTIONS, "/api/v3/credits/transactions"), (AUDIT, AUDIT)] {
            let (answer, requests) = page(&world, route, &format!("cursor={forged}"), &org.key).await;
            assert_eq!(answer.failure(), "400 INVALID_CURSOR", "{list} {forged}");
            assert!(requests <= 4, "{requests}");
        }
        let answer = world.get(&format!("/api/v3/monitors?cursor={forged}"), &org.key).await;
        assert_eq!(answer.failure(), "400 INVALID_CURSOR");
    }
}

/// A position outside the account's months is read from the account's own months. Only a leaked key could make such
/// a cursor, and it costs no more than any other page.
#[tokio::test]
async fn a_place_outside_the_accounts_months_is_read_within_them() {
    let fixture = TestLedger::new().await;
    let now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let id = fixture.open(100, now).await;
    let cursor =
        StatementCursor::parse(&format!("{}.{}.16", u64::MAX, "7ZZZZZZZZZZZZZZZZZZZZZZZZZ")).unwrap();
    let page = fixture
        .ledger
        .statement(id, &StatementQuery::default(), StatementPlace { cursor: Some(cursor), limit: 50 }, now)
        .await
        .unwrap();
    assert_eq!((page.receipts.len(), page.next), (1, None));
}

/// Rows are years apart and one is missing: the others are listed, with a bounded number of reads for each page.
#[tokio::test]
async fn a_missing_row_does_not_stop_a_list_that_spans_years() {
    let mut fixture = TestLedger::new().await;
    let mut now: DateTime<Utc> = "2020-01-15T10:30:00Z".parse().unwrap();
    let id = fixture.open(100, now).await;
    for year in 2020..2030 {
        now = format!("{year}-06-15T10:30:00Z").parse().unwrap();
        fixture.ledger.catch_up(id, moment(now)).await.unwrap();
        fixture.project().await;
    }
    let whole = fixture.rows(id, now).await;
    assert!(whole.len() > 9, "{}", whole.len());
    let lost = &whole[3];
    let month = lost.entry.id.time().format("%Y-%m");
    for item in fixture.items(&format!("TXN#{id}#{month}")).await {
        if item["seq"].as_n().unwrap() == &lost.sequence.to_string() {
            fixture.delete(&item).await;
        }
    }
    let reported: Vec<_> = fixture.rows(id, now).await.iter().map(|row| row.sequence).collect();
    let expected: Vec<_> = whole.iter().map(|row| row.sequence).filter(|row| *row != lost.sequence).collect();
    assert_eq!(reported, expected);
}

/// A cursor is valid for one list only: its account, its filters and, for deliveries, its webhook.
#[tokio::test]
async fn a_cursor_is_valid_for_its_own_list_only() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let (org, other) = (world.open(100).await, world.open(100).await);
    spend(&world, &org, 3).await;
    spend(&world, &other, 3).await;
    for n in 0..3 {
        let body = json!({ "operation": "aml.monitoring", "resourceId": format!("r{n}") });
        world.post("/api/v3/monitors", &org.key, &format!("m{n}"), &body).await.created();
    }
    world.settle().await;
    let first = async |route: &str, query: &str| {
        next(&world.get(&format!("{route}?limit=1{query}"), &org.key).await).unwrap()
    };
    let lists = [
        (TRANSACTIONS, "", first(TRANSACTIONS, "").await),
        (TRANSACTIONS, "&type=DEBIT", first(TRANSACTIONS, "&type=DEBIT").await),
        (AUDIT, "", first(AUDIT, "").await),
        ("/api/v3/monitors", "", first("/api/v3/monitors", "").await),
    ];
    for (of, (_, _, cursor)) in lists.iter().enumerate() {
        for (at, (route, query, _)) in lists.iter().enumerate() {
            let path = format!("{route}?limit=1&cursor={cursor}{query}");
            let answer = world.get(&path, &org.key).await;
            assert_eq!(answer.status, if of == at { 200 } else { 400 }, "{path}: {answer:?}");
            assert_eq!(world.get(&path, &other.key).await.failure(), "400 INVALID_CURSOR", "{path}");
        }
    }
}

/// A cursor of one webhook's deliveries is invalid for another webhook.
#[tokio::test]
async fn a_cursor_of_deliveries_is_valid_for_its_own_webhook_only() {
    let world = World::demo().await;
    let mut paths = Vec::new();
    for name in ["a", "b"] {
        let url = format!("{}/_local/inbox/{name}", world.machine.base_url());
        let made = world.post("/api/v3/webhooks", world.key(), name, &json!({ "url": url })).await.created();
        let path = format!("/api/v3/webhooks/{}", made["webhookId"].as_str().unwrap());
        for n in 0..2 {
            let test = json!({ "event": "credits.low_balance" });
            world.post(&format!("{path}/test"), world.key(), &format!("{name}{n}"), &test).await.data();
        }
        paths.push(path);
    }
    let cursor = next(&world.get(&format!("{}/deliveries?limit=1", paths[0]), world.key()).await).unwrap();
    let at = |path: &str| format!("{path}/deliveries?limit=1&cursor={cursor}");
    assert_eq!(world.get(&at(&paths[0]), world.key()).await.data().as_array().unwrap().len(), 1);
    assert_eq!(world.get(&at(&paths[1]), world.key()).await.failure(), "400 INVALID_CURSOR");
}

/// A data folder has one cursor key: a cursor survives a restart, and another folder's is invalid.
#[tokio::test]
async fn the_key_stays_in_the_data_folder() {
    let client = reqwest::Client::new();
    let start = async |folder: &Path| {
        let data = DataLocation::Folder(folder.to_owned());
        LocalMachine::start(Options {
            port: 0,
            data,
            seed: Seed::Demo,
            now: None,
            mail: false,
            endpoint: None,
        })
        .await
        .unwrap()
    };
    let get = async |machine: &LocalMachine, query: &str| {
        let url = format!("{}{TRANSACTIONS}?limit=1{query}", machine.base_url());
        let answer =
            client.get(url).bearer_auth(machine.keys.api_key.as_deref().unwrap()).send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json::<Value>().await.unwrap())
    };
    let folder = tempfile::tempdir().unwrap();
    let machine = start(folder.path()).await;
    let (_, first) = get(&machine, "").await;
    let cursor = first["meta"]["pagination"]["nextCursor"].as_str().unwrap().to_owned();
    machine.stop().await.unwrap();
    let machine = start(folder.path()).await;
    assert_eq!(get(&machine, &format!("&cursor={cursor}")).await.0, 200);
    machine.stop().await.unwrap();
    let remembered = fs::read_to_string(folder.path().join("local.json")).unwrap();
    let remembered: Value = serde_json::from_str(&remembered).unwrap();
    assert!(remembered["cursorKey"].as_str().unwrap().len() >= 32);
}

/// Exactly the functions that write and read cursors have the key.
#[test]
fn the_template_gives_the_key_to_the_functions_that_need_it() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let template = fs::read_to_string(root.join("template.yaml")).unwrap();
    let mut given = Vec::new();
    let mut function = "";
    for line in template.lines() {
        if let Some((_, name)) = line.split_once("Binary: ") {
            function = name.split([' ', '}']).next().unwrap();
        }
        if line.trim_start().starts_with("CURSOR_KEY: ") {
            given.push(function.to_owned());
        }
    }
    let mut needed = Vec::new();
    for entry in fs::read_dir(root.join("functions")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        let sources = fs::read_dir(folder.join("src")).unwrap().map(|file| file.unwrap().path());
        let mut texts = sources.filter(|path| path.is_file()).map(|path| fs::read_to_string(path).unwrap());
        if texts.any(|text| text.contains(".cursors.")) {
            needed.push(folder.file_name().unwrap().to_string_lossy().into_owned());
        }
    }
    given.sort();
    needed.sort();
    assert_eq!(given, needed);
    assert_eq!(
        needed,
        ["analytics", "budgets", "exports", "subscription", "team", "transactions", "webhooks"]
    );
}
