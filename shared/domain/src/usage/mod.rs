//! Usage: what transactions add up to, by day and by what they were for.

mod query;
mod rollup;
mod series;
mod tally;

pub use query::{Dimension, Granularity, Measure, UsageCategory, UsageFilter};
pub use rollup::{Cell, CellSum, Rollup, RollupLine, RollupLot, RollupPart, RollupRecord};
pub use series::{Series, UsageOwner, UsageQuery, UsageSeries, UsageSum, days_of, without};
pub use tally::{DatedRecord, DayTotal, PendingRollup, RollupTally};
