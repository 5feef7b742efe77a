//! How long the history of the showcase is, and the sizes that follow from it.

use chrono::Duration;

/// How long the history of the showcase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ShowcaseScale {
    /// How many days it has; at least 7.
    pub days: u32,
    /// How many debits.
    pub transactions: u32,
}

impl ShowcaseScale {
    /// What `--seed showcase` makes.
    pub const FULL: Self = Self { days: 90, transactions: 40_000 };

    /// The monthly allowance: less than the organisation uses, so that it buys credits.
    pub(crate) fn allowance(self) -> u64 {
        let month = u64::from(self.transactions).saturating_mul(18).checked_div(u64::from(self.days).max(1));
        month.unwrap_or(0).max(100)
    }

    /// Below how many credits the organisation is warned.
    pub(crate) fn low_balance(self) -> u64 {
        self.allowance().checked_div(8).unwrap_or(0).max(20)
    }

    /// Below how many credits auto-recharge buys.
    pub(crate) fn recharge_threshold(self) -> u64 {
        self.low_balance().checked_div(2).unwrap_or(0).max(10)
    }

    /// The package that the organisation buys.
    pub(crate) fn pack(self) -> &'static str {
        if self.is_large() { "professional" } else { "starter" }
    }

    /// The credits of that package.
    pub(crate) fn pack_credits(self) -> u64 {
        if self.is_large() { 5_000 } else { 500 }
    }

    fn is_large(self) -> bool {
        self.allowance() > 5_000
    }

    /// A number of thousandths of the time.
    pub(crate) fn share(self, thousandths: u64) -> Duration {
        let seconds = share(u64::from(self.days).saturating_mul(86_400), thousandths);
        Duration::seconds(seconds.and_then(|seconds| i64::try_from(seconds).ok()).unwrap_or(0))
    }
}

/// A number of thousandths of `whole`.
pub(crate) fn share(whole: u64, thousandths: u64) -> Option<u64> {
    whole.saturating_mul(thousandths).checked_div(1000)
}
