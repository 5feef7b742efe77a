//! The credit ledger in three rooms: what it means ([`domain`]), where it is kept ([`store`]), and
//! how callers reach it ([`edge`]). A room may name only the rooms before it; the tests keep that
//! rule.

pub mod domain;
pub mod edge;
pub mod store;
