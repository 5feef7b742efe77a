//! What a rebuild of rollups finds.

use std::fmt;

use chrono::NaiveDate;

use crate::activity::rollups::{MonthOf, RollupKind};
use domain::LotId;

/// The report of a rebuild of an account's rollups.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RollupReport {
    /// The number of the last transaction that is counted: rollups and what is pending were compared through it.
    pub through: u64,
    /// How many rollups and records of lots were compared.
    pub compared: u64,
    /// What is wrong, in the order in which it was found.
    pub differences: Vec<RollupDifference>,
    /// How many of them changed so often that they could not be compared: run it again.
    pub unsettled: usize,
}

/// A rollup, or the record of a lot, that differs from the transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupDifference {
    /// Which one.
    pub rollup: RollupName,
    /// What is wrong.
    pub problem: RollupProblem,
}

/// Which rollup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RollupName {
    /// That of a day.
    Day(NaiveDate),
    /// That of a customer or member in a month, of the transactions in one row shard.
    Month(MonthRollupName),
    /// The sums beside the watermark, which no rollup has yet.
    Pending,
    /// The record of a lot.
    Lot(LotId),
}

/// The rollup of a customer or member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MonthRollupName(pub(crate) MonthOf);

/// What is wrong with a rollup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RollupProblem {
    /// There is none.
    Missing,
    /// There is one, and no transaction that it counts.
    Surplus,
    /// It cannot be read.
    Unreadable,
    /// It counts through another number than it should.
    Number {
        /// Its number.
        stored: u64,
        /// The number of the last transaction that it should count.
        right: u64,
    },
    /// Its sums are others.
    Sums,
}

impl fmt::Display for RollupDifference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rollup, problem } = self;
        match rollup {
            RollupName::Day(day) => write!(out, "the rollup of {day}"),
            RollupName::Month(MonthRollupName(MonthOf { month, kind, shard, name })) => {
                let kind = match kind {
                    RollupKind::Customer => "customer",
                    RollupKind::Member => "member",
                };
                write!(out, "the rollup of {kind} {name:?} in {month} (shard {shard})")
            }
            RollupName::Pending => write!(out, "what is pending beside the watermark"),
            RollupName::Lot(lot) => write!(out, "the record of the lot {lot}"),
        }?;
        match problem {
            RollupProblem::Missing => write!(out, " is missing"),
            RollupProblem::Surplus => write!(out, " counts no transaction"),
            RollupProblem::Unreadable => write!(out, " is unreadable"),
            RollupProblem::Number { stored, right } => {
                write!(out, " counts through {stored} instead of {right}")
            }
            RollupProblem::Sums => write!(out, " has wrong sums"),
        }
    }
}
