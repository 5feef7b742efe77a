//! The value of one lot: what its unused credits are worth, and what is remembered of those that left it.

use serde::{Deserialize, Serialize};

use super::worth::Stock;
use crate::Source;

/// A lot at the end of a month.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LotValue {
    /// Its source.
    #[serde(rename = "src")]
    pub source: Source,
    /// The credits that are not used: those left, and those that holds have set aside.
    #[serde(default, skip_serializing_if = "Stock::is_empty")]
    pub left: Stock,
    /// Those of them that holds have set aside.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: i64,
    /// What was used, in case a debit is refunded.
    #[serde(default, skip_serializing_if = "Stock::is_empty")]
    pub used: Stock,
    /// What refunds of money took back, in case one fails.
    #[serde(rename = "back", default, skip_serializing_if = "Stock::is_empty")]
    pub withdrawn: Stock,
}

/// Credits of a lot that may come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Returning {
    /// Used credits, by a refund of a debit.
    Used,
    /// Withdrawn credits, by a refund of money that fails.
    Withdrawn,
}

impl LotValue {
    pub(super) fn new(source: Source) -> Self {
        let none = Stock::default;
        Self { source, left: none(), held: 0, used: none(), withdrawn: none() }
    }

    /// Whether it has neither credits nor worth left.
    pub(super) fn is_spent(&self) -> bool {
        self.left.is_empty() && self.held == 0
    }

    pub(super) fn returning(&mut self, what: Returning) -> &mut Stock {
        match what {
            Returning::Used => &mut self.used,
            Returning::Withdrawn => &mut self.withdrawn,
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(credits: &i64) -> bool {
    *credits == 0
}
