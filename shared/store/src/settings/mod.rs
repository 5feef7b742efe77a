//! The settings table: organisations, API keys and the catalogue.

pub(crate) mod api_keys;
pub(crate) mod audit_log;
pub(crate) mod catalogue;
pub(crate) mod change_log;
pub(crate) mod ended_invitations;
pub(crate) mod external_ids;
pub(crate) mod invitations;
pub(crate) mod issued_keys;
pub(crate) mod key_changes;
pub(crate) mod key_pauses;
pub(crate) mod key_use;
pub(crate) mod known_members;
pub(crate) mod last_known;
pub(crate) mod members;
pub(crate) mod memberships;
pub(crate) mod organisation_changes;
pub(crate) mod organisation_names;
pub(crate) mod organisations;
pub(crate) mod outage;
pub(crate) mod rate_limits;
pub(crate) mod seats;
pub(crate) mod sign_ins;
pub(crate) mod signed_in_members;
pub(crate) mod snapshot;
pub(crate) mod unknown;
