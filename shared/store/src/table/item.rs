//! The items of accounts, rows and claims.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::lot_key;
use crate::table::packed::Moves;
use domain::{
    Account, AccountId, Allowance, Balance, BatchOutcome, BudgetMark, ClaimKey, Credits, Details, Direction,
    DisputedCredits, Entry, EntryId, Extras, Fence, Operation, Period, PlanId, PlanTransition, PostPaid,
    Receipt, RowShards, SubscriptionCredits,
};

/// The item of `value`: its attributes and those of its key.
pub(crate) fn with_key<T: Serialize>(key: &Key<'_>, value: &T) -> Result<StoredItem, Fault> {
    let mut item = encode(value)?;
    item.extend(key.attributes());
    Ok(item)
}

pub(crate) fn encode<T: Serialize>(value: &T) -> Result<StoredItem, Fault> {
    let item: HashMap<String, AttributeValue> =
        serde_dynamo::to_item(value).map_err(|source| Fault::corrupt("an item to be written", source))?;
    Ok(item)
}

/// A transaction, from the item of its row.
pub(crate) fn receipt(item: StoredItem) -> Result<Receipt, Fault> {
    Ok(decode::<RowItem>("a transaction", item)?.receipt())
}

pub(crate) fn decode<T: DeserializeOwned>(what: &'static str, item: StoredItem) -> Result<T, Fault> {
    serde_dynamo::from_item(item).map_err(|source| Fault::corrupt(what, source))
}

/// Ids are stored without their prefix: the attribute's name tells the kind.
mod bare {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use domain::EntryId;

    pub(crate) fn serialize<S: Serializer>(id: &EntryId, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(&id.bare())
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<EntryId, D::Error> {
        let text = String::deserialize(input)?;
        EntryId::from_bare(&text).ok_or_else(|| D::Error::custom("not an entry's id"))
    }
}

/// The item of an account. Attribute names are short because every debit pays for the whole item.
#[derive(Serialize, Deserialize)]
pub(crate) struct AccountItem {
    seq: u64,
    rev: u64,
    plan: PlanId,
    allow: Allowance,
    #[serde(default, skip_serializing_if = "is_nought")]
    since: u64,
    period: Period,
    sub: SubscriptionItem,
    used: Credits,
    #[serde(default, skip_serializing_if = "is_none")]
    held: Credits,
    /// What is left in each lot, by its name in the format of `table/lot_key.rs`.
    lots: BTreeMap<String, Credits>,
    #[serde(default, rename = "disp", skip_serializing_if = "BTreeMap::is_empty")]
    disputes: BTreeMap<String, DisputeItem>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cap: Option<Credits>,
    #[serde(default, skip_serializing_if = "is_none")]
    owed: Credits,
    #[serde(default, skip_serializing_if = "is_none")]
    limit: Credits,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    frozen: bool,
    #[serde(with = "bare")]
    fence: EntryId,
    fenced: u64,
    #[serde(default, rename = "bud", skip_serializing_if = "has_none")]
    budgets: BudgetMark,
    #[serde(default, rename = "shards", skip_serializing_if = "is_one")]
    row_shards: RowShards,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last: Option<EntryItem>,
}

/// Attributes that are zero for most accounts are left out of the item.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_none(credits: &Credits) -> bool {
    credits.is_zero()
}

/// Zero for accounts that still have their first plan.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_nought(number: &u64) -> bool {
    *number == 0
}

/// None for accounts that never had a budget.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn has_none(mark: &BudgetMark) -> bool {
    *mark == BudgetMark::default()
}

/// One for all accounts but busy ones.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_one(shards: &RowShards) -> bool {
    *shards == RowShards::ONE
}

#[derive(Serialize, Deserialize)]
struct SubscriptionItem {
    left: Credits,
    granted: Credits,
    /// Credits that operators added and that are not spent.
    #[serde(default, rename = "ext", skip_serializing_if = "is_none")]
    extra: Credits,
    /// Credits that operators added and that were spent.
    #[serde(default, rename = "xsp", skip_serializing_if = "is_none")]
    extra_spent: Credits,
    /// Credits that operators removed.
    #[serde(default, rename = "took", skip_serializing_if = "is_none")]
    taken: Credits,
}

/// The credits that an open dispute has set aside.
#[derive(Serialize, Deserialize)]
pub(crate) struct DisputeItem {
    #[serde(with = "bare")]
    lot: EntryId,
    n: Credits,
    most: Credits,
}

impl From<&DisputedCredits> for DisputeItem {
    fn from(dispute: &DisputedCredits) -> Self {
        Self { lot: dispute.lot, n: dispute.aside, most: dispute.most }
    }
}

#[derive(Serialize, Deserialize)]
pub(crate) struct EntryItem {
    #[serde(with = "bare")]
    id: EntryId,
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
    op: Operation,
    dir: Direction,
    n: Credits,
    #[serde(default, skip_serializing_if = "Moves::is_empty")]
    mv: Moves,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<ClaimKey>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sw: Option<PlanTransition>,
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "crate::table::packed::parts")]
    bt: Vec<BatchOutcome>,
}

impl From<&Account> for AccountItem {
    fn from(account: &Account) -> Self {
        Self {
            seq: account.sequence,
            rev: account.revision,
            plan: account.plan.clone(),
            allow: account.allowance,
            since: account.since,
            period: account.period,
            sub: SubscriptionItem {
                left: account.subscription.left,
                granted: account.subscription.granted,
                extra: account.subscription.extras.left,
                extra_spent: account.subscription.extras.spent,
                taken: account.subscription.extras.taken,
            },
            used: account.used,
            held: account.held,
            lots: account.lots.iter().map(|(id, lot)| (lot_key::of(*id, lot), lot.left)).collect(),
            disputes: account.disputes.iter().map(|(id, dispute)| (id.bare(), dispute.into())).collect(),
            cap: account.cap,
            owed: account.post_paid.outstanding,
            limit: account.post_paid.limit,
            frozen: account.frozen,
            fence: account.fence.up_to,
            fenced: account.fence.sequence,
            budgets: account.budgets,
            row_shards: account.row_shards,
            last: account.last.as_ref().map(EntryItem::from),
        }
    }
}

impl AccountItem {
    pub(crate) fn account(self, id: AccountId) -> Result<Account, Fault> {
        let lot = |(key, left): (String, Credits)| {
            lot_key::read(&key, left).ok_or_else(|| Fault::corrupt("an account", "a lot's name"))
        };
        let dispute = |(bare, dispute): (String, DisputeItem)| {
            let id =
                EntryId::from_bare(&bare).ok_or_else(|| Fault::corrupt("an account", "a dispute's id"))?;
            Ok((id, DisputedCredits { lot: dispute.lot, aside: dispute.n, most: dispute.most }))
        };
        Ok(Account {
            id,
            sequence: self.seq,
            revision: self.rev,
            plan: self.plan,
            allowance: self.allow,
            since: self.since,
            period: self.period,
            subscription: SubscriptionCredits {
                left: self.sub.left,
                granted: self.sub.granted,
                extras: Extras { left: self.sub.extra, spent: self.sub.extra_spent, taken: self.sub.taken },
            },
            used: self.used,
            held: self.held,
            lots: self.lots.into_iter().map(lot).collect::<Result<_, Fault>>()?,
            post_paid: PostPaid { limit: self.limit, outstanding: self.owed },
            disputes: self.disputes.into_iter().map(dispute).collect::<Result<_, Fault>>()?,
            cap: self.cap,
            frozen: self.frozen,
            fence: Fence { up_to: self.fence, sequence: self.fenced },
            budgets: self.budgets,
            row_shards: self.row_shards,
            last: self.last.map(EntryItem::entry),
        })
    }
}

impl From<&Entry> for EntryItem {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id,
            at: entry.at,
            op: entry.operation.clone(),
            dir: entry.direction,
            n: entry.amount,
            mv: Moves::of(entry),
            key: entry.claim.clone(),
            sw: entry.switch.clone(),
            bt: entry.parts.clone(),
        }
    }
}

impl EntryItem {
    pub(crate) fn entry(self) -> Entry {
        Entry {
            id: self.id,
            at: self.at,
            operation: self.op,
            direction: self.dir,
            amount: self.n,
            moves: self.mv.moves(),
            claim: self.key,
            switch: self.sw,
            parts: self.bt,
        }
    }
}

/// The item of a row: one line of the ledger.
#[derive(Serialize, Deserialize)]
pub(crate) struct RowItem {
    seq: u64,
    #[serde(flatten)]
    entry: EntryItem,
    #[serde(default, rename = "d")]
    details: Details,
    bal: Balance,
}

impl From<&Receipt> for RowItem {
    fn from(receipt: &Receipt) -> Self {
        Self {
            seq: receipt.sequence,
            entry: EntryItem { mv: Moves::each(&receipt.entry), ..EntryItem::from(&receipt.entry) },
            details: receipt.details.clone(),
            bal: receipt.balance.clone(),
        }
    }
}

impl RowItem {
    pub(crate) fn receipt(self) -> Receipt {
        Receipt { entry: self.entry.entry(), sequence: self.seq, details: self.details, balance: self.bal }
    }
}

/// The item of a claim.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ClaimItem {
    /// The fingerprint of the request.
    pub(crate) hash: String,
    /// The attempt that holds the key, and the transaction that it makes.
    #[serde(with = "bare")]
    pub(crate) id: EntryId,
    /// When the request arrived, in business time.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub(crate) at: DateTime<Utc>,
    /// The same in system time, which no test clock moves.
    #[serde(with = "chrono::serde::ts_milliseconds")]
    pub(crate) wall: DateTime<Utc>,
    /// When the table may delete it. Whether the key is still valid is decided by `wall`.
    #[serde(with = "chrono::serde::ts_seconds")]
    pub(crate) ttl: DateTime<Utc>,
    /// The details of the transaction that the request makes.
    #[serde(default, rename = "d")]
    pub(crate) details: Details,
}

/// The item of a change of plan.
#[derive(Serialize, Deserialize)]
pub(crate) struct PlanSwitchItem {
    pub(crate) id: EntryId,
    #[serde(flatten)]
    pub(crate) switch: PlanTransition,
    #[serde(with = "chrono::serde::ts_seconds")]
    pub(crate) at: DateTime<Utc>,
}
