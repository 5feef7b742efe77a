//! The tables: keys, items, the requests that read and write them, and the cache of accounts.

pub(crate) mod account_cache;
pub(crate) mod attribute;
pub(crate) mod backoff;
pub(crate) mod budget_cache;
pub(crate) mod budget_key;
pub(crate) mod budget_lanes;
pub(crate) mod canonical;
pub(crate) mod condition;
pub(crate) mod conditional_update;
pub(crate) mod damage;
pub(crate) mod error;
pub(crate) mod expiry;
pub(crate) mod item;
pub(crate) mod key;
pub(crate) mod ledger;
pub(crate) mod lot_key;
pub(crate) mod packed;
pub(crate) mod packed_rollup;
pub(crate) mod query;
pub(crate) mod remainder_item;
pub(crate) mod requests;
pub(crate) mod row_backlog;
pub(crate) mod row_heat;
pub(crate) mod row_query;
pub(crate) mod settings_key;
pub(crate) mod stream_image;
