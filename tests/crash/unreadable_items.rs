//! An unreadable item stops its own account and no other; what was skipped is recovered.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AccountId, Consume, Credits, Operation, consume};
use projector::{Record, project};
use store::{Claim, Ledger, Unsettled};
use tests::{AlarmLog, TableItem, TestLedger, keyed, moment, others, settle};

use crate::crash::tampering::start;
use crate::crash::unreadable_accounts::Edit;

async fn debit(ledger: &Ledger, id: AccountId, name: &str) -> Result<u64, Unsettled> {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: Credits::try_from(7).unwrap(), service: None };
    let decide = |account: &_, head: &_| consume(account, &request, head);
    Ok(settle(ledger, id, keyed(name, "x"), moment(start()), decide).await?.receipt.sequence)
}

/// The records of accounts and events, as Lambda's filters pass them.
async fn records(books: &TestLedger) -> Vec<Record> {
    let is_ours = |record: &Record| {
        let pk = record.image.clone().map(TableItem::from).and_then(|image| image["pk"].as_s().ok().cloned());
        pk.is_some_and(|pk| pk.starts_with("ACCT#") || pk.starts_with("EVENTS#"))
    };
    books.records().await.into_iter().filter(is_ours).collect()
}

async fn account(books: &TestLedger, id: AccountId) -> TableItem {
    books.items(&format!("ACCT#{id}")).await.remove(0)
}

/// Functions with a cached account make debits until they read the damaged item: what they committed is found in
/// the skipped records, although the item has only the last of them.
#[tokio::test]
async fn commits_that_were_skipped_are_recovered() {
    let mut books = TestLedger::new().await;
    let id = books.open(1_000, start()).await;
    let warm = [books.restarted(), books.restarted(), books.restarted()];
    for (number, ledger) in warm.iter().enumerate() {
        debit(ledger, id, &format!("k{number}")).await.unwrap();
    }
    for ledger in &warm {
        ledger.account(id).await.unwrap();
    }
    books.project().await;
    let emitted = books.items(&format!("EVENTS#{id}")).await.len();
    let mut item = account(&books, id).await;
    item.insert("held".to_owned(), AttributeValue::S("three".to_owned()));
    books.write(&item).await;
    for (number, ledger) in warm.iter().enumerate() {
        for name in [format!("unread{number}"), format!("more{number}")] {
            let refused = debit(ledger, id, &name).await.unwrap_err();
            assert!(matches!(&refused, Unsettled::Failed(fault) if fault.is_unreadable()), "{refused:?}");
        }
    }
    assert_eq!(account(&books, id).await["seq"], AttributeValue::N("7".to_owned()));
    books.project().await;
    assert_eq!(books.items(&format!("SKIPPED#{id}")).await.len(), 4);
    assert_eq!(books.ledger.watermark(id).await.unwrap(), 4);

    let (key, details) = (store::system_key("mend").unwrap(), domain::Details::default());
    let asked = domain::Fingerprint("mend".to_owned());
    let mended =
        books.restarted().repair(id, Claim::new(&key, &asked, &details), moment(start())).await.unwrap();
    let store::Repaired::Made { written: 3, replayed: false, .. } = mended else { panic!("{mended:?}") };
    assert!(books.items(&format!("SKIPPED#{id}")).await.is_empty());
    books.project().await;
    assert_eq!(books.ledger.watermark(id).await.unwrap(), 8);
    assert_eq!(books.ledger.watermark_for(id, 9).await.unwrap().notified_through(), 8);
    let rows = books.rows(id, start()).await;
    assert_eq!(rows.iter().map(|row| row.sequence).rev().collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(
        rows.iter().map(|row| row.balance.used.get()).rev().collect::<Vec<_>>(),
        [0, 7, 14, 21, 28, 35, 42, 42]
    );
    assert!(emitted <= books.items(&format!("EVENTS#{id}")).await.len());
    let usage = books.activity().usage(id, domain::Period::of(start())).await.unwrap();
    assert_eq!(usage.days[0].usage.0["x"].count, 6);
    let report = books.restarted().audit(id, start(), |_| ()).await.unwrap().unwrap();
    assert!(report.added_up && report.findings.is_empty(), "{report:?}");
    for (number, ledger) in warm.iter().enumerate() {
        assert_eq!(debit(ledger, id, &format!("unread{number}")).await.unwrap(), 5 + number as u64);
        debit(ledger, id, &format!("after{number}")).await.unwrap();
    }
    assert_eq!(books.ledger.account(id).await.unwrap().unwrap().used.get(), 63);
}

/// One item of any kind is damaged: every record is processed, the other account is projected completely, and the
/// alarm counts.
#[tokio::test]
async fn an_unreadable_item_stops_no_other_account() {
    let text = |name: &'static str| -> Edit {
        Box::new(move |item| drop(item.insert(name.to_owned(), AttributeValue::S("?".to_owned()))))
    };
    let kinds: Vec<(&str, Edit)> = vec![
        ("ACCT#", text("rev")),
        ("ALERT#", text("revision")),
        ("TXN#", text("bal")),
        ("AUTO#", text("threshold")),
    ];
    for (kind, edit) in &kinds {
        let books = TestLedger::new().await;
        let (one, other) = (books.open(110, start()).await, books.open(110, start()).await);
        let item = |prefix: &str| match prefix {
            "TXN#" => format!("TXN#{one}#2024-01"),
            _ => format!("{prefix}{one}"),
        };
        for number in 0..4 {
            debit(&books.ledger, one, &format!("k{number}")).await.unwrap();
            debit(&books.ledger, other, &format!("k{number}")).await.unwrap();
        }
        let mut damaged = match books.items(&item(kind)).await.into_iter().next() {
            Some(item) => item,
            None => [("pk", item(kind)), ("sk", if *kind == "AUTO#" { "R" } else { "S" }.to_owned())]
                .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
                .into(),
        };
        edit(&mut damaged);
        books.write(&damaged).await;
        let (log, hearing) = AlarmLog::hear();
        let records = records(&books).await;
        assert_eq!(project(&books.restarted(), &others(&books.activity()), records).await, None, "{kind}");
        drop(hearing);
        let followed = books.ledger.watermark_for(other, 99).await.unwrap();
        assert_eq!((followed.through(), followed.notified_through()), (5, 5), "{kind}");
        let emitted = books.items(&format!("EVENTS#{other}")).await;
        assert!(!emitted.is_empty(), "{kind}");
        let alarms = log.alarms();
        assert!(!alarms.is_empty() || *kind == "TXN#", "{kind}");
        assert!(alarms.iter().all(|alarm| alarm.contains(&one.to_string())), "{kind}: {alarms:?}");
    }
}

/// Rows take details from claims: if a claim is unreadable, the row waits, and is written once the claim is
/// readable.
#[tokio::test]
async fn a_record_is_projected_once_its_claim_is_readable() {
    let books = TestLedger::new().await;
    let (one, other) = (books.open(110, start()).await, books.open(110, start()).await);
    for number in 0..3 {
        debit(&books.ledger, one, &format!("k{number}")).await.unwrap();
    }
    debit(&books.ledger, other, "k").await.unwrap();
    // The second debit's row was never written, and its claim was edited.
    let rows = books.items(&format!("TXN#{one}#2024-01")).await;
    let row = rows.iter().find(|row| row["seq"] == AttributeValue::N("3".to_owned())).unwrap();
    books.delete(row).await;
    let claim = books.items(&format!("KEY#{one}#c#k1")).await.remove(0);
    let mut damaged = claim.clone();
    damaged.insert("id".to_owned(), AttributeValue::S("?".to_owned()));
    books.write(&damaged).await;
    let all = records(&books).await;
    assert_eq!(project(&books.restarted(), &others(&books.activity()), all).await, None);
    assert_eq!(books.ledger.watermark(other).await.unwrap(), 2);
    assert!(books.ledger.watermark(one).await.unwrap() < 3);
    assert_eq!(books.items(&format!("SKIPPED#{one}")).await.len(), 1);

    // Once the claim is repaired, the next stream record projects everything.
    books.write(&claim).await;
    debit(&books.ledger, one, "k3").await.unwrap();
    let last = records(&books).await.pop();
    assert_eq!(project(&books.restarted(), &others(&books.activity()), last).await, None);
    assert_eq!(books.ledger.watermark_for(one, 9).await.unwrap().notified_through(), 5);
    assert!(books.items(&format!("SKIPPED#{one}")).await.is_empty());
    assert!(books.items(&format!("TXN#{one}#2024-01")).await.contains(row));
    let report = books.restarted().audit(one, start(), |_| ()).await.unwrap().unwrap();
    assert!(report.added_up && report.findings.is_empty(), "{report:?}");
}
