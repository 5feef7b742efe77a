#![doc = include_str!("../README.md")]

pub mod calendar;
pub mod domain;
pub mod edge;
pub mod hooks;
pub mod pay;
pub mod store;
