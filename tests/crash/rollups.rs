//! Rollups that were damaged are found, named and rebuilt from the rows, beside a projector that goes on counting.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Duration, Utc};
use domain::{
    AccountId, ClaimKey, Consume, Credits, Details, Fingerprint, IdempotencyKey, Operation, Reference,
    consume,
};
use store::{Claim, Fault, Ledger, RollupRebuild, RollupReport};
use tests::{TableItem, TestLedger, WriteFault, moment};

fn begin() -> DateTime<Utc> {
    "2024-01-29T08:00:00Z".parse().unwrap()
}

/// After all debits.
fn end() -> DateTime<Utc> {
    begin() + Duration::days(8)
}

/// The debit with this number: one an hour, of three operations, for three customers and two members.
async fn debit(ledger: &Ledger, id: AccountId, number: i64) {
    let now = begin() + Duration::minutes(60 * number);
    let operation = ["aml.pep", "kyt.wallet", "verification.standard"][usize::try_from(number % 3).unwrap()];
    let name = |text: String| Reference::try_from(text).unwrap();
    let details = Details {
        customer_id: (number % 4 > 0).then(|| name(format!("cust_{}", number % 4))),
        member_id: (number % 2 > 0).then(|| name(format!("mem_{}", number % 5 % 2))),
        ..Details::default()
    };
    let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("debit-{number}")).unwrap());
    let amount = Credits::try_from(u64::try_from(1 + number % 3).unwrap()).unwrap();
    let operation = Operation::try_from(operation.to_owned()).unwrap();
    let request = Consume { operation, amount, service: None };
    let claim = Fingerprint(format!("debit {number}"));
    let claim = Claim::new(&key, &claim, &details);
    ledger
        .settle(id, claim, moment(now), |account, attempt| consume(account, &request, attempt))
        .await
        .unwrap();
}

/// A projected ledger with 120 debits over five days and the turn of a month.
async fn ledger() -> (TestLedger, AccountId) {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(100_000, begin()).await;
    for number in 0..120 {
        debit(&fixture.ledger, id, number).await;
    }
    fixture.project().await;
    (fixture, id)
}

async fn rebuild(fixture: &TestLedger, id: AccountId, is_written: bool) -> Result<RollupReport, Fault> {
    let of = RollupRebuild { account: id, is_written, now: end(), projection: std::time::Duration::ZERO };
    let rebuilt = fixture.restarted().rebuild_rollups(&fixture.activity(), of, |_| ()).await;
    rebuilt.map(|report| report.unwrap())
}

/// What a rebuild finds, as texts.
async fn found(fixture: &TestLedger, id: AccountId, is_written: bool) -> Vec<String> {
    let report = rebuild(fixture, id, is_written).await.unwrap();
    assert_eq!(report.unsettled, 0);
    report.differences.iter().map(ToString::to_string).collect()
}

/// All rollups and records of lots of the account, in an order of their own.
async fn rollups(fixture: &TestLedger, id: AccountId) -> Vec<String> {
    let mut items = Vec::new();
    for partition in ["", "#2024-01#c", "#2024-01#m", "#2024-02#c", "#2024-02#m"] {
        items.extend(fixture.activity_items(&format!("USE#{id}{partition}")).await);
    }
    items.extend(fixture.activity_items(&format!("LOTS#{id}")).await);
    let text = |item: &TableItem| {
        let mut attributes: Vec<_> = item.iter().collect();
        attributes.sort_by_key(|(name, _)| *name);
        format!("{attributes:?}")
    };
    items.iter().map(text).collect()
}

fn with(item: &TableItem, name: &str, value: AttributeValue) -> TableItem {
    let mut item = item.clone();
    item.insert(name.to_owned(), value);
    item
}

fn number(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// A damage of the activity table, and what a rebuild says of it.
struct Damaged {
    written: Vec<TableItem>,
    deleted: Vec<TableItem>,
    says: Vec<&'static str>,
}

async fn damages(fixture: &TestLedger, id: AccountId) -> Vec<Damaged> {
    // The first one has the renewal, on the first day of the month.
    let days = fixture.activity_items(&format!("USE#{id}")).await.split_off(1);
    let january = fixture.activity_items(&format!("USE#{id}#2024-01#c")).await;
    let february = fixture.activity_items(&format!("USE#{id}#2024-02#m")).await;
    let (first, last) = (&days[0], &days[days.len() - 1]);
    assert!(days.len() >= 5 && january.len() == 3 && february.len() == 2, "{} days", days.len());
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let unreadable = AttributeValue::B(Blob::new(b"what".to_vec()));
    let written = |items: Vec<TableItem>, says| Damaged { written: items, deleted: vec![], says };
    let deleted = |item: &TableItem, says| Damaged { written: vec![], deleted: vec![item.clone()], says };
    let lots = fixture.activity_items(&format!("LOTS#{id}")).await;
    assert_eq!(lots.len(), 2);
    vec![
        written(
            vec![with(&lots[0], "n", number(7))],
            vec!["the record of the lot sub_2024-01 has wrong sums"],
        ),
        written(vec![with(&lots[1], "through", number(1))], vec!["sub_2024-02 counts through 1 instead of"]),
        written(vec![with(&lots[1], "through", number(999_999))], vec!["counts through 999999 instead of"]),
        written(vec![with(&lots[0], "n", text("x"))], vec!["sub_2024-01 is unreadable"]),
        deleted(&lots[0], vec!["sub_2024-01 is missing"]),
        written(
            vec![with(&lots[1], "sk", text("01HM6QY8R0Z3V9Q2T5W7X8Y9ZA"))],
            vec!["counts no transaction"],
        ),
        written(vec![with(first, "sums", days[1]["sums"].clone())], vec!["2024-01-29 has wrong sums"]),
        written(vec![with(last, "sums", first["sums"].clone())], vec!["has wrong sums"]),
        written(vec![with(&days[1], "through", number(1))], vec!["2024-01-30 counts through 1 instead of"]),
        written(vec![with(last, "through", number(1))], vec!["counts through 1 instead of"]),
        written(vec![with(last, "through", number(118))], vec!["counts through 118 instead of"]),
        written(vec![with(last, "through", number(999_999))], vec!["counts through 999999 instead of"]),
        written(vec![with(last, "sums", unreadable.clone())], vec!["is unreadable"]),
        written(vec![with(first, "through", text("x"))], vec!["2024-01-29 is unreadable"]),
        deleted(&days[1], vec!["2024-01-30 is missing"]),
        deleted(last, vec!["is missing"]),
        written(vec![with(first, "sk", text("2023-12-24"))], vec!["2023-12-24 counts no transaction"]),
        written(vec![with(&january[0], "sums", january[1]["sums"].clone())], vec!["\"cust_1\" in 2024-01"]),
        deleted(&january[2], vec!["customer \"cust_3\" in 2024-01 (shard 0) is missing"]),
        written(vec![with(&february[0], "through", number(7))], vec!["member \"mem_0\" in 2024-02"]),
        written(vec![with(&february[1], "through", number(7_777))], vec!["member \"mem_1\" in 2024-02"]),
        written(
            vec![with(&february[1], "sk", text("mem_9"))],
            vec!["\"mem_9\" in 2024-02 (shard 0) counts no"],
        ),
        Damaged {
            written: vec![with(first, "sums", unreadable), with(&january[0], "sk", text("cust_9"))],
            deleted: vec![last.clone(), february[1].clone()],
            says: vec!["2024-01-29 is unreadable", "\"cust_9\"", "is missing", "\"mem_1\""],
        },
    ]
}

/// Whatever happened to a rollup, the rebuild names it, and makes exactly what the projector had made.
#[tokio::test]
async fn every_damage_is_named_and_mended() {
    let (fixture, id) = ledger().await;
    let right = rollups(&fixture, id).await;
    assert_eq!(found(&fixture, id, true).await, Vec::<String>::new());
    for Damaged { written, deleted, says } in damages(&fixture, id).await {
        for item in &written {
            fixture.write_activity(item).await;
        }
        for item in &deleted {
            fixture.delete_activity(item).await;
        }
        let wrong = rollups(&fixture, id).await;
        let named = found(&fixture, id, false).await;
        assert_eq!(named.len(), says.len(), "{named:?}");
        for say in &says {
            assert!(named.iter().any(|line| line.contains(say)), "{say}: {named:?}");
        }
        assert_eq!(rollups(&fixture, id).await, wrong);
        assert_eq!(found(&fixture, id, true).await.len(), says.len());
        assert_eq!(rollups(&fixture, id).await, right, "{says:?}");
        assert_eq!(found(&fixture, id, false).await, Vec::<String>::new());
    }
}

/// The watermark of the account, with other pending sums, or none.
async fn with_pending(fixture: &TestLedger, id: AccountId, pending: Option<AttributeValue>) -> TableItem {
    let mut item = fixture.items(&format!("MARK#{id}")).await[0].clone();
    item.remove("use");
    item.extend(pending.map(|pending| ("use".to_owned(), pending)));
    item
}

/// Sums beside the watermark that are wrong or lost are made right, and what follows is counted once.
#[tokio::test]
async fn pending_sums_are_mended() {
    let (mut fixture, id) = ledger().await;
    let early = {
        let mut other = TestLedger::new().await;
        let id = other.open(100_000, begin()).await;
        debit(&other.ledger, id, 0).await;
        other.project().await;
        other.items(&format!("MARK#{id}")).await[0]["use"].clone()
    };
    let mut next = 120;
    for pending in [None, Some(AttributeValue::B(Blob::new(b"what".to_vec()))), Some(early)] {
        let damaged = with_pending(&fixture, id, pending).await;
        fixture.write(&damaged).await;
        assert!(!found(&fixture, id, false).await.is_empty());
        assert!(!found(&fixture, id, true).await.is_empty());
        assert_eq!(found(&fixture, id, false).await, Vec::<String>::new());
        for _ in 0..7 {
            debit(&fixture.ledger, id, next).await;
            next += 1;
        }
        fixture.project().await;
        assert_eq!(found(&fixture, id, false).await, Vec::<String>::new());
    }
}

/// A projector that met a number that was too high, or wrong pending sums, may count wrongly until it ends: then the
/// rollups are compared once more. By the clock of the runtime; what is merely wrong takes no such wait.
#[tokio::test(start_paused = true)]
async fn a_rebuild_waits_for_projectors_that_were_misled() {
    let (mut fixture, id) = ledger().await;
    let projection = std::time::Duration::from_secs(900);
    let earlier_sums = fixture.items(&format!("MARK#{id}")).await[0]["use"].clone();
    debit(&fixture.ledger, id, 120).await;
    fixture.project().await;
    let days = fixture.activity_items(&format!("USE#{id}")).await;
    let last = &days[days.len() - 1];
    let wrong_sums = with(last, "sums", days[1]["sums"].clone());
    let too_high = with(last, "through", number(999_999));
    let one_less = with_pending(&fixture, id, Some(earlier_sums)).await;
    let right = rollups(&fixture, id).await;
    for (item, is_misleading) in [(None, false), (Some(wrong_sums), false), (Some(too_high), true)] {
        if let Some(item) = &item {
            fixture.write_activity(item).await;
        }
        let of = RollupRebuild { account: id, is_written: true, now: end(), projection };
        let begun = tokio::time::Instant::now();
        fixture.restarted().rebuild_rollups(&fixture.activity(), of, |_| ()).await.unwrap();
        assert_eq!(projection <= begun.elapsed(), is_misleading, "{item:?}: {:?}", begun.elapsed());
        assert_eq!(rollups(&fixture, id).await, right);
    }
    fixture.write(&one_less).await;
    let of = RollupRebuild { account: id, is_written: true, now: end(), projection };
    let begun = tokio::time::Instant::now();
    fixture.restarted().rebuild_rollups(&fixture.activity(), of, |_| ()).await.unwrap();
    assert!(projection <= begun.elapsed(), "{:?}", begun.elapsed());
    assert_eq!(rollups(&fixture, id).await, right);
}

/// A rebuild that dies at any write runs again.
#[tokio::test]
async fn a_rebuild_that_dies_runs_again() {
    let (fixture, id) = ledger().await;
    let right = rollups(&fixture, id).await;
    let faults = fixture.faults.clone().unwrap();
    let damage = async || {
        faults.arm(usize::MAX, WriteFault::CrashBefore);
        let damages = damages(&fixture, id).await;
        let Damaged { written, deleted, .. } = damages.last().unwrap();
        for item in written {
            fixture.write_activity(item).await;
        }
        for item in deleted {
            fixture.delete_activity(item).await;
        }
    };
    damage().await;
    faults.arm(usize::MAX, WriteFault::CrashBefore);
    rebuild(&fixture, id, true).await.unwrap();
    let writes = faults.writes();
    assert_eq!(writes, 4);
    for number in 0..writes {
        for kind in [WriteFault::CrashBefore, WriteFault::CrashAfter, WriteFault::AnswerLost] {
            damage().await;
            faults.arm(number, kind);
            let died = rebuild(&fixture, id, true).await.is_err();
            assert!(died || kind == WriteFault::AnswerLost, "write {number}, {kind:?}");
            faults.arm(usize::MAX, kind);
            found(&fixture, id, true).await;
            assert_eq!(rollups(&fixture, id).await, right, "write {number}, {kind:?}");
        }
    }
}

/// Beside debits and a projector that counts them, damaged rollups are rebuilt again and again: nothing is lost, and
/// nothing is counted twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rebuild_runs_beside_the_projector() {
    let (mut fixture, id) = ledger().await;
    let (ledger, activity) = (fixture.restarted(), fixture.activity());
    let ended = Arc::new(AtomicBool::new(false));
    let has_ended = ended.clone();
    let rebuilding = tokio::spawn(async move {
        let mut runs = 0;
        while !has_ended.load(Ordering::Relaxed) {
            let of = RollupRebuild {
                account: id,
                is_written: true,
                now: end(),
                projection: std::time::Duration::ZERO,
            };
            let report = ledger.rebuild_rollups(&activity, of, |_| ()).await.unwrap().unwrap();
            assert!(report.through >= 120);
            runs += 1;
        }
        runs
    });
    for number in 120..172 {
        debit(&fixture.ledger, id, number).await;
        if number % 13 == 0 {
            let days = fixture.activity_items(&format!("USE#{id}")).await;
            let members = fixture.activity_items(&format!("USE#{id}#2024-02#m")).await;
            let last = &days[days.len() - 1];
            fixture.write_activity(&with(last, "sums", days[0]["sums"].clone())).await;
            fixture.delete_activity(&members[0]).await;
        }
        if number % 3 == 0 {
            fixture.project().await;
        }
    }
    fixture.project().await;
    ended.store(true, Ordering::Relaxed);
    assert!(rebuilding.await.unwrap() > 0);
    found(&fixture, id, true).await;
    assert_eq!(found(&fixture, id, false).await, Vec::<String>::new());
    let counted: u64 = {
        let months = ["2024-01", "2024-02"].map(|month| domain::Period::try_from(month.to_owned()).unwrap());
        let mut counted = 0;
        for month in months {
            for operation in ["aml.pep", "kyt.wallet", "verification.standard"] {
                counted += fixture.counted(id, month, operation).await;
            }
        }
        counted
    };
    assert_eq!(counted, 172);
}
