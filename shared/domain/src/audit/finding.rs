//! The findings of an audit, and the verification of the chain.

use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::audit::chain::closes;
use crate::{AccountId, Checkpoint, EntryId, Hash, Link, LotId, Span};

/// A finding of an audit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The number of the row; `None` for a finding about the whole account.
    pub sequence: Option<u64>,
    /// The row's id, if it is known.
    pub transaction: Option<EntryId>,
    /// The problem.
    pub problem: Problem,
}

/// A problem of a ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The row was changed, or its hash at the end of the chain.
    #[error("the row was changed after it was chained")]
    Altered,
    /// The row is missing.
    #[error("the row is missing")]
    Missing,
    /// A copied or moved row, or one that was never posted.
    #[error("the row is not in the chain")]
    Stray,
    /// It is not a transaction.
    #[error("the row is not a valid transaction")]
    Unreadable,
    /// The chain was changed, but not the row.
    #[error("the chain's hash of this row was changed, but not the row")]
    HashAltered,
    /// Two spans of the chain are inconsistent.
    #[error("the part of the chain that begins here does not continue the previous part")]
    LinkAltered,
    /// A span of the chain is missing.
    #[error("the part of the chain that begins here is missing or unreadable")]
    SpanMissing,
    /// The tip was changed.
    #[error("the stored end of the chain is unreadable, or does not match the chain")]
    TipAltered,
    /// A checkpoint was changed, or the chain since.
    #[error("the checkpoint of {0} does not match the chain")]
    CheckpointAltered(NaiveDate),
    /// A checkpoint is missing.
    #[error("the checkpoint of {0} is missing")]
    CheckpointMissing(NaiveDate),
    /// A checkpoint is unreadable.
    #[error("a checkpoint is unreadable")]
    CheckpointUnreadable,
    /// A row's balance is not the previous balance plus the row's moves.
    #[error("its balance is {stated}, but the rows add up to {sum}")]
    Balance {
        /// The value in the row.
        stated: u64,
        /// The sum of the rows' moves.
        sum: i128,
    },
    /// A row's held credits are not the sum of holds, captures and releases.
    #[error("its held credits are {stated}, but the rows add up to {sum}")]
    Held {
        /// The value in the row.
        stated: u64,
        /// The sum of holds, captures and releases.
        sum: i128,
    },
    /// More credits were refunded or captured than the transaction had.
    #[error("it draws more credits from {of} than were left")]
    Overdrawn {
        /// The debit or the hold.
        of: EntryId,
    },
    /// Credits were returned to a lot that never came from one.
    #[error("it returns more credits than were taken from a lot")]
    Minted,
    /// A remainder was changed or is missing. It limits the next refund, capture or release.
    #[error("the stored remainder does not match the rows")]
    Pot,
    /// A lot of the account, or its outstanding credits, are not the sum of the rows' moves.
    #[error("the account has {held} in {lot}, but the rows add up to {sum}")]
    Lot {
        /// The lot.
        lot: LotId,
        /// The value in the account; negative for outstanding credits.
        held: i128,
        /// The sum of the rows' moves.
        sum: i128,
    },
    /// Another field of the account's item is inconsistent with its rows.
    #[error("the account's item {0}")]
    Account(&'static str),
}

impl Problem {
    /// A code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Altered => "altered",
            Self::Missing => "missing",
            Self::Stray => "stray",
            Self::Unreadable => "unreadable",
            Self::HashAltered => "hash_altered",
            Self::LinkAltered => "link_altered",
            Self::SpanMissing => "chain_missing",
            Self::TipAltered => "tip_altered",
            Self::CheckpointAltered(_) => "checkpoint_altered",
            Self::CheckpointMissing(_) => "checkpoint_missing",
            Self::CheckpointUnreadable => "checkpoint_unreadable",
            Self::Balance { .. } => "balance",
            Self::Held { .. } => "held",
            Self::Overdrawn { .. } => "overdrawn",
            Self::Minted => "minted",
            Self::Pot => "pot",
            Self::Lot { .. } => "lot",
            Self::Account(_) => "account",
        }
    }
}

impl Finding {
    /// A finding about one row.
    #[must_use]
    pub fn row(sequence: u64, transaction: Option<EntryId>, problem: Problem) -> Self {
        Self { sequence: Some(sequence), transaction, problem }
    }

    /// A finding about the account.
    #[must_use]
    pub fn account(problem: Problem) -> Self {
        Self { sequence: None, transaction: None, problem }
    }
}

/// Verifies a chain row by row. Each change causes one finding: after a changed row it continues from the
/// stored hash.
#[derive(Debug)]
pub struct ChainCheck {
    next: u64,
    /// The hash before the next row, as stored in the chain.
    hash: Hash,
    /// The same hash as computed from the last row, if the two differ: either the row or the hash was changed,
    /// and the next row shows which.
    doubted: Option<Hash>,
    day: Option<NaiveDate>,
    /// The checkpoints not verified yet; `None` when a part of a chain is verified, whose days are not known.
    checkpoints: Option<BTreeMap<NaiveDate, Checkpoint>>,
    /// Ranges of numbers whose spans are missing, `from..to`.
    gaps: Vec<(u64, u64)>,
    findings: Vec<Finding>,
}

impl ChainCheck {
    /// A check from the beginning of an account's chain with these checkpoints.
    #[must_use]
    pub fn whole(account: AccountId, checkpoints: impl IntoIterator<Item = Checkpoint>) -> Self {
        let checkpoints = checkpoints.into_iter().map(|checkpoint| (checkpoint.date, checkpoint));
        Self { checkpoints: Some(checkpoints.collect()), ..Self::from(1, Hash::genesis(account)) }
    }

    /// A check from a row within the chain, with the hash before it.
    #[must_use]
    pub fn from(next: u64, hash: Hash) -> Self {
        Self { next, hash, doubted: None, day: None, checkpoints: None, gaps: vec![], findings: vec![] }
    }

    /// The number of the next row.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The hash before the next row, as stored in the chain.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether `day` is the latest day of its rows; `true` when a part of the chain is missing.
    #[must_use]
    pub fn is_at(&self, day: Option<NaiveDate>) -> bool {
        self.day == day || !self.gaps.is_empty()
    }

    /// Begins the rows of `span`, which begins with the next number or leaves a gap.
    pub fn begin(&mut self, span: &Span) {
        if self.next < span.first {
            self.gaps.push((self.next, span.first));
            self.findings.push(Finding::row(self.next, None, Problem::SpanMissing));
            (self.next, self.day) = (span.first, None);
        } else if self.doubted == Some(span.before) {
            self.clear(span.first);
        } else if self.hash != span.before {
            self.findings.push(Finding::row(span.first, None, Problem::LinkAltered));
            return;
        }
        (self.hash, self.doubted) = (span.before, None);
    }

    /// Verifies the next row: its link in the chain, and its text in the table.
    pub fn row(&mut self, link: Link, text: Option<&str>) {
        let mut doubted = None;
        match text {
            None => self.findings.push(Finding::row(self.next, Some(link.id), Problem::Missing)),
            Some(text) if self.hash.link(text) == link.hash => (),
            Some(text) => match self.doubted.filter(|hash| hash.link(text) == link.hash) {
                Some(hash) => {
                    self.clear(self.next);
                    self.hash = hash;
                }
                None => {
                    self.findings.push(Finding::row(self.next, Some(link.id), Problem::Altered));
                    doubted = Some(self.hash.link(text));
                }
            },
        }
        let before = self.next.saturating_sub(1);
        if let Some(expected) = closes(&mut self.day, link.id, before, self.hash) {
            self.meet(expected);
        }
        (self.hash, self.doubted) = (link.hash, doubted);
        self.next = self.next.saturating_add(1);
    }

    /// The findings, and the missing ranges of the chain. Checkpoints that were not verified belong to no day
    /// of this chain.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Finding>, Vec<(u64, u64)>) {
        let last = self.next.saturating_sub(1);
        for Checkpoint { date, sequence, hash } in self.checkpoints.take().unwrap_or_default().into_values() {
            let is_skipped = self.gaps.iter().any(|(from, to)| (*from..*to).contains(&sequence));
            // The chain may be in the process of closing today.
            let is_coming =
                self.day <= Some(date) && (last < sequence || last == sequence && self.hash == hash);
            if !is_skipped && !is_coming {
                self.findings.push(Finding::row(sequence, None, Problem::CheckpointAltered(date)));
            }
        }
        (self.findings, self.gaps)
    }

    /// Corrects the finding on the row before `sequence`: its hash was changed, not the row.
    fn clear(&mut self, sequence: u64) {
        let last = sequence.checked_sub(1);
        let found = self.findings.iter_mut().rev();
        let mut found = found.filter(|found| found.sequence == last && found.problem == Problem::Altered);
        if let Some(finding) = found.next() {
            finding.problem = Problem::HashAltered;
        }
    }

    fn meet(&mut self, expected: Checkpoint) {
        let Some(checkpoints) = &mut self.checkpoints else { return };
        let problem = match checkpoints.remove(&expected.date) {
            Some(known) if known == expected => return,
            Some(known) => Problem::CheckpointAltered(known.date),
            None => Problem::CheckpointMissing(expected.date),
        };
        self.findings.push(Finding::row(expected.sequence, None, problem));
    }
}
