//! Statements of random histories: each is what the transactions of its range add up to, however it is made.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use domain::{AccountId, Direction, LotChange, LotChangeKind, LotId, Mode, Move, OrgId, Receipt, Source};
use local::engine::Engine;
use local::{ACTIVITY_TABLE, LEDGER_TABLE};
use serde_json::{Value, json};
use store::{Ledger, StatementPlace, StatementQuery};
use tests::{Dice, Org, World};

use super::lots::step;
use super::statements::{pdf, statement};

const MONTHS: [&str; 3] = ["2024-01", "2024-02", "2024-03"];
const DAY: u64 = 86_400;

/// A machine on a database that the test can read.
async fn world() -> (World, Engine) {
    let engine = Engine::temporary().unwrap();
    let address = engine.serve(0).unwrap();
    (World::on(&format!("http://{address}"), "2024-01-15T10:30:00Z").await, engine)
}

fn account(org: &Org) -> AccountId {
    AccountId { org: OrgId::try_from(org.id.clone()).unwrap(), mode: Mode::Live }
}

/// The rows of an account by rising numbers.
async fn rows(engine: &Engine, org: &Org) -> Vec<Receipt> {
    let ledger = Ledger::new(&engine.dynamodb_config().build(), LEDGER_TABLE);
    let (mut rows, mut cursor) = (vec![], None);
    let end = "2024-12-01T00:00:00Z".parse::<DateTime<Utc>>().unwrap();
    loop {
        let place = StatementPlace { cursor, limit: 1_000 };
        let page = ledger.statement(account(org), &StatementQuery::default(), place, end).await.unwrap();
        rows.extend(page.receipts);
        cursor = page.next;
        if cursor.is_none() {
            rows.sort_by_key(|row| row.sequence);
            return rows;
        }
    }
}

/// A history of more than three months. Some organisations spend on account, some are on an unlimited plan for a while.
async fn history(world: &World, seed: u64) -> Org {
    let org = world.open(60).await;
    if seed == 1 {
        let path = format!("/admin/v1/organisations/{}/post-paid", org.id);
        world.put(&path, world.operator(), &json!({ "limit": 90 })).await.data();
    }
    let (mut debits, mut purchases) = (vec![], vec![]);
    let mut dice = Dice(seed);
    for number in 0..66_u64 {
        for _ in 0..2 {
            step(world, &org, &mut dice, &mut debits, &mut purchases).await;
        }
        if seed == 2 && number.is_multiple_of(11) {
            let plan = if number.is_multiple_of(2) { "enterprise" } else { "professional" };
            let path = format!("/admin/v1/organisations/{}/subscription", org.id);
            world.put(&path, world.operator(), &json!({ "plan": plan })).await.data();
        }
        if number % 2 == 1 {
            world.pass(DAY + 3_600 * dice.roll(24)).await;
        }
    }
    let mut passed = world.get("/_local/clock", "").await.data()["now"].as_str().unwrap().to_owned();
    while passed.as_str() < "2024-04-01T00:10:00Z" {
        world.pass(5 * DAY).await;
        passed = world.get("/_local/clock", "").await.data()["now"].as_str().unwrap().to_owned();
    }
    world.settle().await;
    org
}

fn name(source: Source) -> &'static str {
    source.as_str()
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap()
}

/// Whether a lot had ended by the time of a row: subscription credits leave in a refund only because they had.
fn ends(part: &Move, row: &Receipt) -> bool {
    matches!(part.lot, LotId::Subscription(_)) || part.terms.expires_at.is_some_and(|end| end <= row.entry.at)
}

/// What rows add up to, by bucket, direction and operation. What had expired when it was returned leaves by
/// `credit.expiry`.
fn moved(rows: &[Receipt]) -> BTreeMap<(&'static str, &'static str, String), i64> {
    let mut moved = BTreeMap::new();
    for row in rows {
        for part in row.entry.moves.iter().filter(|part| part.lot.is_counted()) {
            let direction = if part.direction == Direction::Credit { "in" } else { "out" };
            let is_return = row.details.drawn.is_some() && row.entry.direction == Direction::Credit;
            let has_expired = is_return && part.direction == Direction::Debit && ends(part, row);
            let operation = if has_expired { "credit.expiry" } else { row.entry.operation.as_str() };
            let key = (name(part.source), direction, operation.to_owned());
            *moved.entry(key).or_default() += signed(part.amount.get());
        }
    }
    moved
}

/// What rows spent of a bucket, and what of it expired: by the moves and captures, and by the records of lots.
fn causes(rows: &[Receipt]) -> BTreeMap<(&'static str, &'static str), i64> {
    let mut sums: BTreeMap<(&'static str, &'static str), i64> = BTreeMap::new();
    for row in rows {
        let captured = row.details.drawn.iter().filter(|drawn| drawn.is_capture());
        for share in captured.flat_map(|drawn| &drawn.shares).filter(|share| share.lot.is_counted()) {
            *sums.entry((name(share.source), "used")).or_default() += signed(share.amount.get());
        }
        if !row.entry.operation.is_own() {
            for part in row.entry.moves.iter().filter(|part| part.lot.is_counted()) {
                *sums.entry((name(part.source), "used")).or_default() -= part.direction.signed(part.amount);
            }
        }
        for change in LotChange::of(row).iter().filter(|change| change.kind == LotChangeKind::Expired) {
            *sums.entry((name(change.source), "expired")).or_default() += signed(change.amount.get());
        }
    }
    sums.retain(|_, sum| *sum != 0);
    sums
}

/// Reads a number of credits in a row.
type ReadCredits = fn(&Receipt) -> u64;

/// Compares a statement with the rows of its range.
fn check(statement: &Value, rows: &[Receipt], before: Option<&Receipt>) {
    let mut found = BTreeMap::new();
    let mut found_causes = BTreeMap::new();
    let mut closing = 0;
    for source in [Source::Subscription, Source::Purchased, Source::Bonus].map(name) {
        let bucket = &statement["buckets"][source];
        let number = |name: &str| bucket[name].as_i64().unwrap();
        for direction in ["in", "out"] {
            for (operation, amount) in bucket[direction].as_object().unwrap() {
                found.insert((source, direction, operation.clone()), amount.as_i64().unwrap());
            }
        }
        for cause in ["used", "expired"] {
            found_causes.insert((source, cause), number(cause));
        }
        let sum = number("opening") + number("added") + number("refunded")
            - ["used", "expired", "held", "withdrawn"].iter().map(|name| number(name)).sum::<i64>();
        assert_eq!(number("closing"), sum, "{source}: {bucket}");
        closing += number("closing");
    }
    found_causes.retain(|_, sum| *sum != 0);
    assert_eq!(found, moved(rows));
    assert_eq!(found_causes, causes(rows));
    let last = rows.last().or(before).unwrap();
    assert_eq!(closing, signed(last.balance.booked().unwrap().get()));
    assert_eq!(statement["balance"]["closing"], json!(closing));
    let fields: [(&str, ReadCredits); 3] = [
        ("held", |row| row.balance.held.get()),
        ("outstanding", |row| row.balance.post_paid.map_or(0, |post_paid| post_paid.outstanding.get())),
        ("disputed", |row| row.balance.disputed.get()),
    ];
    for (field, read) in fields {
        let stated = json!({ "opening": before.map_or(0, read), "closing": read(last) });
        assert_eq!(statement[field], stated, "{field}");
    }
    let paid: Vec<_> = rows.iter().filter_map(|row| Some((row, row.details.paid.as_ref()?))).collect();
    let credits: u64 = paid.iter().map(|(row, _)| row.entry.amount.get()).sum();
    let money: u64 = paid.iter().map(|(_, paid)| paid.price.amount()).sum();
    let purchases = &statement["purchases"];
    assert_eq!(purchases["count"], json!(paid.len()));
    assert_eq!(purchases["credits"], json!(credits));
    assert_eq!(purchases["paid"][0]["amount"].as_u64().unwrap_or(0), money);
}

/// The usage of a month in a measure, as the route of usage answers it.
async fn usage(world: &World, org: &Org, statement: &Value, measure: &str) -> Value {
    let (from, to) = (statement["from"].as_str().unwrap(), statement["to"].as_str().unwrap());
    let path = format!(
        "/api/v3/credits/usage?from={from}&to={to}&measure={measure}&granularity=monthly&groupBy=operation"
    );
    world.get(&path, &org.key).await.data()["total"]["total"].clone()
}

#[tokio::test]
async fn statements_are_what_the_transactions_of_their_range_add_up_to() {
    for seed in 0..3 {
        let (world, engine) = world().await;
        let org = history(&world, seed).await;
        let rows = rows(&engine, &org).await;
        let (mut after, mut before): (usize, Option<Value>) = (0, None);
        for month in MONTHS {
            let found = statement(&world, &org, month).await;
            let ledger = &found["ledger"];
            assert_eq!(ledger["firstSequence"], json!(after + 1), "seed {seed} {month}");
            let last = usize::try_from(ledger["lastSequence"].as_u64().unwrap()).unwrap();
            check(&found, &rows[after..last], after.checked_sub(1).map(|place| &rows[place]));
            assert!(rows[last].entry.id.time().format("%Y-%m").to_string().as_str() > month);
            for (measure, field) in [("credits", "credits"), ("calls", "calls")] {
                let expected = usage(&world, &org, &found, measure).await;
                assert_eq!(found["usage"]["total"][field], expected, "seed {seed} {month} {measure}");
            }
            let cost = usage(&world, &org, &found, "cost").await;
            assert_eq!(found["usage"]["total"]["cost"]["amount"], cost, "seed {seed} {month}");
            if let Some(before) = &before {
                for source in ["subscription", "purchased", "bonus"] {
                    assert_eq!(before["buckets"][source]["closing"], found["buckets"][source]["opening"]);
                }
                assert_eq!(before["ledger"]["closingHash"], ledger["openingHash"]);
            }
            (after, before) = (last, Some(found));
        }
    }
}

/// The rollup of a day is changed: no statement is made from it, and it is made once the rollup is as it was.
#[tokio::test]
async fn a_month_that_does_not_add_up_has_no_statement() {
    let (world, engine) = world().await;
    let org = history(&world, 3).await;
    let client = Client::from_conf(engine.dynamodb_config().build());
    let pk = AttributeValue::S(format!("USE#{}#live", org.id));
    let query = client.query().table_name(ACTIVITY_TABLE).key_condition_expression("pk = :pk");
    let days = query.expression_attribute_values(":pk", pk).send().await.unwrap().items.unwrap();
    let in_february =
        |day: &&HashMap<String, AttributeValue>| day["sk"].as_s().unwrap().starts_with("2024-02");
    let day = days.iter().find(in_february).unwrap();
    let delete = client.delete_item().table_name(ACTIVITY_TABLE).key("pk", day["pk"].clone());
    delete.key("sk", day["sk"].clone()).send().await.unwrap();
    for month in ["2024-02", "2024-03"] {
        let path = format!("/api/v3/credits/statements/{month}");
        assert_eq!(world.get(&path, &org.key).await.failure(), "503 RECORD_UNREADABLE");
    }
    // The months before were made on the way.
    statement(&world, &org, "2024-01").await;
    client.put_item().table_name(ACTIVITY_TABLE).set_item(Some(day.clone())).send().await.unwrap();
    assert_eq!(statement(&world, &org, "2024-03").await["month"], json!("2024-03"));
}

/// Removes what was stored of statements.
async fn forget(engine: &Engine, org: &Org) {
    let client = Client::from_conf(engine.dynamodb_config().build());
    for month in MONTHS {
        let pk = AttributeValue::S(format!("STATEMENTS#{}#live", org.id));
        let request = client.delete_item().table_name(ACTIVITY_TABLE).key("pk", pk);
        request.key("sk", AttributeValue::S(month.to_owned())).send().await.unwrap();
    }
}

#[tokio::test]
async fn statements_have_the_same_bytes_however_they_are_made() {
    let (world, engine) = world().await;
    let org = history(&world, 0).await;
    let mut first = vec![];
    for month in MONTHS {
        first.push((statement(&world, &org, month).await, pdf(&world, &org, month).await));
    }
    let address = engine.serve(0).unwrap();
    let fresh = World::on(&format!("http://{address}"), "2024-05-02T00:00:00Z").await;
    for (machine, months, is_forgotten) in [
        (&world, [0, 1, 2], false),
        (&fresh, [0, 1, 2], false),
        (&world, [2, 0, 1], true),
        (&fresh, [1, 2, 0], true),
    ] {
        if is_forgotten {
            forget(&engine, &org).await;
        }
        for place in months {
            let (json, bytes) = &first[place];
            // JSON as text: its order is part of it.
            assert_eq!(statement(machine, &org, MONTHS[place]).await.to_string(), json.to_string());
            assert_eq!(pdf(machine, &org, MONTHS[place]).await, *bytes);
        }
    }
}
