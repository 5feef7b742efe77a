//! How many requests and request units each operation uses, exactly.

mod backlog;
mod ended_holds;
#[expect(clippy::float_arithmetic, reason = "rates and units are fractions")]
mod hot;
mod jobs;
#[expect(clippy::float_arithmetic, reason = "units are fractions")]
mod recovery;
mod remainders;
mod requests;
mod units;
