//! x

pub mod engine;
