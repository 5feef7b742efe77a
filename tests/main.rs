//! All tests of the package: what callers see, what crashes and races leave, and what the project promises.
#![expect(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test that overflows or finds nothing fails, as it should"
)]

mod api;
mod contract;
mod cost;
mod crash;
mod model;
mod race;
