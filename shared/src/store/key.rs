use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;

use super::ClaimsOf;
use crate::domain::{AccountId, ClaimKey, EntryId, KeyId, OrgId, Period, PurchaseId};

pub(super) type Item = HashMap<String, AttributeValue>;

/// Every item of both tables, by name. The account, its claims and its rows have partition keys of
/// their own: DynamoDB gives a partition 1,000 writes a second, and each debit is one of each.
pub(super) enum Key<'a> {
    /// `ACCT#<org>#<mode>` / `A`: one account.
    Account(AccountId),
    /// `KEY#<org>#<mode>#<c, o or s>#<key>` / `C`: who holds an idempotency key.
    Claim(ClaimsOf, &'a ClaimKey),
    /// `TXN#<org>#<mode>#<month>` / `<ulid>`: one line of the ledger. The month and the order are
    /// those of the id's time, so an id alone finds its row.
    Row(AccountId, EntryId),
    /// `MARK#<org>#<mode>` / `M`: through which sequence every row is known to exist.
    Watermark(AccountId),
    /// `PAY#<org>#<mode>#<ulid>` / `P`: one purchase.
    Purchase(PurchaseId),
    /// `AUTO#<org>#<mode>` / `R`: auto-recharge.
    Recharge(AccountId),
    /// `AGENDA#<shard>` / `<milliseconds>#…`: one errand.
    Errand(String, String),
    /// `ORG#<org>` / `ORG`: one organisation.
    Organisation(OrgId),
    /// `ORG#<org>` / `KEY#<key id>`: the hash of a key, to revoke it by.
    Issued(OrgId, KeyId),
    /// `APIKEY#<hash>` / `APIKEY`: one API key.
    Secret(&'a str),
    /// `CATALOGUE` / `PRICES`, `PLANS`, `PACKAGES` or `RATES`.
    Catalogue(&'static str),
}

impl Key<'_> {
    pub(super) fn attributes(&self) -> Item {
        let (pk, sk) = match self {
            Key::Account(account) => (format!("ACCT#{account}"), "A".to_owned()),
            Key::Claim(ClaimsOf::Account(account), key) => (format!("KEY#{account}#{key}"), "C".to_owned()),
            Key::Claim(ClaimsOf::Operators, key) => (format!("KEY#operators#{key}"), "C".to_owned()),
            Key::Row(account, entry) => (row_partition(*account, Period::of(entry.time())), entry.bare()),
            Key::Watermark(account) => (format!("MARK#{account}"), "M".to_owned()),
            Key::Purchase(PurchaseId { account, transaction }) => {
                (format!("PAY#{account}#{}", transaction.bare()), "P".to_owned())
            }
            Key::Recharge(account) => (format!("AUTO#{account}"), "R".to_owned()),
            Key::Errand(partition, place) => (partition.clone(), place.clone()),
            Key::Organisation(org) => (format!("ORG#{org}"), "ORG".to_owned()),
            Key::Issued(org, key) => (format!("ORG#{org}"), format!("KEY#{key}")),
            Key::Secret(hash) => (format!("APIKEY#{hash}"), "APIKEY".to_owned()),
            Key::Catalogue(part) => ("CATALOGUE".to_owned(), (*part).to_owned()),
        };
        HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
    }
}

/// Where the rows of one month are.
pub(super) fn row_partition(account: AccountId, month: Period) -> String {
    format!("TXN#{account}#{month}")
}
