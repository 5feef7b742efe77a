//! Usage: what transactions add up to, by day and by what they were for; and what became of lots.

mod apportion;
mod bucket_flow;
mod lot_change;
mod lot_movements;
mod lot_price;
mod lot_record;
mod lot_state;
mod lot_value;
mod month_flow;
mod month_value;
mod query;
mod rollup;
mod sale;
mod series;
mod tally;
mod valuation;
mod value_flow;
mod worth;

pub use bucket_flow::{BucketFlow, FlowCauses};
pub use lot_change::{Arrival, LotChange, LotChangeKind};
pub use lot_movements::{LotMovement, LotMovements, LotTransfer};
pub use lot_price::{LotPrice, LotPrices};
pub use lot_record::{Cost, LotRecord};
pub use lot_state::{LotState, LotStatus};
pub use lot_value::LotValue;
pub use month_flow::MonthFlow;
pub use month_value::MonthValue;
pub use query::{Dimension, Granularity, Measure, UsageCategory, UsageFilter};
pub use rollup::{Cell, CellSum, Rollup, RollupLine, RollupLot, RollupPart, RollupRecord};
pub use sale::Sale;
pub use series::{Series, UsageOwner, UsageQuery, UsageSeries, UsageSum, days_of, without};
pub use tally::{DatedRecord, DayTotal, PendingRollup, RollupTally};
pub use valuation::{LotOverdrawn, MonthEvents};
pub use value_flow::{ValueFlow, ValueFlows};
pub use worth::{Stock, Worth};
