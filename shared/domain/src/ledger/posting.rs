use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Allowance, Credits, Effect, EntryId, IdempotencyKey, LotId, Operation, Period, PlanId, Source, Terms,
};

/// One change of one account, decided and not yet made. It is a value with two readers: the store,
/// which turns guards and effects into one conditional write, and
/// [`Account::apply`](crate::Account::apply), the model that the store must agree with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Posting {
    /// The line that the ledger will have.
    pub entry: Entry,
    /// What must still be true of the account when the posting lands; all of it.
    pub guards: Vec<Guard>,
    /// What changes; no two effects touch the same lot.
    pub effects: Vec<Effect>,
}

/// What a decision is told about the attempt it decides for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// The id that the transaction will have if this attempt lands.
    pub id: EntryId,
    /// When the request reached us.
    pub now: DateTime<Utc>,
    /// The claim that this attempt holds.
    pub claim: ClaimKey,
}

/// One line of the ledger, as the posting knows it. The account keeps the last one, so that the
/// table's stream carries every line even when whoever wrote it crashed before recording it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Names the transaction.
    pub id: EntryId,
    /// When it took effect. Whole seconds are shown.
    pub at: DateTime<Utc>,
    /// What was done.
    pub operation: Operation,
    /// Which way the credits went.
    pub direction: Direction,
    /// How many credits the operation is worth; the moves may be fewer (an unlimited plan) or more
    /// (a renewal also books what expired).
    pub amount: Credits,
    /// Which lots gave or received.
    pub moves: Vec<Move>,
    /// The claim that holds the transaction's details; absent for what the ledger does by itself.
    pub claim: Option<ClaimKey>,
    /// From which plan to which, where the plan has changed.
    pub switch: Option<Switch>,
    /// What became of each item of a batch, in order: it is one change of the account and several lines of
    /// the ledger, see [`Account::receipts`](crate::Account::receipts). Empty for everything else.
    pub parts: Vec<Part>,
}

/// What became of one item of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// It was charged so much.
    Taken(Credits),
    /// It was not charged: it costs so much, and so much is what it could have used.
    Short {
        /// What it costs.
        required: Credits,
        /// What it could have used.
        available: Credits,
    },
    /// It was not charged: it has no price, or one past what a request may move.
    Unpriced,
}

/// One plan in place of another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switch {
    /// The plan before.
    #[serde(rename = "f")]
    pub from: PlanId,
    /// The plan from now on.
    #[serde(rename = "t")]
    pub to: PlanId,
    /// What a month brings from now on.
    #[serde(rename = "a")]
    pub allowance: Allowance,
}

/// Credits leaving or reaching one lot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    /// Which lot.
    pub lot: LotId,
    /// Its bucket.
    pub source: Source,
    /// Which way.
    pub direction: Direction,
    /// How many.
    pub amount: Credits,
    /// On which terms the lot is spent: what comes back one day comes back on these.
    pub terms: Terms,
}

/// Which way credits go, seen from the organisation (seed: `type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Direction {
    /// Credits leave.
    Debit,
    /// Credits arrive.
    Credit,
}

impl Direction {
    /// So many credits as a change: above zero when they arrive.
    #[must_use]
    pub fn signed(self, amount: Credits) -> i64 {
        let amount = i64::try_from(amount.get()).unwrap_or(i64::MAX);
        match self {
            Self::Debit => amount.saturating_neg(),
            Self::Credit => amount,
        }
    }
}

/// Who holds a claim, and under which of their keys. An operator's keys never meet those of the
/// organisation that the operator works on.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ClaimKey {
    /// The organisation's own key.
    Caller(IdempotencyKey),
    /// A key of an operator.
    Operator(IdempotencyKey),
    /// A name that we give to what we do by ourselves, such as what follows from a payment.
    System(IdempotencyKey),
}

/// What must still be true of an account when a posting lands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guard {
    /// No lot was added, refilled or changed, and no terms, since the account was seen. Debits do
    /// not count: two that both fit both land, in any order.
    Revision(u64),
    /// The account still is in this month.
    Period(Period),
    /// The lot covers what is taken.
    AtLeast(LotId, Credits),
    /// The lot holds just what was seen: it is emptied before another is touched.
    Exactly(LotId, Credits),
    /// The month's subscription credits, those left and those spent, are as many as were seen.
    Granted(Credits),
    /// The month's subscription credits, those left and those spent, are at most so many.
    GrantedAtMost(Credits),
    /// No more than this is outstanding.
    OwingAtMost(Credits),
    /// Just what was seen is outstanding.
    Owing(Credits),
    /// At least so many are held.
    Held(Credits),
    /// No attempt as late as this one has been fenced off.
    FenceBelow(EntryId),
}

impl Posting {
    /// Whether it changes the account's revision.
    #[must_use]
    pub fn revises(&self) -> bool {
        self.effects.iter().any(Effect::revises)
    }
}

impl Head {
    /// An attempt that is only thought of, to see what would come of it.
    #[must_use]
    pub fn imagined(account: &crate::Account, now: DateTime<Utc>) -> Self {
        let id = EntryId::above(account.floor(), now, 0);
        Self { id, now, claim: ClaimKey::imagined() }
    }
}

impl Entry {
    /// How many lines of the ledger it is: one, but for a batch of which several items were charged.
    #[must_use]
    pub fn rows(&self) -> u64 {
        let taken = self.parts.iter().filter(|part| matches!(part, Part::Taken(_))).count();
        u64::try_from(taken).unwrap_or(u64::MAX).max(1)
    }

    /// The id of its last line: a batch has ids one after the other from [`Entry::id`] on.
    #[must_use]
    pub fn last_id(&self) -> EntryId {
        self.id.after(self.rows().saturating_sub(1))
    }
}

impl Move {
    /// Credits that leave `lot`.
    #[must_use]
    pub fn out(lot: LotId, source: Source, amount: Credits) -> Self {
        Self { lot, source, direction: Direction::Debit, amount, terms: Terms::default() }
    }

    /// Credits that reach `lot`.
    #[must_use]
    pub fn into(lot: LotId, source: Source, amount: Credits) -> Self {
        Self { lot, source, direction: Direction::Credit, amount, terms: Terms::default() }
    }

    /// The same, of a lot that is spent on these terms.
    #[must_use]
    pub fn on(self, terms: Terms) -> Self {
        Self { terms, ..self }
    }
}

impl ClaimKey {
    /// That of an attempt that is only thought of.
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
