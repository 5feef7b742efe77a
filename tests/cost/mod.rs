//! How many requests and request units each operation uses, exactly.

mod backlog;
mod ended_holds;
mod jobs;
mod remainders;
mod requests;
mod units;
