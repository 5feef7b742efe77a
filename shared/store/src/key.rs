use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::NaiveDate;

use super::ClaimsOf;
use domain::{
    AccountId, ClaimKey, DeliveryId, EntryId, KeyId, Mode, OrgId, Period, PurchaseId, Subject, Watched,
    WebhookId,
};

pub(super) type Item = HashMap<String, AttributeValue>;

/// Every item of all tables, by name. The account, its claims and its rows have partition keys of
/// their own: DynamoDB gives a partition 1,000 writes a second, and each debit is one of each.
pub(super) enum Key<'a> {
    /// `ACCT#<org>#<mode>` / `A`: one account.
    Account(AccountId),
    /// `KEY#<org>#<mode>#<c, o or s>#<key>` / `C`: who holds an idempotency key.
    Claim(ClaimsOf, &'a ClaimKey),
    /// `CHANGED#<org>#<mode>#<digest>` or `CHANGED#operators#<digest>` / `C`: when a setting was last changed.
    LastChange(ClaimsOf, &'a str),
    /// `TXN#<org>#<mode>#<month>` / `<ulid>`: one line of the ledger. The month and the order are
    /// those of the id's time, so an id alone finds its row.
    Row(AccountId, EntryId),
    /// `MARK#<org>#<mode>` / `M`: through which sequence every row is known to exist, and the end of the
    /// chain: its rows since the last full span.
    Watermark(AccountId),
    /// `CHAIN#<org>#<mode>` / `<number>`: sixteen rows of the chain, their ids and hashes, by the number of
    /// the first.
    Span(AccountId, u64),
    /// `CHECK#<org>#<mode>` / `<date>`: with which number and hash a day of the chain ended.
    Checkpoint(AccountId, NaiveDate),
    /// `PAY#<org>#<mode>#<ulid>` / `P`: one purchase.
    Purchase(PurchaseId),
    /// `SPEND#<org>#<mode>` / `<date>`: what the purchases of a day cost.
    Spending(AccountId, NaiveDate),
    /// `LOOKED#<mode>` / `L`: when refunds and disputes were last looked for at the payment provider.
    Looked(Mode),
    /// `AUTO#<org>#<mode>` / `R`: auto-recharge.
    Recharge(AccountId),
    /// `AGENDA#<shard>` or `AGENDA#<org>#<mode>` / `<milliseconds>#…`: one errand.
    Errand(String, String),
    /// `PLANS#<org>#<mode>` / `<number>`: one change of plan, by its entry's number.
    Switch(AccountId, u64),
    /// `MON#<org>#<mode>` / `<ulid>`: one monitor.
    Monitor(Watched),
    /// `SUBJ#<org>#<mode>#<digest>` / `S`: which monitor watches a subject.
    Subject(AccountId, &'a Subject),
    /// `POT#<org>#<mode>#<month>` / `<ulid>`: what was drawn from a transaction.
    Pot(AccountId, EntryId),
    /// `POT#<org>#<mode>#<month>` / `<ulid>#<number>`: some of the finished parts of a transaction, by page.
    PotPage(AccountId, EntryId, usize),
    /// `HOLDS#<org>#<mode>` / `<milliseconds>#<ulid>`: a hold that is not closed, by its end.
    Open(AccountId, String),
    /// `SEEN#<org>#<mode>#<digest>` / `S`: who was last charged for the same.
    Seen(AccountId, &'a str),
    /// `DIR#<shard>` / `<org>#<mode>`: that there is such an account.
    Listed(String, AccountId),
    /// `ROUND#<month>` / `<shard>`: how far a month's round of renewals is.
    Round(Period, String),
    /// `CLOCK#<org>#<mode>` / `T`: where the clock of a test ledger stands.
    Clock(AccountId),
    /// `ALERT#<org>#<mode>` / `A`: how an organisation wants to be told of things.
    Alerts(AccountId),
    /// `ALERT#<org>#<mode>` / `S`: what an organisation was last told of its balance.
    AlertState(AccountId),
    /// `EVENTS#<org>#<mode>` / `<number>`: one event.
    Event(AccountId, u64),
    /// `EVENTHEAD#<org>#<mode>` / `H`: how many events there are.
    EventHead(AccountId),
    /// `SKIPPED#<org>#<mode>` / `<place>`: a record of the stream that the projector could not read, by its place.
    Skipped(AccountId, String),
    /// `TOLD#<org>#<mode>#<source>` / `T`: that something was told.
    Told(AccountId, &'a str),
    /// `USE#<org>#<mode>#<month>#<shard>` / `<day>…`: what was used on a day, of all or of one customer or member.
    /// Without a shard, as counters were kept before they were spread.
    Usage(AccountId, Period, Option<u8>, String),
    /// `HOOKS#<org>#<mode>` / `wh_<ulid>` and `wh_<ulid>#state`: one webhook, and how far its deliveries are.
    Webhook(AccountId, String),
    /// `GONE#<org>#<mode>#wh_<ulid>` / `G`: that a webhook was deleted.
    GoneWebhook(AccountId, WebhookId),
    /// `SENT#<org>#<mode>#wh_<ulid>` / `<ulid>`: one delivery to a webhook.
    Delivery(AccountId, WebhookId, DeliveryId),
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
            Key::LastChange(ClaimsOf::Account(account), thing) => {
                (format!("CHANGED#{account}#{thing}"), "C".to_owned())
            }
            Key::LastChange(ClaimsOf::Operators, thing) => {
                (format!("CHANGED#operators#{thing}"), "C".to_owned())
            }
            Key::Row(account, entry) => (row_partition(*account, Period::of(entry.time())), entry.bare()),
            Key::Watermark(account) => (format!("MARK#{account}"), "M".to_owned()),
            Key::Span(account, first) => (chain_partition(*account), format!("{first:016}")),
            Key::Checkpoint(account, date) => (checkpoint_partition(*account), date.to_string()),
            Key::Purchase(PurchaseId { account, transaction }) => {
                (format!("PAY#{account}#{}", transaction.bare()), "P".to_owned())
            }
            Key::Spending(account, day) => (format!("SPEND#{account}"), day.to_string()),
            Key::Looked(mode) => (format!("LOOKED#{}", mode.as_str()), "L".to_owned()),
            Key::Recharge(account) => (format!("AUTO#{account}"), "R".to_owned()),
            Key::Errand(partition, place) => (partition.clone(), place.clone()),
            Key::Switch(account, number) => (format!("PLANS#{account}"), format!("{number:016}")),
            Key::Monitor(Watched { account, monitor }) => (format!("MON#{account}"), monitor.bare()),
            Key::Subject(account, subject) => {
                (format!("SUBJ#{account}#{}", subject.as_str()), "S".to_owned())
            }
            Key::Pot(account, of) => (pot_partition(*account, Period::of(of.time())), of.bare()),
            Key::PotPage(account, of, number) => {
                (pot_partition(*account, Period::of(of.time())), format!("{}#{number:03}", of.bare()))
            }
            Key::Open(account, place) => (format!("HOLDS#{account}"), place.clone()),
            Key::Seen(account, digest) => (format!("SEEN#{account}#{digest}"), "S".to_owned()),
            Key::Listed(partition, account) => (partition.clone(), account.to_string()),
            Key::Round(month, shard) => (format!("ROUND#{month}"), shard.clone()),
            Key::Clock(account) => (format!("CLOCK#{account}"), "T".to_owned()),
            Key::Alerts(account) => (alerts_partition(*account), "A".to_owned()),
            Key::AlertState(account) => (alerts_partition(*account), "S".to_owned()),
            Key::Event(account, number) => (format!("EVENTS#{account}"), format!("{number:016}")),
            Key::EventHead(account) => (format!("EVENTHEAD#{account}"), "H".to_owned()),
            Key::Skipped(account, place) => (skipped_partition(*account), place.clone()),
            Key::Told(account, source) => (format!("TOLD#{account}#{source}"), "T".to_owned()),
            Key::Usage(account, month, shard, place) => {
                (usage_partition(*account, *month, *shard), place.clone())
            }
            Key::Webhook(account, place) => (webhooks_partition(*account), place.clone()),
            Key::GoneWebhook(account, id) => (format!("GONE#{account}#{id}"), "G".to_owned()),
            Key::Delivery(account, webhook, id) => (deliveries_partition(*account, *webhook), id.bare()),
            Key::Organisation(org) => (format!("ORG#{org}"), "ORG".to_owned()),
            Key::Issued(org, key) => (format!("ORG#{org}"), format!("KEY#{key}")),
            Key::Secret(hash) => (format!("APIKEY#{hash}"), "APIKEY".to_owned()),
            Key::Catalogue(part) => ("CATALOGUE".to_owned(), (*part).to_owned()),
        };
        HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
    }
}

/// Where the chain of an account is.
pub(super) fn chain_partition(account: AccountId) -> String {
    format!("CHAIN#{account}")
}

/// Where the ends of its days are.
pub(super) fn checkpoint_partition(account: AccountId) -> String {
    format!("CHECK#{account}")
}

/// Where the rows of one month are.
pub(super) fn row_partition(account: AccountId, month: Period) -> String {
    format!("TXN#{account}#{month}")
}

/// Where the pots of one month's transactions are.
pub(super) fn pot_partition(account: AccountId, month: Period) -> String {
    format!("POT#{account}#{month}")
}

/// Where records of the stream are kept that the projector could not read.
pub(super) fn skipped_partition(account: AccountId) -> String {
    format!("SKIPPED#{account}")
}

/// Where the usage of one month was before it was spread: `USE#<org>#<mode>#<month>`. With a shard, where a
/// sixteenth of its counters is.
pub(super) fn usage_partition(account: AccountId, month: Period, shard: Option<u8>) -> String {
    match shard {
        Some(shard) => format!("USE#{account}#{month}#{shard:x}"),
        None => format!("USE#{account}#{month}"),
    }
}

/// Where the webhooks of an account are.
pub(super) fn webhooks_partition(account: AccountId) -> String {
    format!("HOOKS#{account}")
}

/// Where the deliveries to a webhook are.
pub(super) fn deliveries_partition(account: AccountId, webhook: WebhookId) -> String {
    format!("SENT#{account}#{webhook}")
}

/// Where alerts of an account are, and what was told of them.
pub(super) fn alerts_partition(account: AccountId) -> String {
    format!("ALERT#{account}")
}
