//! Numbers near the end of their range: what each of two requests could still add, both cannot.

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use shared::domain::{
    Account, AccountId, Adjustment, Amount, Consume, Credits, Direction, Head, Operation, Posting, Refusal,
    Source, adjust, consume, hold,
};
use shared::store::Unsettled;
use tests::{Books, Item, moment, settle};

type Decide = fn(&Account, &Head) -> Result<Posting, Refusal>;

fn debit() -> Consume {
    let operation = Operation::try_from("verification.standard".to_owned()).unwrap();
    Consume { operation, amount: Credits::try_from(3).unwrap(), service: None }
}

fn add(account: &Account, head: &Head) -> Result<Posting, Refusal> {
    let amount = Amount::try_from(3).unwrap();
    let source = Some(Source::Subscription);
    adjust(account, &Adjustment { direction: Direction::Credit, amount, source }, head)
}

/// Writes numbers of an account by hand: `name` of the item, or `sub.name`.
async fn edit(books: &Books, id: AccountId, numbers: &[(&str, u64)]) {
    let items = books.items(&format!("ACCT#{id}")).await;
    let is_account = |item: &&Item| item["sk"] == AttributeValue::S("A".to_owned());
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
    books.write(&item).await;
}

/// Two requests are decided on the same reading. Each fits; after the first, the second does not: it is decided
/// again and refused, and the account still reads.
#[tokio::test]
async fn two_requests_that_each_fit_do_not_both_land() {
    let now: DateTime<Utc> = "2024-01-15T10:30:00Z".parse().unwrap();
    let near = Credits::MAX.get() - 5;
    let debits: Decide = |account, head| consume(account, &debit(), head);
    let holds: Decide = |account, head| hold(account, &debit(), head);
    for (name, numbers, decide) in [
        ("used", vec![("used", near)], debits),
        ("held", vec![("held", near)], holds),
        (
            "owed",
            vec![("owed", near), ("limit", Credits::MAX.get()), ("sub.left", 0), ("sub.granted", 0)],
            debits,
        ),
        ("granted", vec![("sub.left", near), ("sub.granted", near)], add as Decide),
    ] {
        let books = Books::new().await;
        let id = books.open(40, now).await;
        edit(&books, id, &numbers).await;
        let ledger = books.restarted();
        let seen = ledger.account(id).await.unwrap().unwrap();
        settle(&ledger, id, ("k1", "k1"), moment(now), decide).await.unwrap();
        let after = ledger.account(id).await.unwrap().unwrap();
        ledger.take_for_last_seen(&seen);
        let second = settle(&ledger, id, ("k2", "k2"), moment(now), decide).await;
        assert!(matches!(second, Err(Unsettled::Refused(_))), "{name}: {second:?}");
        assert_eq!(ledger.account(id).await.unwrap().unwrap(), after, "{name}");
    }
}
