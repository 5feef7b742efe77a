//! The showcase: months of history whose books are those that the machine would have kept.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use chrono::{DateTime, Utc};
use domain::OrgId;
use local::{DataLocation, LocalMachine, Options, RollupOrder, Seed, ShowcaseScale};
use serde_json::{Value, json};
use tests::World;

/// A small history with everything that the full one has.
const SCALE: ShowcaseScale = ShowcaseScale { days: 90, transactions: 2_400 };

const NOW: &str = "2024-03-20T15:40:00Z";

fn options(data: DataLocation) -> Options {
    Options {
        port: 0,
        data,
        seed: Seed::Showcase(SCALE),
        now: Some(NOW.parse().unwrap()),
        mail: false,
        endpoint: None,
    }
}

async fn machine(folder: &Path) -> World {
    World::running(LocalMachine::start(options(DataLocation::Folder(folder.to_owned()))).await.unwrap()).await
}

/// The showcase's organisation and its live key.
fn showcase(world: &World) -> (String, String) {
    let keys = world.machine.keys.showcase.as_ref().unwrap();
    (keys.organisation_id.clone(), keys.api_key.clone())
}

fn distinct<'a>(lines: &'a [Value], name: &str) -> BTreeSet<&'a str> {
    lines.iter().filter_map(|line| line[name].as_str()).collect()
}

fn count(lines: &[Value], operation: &str) -> usize {
    lines.iter().filter(|line| line["operation"] == json!(operation)).count()
}

/// What a transaction adds to usage.
fn spent(line: &Value) -> i64 {
    match line["operation"].as_str().unwrap() {
        "credit.refund" => -line["amount"].as_i64().unwrap(),
        "credit.capture" => line["captured"].as_i64().unwrap(),
        own if own.starts_with("credit.") || own.starts_with("ledger.") => 0,
        _ => line["amount"].as_i64().unwrap(),
    }
}

/// The ledger of a data folder whose machine has stopped. Connections that clients keep open hold the folder until their
/// tasks have ended.
async fn released(folder: &Path) -> store::Ledger {
    for _ in 0..600 {
        match local::ledger_in(folder) {
            Ok(ledger) => return ledger,
            Err(error) => assert!(error.to_string().contains("in use"), "{error:#}"),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("the folder is not released");
}

/// Audits a data folder whose machine has stopped, and compares its rollups.
async fn audited(folder: &Path) -> Vec<String> {
    let mut lines = Vec::new();
    let now = NOW.parse().unwrap();
    let ledger = released(folder).await;
    local::audit(&ledger, None, now, &mut |line| lines.push(line.to_owned())).await.unwrap();
    drop(ledger);
    let tables = local::rollup_tables_in(folder).unwrap();
    let order = RollupOrder { account: None, is_written: false, now, projection: std::time::Duration::ZERO };
    local::rebuild_rollups(&tables, order, &mut |line| lines.push(line.to_owned())).await.unwrap();
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_showcase_is_as_if_it_had_happened() {
    let folder = tempfile::tempdir().unwrap();
    let world = machine(folder.path()).await;
    let (org, key) = showcase(&world);
    let lines = world.transactions(&key, "limit=100").await;
    it_has_everything(&world, &key, &lines).await;
    usage_is_that_of_the_rows(&world, &key, &lines).await;
    lots_are_those_of_the_balance(&world, &key).await;
    it_goes_on(&world, &key, &lines).await;
    world.settle().await;
    // The seed's own organisation is what it is without a showcase.
    assert_eq!(world.balance(world.key()).await["available"], json!(400));
    let before = world.transactions(&key, "limit=100").await;
    world.machine.stop().await.unwrap();
    let audit = audited(folder.path()).await;
    let sound = audit.iter().filter(|line| line.contains("sound, and adds up")).count();
    assert_eq!(sound, 4, "{audit:#?}");
    assert!(audit.iter().any(|line| line.starts_with(&format!("{org}#live: entries"))), "{audit:#?}");

    // A restart changes nothing, and the month still renews.
    let world = machine(folder.path()).await;
    assert_eq!(showcase(&world), (org, key.clone()));
    assert_eq!(world.transactions(&key, "limit=100").await, before);
    world.pass(13 * 86_400).await;
    world.settle().await;
    let renewals = world.transactions(&key, "operation=credit.renewal").await;
    assert_eq!(renewals[0]["timestamp"], json!("2024-04-01T00:00:00Z"));
    assert_eq!(renewals.len(), 5);
    world.machine.stop().await.unwrap();
    audited(folder.path()).await;
}

/// Counts what there is.
async fn it_has_everything(world: &World, key: &str, lines: &[Value]) {
    let debits = lines.iter().filter(|line| line["category"] == json!("usage") && spent(line) >= 0).count();
    assert!((2_350..2_500).contains(&debits), "{debits}");
    let numbers: Vec<_> = lines.iter().rev().map(|line| line["sequence"].as_u64().unwrap()).collect();
    assert_eq!(numbers, (1..=u64::try_from(lines.len()).unwrap()).collect::<Vec<_>>());
    assert!(distinct(lines, "operation").len() >= 20, "{:?}", distinct(lines, "operation"));
    assert_eq!(distinct(lines, "customerId").len(), 25);
    assert_eq!(distinct(lines, "memberId").len(), 4);
    for (operation, least) in [
        ("credit.renewal", 4),
        ("credit.purchase", 4),
        ("credit.grant", 1),
        ("credit.expiry", 1),
        ("credit.refund", 40),
        ("credit.hold", 19),
        ("credit.capture", 8),
        ("credit.release", 8),
        ("credit.dispute", 1),
    ] {
        assert!(count(lines, operation) >= least, "{operation}: {}", count(lines, operation));
    }
    for (status, least) in [("approved", 4), ("failed", 2), ("pending", 1)] {
        let path = format!("/api/v3/credits/purchases?status={status}&limit=100");
        let purchases = world.get(&path, key).await.data();
        let purchases = purchases.as_array().unwrap();
        assert!(purchases.len() >= least, "{status}: {}", purchases.len());
        assert!(purchases.iter().all(|purchase| purchase["status"] == json!(status)), "{purchases:?}");
    }
    let events = world.events(key).await;
    let names: BTreeMap<&str, usize> = events.iter().fold(BTreeMap::new(), |mut names, event| {
        *names.entry(event["event"].as_str().unwrap()).or_default() += 1;
        names
    });
    for name in [
        "credits.low_balance",
        "credits.recovered",
        "credits.purchased",
        "credits.renewed",
        "credits.refunded",
        "credits.granted",
        "credits.expired",
        "purchase.failed",
        "dispute.opened",
        "dispute.closed",
        "auto_recharge.succeeded",
    ] {
        assert!(names.contains_key(name), "{name}: {names:?}");
    }
    assert_eq!(names["purchase.failed"], 2);
    let webhooks = world.get("/api/v3/webhooks", key).await.data();
    assert_eq!(webhooks.as_array().unwrap().len(), 1);
    let charges = world.get("/_local/payments", "").await.data();
    let states: BTreeSet<_> =
        charges.as_array().unwrap().iter().map(|one| one["status"].to_string()).collect();
    assert!(states.len() >= 3, "{states:?}");
}

/// Compares the lots with the balance, and what was used of them with usage by source.
async fn lots_are_those_of_the_balance(world: &World, key: &str) {
    let lots = world.get("/api/v3/credits/lots?limit=100", key).await.data();
    let balance = world.balance(key).await;
    let path = "/api/v3/credits/usage?from=2023-12-01T00:00:00Z&groupBy=source&granularity=monthly";
    let usage = world.get(path, key).await.data();
    for (source, bucket) in [
        ("subscription", "subscriptionCredits"),
        ("purchased", "purchasedCredits"),
        ("bonus", "bonusCredits"),
    ] {
        let sum = |name: &str| -> i64 {
            let lots = lots.as_array().unwrap().iter().filter(|lot| lot["source"] == source);
            lots.map(|lot| lot[name].as_i64().unwrap()).sum()
        };
        assert_eq!(json!(sum("remaining")), balance[bucket], "{source}");
        let series = usage["series"].as_array().unwrap();
        let used = series
            .iter()
            .find(|one| one["key"]["source"] == source)
            .map_or(json!(0), |one| one["total"].clone());
        assert_eq!(json!(sum("used")), used, "{source}");
    }
}

/// Compares usage of each dimension with the rows.
async fn usage_is_that_of_the_rows(world: &World, key: &str, lines: &[Value]) {
    let whole: i64 = lines.iter().map(spent).sum();
    for dimension in ["operation", "category", "customer", "member", "key", "source", "service"] {
        let path = format!(
            "/api/v3/credits/usage?from=2023-12-01T00:00:00Z&to=2024-03-21T00:00:00Z&groupBy={dimension}&limit=100"
        );
        let answer = world.get(&path, key).await.data();
        assert_eq!(answer["total"]["total"], json!(whole), "{dimension}");
        let series = answer["series"].as_array().unwrap().iter();
        let parts: i64 = series.map(|one| one["total"].as_i64().unwrap()).sum();
        assert_eq!(parts, whole, "{dimension}");
        let name = match dimension {
            "customer" => "customerId",
            "member" => "memberId",
            _ => continue,
        };
        let mut expected: BTreeMap<Option<&str>, i64> = BTreeMap::new();
        for line in lines {
            *expected.entry(line[name].as_str()).or_default() += spent(line);
        }
        for one in answer["series"].as_array().unwrap() {
            let name = one["key"][dimension].as_str();
            assert_eq!(one["total"].as_i64(), expected.get(&name).copied(), "{dimension} {name:?}");
        }
    }
    let forecast = world.get("/api/v3/credits/usage/forecast", key).await.data();
    assert_eq!(forecast["status"], json!("known"));
}

/// Debits and refunds go on where the history ends.
async fn it_goes_on(world: &World, key: &str, lines: &[Value]) {
    let balance = world.balance(key).await;
    assert_eq!(balance["available"], lines[0]["balanceAfter"]);
    let debit = json!({ "operation": "aml.pep", "customerId": "cust_001" });
    let made = world.consume(key, "after", &debit).await.created();
    assert_eq!(made["sequence"].as_u64().unwrap(), u64::try_from(lines.len()).unwrap() + 1);
    let refund = json!({ "transactionId": made["transactionId"], "reason": "technical_failure" });
    world.post("/api/v3/credits/refund", key, "refund", &refund).await.created();
    // A debit of the history is refunded like any other.
    let earlier = lines.iter().find(|line| {
        line["operation"] == json!("verification.document")
            && line["refunds"].as_array().is_none_or(Vec::is_empty)
    });
    let refund = json!({ "transactionId": earlier.unwrap()["transactionId"], "reason": "technical_failure" });
    world.post("/api/v3/credits/refund", key, "refund-2", &refund).await.created();
    assert_eq!(
        world.balance(key).await["available"].as_i64().unwrap(),
        balance["available"].as_i64().unwrap() + 1
    );
}

/// In memory there is a history too; without a showcase there is none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_showcase_is_made_in_memory_too() {
    let seed = Seed::Showcase(ShowcaseScale { days: 14, transactions: 300 });
    let small = Options { seed, ..options(DataLocation::Memory) };
    let world = World::running(LocalMachine::start(small).await.unwrap()).await;
    let (org, key) = showcase(&world);
    let lines = world.transactions(&key, "limit=100").await;
    assert!(lines.len() > 300, "{}", lines.len());
    assert_eq!(
        OrgId::try_from(org).unwrap().time(),
        "2024-03-06T15:40:00Z".parse::<DateTime<Utc>>().unwrap()
    );
    drop(world);
    let demo = Options { seed: Seed::Demo, ..options(DataLocation::Memory) };
    assert!(LocalMachine::start(demo).await.unwrap().keys.showcase.is_none());
}

/// A start that ends while the showcase is being made leaves nothing of it: the next start makes it anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_showcase_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let state = || std::fs::read_to_string(folder.path().join("local.json")).unwrap_or_default();
    let start = tokio::spawn(LocalMachine::start(options(DataLocation::Folder(folder.path().to_owned()))));
    while !state().contains("isBeingMade") {
        assert!(!start.is_finished());
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    start.abort();
    assert!(start.await.is_err_and(|error| error.is_cancelled()));
    assert!(state().contains("isBeingMade"));
    let interrupted: Value = serde_json::from_str(&state()).unwrap();
    let world = machine(folder.path()).await;
    assert!(!state().contains("isBeingMade"));
    let (org, key) = showcase(&world);
    assert_ne!(interrupted["keys"]["showcase"]["organisationId"], json!(org));
    let purchases = world.get("/_local/payments", "").await.data();
    let bought = world.transactions(&key, "operation=credit.purchase&limit=100").await.len();
    assert!(purchases.as_array().unwrap().len() >= bought);
    world.machine.stop().await.unwrap();
    let audit = audited(folder.path()).await;
    assert_eq!(audit.iter().filter(|line| line.contains("sound, and adds up")).count(), 4, "{audit:#?}");
}
