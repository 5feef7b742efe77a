//! The audit names every item that was changed outside Scrip, and nothing else.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use domain::{AccountId, Allowance, ChangePlan, ChangePlanCause, PlanId, Problem, RowShards};
use store::{AuditReport, ChainPosition, ChainRange, Excerpt, ExcerptPage};
use tests::{Dice, TableItem, TestLedger, backends, keyed, moment, settle};

use crate::model::ledger::Request;

/// The beginning of the histories.
pub(crate) fn start() -> DateTime<Utc> {
    "2024-01-28T10:30:00Z".parse().unwrap()
}

/// A random history of an account with at least `entries` entries; returns the account and the end of the history.
pub(crate) async fn history(fixture: &mut TestLedger, seed: u64, entries: u64) -> (AccountId, DateTime<Utc>) {
    history_spread(fixture, seed, entries, RowShards::ONE).await
}

/// The same, with rows that are spread over `shards`.
pub(crate) async fn history_spread(
    fixture: &mut TestLedger,
    seed: u64,
    entries: u64,
    shards: RowShards,
) -> (AccountId, DateTime<Utc>) {
    let mut dice = Dice(seed);
    let mut now = start();
    let id = fixture.open_spread(40, now, shards).await;
    for step in 0.. {
        if dice.roll(6) == 0 {
            now += Duration::hours(i64::try_from(dice.roll(60)).unwrap());
        }
        let request = match dice.roll(25) {
            0 => Request::Plan(ChangePlan {
                plan: PlanId("enterprise".into()),
                allowance: Allowance::Unlimited,
                cause: ChangePlanCause::Owner,
            }),
            _ => Request::roll(&mut dice, now),
        };
        settle(&fixture.ledger, id, keyed(&format!("k{step}"), "x"), moment(now), |account, attempt| {
            request.decide(account, attempt)
        })
        .await
        .ok();
        if dice.roll(3) == 0 {
            fixture.project().await;
        }
        if fixture.ledger.account(id).await.unwrap().unwrap().sequence >= entries {
            break;
        }
    }
    fixture.project().await;
    (id, now)
}

async fn audited(fixture: &TestLedger, id: AccountId, now: DateTime<Utc>) -> AuditReport {
    fixture.restarted().audit(id, now, |_| ()).await.unwrap().unwrap()
}

/// The findings of an audit, in short: `17 altered`, `- lot`.
async fn found(fixture: &TestLedger, id: AccountId, now: DateTime<Utc>) -> Vec<String> {
    let short = |number: Option<u64>, problem: &Problem| {
        let number = number.map_or("-".to_owned(), |number| number.to_string());
        format!("{number} {}", problem.code())
    };
    let report = audited(fixture, id, now).await;
    report.findings.iter().map(|finding| short(finding.sequence, &finding.problem)).collect()
}

/// The rows of an account, by their numbers.
async fn rows(fixture: &TestLedger, id: AccountId) -> Vec<TableItem> {
    let mut rows = Vec::new();
    for month in ["2024-01", "2024-02", "2024-03", "2024-04", "2024-05", "2024-06"] {
        rows.extend(fixture.items(&format!("TXN#{id}#{month}")).await);
    }
    rows.sort_by_key(number);
    rows
}

fn number(item: &TableItem) -> u64 {
    item["seq"].as_n().unwrap().parse().unwrap()
}

#[tokio::test]
async fn random_histories_are_found_sound() {
    for backend in backends() {
        for seed in 0..12 {
            let mut fixture = TestLedger::on(backend.as_deref()).await;
            let (id, now) = history(&mut fixture, seed, 20 + seed * 4).await;
            let report = audited(&fixture, id, now).await;
            assert_eq!(report.findings, [], "seed {seed}");
            assert!(report.added_up, "seed {seed}: {report:?}");
            assert_eq!((report.chained.0, report.unchained, report.unwritten), (report.entries, 0, 0));
            assert!(report.checkpoints > 0, "seed {seed}");
            let all = excerpt(&fixture, id, ChainRange::default(), now).await;
            assert_eq!((all.findings, all.tip), (vec![], report.chained), "seed {seed}");
            assert_eq!(all.checkpoints.len(), usize::try_from(report.checkpoints).unwrap());
        }
    }
}

/// Work in progress is no finding: entries without rows, rows without links.
#[tokio::test]
async fn work_in_progress_is_reported_and_is_no_finding() {
    let mut fixture = TestLedger::new().await;
    let (id, now) = history(&mut fixture, 3, 20).await;
    let before = audited(&fixture, id, now).await;
    let request = Request::Freeze(false);
    for n in 0..3 {
        let key = format!("late{n}");
        let decide = |account: &_, attempt: &_| request.decide(account, attempt);
        settle(&fixture.ledger, id, keyed(&key, "x"), moment(now), decide).await.unwrap();
    }
    let report = audited(&fixture, id, now).await;
    assert_eq!((report.findings.as_slice(), report.unchained, report.added_up), ([].as_slice(), 3, true));
    assert_eq!(report.chained, before.chained);
    fixture.delete(rows(&fixture, id).await.last().unwrap()).await;
    let report = audited(&fixture, id, now).await;
    assert_eq!((report.findings.as_slice(), report.unwritten, report.added_up), ([].as_slice(), 1, false));
    fixture.project().await;
    let report = audited(&fixture, id, now).await;
    assert_eq!((report.findings.as_slice(), report.chained.0), ([].as_slice(), before.entries + 3));
}

/// Every change of one attribute at any depth: one more, and each one removed, renamed, with another value, of
/// another type.
fn edits(item: &TableItem) -> Vec<(String, TableItem)> {
    let mut edits = vec![("one more".to_owned(), with(item, "zz", AttributeValue::S("x".into())))];
    for (name, value) in item.iter().filter(|(name, _)| !["pk", "sk"].contains(&name.as_str())) {
        let mut without = item.clone();
        without.remove(name);
        edits.push((format!("{name} renamed"), with(&without, &format!("{name}_"), value.clone())));
        edits.push((format!("{name} away"), without));
        for (what, changed) in changes(value) {
            edits.push((format!("{name}: {what}"), with(item, name, changed)));
        }
    }
    edits
}

fn with(item: &TableItem, name: &str, value: AttributeValue) -> TableItem {
    let mut changed = item.clone();
    changed.insert(name.to_owned(), value);
    changed
}

#[expect(clippy::wildcard_enum_match_arm, reason = "Scrip stores no other types")]
fn changes(value: &AttributeValue) -> Vec<(String, AttributeValue)> {
    match value {
        AttributeValue::S(text) => {
            let mut last = text.clone();
            last.pop();
            vec![
                ("longer".into(), AttributeValue::S(format!("{text} "))),
                ("shorter".into(), AttributeValue::S(last)),
                ("a list".into(), AttributeValue::L(vec![value.clone()])),
            ]
        }
        AttributeValue::N(digits) => vec![
            ("more".into(), AttributeValue::N(format!("1{digits}"))),
            ("text".into(), AttributeValue::S(digits.clone())),
        ],
        AttributeValue::Bool(known) => vec![
            ("turned".into(), AttributeValue::Bool(!known)),
            ("text".into(), AttributeValue::S(known.to_string())),
        ],
        AttributeValue::M(inner) => edits(inner)
            .into_iter()
            .map(|(what, inner)| (what, AttributeValue::M(inner)))
            .chain([("null".to_owned(), AttributeValue::Null(true))])
            .collect(),
        AttributeValue::L(parts) => {
            let mut found = vec![("emptied".to_owned(), AttributeValue::L(vec![]))];
            for (place, part) in parts.iter().enumerate() {
                for (what, changed) in changes(part) {
                    let mut parts = parts.clone();
                    parts[place] = changed;
                    found.push((format!("{place}: {what}"), AttributeValue::L(parts)));
                }
            }
            found.retain(|(_, changed)| changed != value);
            found
        }
        AttributeValue::B(bytes) => (0..bytes.as_ref().len())
            .map(|place| {
                let mut changed = bytes.as_ref().to_vec();
                changed[place] ^= 1;
                (format!("byte {place}"), AttributeValue::B(changed.into()))
            })
            .collect(),
        other => panic!("no row has {other:?}"),
    }
}

#[tokio::test]
async fn any_edit_of_a_row_names_the_row() {
    for backend in backends() {
        let mut fixture = TestLedger::on(backend.as_deref()).await;
        let (id, now) = history(&mut fixture, 7, 19).await;
        let mut edited = 0;
        // On the other backends some rows of each segment are enough.
        let each = if backend.is_none() { 1 } else { 4 };
        for row in rows(&fixture, id).await.into_iter().step_by(each) {
            let number = number(&row);
            for (what, changed) in edits(&row) {
                fixture.write(&changed).await;
                assert_eq!(found(&fixture, id, now).await, [format!("{number} altered")], "{number}: {what}");
                edited += 1;
            }
            let excerpt = excerpt(&fixture, id, ChainRange::default(), now).await;
            let named: Vec<_> = excerpt.findings.iter().map(|found| found.sequence).collect();
            assert_eq!(named, [Some(number)]);
            fixture.write(&row).await;
        }
        assert!(edited > 500 / each, "{edited}");
        assert_eq!(found(&fixture, id, now).await, Vec::<String>::new());
    }
}

/// Other changes, each made, found and undone.
#[tokio::test]
async fn deleted_copied_moved_and_swapped_rows_are_named() {
    for backend in backends() {
        let mut fixture = TestLedger::on(backend.as_deref()).await;
        let (id, now) = history(&mut fixture, 11, 37).await;
        let (other, _) = history(&mut fixture, 12, 3).await;
        let rows = rows(&fixture, id).await;
        let foreign = fixture.items(&format!("TXN#{other}#2024-01")).await[0].clone();
        let at = |place: usize, pk: &AttributeValue, sk: &AttributeValue| {
            with(&with(&rows[place], "pk", pk.clone()), "sk", sk.clone())
        };
        let elsewhere = AttributeValue::S("01HN6QY8R0Z3V9Q2T5W7X8Y9ZA".into());
        for place in [0, 4, 15, 16, 31, 36] {
            let number = place + 1;
            fixture.delete(&rows[place]).await;
            assert_eq!(found(&fixture, id, now).await, [format!("{number} missing")]);
            let moved = at(place, &rows[place]["pk"], &elsewhere);
            fixture.write(&moved).await;
            let named = [format!("{number} missing"), format!("{number} stray")];
            assert_eq!(found(&fixture, id, now).await, named);
            fixture.write(&rows[place]).await;
            assert_eq!(found(&fixture, id, now).await, [format!("{number} stray")]);
            fixture.delete(&moved).await;
            let swapped = at(place, &rows[20]["pk"], &rows[20]["sk"]);
            fixture.write(&swapped).await;
            assert_eq!(found(&fixture, id, now).await, ["21 altered"]);
            fixture.write(&rows[20]).await;
        }
        let copied = at(4, &rows[4]["pk"], &AttributeValue::S("no id".into()));
        fixture.write(&copied).await;
        assert_eq!(found(&fixture, id, now).await, ["5 stray"]);
        fixture.delete(&copied).await;
        let taken = with(&with(&foreign, "pk", rows[4]["pk"].clone()), "sk", rows[4]["sk"].clone());
        fixture.write(&taken).await;
        assert_eq!(found(&fixture, id, now).await, ["5 altered"]);
        fixture.write(&rows[4]).await;
        assert_eq!(found(&fixture, id, now).await, Vec::<String>::new());
    }
}

/// Changes of the chain are findings about the chain, not about rows.
#[tokio::test]
async fn a_change_of_the_chain_is_named() {
    for backend in backends() {
        let mut fixture = TestLedger::on(backend.as_deref()).await;
        let (id, now) = history(&mut fixture, 5, 37).await;
        for partition in ["CHAIN", "CHECK", "MARK"] {
            let items = fixture.items(&format!("{partition}#{id}")).await;
            assert!(!items.is_empty());
            for item in items {
                for (what, changed) in edits(&item) {
                    // Every byte of one row, and some bytes of the others.
                    let is_byte = what.strip_prefix("hashes: byte ").or(what.strip_prefix("ids: byte "));
                    let byte = is_byte.map_or(0, |byte| byte.parse::<u32>().unwrap());
                    if byte % 29 != 0 {
                        continue;
                    }
                    fixture.write(&changed).await;
                    let findings = found(&fixture, id, now).await;
                    // Not in the chain: the revision that guards writes, the alert state, usage, and kinds of records.
                    let is_beside = ["rev", "al", "use", "k"].iter().any(|name| what.starts_with(name));
                    let excused = ["one more", "day renamed"].contains(&what.as_str())
                        && partition != "CHAIN"
                        || is_beside && partition == "MARK";
                    assert!(!findings.is_empty() || excused, "{partition}, {what}");
                    if what.starts_with("hashes: byte") {
                        let first = if partition == "MARK" { 33 } else { number_of(&item) };
                        let row = first + u64::from(byte) / 32;
                        let code = if row == 37 { "altered" } else { "hash_altered" };
                        assert_eq!(findings, [format!("{row} {code}")], "{partition}, {what}");
                    }
                }
                fixture.delete(&item).await;
                assert!(!found(&fixture, id, now).await.is_empty(), "{partition} deleted");
                fixture.write(&item).await;
            }
        }
        assert_eq!(found(&fixture, id, now).await, Vec::<String>::new());
    }
}

fn number_of(span: &TableItem) -> u64 {
    span["sk"].as_s().unwrap().parse().unwrap()
}

#[tokio::test]
async fn a_change_of_the_account_is_named() {
    for backend in backends() {
        let mut fixture = TestLedger::on(backend.as_deref()).await;
        let (id, now) = history(&mut fixture, 9, 30).await;
        let account = fixture.items(&format!("ACCT#{id}")).await.remove(0);
        let mut kinds = BTreeSet::new();
        for (what, changed) in edits(&account) {
            // Not in any row: revisions and fences, which guard writes; a freeze; terms of lots; and
            // unknown attributes.
            let is_unknown = ["rev", "fence", "since", "frozen", "zz", "one more", "lots: one more"];
            let is_free = is_unknown.iter().any(|name| what.starts_with(name))
                || what.contains("granted")
                || what.contains(": svc")
                || what.contains(": exp");
            fixture.write(&changed).await;
            let findings = found(&fixture, id, now).await;
            assert!(!findings.is_empty() || is_free || what.contains("one more"), "{what}");
            kinds.extend(findings);
        }
        fixture.write(&account).await;
        assert!(kinds.contains("- lot") && kinds.contains("- account"), "{kinds:?}");
        assert_eq!(found(&fixture, id, now).await, Vec::<String>::new());
    }
}

/// Excerpts of every page size have every row once, and name what was changed on any page.
#[tokio::test]
async fn excerpts_name_what_the_audit_names() {
    let mut fixture = TestLedger::new().await;
    let (id, now) = history(&mut fixture, 21, 37).await;
    let rows = rows(&fixture, id).await;
    for limit in [1, 2, 7, 16, 100] {
        for changed in [None, Some(0), Some(5), Some(15), Some(16), Some(31), Some(36)] {
            if let Some(place) = changed {
                let edited: &TableItem = &rows[place];
                fixture.write(&with(edited, "n", AttributeValue::N("77777".into()))).await;
            }
            let (mut cursor, mut sequences, mut named) = (None, Vec::new(), Vec::new());
            loop {
                let page = fixture
                    .ledger
                    .excerpt(id, ChainRange::default(), ExcerptPage { cursor, limit }, now)
                    .await
                    .unwrap();
                sequences.extend(page.rows.iter().map(|row| row.sequence));
                named.extend(page.findings.iter().map(|found| found.sequence));
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
            assert_eq!(sequences, (1..=37).collect::<Vec<_>>(), "limit {limit}");
            let expected: Vec<_> = changed.map(|place| Some(number(&rows[place]))).into_iter().collect();
            assert_eq!(named, expected, "limit {limit}");
            if let Some(place) = changed {
                fixture.write(&rows[place]).await;
            }
        }
    }
    let from = |place| ChainRange { from: Some(place), to: None };
    let until = |place| ChainRange { from: None, to: Some(place) };
    let range = ChainRange { to: Some(ChainPosition::Number(20)), ..from(ChainPosition::Number(17)) };
    let part = excerpt(&fixture, id, range, now).await;
    let all = excerpt(&fixture, id, ChainRange::default(), now).await;
    assert_eq!((part.from, part.to, part.before), (17, 20, Some(all.rows[15].link.hash)));
    let middle = all.rows[18].link.id.time();
    let since = excerpt(&fixture, id, from(ChainPosition::Time(middle)), now).await;
    let until = excerpt(&fixture, id, until(ChainPosition::Time(middle)), now).await;
    assert_eq!(until.to + 1, since.from);
    assert!(all.rows[usize::try_from(since.from).unwrap() - 1].link.id.time() == middle);
    let past = excerpt(&fixture, id, from(ChainPosition::Number(38)), now).await;
    assert_eq!((past.rows.len(), past.from, past.to, past.before), (0, 38, 37, Some(all.tip.1)));
}

/// The first hundred rows of a range.
async fn excerpt(fixture: &TestLedger, id: AccountId, range: ChainRange, now: DateTime<Utc>) -> Excerpt {
    fixture.ledger.excerpt(id, range, ExcerptPage { cursor: None, limit: 100 }, now).await.unwrap()
}
