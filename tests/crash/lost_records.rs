//! Stream records that were lost are recovered from the ledger's rows: emitted, counted and chained.

use std::time::Duration;

use jobs::projection::{MissedProgress, project_missed};
use store::Moment;
use tests::{TestLedger, WriteFault, backends, keyed, moment, settle};

use crate::crash::chain::{ProjectedLedger, emitted, ledgers, made};
use crate::crash::webhook_ledger::LosingQueue;
use crate::model::ledger::Request;

/// Lost records are recovered from their rows: their events are emitted and counted in order.
#[tokio::test]
async fn lost_records_are_recovered_from_the_rows() {
    for backend in backends() {
        let ledgers = ledgers(backend.as_deref(), 45).await;
        let (fixture, records) = (&ledgers.fixture, &ledgers.records);
        for lost in [0..44, 10..20, 16..17, 1..40] {
            ledgers.begin_with_rows().await;
            let kept = records.iter().enumerate().filter(|(place, _)| !lost.contains(place));
            let kept: Vec<_> = kept.map(|(_, record)| record.clone()).collect();
            for batch in kept.chunks(9) {
                assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), batch).await, None);
            }
            ledgers.is_wholly_as_if_once(&format!("{lost:?} lost")).await;
        }
    }
}

/// The process that recovers lost records dies at every write, and runs again.
#[tokio::test]
async fn recovery_that_dies_at_any_write_runs_again() {
    let ledgers = ledgers(None, 19).await;
    let (fixture, records) = (&ledgers.fixture, &ledgers.records);
    let faults = fixture.faults.clone().unwrap();
    let last = &records[records.len() - 1..];
    let begin = async |kind| {
        faults.arm(usize::MAX, kind);
        ledgers.begin_with_rows().await;
    };
    begin(WriteFault::CrashBefore).await;
    faults.arm(usize::MAX, WriteFault::CrashBefore);
    assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), last).await, None);
    let writes = faults.writes();
    assert!(writes > 6, "{writes}");
    for number in 0..writes {
        for kind in
            [WriteFault::CrashBefore, WriteFault::CrashAfter, WriteFault::AnswerLost, WriteFault::ServerError]
        {
            let case = format!("write {number}, {kind:?}");
            begin(kind).await;
            faults.arm(number, kind);
            let died = fixture.deliver(&fixture.ledger_of("projector"), last).await.is_some();
            assert!(died || matches!(kind, WriteFault::AnswerLost | WriteFault::ServerError), "{case}");
            faults.arm(usize::MAX, kind);
            assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), last).await, None, "{case}");
            ledgers.is_wholly_as_if_once(&case).await;
        }
    }
}

/// A record that the stream gave up without its events and counts is recovered by the next record, though its rows
/// exist and the watermark has passed them.
#[tokio::test]
async fn a_record_that_was_given_up_is_recovered_by_the_next() {
    let ledgers = ledgers(None, 19).await;
    let (fixture, records) = (&ledgers.fixture, &ledgers.records);
    let faults = fixture.faults.clone().unwrap();
    let (lost, last) = records.split_at(records.len() - 1);
    let begin = async |kind| {
        faults.arm(usize::MAX, kind);
        ledgers.begin_with_rows().await;
    };
    begin(WriteFault::CrashBefore).await;
    faults.arm(usize::MAX, WriteFault::CrashBefore);
    assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), lost).await, None);
    let (writes, mut given_up) = (faults.writes(), 0);
    for number in 0..writes {
        for kind in
            [WriteFault::CrashBefore, WriteFault::CrashAfter, WriteFault::AnswerLost, WriteFault::ServerError]
        {
            begin(kind).await;
            faults.arm(number, kind);
            given_up += usize::from(fixture.deliver(&fixture.ledger_of("projector"), lost).await.is_some());
            faults.arm(usize::MAX, kind);
            assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), last).await, None);
            ledgers.is_wholly_as_if_once(&format!("given up at write {number}, {kind:?}")).await;
        }
    }
    assert!(given_up >= 2 * writes, "{given_up} of {writes}");
}

/// An unreadable rollup stops counting, but no event is lost or emitted twice. The watermark goes on, and once the
/// rollup is repaired everything is counted.
#[tokio::test]
async fn an_unreadable_rollup_stops_only_the_counting() {
    let ledgers = ledgers(None, 19).await;
    let (fixture, records) = (&ledgers.fixture, &ledgers.records);
    ledgers.begin_with_rows().await;
    let mut broken = ledgers.events[1][0].clone();
    broken.insert("sums".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S("none".to_owned()));
    fixture.write_activity(&broken).await;
    let last = ledgers.made[0]["seq"].clone();
    for _ in 0..2 {
        for batch in records.chunks(4) {
            fixture.deliver(&fixture.ledger_of("projector"), batch).await;
        }
        assert_eq!(fixture.items(&format!("MARK#{}", ledgers.id)).await[0]["seq"], last);
    }
    fixture.delete_activity(&broken).await;
    assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), &records[records.len() - 1..]).await, None);
    ledgers.is_wholly_as_if_once("mended").await;
}

/// More records are lost than are recovered at once, in batches of which one spans the limit: the job recovers them.
#[tokio::test]
async fn thousands_of_lost_records_are_recovered() {
    let mut fixture = TestLedger::new().await;
    let now = crate::crash::tampering::start();
    let id = fixture.open(26 * 4_950 + 60, now).await;
    for number in 0..26 {
        let decide = |account: &_, attempt: &_| Request::Batch(99, true).decide(account, attempt);
        settle(&fixture.ledger, id, keyed(&format!("k{number}"), "x"), moment(now), decide).await.unwrap();
    }
    fixture.project().await;
    let ledgers = ProjectedLedger::of(fixture, id, now).await;
    ledgers.begin_with_rows().await;
    let last = &ledgers.records[ledgers.records.len() - 1..];
    assert_eq!(ledgers.fixture.deliver(&ledgers.fixture.ledger_of("projector"), last).await, None);
    let activity = ledgers.fixture.activity();
    let others = tests::others(&activity);
    let process = ledgers.fixture.restarted();
    while let MissedProgress::Partly(_) = project_missed(&process, &others, id, Duration::ZERO).await.unwrap()
    {
    }
    ledgers.is_wholly_as_if_once("thousands").await;
}

/// An inactive account is recovered by the scheduled sweep, and left alone while its records may still arrive.
#[tokio::test]
async fn records_lost_at_the_end_are_recovered_by_the_sweep() {
    let ledgers = ledgers(None, 45).await;
    let (fixture, ledger) = (&ledgers.fixture, ledgers.fixture.restarted());
    ledgers.begin_with_rows().await;
    for batch in ledgers.records[..30].chunks(9) {
        assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), batch).await, None);
    }
    let activity = fixture.activity();
    let round = async |now| {
        let mut said = Vec::new();
        let others = tests::others(&activity);
        let progress = &mut |line: &str| said.push(line.to_owned());
        local::catch_up_accounts(
            &ledger,
            &others,
            &LosingQueue,
            || Moment { now, ..others.moment },
            progress,
        )
        .await
        .unwrap();
        said.join("\n")
    };
    let last = ledger.account(ledgers.id).await.unwrap().unwrap();
    let behind = ledger.watermark(ledgers.id).await.unwrap() + 1;
    assert!(behind < last.sequence);
    assert_eq!(
        round(last.floor().time()).await,
        "accounts: 1; were behind and have caught up: 0; delivery to webhooks requested: 0"
    );
    let later = last.floor().time() + chrono::Duration::minutes(5);
    let case = round(later).await;
    assert!(case.contains(&format!("caught up from {behind} to {}", last.sequence)), "{case}");
    assert!(
        case.ends_with("accounts: 1; were behind and have caught up: 1; delivery to webhooks requested: 0"),
        "{case}"
    );
    ledgers.is_wholly_as_if_once("by who goes round").await;
    assert!(round(later).await.contains("were behind and have caught up: 0;"));
}

/// Where rows are missing too, nothing after them is emitted, counted or chained, and no other account waits for
/// that.
#[tokio::test]
async fn a_record_that_is_lost_with_its_row_stops_its_account() {
    let ledgers = ledgers(None, 19).await;
    let (fixture, records) = (&ledgers.fixture, &ledgers.records);
    ledgers.begin().await;
    let last = &records[records.len() - 1..];
    assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), last).await, None);
    assert!(emitted(fixture, ledgers.id).await.iter().all(Vec::is_empty));
    assert!(made(fixture, ledgers.id).await.is_empty());
    for batch in records.chunks(5) {
        assert_eq!(fixture.deliver(&fixture.ledger_of("projector"), batch).await, None);
    }
    ledgers.is_wholly_as_if_once("found again").await;
}
