//! Numbers near the end of their range: of two requests that each fit, only one lands.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use domain::{
    Account, AccountId, Adjustment, Amount, Attempt, Consume, Credits, Direction, Operation, Posting,
    Refusal, Source, adjust, consume, hold,
};
use store::Unsettled;
use tests::{TableItem, TestLedger, keyed, moment, settle};

type DecideNumber = fn(&Account, &Attempt) -> Result<Posting, Refusal>;

fn debit() -> Consume {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    Consume { operation, amount: Credits::try_from(3).unwrap(), service: None }
}

fn add(account: &Account, attempt: &Attempt) -> Result<Posting, Refusal> {
    let amount = Amount::try_from(3).unwrap();
    let source = Some(Source::Subscription);
    adjust(account, &Adjustment { direction: Direction::Credit, amount, source }, attempt)
}

/// Writes numbers of an account by hand: `name` of the item, or `sub.name`.
async fn edit(fixture: &TestLedger, id: AccountId, numbers: &[(&str, u64)]) {
    let items = fixture.items(&format!("ACCT#{id}")).await;
    let is_account = |item: &&TableItem| item["sk"] == AttributeValue::S("A".to_owned());
    let mut item = items.iter().find(is_account).unwrap().clone();
    for (name, number) in numbers {
        let number = AttributeValue::N(number.to_string());
        match name.split_once('.') {
            Some((map, name)) => {
                let AttributeValue::M(map) = item.get_mut(map).unwrap() else { panic!("{name}") };
                map.insert(name.to_owned(), number);
            }
            None => drop(item.insert((*name).to_owned(), number)),
        }
    }
    fixture.write(&item).await;
}

/// Two requests are decided on the same reading. Each fits; after the first, the second does not: it is decided
/// again and refused, and the account stays readable.
#[tokio::test]
async fn two_requests_that_each_fit_do_not_both_land() {
    let now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let near = Credits::MAX.get() - 5;
    let debits: DecideNumber = |account, attempt| consume(account, &debit(), attempt);
    let holds: DecideNumber = |account, attempt| hold(account, &debit(), attempt);
    for (name, numbers, decide) in [
        ("used", vec![("used", near)], debits),
        ("held", vec![("held", near)], holds),
        (
            "owed",
            vec![("owed", near), ("limit", Credits::MAX.get()), ("sub.left", 0), ("sub.granted", 0)],
            debits,
        ),
        ("granted", vec![("sub.left", near), ("sub.granted", near)], add as DecideNumber),
    ] {
        let fixture = TestLedger::new().await;
        let id = fixture.open(40, now).await;
        edit(&fixture, id, &numbers).await;
        let ledger = fixture.restarted();
        let known = ledger.account(id).await.unwrap().unwrap();
        settle(&ledger, id, keyed("k1", "k1"), moment(now), decide).await.unwrap();
        let after = ledger.account(id).await.unwrap().unwrap();
        ledger.cache_account(&known);
        let second = settle(&ledger, id, keyed("k2", "k2"), moment(now), decide).await;
        assert!(matches!(second, Err(Unsettled::Refused(_))), "{name}: {second:?}");
        assert_eq!(ledger.account(id).await.unwrap().unwrap(), after, "{name}");
    }
}
