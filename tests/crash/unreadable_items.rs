//! An unreadable item stops its own account and no other; what was skipped is recovered.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AccountId, Consume, Credits, Operation, consume};
use jobs::projection::{Record, project};
use store::{Claim, Ledger, Unsettled};
use tests::{AlarmLog, TableItem, TestLedger, keyed, moment, others, settle};

use crate::crash::tampering::start;
use crate::crash::unreadable_accounts::Edit;

async fn debit(ledger: &Ledger, id: AccountId, name: &str) -> Result<u64, Unsettled> {
    let operation = Operation::try_from("x".to_owned()).unwrap();
    let request = Consume { operation, amount: Credits::try_from(7).unwrap(), service: None };
    let decide = |account: &_, attempt: &_| consume(account, &request, attempt);
    Ok(settle(ledger, id, keyed(name, "x"), moment(start()), decide).await?.receipt.sequence)
}

/// The records of accounts and events, as Lambda's filters pass them.
async fn records(fixture: &TestLedger) -> Vec<Record> {
    let is_ours = |record: &Record| {
        let pk = record.image.clone().map(TableItem::from).and_then(|image| image["pk"].as_s().ok().cloned());
        pk.is_some_and(|pk| pk.starts_with("ACCT#") || pk.starts_with("EVENTS#"))
    };
    fixture.records().await.into_iter().filter(is_ours).collect()
}

async fn account(fixture: &TestLedger, id: AccountId) -> TableItem {
    fixture.items(&format!("ACCT#{id}")).await.remove(0)
}

/// Functions with a cached account make debits until they read the damaged item: what they committed is found in
/// the skipped records, although the item has only the last of them.
#[tokio::test]
async fn commits_that_were_skipped_are_recovered() {
    let mut fixture = TestLedger::new().await;
    let id = fixture.open(1_000, start()).await;
    let warm = [fixture.restarted(), fixture.restarted(), fixture.restarted()];
    for (number, ledger) in warm.iter().enumerate() {
        debit(ledger, id, &format!("k{number}")).await.unwrap();
    }
    for ledger in &warm {
        ledger.account(id).await.unwrap();
    }
    fixture.project().await;
    let emitted = fixture.items(&format!("EVENTS#{id}")).await.len();
    let mut item = account(&fixture, id).await;
    item.insert("held".to_owned(), AttributeValue::S("three".to_owned()));
    fixture.write(&item).await;
    for (number, ledger) in warm.iter().enumerate() {
        for name in [format!("unread{number}"), format!("more{number}")] {
            let refused = debit(ledger, id, &name).await.unwrap_err();
            assert!(matches!(&refused, Unsettled::Failed(fault) if fault.is_unreadable()), "{refused:?}");
        }
    }
    assert_eq!(account(&fixture, id).await["seq"], AttributeValue::N("7".to_owned()));
    fixture.project().await;
    assert_eq!(fixture.items(&format!("SKIPPED#{id}")).await.len(), 4);
    assert_eq!(fixture.ledger.watermark(id).await.unwrap(), 4);

    let (key, details) = (store::system_key("mend").unwrap(), domain::Details::default());
    let asked = domain::Fingerprint("mend".to_owned());
    let mended =
        fixture.restarted().repair(id, Claim::new(&key, &asked, &details), moment(start())).await.unwrap();
    let store::Repaired::Made { written: 3, replayed: false, .. } = mended else { panic!("{mended:?}") };
    assert!(fixture.items(&format!("SKIPPED#{id}")).await.is_empty());
    fixture.project().await;
    assert_eq!(fixture.ledger.watermark(id).await.unwrap(), 8);
    assert_eq!(fixture.ledger.projected_through(id).await.unwrap().notified_through(), 8);
    let rows = fixture.rows(id, start()).await;
    assert_eq!(rows.iter().map(|row| row.sequence).rev().collect::<Vec<_>>(), (1..=8).collect::<Vec<_>>());
    assert_eq!(
        rows.iter().map(|row| row.balance.used.get()).rev().collect::<Vec<_>>(),
        [0, 7, 14, 21, 28, 35, 42, 42]
    );
    assert!(emitted <= fixture.items(&format!("EVENTS#{id}")).await.len());
    assert_eq!(fixture.counted(id, domain::Period::of(start()), "x").await, 6);
    let report = fixture.restarted().audit(id, start(), |_| ()).await.unwrap().unwrap();
    assert!(report.added_up && report.findings.is_empty(), "{report:?}");
    for (number, ledger) in warm.iter().enumerate() {
        assert_eq!(debit(ledger, id, &format!("unread{number}")).await.unwrap(), 5 + number as u64);
        debit(ledger, id, &format!("after{number}")).await.unwrap();
    }
    assert_eq!(fixture.ledger.account(id).await.unwrap().unwrap().used.get(), 63);
}

/// One item of any kind is damaged: every record is processed, the other account is projected completely, and the
/// alarm counts.
#[tokio::test]
async fn an_unreadable_item_stops_no_other_account() {
    let text = |name: &'static str| -> Edit {
        Box::new(move |item| drop(item.insert(name.to_owned(), AttributeValue::S("?".to_owned()))))
    };
    let kinds: Vec<(&str, &str, Edit)> = vec![
        ("ACCT#", "A", text("rev")),
        ("WATCH#", "S", text("revision")),
        ("TXN#", "", text("bal")),
        ("WATCH#", "R", text("threshold")),
        ("MARK#", "M", text("seq")),
        ("MARK#", "M", text("tip")),
        ("MARK#", "M", text("rev")),
    ];
    for (kind, sort, edit) in &kinds {
        let fixture = TestLedger::new().await;
        let (one, other) = (fixture.open(110, start()).await, fixture.open(110, start()).await);
        let item = |prefix: &str| match prefix {
            "TXN#" => format!("TXN#{one}#2024-01"),
            _ => format!("{prefix}{one}"),
        };
        for number in 0..4 {
            debit(&fixture.ledger, one, &format!("k{number}")).await.unwrap();
            debit(&fixture.ledger, other, &format!("k{number}")).await.unwrap();
        }
        let mut damaged = match fixture.items(&item(kind)).await.into_iter().next() {
            Some(item) => item,
            None => [("pk", item(kind)), ("sk", (*sort).to_owned())]
                .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)))
                .into(),
        };
        edit(&mut damaged);
        fixture.write(&damaged).await;
        let (log, capturing) = AlarmLog::capture();
        let records = records(&fixture).await;
        assert_eq!(
            project(&fixture.restarted(), &others(&fixture.activity()), records).await,
            None,
            "{kind}"
        );
        drop(capturing);
        let followed = fixture.ledger.projected_through(other).await.unwrap();
        assert_eq!((followed.through(), followed.notified_through()), (5, 5), "{kind}");
        let emitted = fixture.items(&format!("EVENTS#{other}")).await;
        assert!(!emitted.is_empty(), "{kind}");
        let alarms = log.alarms();
        assert!(!alarms.is_empty() || ["TXN#", "MARK#"].contains(kind), "{kind}");
        assert!(alarms.iter().all(|alarm| alarm.contains(&one.to_string())), "{kind}: {alarms:?}");
    }
}

/// Rows take details from claims: if a claim is unreadable, the row waits, and is written once the claim is
/// readable.
#[tokio::test]
async fn a_record_is_projected_once_its_claim_is_readable() {
    let fixture = TestLedger::new().await;
    let (one, other) = (fixture.open(110, start()).await, fixture.open(110, start()).await);
    for number in 0..3 {
        debit(&fixture.ledger, one, &format!("k{number}")).await.unwrap();
    }
    debit(&fixture.ledger, other, "k").await.unwrap();
    // The second debit's row was never written, and its claim was edited.
    let rows = fixture.items(&format!("TXN#{one}#2024-01")).await;
    let row = rows.iter().find(|row| row["seq"] == AttributeValue::N("3".to_owned())).unwrap();
    fixture.delete(row).await;
    let claim = fixture.items(&format!("KEY#{one}#c#k1")).await.remove(0);
    let mut damaged = claim.clone();
    damaged.insert("id".to_owned(), AttributeValue::S("?".to_owned()));
    fixture.write(&damaged).await;
    let all = records(&fixture).await;
    assert_eq!(project(&fixture.restarted(), &others(&fixture.activity()), all).await, None);
    assert_eq!(fixture.ledger.watermark(other).await.unwrap(), 2);
    assert!(fixture.ledger.watermark(one).await.unwrap() < 3);
    assert_eq!(fixture.items(&format!("SKIPPED#{one}")).await.len(), 1);

    // Once the claim is repaired, the next stream record projects everything.
    fixture.write(&claim).await;
    debit(&fixture.ledger, one, "k3").await.unwrap();
    let last = records(&fixture).await.pop();
    assert_eq!(project(&fixture.restarted(), &others(&fixture.activity()), last).await, None);
    assert_eq!(fixture.ledger.projected_through(one).await.unwrap().notified_through(), 5);
    assert!(fixture.items(&format!("SKIPPED#{one}")).await.is_empty());
    assert!(fixture.items(&format!("TXN#{one}#2024-01")).await.contains(row));
    let report = fixture.restarted().audit(one, start(), |_| ()).await.unwrap().unwrap();
    assert!(report.added_up && report.findings.is_empty(), "{report:?}");
}
