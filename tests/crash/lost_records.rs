//! What the stream has lost is told, counted and chained all the same: the rows of the ledger say it too.

use store::Moment;
use tests::{Books, Kind, backends, moment, settle};

use crate::crash::chain::{Ledgers, ledgers, made, told};
use crate::crash::webhook_delivery::Nobody;
use crate::model::ledger::Request;

/// Records that the stream has lost are made up for by their rows: what they were to tell is told and counted, in its
/// place. A table that is older than its chain gets one.
#[tokio::test]
async fn what_the_stream_has_lost_is_followed_from_the_rows() {
    for backend in backends() {
        let ledgers = ledgers(backend.as_deref(), 45).await;
        let (books, records) = (&ledgers.books, &ledgers.records);
        for lost in [0..44, 10..20, 16..17, 1..40] {
            ledgers.begin_with_rows().await;
            let kept = records.iter().enumerate().filter(|(place, _)| !lost.contains(place));
            let kept: Vec<_> = kept.map(|(_, record)| record.clone()).collect();
            for batch in kept.chunks(9) {
                assert_eq!(books.deliver(&books.restarted(), batch).await, None);
            }
            ledgers.is_wholly_as_if_once(&format!("{lost:?} lost")).await;
        }
        // A watermark from before there was a chain.
        let mut old = ledgers.made[0].clone();
        old.retain(|name, _| ["pk", "sk", "seq"].contains(&name.as_str()));
        ledgers.begin().await;
        for item in ledgers.rows.iter().chain([&old]) {
            books.write(item).await;
        }
        assert_eq!(books.deliver(&books.restarted(), &records[records.len() - 1..]).await, None);
        ledgers.is_as_if_once("older than its chain").await;
    }
}

/// Whoever makes up for lost records dies at every write, and comes again.
#[tokio::test]
async fn who_dies_over_what_was_lost_comes_again() {
    let ledgers = ledgers(None, 19).await;
    let (books, records) = (&ledgers.books, &ledgers.records);
    let faults = books.faults.clone().unwrap();
    let last = &records[records.len() - 1..];
    let begin = async |kind| {
        faults.arm(usize::MAX, kind);
        ledgers.begin_with_rows().await;
    };
    begin(Kind::CrashBefore).await;
    faults.arm(usize::MAX, Kind::CrashBefore);
    assert_eq!(books.deliver(&books.restarted(), last).await, None);
    let writes = faults.writes();
    assert!(writes > 6, "{writes}");
    for number in 0..writes {
        for kind in [Kind::CrashBefore, Kind::CrashAfter, Kind::AnswerLost, Kind::ServerError] {
            let told = format!("write {number}, {kind:?}");
            begin(kind).await;
            faults.arm(number, kind);
            let died = books.deliver(&books.restarted(), last).await.is_some();
            assert!(died || matches!(kind, Kind::AnswerLost | Kind::ServerError), "{told}");
            faults.arm(usize::MAX, kind);
            assert_eq!(books.deliver(&books.restarted(), last).await, None, "{told}");
            ledgers.is_wholly_as_if_once(&told).await;
        }
    }
}

/// What could not be told or counted is given up by the stream, and never comes again: the next record makes up for it,
/// though the rows of it were there and the watermark has gone past them.
#[tokio::test]
async fn what_was_given_up_is_made_up_for_by_the_next_record() {
    let ledgers = ledgers(None, 19).await;
    let (books, records) = (&ledgers.books, &ledgers.records);
    let faults = books.faults.clone().unwrap();
    let (lost, last) = records.split_at(records.len() - 1);
    let begin = async |kind| {
        faults.arm(usize::MAX, kind);
        ledgers.begin_with_rows().await;
    };
    begin(Kind::CrashBefore).await;
    faults.arm(usize::MAX, Kind::CrashBefore);
    assert_eq!(books.deliver(&books.restarted(), lost).await, None);
    let (writes, mut given_up) = (faults.writes(), 0);
    for number in 0..writes {
        for kind in [Kind::CrashBefore, Kind::CrashAfter, Kind::AnswerLost, Kind::ServerError] {
            begin(kind).await;
            faults.arm(number, kind);
            given_up += usize::from(books.deliver(&books.restarted(), lost).await.is_some());
            faults.arm(usize::MAX, kind);
            assert_eq!(books.deliver(&books.restarted(), last).await, None);
            ledgers.is_wholly_as_if_once(&format!("given up at write {number}, {kind:?}")).await;
        }
    }
    assert!(given_up >= 2 * writes, "{given_up} of {writes}");
}

/// Another hand has written what a counter can't be: nobody can count on, and no one is told twice or never for that.
/// The watermark does not wait, and when the counter is mended all is counted.
#[tokio::test]
async fn a_counter_that_does_not_read_holds_up_counting_alone() {
    let ledgers = ledgers(None, 19).await;
    let (books, records) = (&ledgers.books, &ledgers.records);
    ledgers.begin_with_rows().await;
    let mut broken = ledgers.told[1][0].clone();
    broken.insert("usage".to_owned(), aws_sdk_dynamodb::types::AttributeValue::S("none".to_owned()));
    books.write_activity(&broken).await;
    let last = ledgers.made[0]["seq"].clone();
    for _ in 0..2 {
        for batch in records.chunks(4) {
            books.deliver(&books.restarted(), batch).await;
        }
        assert_eq!(books.items(&format!("MARK#{}", ledgers.id)).await[0]["seq"], last);
    }
    books.delete_activity(&broken).await;
    assert_eq!(books.deliver(&books.restarted(), &records[records.len() - 1..]).await, None);
    ledgers.is_wholly_as_if_once("mended").await;
}

/// More was lost than is followed at once, in batches of which one lies across the limit.
#[tokio::test]
async fn thousands_that_were_lost_are_followed() {
    let mut books = Books::new().await;
    let now = crate::crash::tampering::start();
    let id = books.open(26 * 4_950 + 60, now).await;
    for number in 0..26 {
        let decide = |account: &_, head: &_| Request::Batch(99, true).decide(account, head);
        settle(&books.ledger, id, (&format!("k{number}"), "x"), moment(now), decide).await.unwrap();
    }
    books.project().await;
    let ledgers = Ledgers::of(books, id, now).await;
    ledgers.begin_with_rows().await;
    let last = &ledgers.records[ledgers.records.len() - 1..];
    assert_eq!(ledgers.books.deliver(&ledgers.books.restarted(), last).await, None);
    ledgers.is_wholly_as_if_once("thousands").await;
}

/// An account that nothing happens to any more is found by whoever goes round, and left alone while its records may
/// be on their way.
#[tokio::test]
async fn what_was_lost_at_the_end_is_followed_by_who_goes_round() {
    let ledgers = ledgers(None, 45).await;
    let (books, ledger) = (&ledgers.books, ledgers.books.restarted());
    ledgers.begin_with_rows().await;
    for batch in ledgers.records[..30].chunks(9) {
        assert_eq!(books.deliver(&books.restarted(), batch).await, None);
    }
    let activity = books.activity();
    let round = async |now| {
        let mut said = Vec::new();
        let others = tests::others(&activity);
        let tell = &mut |line: &str| said.push(line.to_owned());
        local::follow_accounts((&ledger, &others, &Nobody), || Moment { now, ..others.moment }, tell)
            .await
            .unwrap();
        said.join("\n")
    };
    let last = ledger.account(ledgers.id).await.unwrap().unwrap();
    let behind = ledger.watermark(ledgers.id).await.unwrap() + 1;
    assert!(behind < last.sequence);
    assert_eq!(
        round(last.floor().time()).await,
        "accounts: 1; behind, and followed now: 0; with webhooks to be looked at: 0"
    );
    let later = last.floor().time() + chrono::Duration::minutes(5);
    let told = round(later).await;
    assert!(told.contains(&format!("followed from {behind} to {}", last.sequence)), "{told}");
    assert!(
        told.ends_with("accounts: 1; behind, and followed now: 1; with webhooks to be looked at: 0"),
        "{told}"
    );
    ledgers.is_wholly_as_if_once("by who goes round").await;
    assert!(round(later).await.contains("behind, and followed now: 0;"));
}

/// Where rows are missing too, nothing that follows them is told, counted or chained; and no other account waits for
/// that.
#[tokio::test]
async fn what_is_lost_with_its_row_stops_its_account() {
    let ledgers = ledgers(None, 19).await;
    let (books, records) = (&ledgers.books, &ledgers.records);
    ledgers.begin().await;
    let last = &records[records.len() - 1..];
    assert_eq!(books.deliver(&books.restarted(), last).await, None);
    assert!(told(books, ledgers.id).await.iter().all(Vec::is_empty));
    assert!(made(books, ledgers.id).await.is_empty());
    for batch in records.chunks(5) {
        assert_eq!(books.deliver(&books.restarted(), batch).await, None);
    }
    ledgers.is_wholly_as_if_once("found again").await;
}
