#![doc = include_str!("../README.md")]

pub mod domain;
pub mod edge;
pub mod pay;
pub mod store;
