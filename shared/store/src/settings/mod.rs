//! The settings table: organisations, API keys and the catalogue.

pub(crate) mod api_keys;
pub(crate) mod catalogue;
pub(crate) mod last_known;
pub(crate) mod organisations;
pub(crate) mod outage;
pub(crate) mod snapshot;
