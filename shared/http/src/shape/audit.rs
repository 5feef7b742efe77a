use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::instant;
use domain::{AccountId, EntryId, Finding, Hash};

/// How to verify a chain, in words.
const ALGORITHM: &str = "genesis = SHA-256 of `scrip ledger of <ledger>`; the hash of each row = SHA-256 of the 32 bytes of \
                         the hash before it, followed by the bytes of `row` as UTF-8; sequences are 1, 2, 3, …";

/// Some rows of the ledger with their places in the hash chain.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Audit {
    /// The ledger's own name, which its genesis is made from.
    #[schema(example = "org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live")]
    pub ledger: String,
    /// The hash before the first row.
    #[schema(value_type = String)]
    pub genesis: Hash,
    /// How to verify, in words.
    pub algorithm: &'static str,
    /// The number of the first row.
    pub from: u64,
    /// The number of the last; one less than `from` when there is none.
    pub to: u64,
    /// The hash before the first of these rows; null where the chain has not come so far.
    #[schema(value_type = Option<String>)]
    pub previous_hash: Option<Hash>,
    /// The rows, oldest first.
    pub rows: Vec<AuditRow>,
    /// Where the chain ends now. Keep it: nobody can change a row before it and have it stay.
    pub tip: AuditTip,
    /// The days that ended among these rows.
    pub checkpoints: Vec<AuditCheckpoint>,
    /// Whether these rows are as they were chained, as the service itself finds.
    pub verified: bool,
    /// The rows that are not as they were chained, and why.
    pub problems: Vec<AuditProblem>,
}

/// One row.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditRow {
    /// Its number.
    pub sequence: u64,
    /// `txn_…`, as in the list of transactions.
    pub transaction_id: String,
    /// When it took effect; null for a row that is missing or does not read.
    #[serde(serialize_with = "optional_instant")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub timestamp: Option<DateTime<Utc>>,
    /// All that is stored of it, byte for byte what was hashed: JSON, with our own short names. Null for a
    /// row that is missing.
    pub row: Option<String>,
    /// The hash of the chain with it.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AuditTip {
    /// The number of the last row; 0 before the first.
    pub sequence: u64,
    /// The hash with it.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// The end of a day, in UTC.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AuditCheckpoint {
    /// The day.
    #[schema(value_type = String, format = Date)]
    pub date: NaiveDate,
    /// The number of its last row.
    pub sequence: u64,
    /// The hash with it.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// Something that is not as it was chained.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditProblem {
    /// The row's number; null for the chain as a whole.
    pub sequence: Option<u64>,
    /// The row's id, where it is known.
    pub transaction_id: Option<String>,
    /// altered, missing, stray, hash_altered, link_altered, chain_missing, tip_altered or checkpoint_altered.
    pub problem: &'static str,
    /// The same in words.
    pub message: String,
}

/// That a transaction is a row of the ledger's hash chain: SHA-256 of the 32 bytes of `previousHash`, followed
/// by the bytes of `row`, is `hash`. GET /api/v3/credits/audit has the rows before and after it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Proof {
    /// The row's number.
    pub sequence: u64,
    /// The hash before it.
    #[schema(value_type = String)]
    pub previous_hash: Hash,
    /// The hash with it.
    #[schema(value_type = String)]
    pub hash: Hash,
    /// All that is stored of it.
    pub row: String,
}

impl Audit {
    /// An excerpt of an account's chain as callers see it.
    #[must_use]
    pub fn new(account: AccountId, excerpt: &store::Excerpt) -> Self {
        let names: BTreeMap<_, _> = excerpt.rows.iter().map(|row| (row.link.id, name(row))).collect();
        let name = |id: EntryId| names.get(&id).cloned().unwrap_or_else(|| id.to_string());
        let (sequence, hash) = excerpt.tip;
        Self {
            ledger: account.to_string(),
            genesis: Hash::genesis(account),
            algorithm: ALGORITHM,
            from: excerpt.from,
            to: excerpt.to,
            previous_hash: excerpt.before,
            rows: excerpt.rows.iter().map(AuditRow::from).collect(),
            tip: AuditTip { sequence, hash },
            checkpoints: excerpt
                .checkpoints
                .iter()
                .map(|known| AuditCheckpoint { date: known.date, sequence: known.sequence, hash: known.hash })
                .collect(),
            verified: excerpt.findings.is_empty(),
            problems: excerpt.findings.iter().map(|found| AuditProblem::new(found, name)).collect(),
        }
    }
}

impl AuditProblem {
    fn new(found: &Finding, name: impl Fn(EntryId) -> String) -> Self {
        Self {
            sequence: found.sequence,
            transaction_id: found.transaction.map(name),
            problem: found.problem.code(),
            message: found.problem.to_string(),
        }
    }
}

impl From<&store::ExcerptRow> for AuditRow {
    fn from(row: &store::ExcerptRow) -> Self {
        Self {
            sequence: row.sequence,
            transaction_id: name(row),
            timestamp: row.receipt.as_ref().map(|receipt| receipt.entry.at),
            row: row.text.clone(),
            hash: row.link.hash,
        }
    }
}

impl From<store::Proof> for Proof {
    fn from(proof: store::Proof) -> Self {
        let store::Proof { sequence, before, hash, text } = proof;
        Self { sequence, previous_hash: before, hash, row: text }
    }
}

/// The name by which callers know a row: a purchase has its own before it is in the ledger.
fn name(row: &store::ExcerptRow) -> String {
    let paid = row.receipt.as_ref().and_then(|receipt| receipt.details.paid.as_ref());
    paid.map_or(row.link.id, |paid| paid.transaction).to_string()
}

fn optional_instant<S: serde::Serializer>(at: &Option<DateTime<Utc>>, out: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => instant::serialize(at, out),
        None => out.serialize_none(),
    }
}
