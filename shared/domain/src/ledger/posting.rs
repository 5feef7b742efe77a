//! A posting: one change of one account, with its entry and its guards.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Allowance, BudgetMark, Credits, Effect, EntryId, IdempotencyKey, LotId, Operation, Period, PlanId,
    Source, Terms,
};

/// A decided change of one account. It has two readers: the store, which turns guards and effects into one
/// conditional write, and [`Account::apply`](crate::Account::apply), the model of that write.
///
/// Besides its guards, every posting requires that the account's last entry is not its own: a write that a layer below
/// sends twice in a row is made once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The ledger entry.
    pub entry: Entry,
    /// What must still be true of the account when the posting is written.
    pub guards: Vec<Guard>,
    /// The changes; no two effects change the same lot.
    pub effects: Vec<Effect>,
}

/// One attempt to carry out a request: the id and time of its posting, and its claim.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The id of the transaction if this attempt is written.
    pub id: EntryId,
    /// When the request was received.
    pub now: DateTime<Utc>,
    /// The claim of this attempt.
    pub claim: ClaimKey,
}

/// One ledger entry. The account keeps the last one, so that the table's stream contains every entry even when
/// a process crashed before it recorded the row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The transaction id.
    pub id: EntryId,
    /// When it took effect, in whole seconds.
    pub at: DateTime<Utc>,
    /// The operation.
    pub operation: Operation,
    /// Debit or credit.
    pub direction: Direction,
    /// The amount of the operation. The moves can be fewer (an unlimited plan) or more (a renewal also books
    /// the expired credits).
    pub amount: Credits,
    /// The lots that changed.
    pub moves: Vec<Move>,
    /// The claim with the transaction's details; absent for the ledger's own entries.
    pub claim: Option<ClaimKey>,
    /// The change of plan, if it is one.
    pub switch: Option<PlanTransition>,
    /// The outcome of each item of a batch, in order. A batch is one change of the account and several ledger
    /// lines, see [`Account::receipts`](crate::Account::receipts). Empty for everything else.
    pub parts: Vec<BatchOutcome>,
}

/// The outcome of a batch item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BatchOutcome {
    /// It was charged this amount.
    Taken(Credits),
    /// It was not charged, for lack of credits.
    Short {
        /// Its price.
        required: Credits,
        /// The credits that it could have used.
        available: Credits,
    },
    /// It was not charged: it has no price, or a price above what a request may move.
    Unpriced,
}

/// A change of plan.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlanTransition {
    /// The previous plan.
    #[serde(rename = "f")]
    pub from: PlanId,
    /// The new plan.
    #[serde(rename = "t")]
    pub to: PlanId,
    /// The new allowance.
    #[serde(rename = "a")]
    pub allowance: Allowance,
}

/// Credits that leave or enter one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// The lot.
    pub lot: LotId,
    /// Its source.
    pub source: Source,
    /// The direction.
    pub direction: Direction,
    /// The number of credits.
    pub amount: Credits,
    /// The terms of the lot; refunded credits have the same terms.
    pub terms: Terms,
}

/// The direction of credits, as the organisation sees it (seed: `type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Direction {
    /// Credits leave.
    Debit,
    /// Credits arrive.
    Credit,
}

impl Direction {
    /// Its name in the API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debit => "DEBIT",
            Self::Credit => "CREDIT",
        }
    }

    /// The category of a transaction in this direction (seed: `category`).
    #[must_use]
    pub fn category(self) -> &'static str {
        match self {
            Self::Debit => "usage",
            Self::Credit => "purchase",
        }
    }

    /// The amount as a signed change: positive for a credit.
    #[must_use]
    pub fn signed(self, amount: Credits) -> i64 {
        let amount = i64::try_from(amount.get()).unwrap_or(i64::MAX);
        match self {
            Self::Debit => amount.saturating_neg(),
            Self::Credit => amount,
        }
    }
}

/// The owner and the key of a claim. An operator's keys never collide with those of the organisation.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClaimKey {
    /// A key of the organisation.
    Caller(IdempotencyKey),
    /// A key of an operator.
    Operator(IdempotencyKey),
    /// A key that the system uses for its own requests, such as those that follow from a payment.
    System(IdempotencyKey),
}

/// A condition on the account when a posting is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// No lots or terms were added or changed since the account was read. Debits do not count: two debits that
    /// both fit are both written, in any order.
    Revision(u64),
    /// The account is still in this month.
    Period(Period),
    /// The lot has at least this many credits.
    AtLeast(LotId, Credits),
    /// The lot has exactly these credits, because it is emptied before another lot is used.
    Exactly(LotId, Credits),
    /// The month's remaining and spent subscription credits are exactly this number.
    Granted(Credits),
    /// The month's remaining and spent subscription credits are at most this number.
    GrantedAtMost(Credits),
    /// At most this number of credits is outstanding.
    OwingAtMost(Credits),
    /// Exactly this number of credits is outstanding.
    Owing(Credits),
    /// At least this number of credits is held.
    Held(Credits),
    /// The fence is below this attempt.
    FenceBelow(EntryId),
    /// No budget was changed since the account was read.
    Budgets(BudgetMark),
}

impl Posting {
    /// Whether it spends credits for an operation, or holds some, so that budgets may count it.
    #[must_use]
    pub fn is_spending(&self) -> bool {
        let operation = &self.entry.operation;
        let is_ours = [super::BATCH, super::HOLD].contains(&operation.as_str());
        self.entry.direction == Direction::Debit && (is_ours || !operation.is_own())
    }

    /// The same, if it spends credits, for an account whose budgets were not changed since it was read.
    #[must_use]
    pub fn on_budgets(mut self, mark: BudgetMark) -> Self {
        if self.is_spending() {
            self.guards.push(Guard::Budgets(mark));
        }
        self
    }

    /// Whether it increments the account's revision.
    #[must_use]
    pub fn revises(&self) -> bool {
        self.effects.iter().any(Effect::revises)
    }
}

impl Attempt {
    /// An attempt for a dry run.
    #[must_use]
    pub fn imagined(account: &crate::Account, now: DateTime<Utc>) -> Self {
        let id = account.attempt_id(now, 0);
        Self { id, now, claim: ClaimKey::imagined() }
    }
}

impl Entry {
    /// The number of ledger lines: 1, or the number of charged items of a batch.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let taken = self.parts.iter().filter(|part| matches!(part, BatchOutcome::Taken(_))).count();
        u64::try_from(taken).unwrap_or(u64::MAX).max(1)
    }

    /// The id of its last line. The lines of a batch have consecutive ids from [`Entry::id`] on.
    #[must_use]
    pub fn last_id(&self) -> EntryId {
        self.id.after(self.rows().saturating_sub(1))
    }
}

impl Move {
    /// A debit of `lot`.
    #[must_use]
    pub fn out(lot: LotId, source: Source, amount: Credits) -> Self {
        Self { lot, source, direction: Direction::Debit, amount, terms: Terms::default() }
    }

    /// A credit to `lot`.
    #[must_use]
    pub fn into(lot: LotId, source: Source, amount: Credits) -> Self {
        Self { lot, source, direction: Direction::Credit, amount, terms: Terms::default() }
    }

    /// The move with the terms of its lot.
    #[must_use]
    pub fn on(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }
}

impl ClaimKey {
    /// The claim of a dry run.
    fn imagined() -> Self {
        Self::System(IdempotencyKey::imagined())
    }
}

impl fmt::Display for ClaimKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(key) => write!(out, "c#{}", key.as_str()),
            Self::Operator(key) => write!(out, "o#{}", key.as_str()),
            Self::System(key) => write!(out, "s#{}", key.as_str()),
        }
    }
}

impl From<ClaimKey> for String {
    fn from(key: ClaimKey) -> String {
        key.to_string()
    }
}

impl TryFrom<String> for ClaimKey {
    type Error = crate::BadId;

    fn try_from(text: String) -> Result<Self, crate::BadId> {
        let key = |text: &str| IdempotencyKey::try_from(text.to_owned());
        match text.split_at_checked(2) {
            Some(("c#", own)) => key(own).map(Self::Caller),
            Some(("o#", operators)) => key(operators).map(Self::Operator),
            Some(("s#", ours)) => key(ours).map(Self::System),
            Some(_) | None => Err(crate::BadId::CLAIM),
        }
    }
}
