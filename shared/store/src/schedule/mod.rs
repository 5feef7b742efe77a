//! What is due at a time: scheduled jobs, the directory of accounts for the monthly renewals, roll-forwards,
//! and test clocks.

pub(crate) mod directory;
pub(crate) mod job_list;
pub(crate) mod jobs;
pub(crate) mod open_jobs;
pub(crate) mod roll_forward;
pub(crate) mod test_clock;
