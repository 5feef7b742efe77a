//! The keys of all items.

use std::collections::HashMap;
use std::fmt::Display;

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::NaiveDate;

use crate::table::budget_key::BudgetKey;
use crate::table::settings_key::SettingsKey;
use domain::{
    AccountId, ClaimKey, DeliveryId, EntryId, ExportContent, ExportKey, LotId, Mode, MonitorKey,
    MonitorSubject, Period, PurchaseId, RowShard, WebhookId,
};

pub(crate) type StoredItem = HashMap<String, AttributeValue>;

/// The owner of an idempotency key. The same key of two owners is two claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimsOf {
    /// An account.
    Account(AccountId),
    /// The operators, for requests that belong to no account.
    Operators,
}

/// The key of every item of all tables. The account, its claims and its rows have different partition
/// keys: DynamoDB allows 1,000 writes a second per partition, and each debit writes one item of each kind.
pub(crate) enum Key<'a> {
    /// `ACCT#<org>#<mode>` / `A`: one account.
    Account(AccountId),
    /// `KEY#<org>#<mode>#<c, o or s>#<key>` / `C`: which attempt holds an idempotency key.
    Claim(ClaimsOf, &'a ClaimKey),
    /// `CHANGED#<org>#<mode>#<digest>` or `CHANGED#operators#<digest>` / `C`: when a setting was last changed.
    LastChange(ClaimsOf, &'a str),
    /// `TXN#<org>#<mode>#<month>` or `TXN#<org>#<mode>#<month>#<shard>` / `<ulid>`: one line of the ledger. The
    /// id contains the month, the order and the shard, so an id is enough to find its row.
    Row(AccountId, EntryId),
    /// `MARK#<org>#<mode>` / `M`: through which sequence every row is known to exist, and the end of the
    /// chain: its rows since the last full span.
    Watermark(AccountId),
    /// `CHAIN#<org>#<mode>` / `<number>`: sixteen rows of the chain, their ids and hashes, by the number of
    /// the first.
    Span(AccountId, u64),
    /// `CHECK#<org>#<mode>` / `<date>`: with which number and hash a day of the chain ended.
    Checkpoint(AccountId, NaiveDate),
    /// `RECS#<org>#<mode>` / `<number>`: what sixty-four rows are as records, and the records before them.
    RecordBlock(AccountId, u64),
    /// `UNPAID#<org>#<mode>` / `<ulid>`: that a purchase is not in the ledger: it is pending or has failed.
    Unbooked(PurchaseId),
    /// `PAY#<org>#<mode>` / `<ulid>`: one purchase.
    Purchase(PurchaseId),
    /// `SPEND#<org>#<mode>` / `<date>`: what the purchases of a day cost.
    Spending(AccountId, NaiveDate),
    /// `LOOKED#<mode>` / `L`: when the payment provider was last polled for refunds and disputes.
    ReversalPoll(Mode),
    /// `WATCH#<org>#<mode>` / `R`: auto-recharge.
    Recharge(AccountId),
    /// `AGENDA#<shard>` or `AGENDA#<org>#<mode>` / `<milliseconds>#…`: one scheduled job.
    Job(String, String),
    /// `PLANS#<org>#<mode>` / `<number>`: one change of plan, by its entry's number.
    PlanSwitch(AccountId, u64),
    /// `MON#<org>#<mode>` / `<ulid>`: one monitor.
    Monitor(MonitorKey),
    /// `SUBJ#<org>#<mode>#<digest>` / `S`: which monitor watches a subject.
    Subject(AccountId, &'a MonitorSubject),
    /// `POT#<org>#<mode>#<month>` / `<ulid>`: the remainder of a transaction.
    Remainder(AccountId, EntryId),
    /// `POT#<org>#<mode>#<month>` / `<ulid>#<number>`: one page of the finished parts of a transaction.
    RemainderPage(AccountId, EntryId, usize),
    /// `HOLDS#<org>#<mode>` / `<milliseconds>#<ulid>`: a hold that is not closed, by its end.
    OpenHold(AccountId, String),
    /// `EXPORTS#<org>#<mode>` or `WHOLE#<org>#live` / `<ulid>`: one export of transactions, or of an organisation.
    Export(ExportKey),
    /// `EXPORTING#<org>#<mode>` or `EXPORTINGWHOLE#<org>#live` / `E`: which exports are not finished.
    OpenExports(AccountId, ExportContent),
    /// `SEEN#<org>#<mode>#<digest>` / `S`: the last charge under a dedupe key.
    Dedupe(AccountId, &'a str),
    /// `DIR#<shard>` / `<org>#<mode>`: that an account exists.
    Listed(String, AccountId),
    /// `ROUND#<month>` / `<shard>`: how far a month's renewal sweep is.
    Sweep(Period, String),
    /// `ROLL#<month>` / `<shard>`: one shard's part of a month's roll-forward.
    RollForward(Period, u8),
    /// `CLOCK#<org>#<mode>` / `T`: the time on the clock of a test ledger.
    TestClock(AccountId),
    /// `WATCH#<org>#<mode>` / `A`: the alert settings of an organisation.
    Alerts(AccountId),
    /// `WATCH#<org>#<mode>` / `S`: the alert state: what the last events about its balance said.
    AlertState(AccountId),
    /// `EVENTS#<org>#<mode>` / `<number>`: one event.
    Event(AccountId, u64),
    /// `SKIPPED#<org>#<mode>` / `<place>`: a record of the stream that the projector could not read, by its
    /// position in the stream.
    Skipped(AccountId, String),
    /// `TOLD#<org>#<mode>#<source>` / `T`: that an event was emitted.
    Emitted(AccountId, &'a str),
    /// `USE#<org>#<mode>` / `<date>`: the sums of the transactions of a day.
    DayRollup(AccountId, NaiveDate),
    /// `USE#<org>#<mode>#<month>#<c or m>` or `USE#<org>#<mode>#<month>#<c or m>#<shard>` / `<name>`: the sums of a month's
    /// transactions of one customer or member. A name has at most 255 characters, so it fits into a key of 1,024 bytes.
    MonthRollup(AccountId, Period, char, RowShard, String),
    /// `LOTS#<org>#<mode>` / `<ulid>`: the record of a lot, by the id of its grant, or the first id of its month.
    Lot(AccountId, LotId),
    /// `STATEMENTS#<org>#<mode>` / `<month>`: a monthly statement.
    MonthlyStatement(AccountId, Period),
    /// `VALUES#<org>#<mode>` / `<month>`: what unused credits were worth in a month.
    MonthValue(AccountId, Period),
    /// `HOOKS#<org>#<mode>` / `wh_<ulid>` and `wh_<ulid>#state`: one webhook, and its delivery state.
    Webhook(AccountId, String),
    /// `GONE#<org>#<mode>#wh_<ulid>` / `G`: that a webhook was deleted.
    GoneWebhook(AccountId, WebhookId),
    /// `SENT#<org>#<mode>#wh_<ulid>` / `<ulid>`: one delivery to a webhook.
    Delivery(AccountId, WebhookId, DeliveryId),
    /// An item of budgets.
    Budget(BudgetKey<'a>),
    /// An item of the settings table.
    Settings(SettingsKey<'a>),
}

impl Key<'_> {
    pub(crate) fn attributes(&self) -> StoredItem {
        let (pk, sk) = match self {
            Key::Account(account) => (format!("ACCT#{account}"), "A".to_owned()),
            Key::Claim(of, key) => (claims_partition("KEY", *of, key), "C".to_owned()),
            Key::LastChange(of, thing) => (claims_partition("CHANGED", *of, thing), "C".to_owned()),
            Key::Row(account, entry) => {
                (row_partition(*account, Period::of(entry.time()), entry.row_shard()), entry.bare())
            }
            Key::Watermark(account) => (format!("MARK#{account}"), "M".to_owned()),
            Key::Span(account, first) => (chain_partition(*account), format!("{first:016}")),
            Key::Checkpoint(account, date) => (checkpoint_partition(*account), date.to_string()),
            Key::RecordBlock(account, number) => (record_partition(*account), format!("{number:016}")),
            Key::Unbooked(id) => (unbooked_partition(id.account), id.transaction.bare()),
            Key::Purchase(PurchaseId { account, transaction }) => {
                (purchase_partition(*account), transaction.bare())
            }
            Key::Spending(account, day) => (format!("SPEND#{account}"), day.to_string()),
            Key::ReversalPoll(mode) => (format!("LOOKED#{}", mode.as_str()), "L".to_owned()),
            Key::Recharge(account) => (watch_partition(*account), "R".to_owned()),
            Key::Job(partition, place) => (partition.clone(), place.clone()),
            Key::PlanSwitch(account, number) => (format!("PLANS#{account}"), format!("{number:016}")),
            Key::Monitor(MonitorKey { account, monitor }) => (format!("MON#{account}"), monitor.bare()),
            Key::Subject(account, subject) => {
                (format!("SUBJ#{account}#{}", subject.as_str()), "S".to_owned())
            }
            Key::Remainder(account, of) => (remainder_partition(*account, Period::of(of.time())), of.bare()),
            Key::RemainderPage(account, of, number) => {
                (remainder_partition(*account, Period::of(of.time())), format!("{}#{number:03}", of.bare()))
            }
            Key::OpenHold(account, place) => (format!("HOLDS#{account}"), place.clone()),
            Key::Export(key) => (export_partition(key.account, key.content), key.export.bare()),
            Key::OpenExports(account, content) => {
                (open_exports_partition(*account, *content), "E".to_owned())
            }
            Key::Dedupe(account, digest) => (format!("SEEN#{account}#{digest}"), "S".to_owned()),
            Key::Listed(partition, account) => (partition.clone(), account.to_string()),
            Key::Sweep(month, shard) => (format!("ROUND#{month}"), shard.clone()),
            Key::RollForward(month, shard) => (roll_forward_partition(*month), format!("{shard:02}")),
            Key::TestClock(account) => (format!("CLOCK#{account}"), "T".to_owned()),
            Key::Alerts(account) => (watch_partition(*account), "A".to_owned()),
            Key::AlertState(account) => (watch_partition(*account), "S".to_owned()),
            Key::Event(account, number) => (event_partition(*account), format!("{number:016}")),
            Key::Skipped(account, place) => (skipped_partition(*account), place.clone()),
            Key::Emitted(account, source) => (format!("TOLD#{account}#{source}"), "T".to_owned()),
            Key::DayRollup(account, day) => (day_rollup_partition(*account), day.to_string()),
            Key::MonthRollup(account, month, kind, shard, name) => {
                (month_rollup_partition(*account, *month, *kind, *shard), name.clone())
            }
            Key::Lot(account, lot) => (lot_partition(*account), lot.age().bare()),
            Key::MonthlyStatement(account, month) => {
                (monthly_statement_partition(*account), month.to_string())
            }
            Key::MonthValue(account, month) => (month_value_partition(*account), month.to_string()),
            Key::Webhook(account, place) => (webhooks_partition(*account), place.clone()),
            Key::GoneWebhook(account, id) => (format!("GONE#{account}#{id}"), "G".to_owned()),
            Key::Delivery(account, webhook, id) => (deliveries_partition(*account, *webhook), id.bare()),
            Key::Budget(key) => key.place(),
            Key::Settings(key) => key.place(),
        };
        HashMap::from([("pk".to_owned(), AttributeValue::S(pk)), ("sk".to_owned(), AttributeValue::S(sk))])
    }
}

/// The partition of what an owner has under a name.
fn claims_partition(prefix: &str, of: ClaimsOf, name: &dyn Display) -> String {
    match of {
        ClaimsOf::Account(account) => format!("{prefix}#{account}#{name}"),
        ClaimsOf::Operators => format!("{prefix}#operators#{name}"),
    }
}

/// The partition with the chain of an account.
pub(crate) fn chain_partition(account: AccountId) -> String {
    format!("CHAIN#{account}")
}

/// The partition with the checkpoints of an account.
pub(crate) fn checkpoint_partition(account: AccountId) -> String {
    format!("CHECK#{account}")
}

/// The partition with one shard of the rows of one month.
pub(crate) fn row_partition(account: AccountId, month: Period, shard: RowShard) -> String {
    if shard == RowShard::FIRST {
        format!("TXN#{account}#{month}")
    } else {
        format!("TXN#{account}#{month}#{shard}")
    }
}

/// The partition with the index of an account's records.
pub(crate) fn record_partition(account: AccountId) -> String {
    format!("RECS#{account}")
}

/// The partition that names the purchases of an account that are not in the ledger.
pub(crate) fn unbooked_partition(account: AccountId) -> String {
    format!("UNPAID#{account}")
}

/// The partition with the purchases of an account.
pub(crate) fn purchase_partition(account: AccountId) -> String {
    format!("PAY#{account}")
}

/// The partition with the exports of an account.
pub(crate) fn export_partition(account: AccountId, content: ExportContent) -> String {
    match content {
        ExportContent::Transactions => format!("EXPORTS#{account}"),
        ExportContent::Organisation => format!("WHOLE#{account}"),
    }
}

/// The partition with the register of unfinished exports.
fn open_exports_partition(account: AccountId, content: ExportContent) -> String {
    match content {
        ExportContent::Transactions => format!("EXPORTING#{account}"),
        ExportContent::Organisation => format!("EXPORTINGWHOLE#{account}"),
    }
}

/// The partition with the remainders of one month's transactions.
pub(crate) fn remainder_partition(account: AccountId, month: Period) -> String {
    format!("POT#{account}#{month}")
}

/// The partition with the events of an account.
pub(crate) fn event_partition(account: AccountId) -> String {
    format!("EVENTS#{account}")
}

/// The partition with the records of the stream that the projector could not read.
pub(crate) fn skipped_partition(account: AccountId) -> String {
    format!("SKIPPED#{account}")
}

/// The partition with the rollups of an account's days.
pub(crate) fn day_rollup_partition(account: AccountId) -> String {
    format!("USE#{account}")
}

/// The partition with one shard of a month's rollups of customers or members.
pub(crate) fn month_rollup_partition(
    account: AccountId,
    month: Period,
    kind: char,
    shard: RowShard,
) -> String {
    if shard == RowShard::FIRST {
        format!("USE#{account}#{month}#{kind}")
    } else {
        format!("USE#{account}#{month}#{kind}#{shard}")
    }
}

/// The partition with the records of an account's lots.
pub(crate) fn lot_partition(account: AccountId) -> String {
    format!("LOTS#{account}")
}

/// The partition with the monthly statements of an account.
pub(crate) fn monthly_statement_partition(account: AccountId) -> String {
    format!("STATEMENTS#{account}")
}

/// The partition with the values of an account's months.
pub(crate) fn month_value_partition(account: AccountId) -> String {
    format!("VALUES#{account}")
}

/// The partition with the parts of a month's roll-forward.
pub(crate) fn roll_forward_partition(month: Period) -> String {
    format!("ROLL#{month}")
}

/// The partition with the webhooks of an account.
pub(crate) fn webhooks_partition(account: AccountId) -> String {
    format!("HOOKS#{account}")
}

/// The partition with the deliveries to a webhook.
pub(crate) fn deliveries_partition(account: AccountId, webhook: WebhookId) -> String {
    format!("SENT#{account}#{webhook}")
}

/// The partition with what is watched of an account: its alert settings, its alert state and its auto-recharge.
pub(crate) fn watch_partition(account: AccountId) -> String {
    format!("WATCH#{account}")
}
