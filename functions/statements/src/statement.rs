//! A monthly statement as callers get it, and as it is stored.

use std::collections::BTreeMap;

use domain::Period;
use serde::{Deserialize, Serialize};
use store::{Fault, StoredMonthlyStatement};
use utoipa::ToSchema;

/// The statement of a month. Its text is canonical JSON (RFC 8785).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MonthlyStatement {
    /// The month, the end of the organisation's id, and LIVE or TEST.
    #[schema(example = "2024-01-5W7X8Y9Z-LIVE")]
    pub(crate) number: String,
    /// The month.
    #[schema(value_type = String, example = "2024-01")]
    pub(crate) month: Period,
    /// The organisation's id.
    pub(crate) organisation_id: String,
    /// Its name when the statement was made.
    pub(crate) organisation: String,
    /// Whether these are live credits.
    pub(crate) livemode: bool,
    /// The first instant of the month.
    pub(crate) from: String,
    /// The first instant after it.
    pub(crate) to: String,
    /// The range of the hash chain that the statement is made from.
    pub(crate) ledger: ChainRangeView,
    /// The number of transactions.
    pub(crate) transactions: u64,
    /// The balance: the sum of the buckets.
    pub(crate) balance: OpenedAndClosed,
    /// The buckets.
    pub(crate) buckets: Buckets,
    /// Credits that holds had set aside. They are not in the balance.
    pub(crate) held: OpenedAndClosed,
    /// Credits spent on account, or left owing by a lost dispute, that no purchase had settled.
    pub(crate) outstanding: OpenedAndClosed,
    /// Credits that disputes had set aside. They are not in the balance.
    pub(crate) disputed: OpenedAndClosed,
    /// What was used.
    pub(crate) usage: UsageOfMonth,
    /// What was bought.
    pub(crate) purchases: PurchasesOfMonth,
    /// SHA-256 of this object without `hash`, as canonical JSON (RFC 8785).
    pub(crate) hash: String,
}

/// A range of the hash chain: the rows after `openingHash` up to `closingHash`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChainRangeOfMonth)]
pub(crate) struct ChainRangeView {
    /// The number of the first transaction; null in a month without any.
    pub(crate) first_sequence: Option<u64>,
    /// The number of the last.
    pub(crate) last_sequence: Option<u64>,
    /// The chain's hash before the first.
    pub(crate) opening_hash: String,
    /// The chain's hash including the last.
    pub(crate) closing_hash: String,
}

/// A number of credits at the beginning and at the end of the month.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct OpenedAndClosed {
    /// At the beginning: what the month before closed with.
    pub(crate) opening: i64,
    /// At the end.
    pub(crate) closing: i64,
}

/// The buckets of credits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BucketsOfMonth)]
pub(crate) struct Buckets {
    /// Subscription credits.
    pub(crate) subscription: BucketView,
    /// Purchased credits.
    pub(crate) purchased: BucketView,
    /// Bonus credits.
    pub(crate) bonus: BucketView,
}

/// What a bucket had, gained and lost. `closing` is `opening` and all of `in` less all of `out`; it is also `opening +
/// added + refunded - used - expired - held - withdrawn`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = BucketOfMonth)]
pub(crate) struct BucketView {
    /// Credits at the beginning.
    pub(crate) opening: i64,
    /// Credits that arrived, by operation.
    #[serde(rename = "in")]
    pub(crate) gained: BTreeMap<String, i64>,
    /// Credits that left, by operation.
    #[serde(rename = "out")]
    pub(crate) lost: BTreeMap<String, i64>,
    /// Allowances, purchases, grants, and what an operator or a larger plan added.
    pub(crate) added: i64,
    /// Debits and captures.
    pub(crate) used: i64,
    /// What refunds returned.
    pub(crate) refunded: i64,
    /// What expired.
    pub(crate) expired: i64,
    /// Holds, less what was released or captured of them: negative where more was.
    pub(crate) held: i64,
    /// What an operator, a smaller plan, a dispute or a refund of money took back, less what of it was returned.
    pub(crate) withdrawn: i64,
    /// Credits at the end.
    pub(crate) closing: i64,
}

/// What was used in a month, and what it cost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct UsageOfMonth {
    /// The operations with the most credits, the largest first; refunds are `credit.refund`, with negative numbers.
    pub(crate) operations: Vec<UsageLine>,
    /// The other operations together.
    pub(crate) others: UsageSumView,
    /// All usage.
    pub(crate) total: UsageSumView,
    /// Whether subscription credits are in the costs, at the plan's list price.
    pub(crate) includes_list_prices: bool,
    /// Credits that cost nothing because their price is not known.
    pub(crate) unpriced_credits: i64,
}

/// The usage of an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageOfOperation)]
pub(crate) struct UsageLine {
    /// The operation.
    pub(crate) operation: String,
    /// What it used.
    #[serde(flatten)]
    pub(crate) sum: UsageSumView,
}

/// Usage that was added up.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = UsageOfMonthSum)]
pub(crate) struct UsageSumView {
    /// Credits spent less credits refunded.
    pub(crate) credits: i64,
    /// Debits and captures.
    pub(crate) calls: i64,
    /// What the credits cost.
    pub(crate) cost: SignedMoney,
}

/// An amount of money; negative for what came back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct SignedMoney {
    /// Minor units: pence, cents.
    pub(crate) amount: i64,
    /// ISO 4217 code.
    pub(crate) currency: String,
}

/// What was bought in a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PurchasesOfMonth {
    /// The number of purchases whose credits were granted in the month.
    pub(crate) count: u64,
    /// These credits.
    pub(crate) credits: i64,
    /// What was paid, by currency.
    pub(crate) paid: Vec<SignedMoney>,
    /// Those of the credits for which no payment is recorded, as for imported purchases.
    pub(crate) unpriced_credits: i64,
}

impl MonthlyStatement {
    /// A statement from its text.
    ///
    /// # Errors
    /// When it is not what this code writes.
    pub(crate) fn read(known: &StoredMonthlyStatement) -> Result<Self, Fault> {
        serde_json::from_str(&known.text).map_err(|error| Fault::corrupt("a monthly statement", error))
    }
}
