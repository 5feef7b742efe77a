use std::collections::BTreeMap;

use chrono::NaiveDate;

use crate::audit::chain::closes;
use crate::{AccountId, Checkpoint, EntryId, Hash, Link, LotId, Span};

/// Something that an audit found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The number of the row that it is about; none for what is about the account as a whole.
    pub sequence: Option<u64>,
    /// The row's id, where it is known.
    pub transaction: Option<EntryId>,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with a ledger.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Some byte of the row was changed, or its hash at the very end of the chain.
    #[error("the row is not what it was when it was chained")]
    Altered,
    /// There is no such row in its place.
    #[error("the row is missing")]
    Missing,
    /// A copy, a row that was moved, or one that nobody has posted.
    #[error("a row is there that the chain does not have")]
    Stray,
    /// It is no transaction of this ledger.
    #[error("the row does not read as a transaction")]
    Unreadable,
    /// The chain was changed, and the row was not.
    #[error("the chain's hash of this row was changed; the row is what it was")]
    HashAltered,
    /// Two parts of the chain do not fit.
    #[error("the part of the chain that begins here does not go on from the one before it")]
    LinkAltered,
    /// A part of the chain is gone.
    #[error("the part of the chain that begins here is missing or does not read")]
    SpanMissing,
    /// The watermark's item was changed.
    #[error("the end of the chain does not read, or is not that of the chain")]
    TipAltered,
    /// A day's end was changed, or the chain since.
    #[error("the checkpoint of {0} is not what the chain says")]
    CheckpointAltered(NaiveDate),
    /// A day's end is gone.
    #[error("the checkpoint of {0} is missing")]
    CheckpointMissing(NaiveDate),
    /// A day's end, or what was put among them.
    #[error("a checkpoint does not read")]
    CheckpointUnreadable,
    /// A row's balance is not the one before and what the row moved.
    #[error("the balance after it is told as {told}, and the rows add up to {sum}")]
    Balance {
        /// What the row says.
        told: u64,
        /// What the rows' moves come to.
        sum: i128,
    },
    /// A row's balance holds another number of credits than those that were set aside and not taken up.
    #[error("{told} credits are told as held after it, and the rows come to {sum}")]
    Held {
        /// What the row says.
        told: u64,
        /// What holds, captures and releases come to.
        sum: i128,
    },
    /// More was given back, or captured, than the transaction that it was drawn from had.
    #[error("it draws more from {of} than that had left")]
    Overdrawn {
        /// The debit or the hold.
        of: EntryId,
    },
    /// Credits that no lot has given came back into one.
    #[error("it gives back more than was once taken from a lot")]
    Minted,
    /// What decides on the next refund, capture or release was changed, or is gone.
    #[error("what is left to draw from it is not what the rows have left")]
    Pot,
    /// A lot of the account, or what it owes, is not what the rows moved.
    #[error("the account has {held} in {lot}, and the rows add up to {sum}")]
    Lot {
        /// Which.
        lot: LotId,
        /// What the account says; less than none for what is owed.
        held: i128,
        /// What the rows' moves come to.
        sum: i128,
    },
    /// Something else of the account's item does not go with its rows.
    #[error("the account's item {0}")]
    Account(&'static str),
}

impl Problem {
    /// A word for programs.
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
    /// About one row.
    #[must_use]
    pub fn row(sequence: u64, transaction: Option<EntryId>, problem: Problem) -> Self {
        Self { sequence: Some(sequence), transaction, problem }
    }

    /// About the account.
    #[must_use]
    pub fn account(problem: Problem) -> Self {
        Self { sequence: None, transaction: None, problem }
    }
}

/// Goes along a chain, row by row, and holds each against its hash. One change by hand is one finding: past a
/// row that was changed it goes on from the hash that is kept.
#[derive(Debug)]
pub struct ChainCheck {
    next: u64,
    /// The hash before the next row, as the chain has it.
    hash: Hash,
    /// The same as the last row says, where the two differ: then one of them was changed, and the row after
    /// it tells which.
    doubted: Option<Hash>,
    day: Option<NaiveDate>,
    /// Those not met yet; none where a part of a chain is looked at, which does not know its days.
    checkpoints: Option<BTreeMap<NaiveDate, Checkpoint>>,
    /// Numbers whose part of the chain is not there, `from..to`.
    gaps: Vec<(u64, u64)>,
    findings: Vec<Finding>,
}

impl ChainCheck {
    /// From the beginning of an account's chain, which has these checkpoints.
    #[must_use]
    pub fn whole(account: AccountId, checkpoints: impl IntoIterator<Item = Checkpoint>) -> Self {
        let checkpoints = checkpoints.into_iter().map(|checkpoint| (checkpoint.date, checkpoint));
        Self { checkpoints: Some(checkpoints.collect()), ..Self::from(1, Hash::genesis(account)) }
    }

    /// From a row in the midst of it, with the hash before it.
    #[must_use]
    pub fn from(next: u64, hash: Hash) -> Self {
        Self { next, hash, doubted: None, day: None, checkpoints: None, gaps: vec![], findings: vec![] }
    }

    /// The number of the next row.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// The hash before the next row, as the chain has it.
    #[must_use]
    pub fn hash(&self) -> Hash {
        self.hash
    }

    /// Whether `day` is the latest day of its rows; not known where a part of the chain is missing.
    #[must_use]
    pub fn is_at(&self, day: Option<NaiveDate>) -> bool {
        self.day == day || !self.gaps.is_empty()
    }

    /// The next rows are those of `span`, which begins with the next number or leaves some out.
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

    /// The next row, as the chain has it, and its text as the table has it.
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

    /// What was found, and the parts of the chain that are not there. `checkpoints` that nobody has met by
    /// now belong to no day of this chain.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Finding>, Vec<(u64, u64)>) {
        let last = self.next.saturating_sub(1);
        for Checkpoint { date, sequence, hash } in self.checkpoints.take().unwrap_or_default().into_values() {
            let is_skipped = self.gaps.iter().any(|(from, to)| (*from..*to).contains(&sequence));
            // The chain may be on its way past the end of today.
            let is_coming =
                self.day <= Some(date) && (last < sequence || last == sequence && self.hash == hash);
            if !is_skipped && !is_coming {
                self.findings.push(Finding::row(sequence, None, Problem::CheckpointAltered(date)));
            }
        }
        (self.findings, self.gaps)
    }

    /// It was the hash of the row before `sequence` that was changed, and not the row.
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
