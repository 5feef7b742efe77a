//! The hash chain and its proofs.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use utoipa::ToSchema;

use crate::timestamp;
use domain::{AccountId, EntryId, Finding, Hash};

/// How to verify a chain.
const ALGORITHM: &str = "genesis = SHA-256 of `scrip ledger of <ledger>`; the hash of each row = SHA-256 of the 32 bytes of \
                         the hash before it, followed by the bytes of `row` as UTF-8; sequences are 1, 2, 3, …";

/// Rows of the ledger with their hashes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Audit)]
pub struct AuditView {
    /// The name of the ledger, from which the genesis is computed.
    #[schema(example = "org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA#live")]
    pub ledger: String,
    /// The hash before the first row.
    #[schema(value_type = String)]
    pub genesis: Hash,
    /// How to verify the chain, in words.
    pub algorithm: &'static str,
    /// The number of the first row.
    pub from: u64,
    /// The number of the last row; one less than `from` if there is none.
    pub to: u64,
    /// The hash before the first of these rows; null if the chain does not reach that far yet.
    #[schema(value_type = Option<String>)]
    pub previous_hash: Option<Hash>,
    /// The rows, oldest first.
    pub rows: Vec<AuditRow>,
    /// The present end of the chain. Keep it: a later change of an earlier row would change it.
    pub tip: AuditTip,
    /// The days that ended among these rows.
    pub checkpoints: Vec<AuditCheckpoint>,
    /// Whether the service found these rows unchanged since they were chained.
    pub verified: bool,
    /// What has changed since the rows were chained.
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
    /// When it took effect; null for a row that is missing or cannot be read.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    pub timestamp: Option<DateTime<Utc>>,
    /// The stored row, byte for byte what was hashed: JSON with short internal names. Null for a missing row.
    pub row: Option<String>,
    /// The hash of the chain up to and including the row.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// The end of the chain.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
pub struct AuditTip {
    /// The number of the last row; 0 before the first.
    pub sequence: u64,
    /// The hash up to and including that row.
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
    /// The hash up to and including that row.
    #[schema(value_type = String)]
    pub hash: Hash,
}

/// Something that has changed since it was chained.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditProblem {
    /// The row's number; null for the chain as a whole.
    pub sequence: Option<u64>,
    /// The row's id, if it is known.
    pub transaction_id: Option<String>,
    /// altered, missing, stray, hash_altered, link_altered, chain_missing, tip_altered or checkpoint_altered.
    pub problem: &'static str,
    /// A description of the problem.
    pub message: String,
}

/// Proof that a transaction is a row of the ledger's hash chain: SHA-256 of the 32 bytes of `previousHash`, followed by
/// the bytes of `row`, is `hash`. GET /api/v3/credits/audit has the rows before and after it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Proof)]
pub struct ProofView {
    /// The row's number.
    pub sequence: u64,
    /// The hash before the row.
    #[schema(value_type = String)]
    pub previous_hash: Hash,
    /// The hash up to and including that row.
    #[schema(value_type = String)]
    pub hash: Hash,
    /// The stored row.
    pub row: String,
}

impl AuditView {
    /// The view of an excerpt of an account's chain.
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
    /// What has changed, with the ids of rows as they are stored.
    #[must_use]
    pub fn of(found: &Finding) -> Self {
        Self::new(found, |id| id.to_string())
    }

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

impl From<store::RowProof> for ProofView {
    fn from(proof: store::RowProof) -> Self {
        let store::RowProof { sequence, before, hash, text } = proof;
        Self { sequence, previous_hash: before, hash, row: text }
    }
}

/// The id that callers know a row by: a purchase has one before it is in the ledger.
fn name(row: &store::ExcerptRow) -> String {
    let paid = row.receipt.as_ref().and_then(|receipt| receipt.details.paid.as_ref());
    paid.map_or(row.link.id, |paid| paid.transaction).to_string()
}
