//! How many requests and request units each operation uses, exactly.

mod ended_holds;
mod remainders;
mod requests;
mod units;
