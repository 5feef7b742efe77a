//! How many requests and request units each operation uses, exactly.

mod backlog;
mod budgets;
mod ended_holds;
mod exports;
mod hot;
mod jobs;
mod keys;
mod records;
mod recovery;
mod remainders;
mod requests;
mod roll_forward;
mod runaway_keys;
mod statements;
mod units;
mod usage;
