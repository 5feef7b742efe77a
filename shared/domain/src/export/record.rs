//! An export as it is recorded, and its next step.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::error::ExportError;
use super::file_format::FileFormat;
use crate::{AccountId, Consume, Credits, EntryId, ExportId, KeyId, Mode, Operation, OrgId, StatementQuery};

/// What an export has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExportContent {
    /// Transactions of one account, asked for by its organisation.
    #[default]
    Transactions,
    /// Everything of an organisation, asked for by an operator. Its account is the live one.
    Organisation,
}

/// Which export of which account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ExportKey {
    /// The account.
    pub account: AccountId,
    /// The export.
    pub export: ExportId,
    /// What it has. Exports of another content are other exports, also under the same id.
    #[serde(default, skip_serializing_if = "ExportContent::is_transactions")]
    pub content: ExportContent,
}

/// Through which transaction an export of an organisation has each of its ledgers: the last ones when it was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerEnds {
    /// The number of the last transaction of the live ledger.
    pub live: u64,
    /// The number of the last transaction of the test ledger.
    pub test: u64,
}

/// What an export costs: the price at the time when it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportPrice {
    /// The operation of the price list.
    pub operation: Operation,
    /// The credits.
    pub credits: Credits,
    /// The version of the price.
    pub version: u32,
}

/// A file that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportFile {
    /// How large it is, in bytes.
    pub bytes: u64,
    /// How many transactions it has; of an organisation, how many lines.
    pub rows: u64,
    /// The SHA-256 of an organisation's file, in hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// Until when it can be downloaded, in whole seconds of real time.
    pub until: DateTime<Utc>,
}

/// How far an export is.
///
/// What becomes of the held credits is decided by one write, which makes it [`ExportStage::Made`] or
/// [`ExportStage::Failing`]; the credits follow.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ExportStage {
    /// The request that asked for it holds the credits, and makes the file if it is small.
    Begun,
    /// It waits for the function `export`.
    Queued,
    /// The function `export` makes the file.
    Running,
    /// The file is made, and the credits are to be captured.
    Made(ExportFile),
    /// The file can be downloaded; the transaction that captured the credits, if it costs some.
    Ready(ExportFile, Option<EntryId>),
    /// No file is made, and the credits are to be released.
    Failing(ExportError),
    /// No file is made, and no credits are held.
    Failed(ExportError),
}

/// What is to be done next for an export.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportStep {
    /// Nothing: it is finished.
    Rest,
    /// Nothing yet: another process works on it.
    Wait,
    /// Hold the credits and make the file.
    Make,
    /// Hold no credits any longer, and make no file.
    GiveUp,
    /// Let the credits follow what is decided.
    Settle,
}

/// An export: a file of transactions, from the request to the end of its record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Export {
    /// Its account and id.
    pub key: ExportKey,
    /// The format of the file.
    pub format: FileFormat,
    /// Which transactions it has.
    pub query: StatementQuery,
    /// Where it begins, as text: transactions that are made later are not in it, so every attempt makes the same file. Empty
    /// for an organisation, which has `ends`.
    pub begin: String,
    /// Where the ledgers of an organisation end in it; `None` for an export of transactions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<LedgerEnds>,
    /// The name of the organisation.
    pub organisation: String,
    /// What it costs; `None` if nothing.
    pub price: Option<ExportPrice>,
    /// When it was asked for, by the account's clock, in whole seconds.
    pub made_at: DateTime<Utc>,
    /// When it was asked for, in real time.
    pub begun_at: DateTime<Utc>,
    /// The API key of the request.
    pub key_id: KeyId,
    /// The operator's key, if an operator has made it for the organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub super_admin: Option<KeyId>,
    /// The id of the request.
    pub request_id: String,
    /// How far it is.
    pub stage: ExportStage,
    /// The entry that holds its credits, once the outcome is decided.
    pub hold: Option<EntryId>,
    /// How many attempts the function `export` has begun.
    pub attempts: u32,
    /// Until when no other process works on it, in system time.
    pub leased_until: DateTime<Utc>,
    /// How many transactions the present attempt has written; of an organisation, how many lines.
    pub rows: u64,
    /// How many lines of each kind the present attempt has written, of an organisation.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub counts: BTreeMap<String, u64>,
    /// How many transactions there are, where that is known: without filters and range.
    pub of: Option<u64>,
    /// Incremented with every change.
    pub revision: u64,
}

impl ExportContent {
    /// Whether it is transactions of one account.
    #[must_use]
    pub fn is_transactions(&self) -> bool {
        *self == Self::Transactions
    }
}

impl ExportKey {
    /// An export of transactions of an account.
    #[must_use]
    pub fn transactions(account: AccountId, export: ExportId) -> Self {
        Self { account, export, content: ExportContent::Transactions }
    }

    /// An export of everything of an organisation.
    #[must_use]
    pub fn organisation(org: OrgId, export: ExportId) -> Self {
        Self { account: AccountId { org, mode: Mode::Live }, export, content: ExportContent::Organisation }
    }
}

impl LedgerEnds {
    /// The number of the last transaction of a ledger.
    #[must_use]
    pub fn of(self, mode: Mode) -> u64 {
        match mode {
            Mode::Live => self.live,
            Mode::Test => self.test,
        }
    }
}

impl Export {
    /// The most transactions of an export that its request makes at once.
    pub const ROWS_AT_ONCE: u64 = 1_000;
    /// The most transactions of an export.
    pub const ROWS_MAX: u64 = 2_000_000;
    /// How many unfinished exports an account has at most.
    pub const OPEN_MAX: u64 = 3;
    /// How many attempts the function `export` makes at most.
    pub const ATTEMPTS_MAX: u32 = 3;
    /// For how many hours a file can be downloaded.
    pub const FILE_HOURS: i64 = 24;
    /// For how many hours an export may be made. After them it has failed.
    pub const MAKING_HOURS: i64 = 24;
    /// For how many days a record is kept: longer than the idempotency key of its request.
    pub const KEPT_DAYS: i64 = 35;
    /// For how many seconds its credits are held: much longer than it may be made.
    pub const HOLD_SECONDS: u32 = 3 * 86_400;
    /// For how many seconds the request that began it works on it alone: longer than a request can take.
    const REQUEST_SECONDS: i64 = 30;
    /// For how many seconds the function `export` works on it alone after it has said so.
    const WORKER_SECONDS: i64 = 300;

    /// The debit that its credits are held for; `None` if it costs nothing.
    #[must_use]
    pub fn debit(&self) -> Option<Consume> {
        let ExportPrice { operation, credits, .. } = self.price.clone()?;
        Some(Consume { operation, amount: credits, service: None })
    }

    /// What is to be done next, at `now` in real time and `wall` in system time.
    #[must_use]
    pub fn next(&self, now: DateTime<Utc>, wall: DateTime<Utc>) -> ExportStep {
        match self.stage {
            ExportStage::Ready(..) | ExportStage::Failed(_) => ExportStep::Rest,
            ExportStage::Made(_) | ExportStage::Failing(_) => ExportStep::Settle,
            ExportStage::Begun | ExportStage::Queued | ExportStage::Running => {
                if wall < self.leased_until {
                    ExportStep::Wait
                } else if self.attempts >= Self::ATTEMPTS_MAX || self.making_ends() <= now {
                    ExportStep::GiveUp
                } else {
                    ExportStep::Make
                }
            }
        }
    }

    /// Whether the file is made or has failed, and the credits have followed.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        match self.stage {
            ExportStage::Ready(..) | ExportStage::Failed(_) => true,
            ExportStage::Begun
            | ExportStage::Queued
            | ExportStage::Running
            | ExportStage::Made(_)
            | ExportStage::Failing(_) => false,
        }
    }

    /// Whether its record is still shown at `now` in real time.
    #[must_use]
    pub fn is_kept(&self, now: DateTime<Utc>) -> bool {
        now < self.kept_until()
    }

    /// Until when its record is kept, in real time.
    #[must_use]
    pub fn kept_until(&self) -> DateTime<Utc> {
        later(self.begun_at, TimeDelta::try_days(Self::KEPT_DAYS))
    }

    /// Whether it costs something and its credits are not known to be held yet.
    #[must_use]
    pub fn is_unheld(&self) -> bool {
        self.price.is_some() && self.hold.is_none()
    }

    fn making_ends(&self) -> DateTime<Utc> {
        later(self.begun_at, TimeDelta::try_hours(Self::MAKING_HOURS))
    }

    /// Until when a file that is made at `now` can be downloaded.
    #[must_use]
    pub fn file_until(now: DateTime<Utc>) -> DateTime<Utc> {
        later(now, TimeDelta::try_hours(Self::FILE_HOURS))
    }

    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        let (day, id) = (self.made_at.format("%Y-%m-%d"), self.key.export);
        match self.key.content {
            ExportContent::Transactions => format!("transactions-{day}-{id}.{}", self.format.extension()),
            ExportContent::Organisation => {
                format!("organisation-{day}-{id}.{}.gz", self.format.extension())
            }
        }
    }

    /// The media type of its file.
    #[must_use]
    pub fn media_type(&self) -> &'static str {
        match self.key.content {
            ExportContent::Transactions => self.format.media_type(),
            ExportContent::Organisation => "application/gzip",
        }
    }

    /// The export with its request at work on it.
    #[must_use]
    pub fn leased_to_request(self, wall: DateTime<Utc>) -> Self {
        Self { leased_until: later(wall, TimeDelta::try_seconds(Self::REQUEST_SECONDS)), ..self }
    }

    /// The export with a new attempt of the function `export` at work on it.
    #[must_use]
    pub fn attempted(self, wall: DateTime<Utc>) -> Self {
        let attempts = self.attempts.saturating_add(1);
        Self { attempts, stage: ExportStage::Running, counts: BTreeMap::new(), ..self }.progressed(0, wall)
    }

    /// The export with as many rows written, and its lease renewed.
    #[must_use]
    pub fn progressed(self, rows: u64, wall: DateTime<Utc>) -> Self {
        Self { rows, leased_until: later(wall, TimeDelta::try_seconds(Self::WORKER_SECONDS)), ..self }
    }

    /// The export without a lease: the next process may work on it.
    #[must_use]
    pub fn released(self) -> Self {
        Self { leased_until: DateTime::UNIX_EPOCH, ..self }
    }

    /// The export without an attempt that could not begin yet: it waits for the next one, and has lost none.
    #[must_use]
    pub fn postponed(self) -> Self {
        let attempts = self.attempts.saturating_sub(1);
        Self { attempts, ..self }.queued()
    }

    /// The export left to the function `export`.
    #[must_use]
    pub fn queued(self) -> Self {
        Self { stage: ExportStage::Queued, rows: 0, ..self }.released()
    }

    /// The decision that its file is made, and its credits are to be captured.
    #[must_use]
    pub fn made(self, file: ExportFile) -> Self {
        let rows = file.rows;
        let stage = match self.hold {
            Some(_) => ExportStage::Made(file),
            None => ExportStage::Ready(file, None),
        };
        Self { stage, rows, of: Some(rows), ..self }.released()
    }

    /// The decision that no file is made, and its credits are to be released.
    #[must_use]
    pub fn failing(self, error: ExportError) -> Self {
        let stage = match self.hold {
            Some(_) => ExportStage::Failing(error),
            None => ExportStage::Failed(error),
        };
        Self { stage, ..self }.released()
    }
}

/// A time after another one, as late as there is.
fn later(at: DateTime<Utc>, by: Option<TimeDelta>) -> DateTime<Utc> {
    by.and_then(|by| at.checked_add_signed(by)).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
