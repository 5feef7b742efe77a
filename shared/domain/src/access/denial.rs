//! Why an API key is refused.

use std::net::IpAddr;

use crate::{Duty, KeyId, MemberRole, OperatorRole, Scope};

/// The reason why a key is refused. The variants are in the order in which they are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// It was revoked.
    #[error("this API key was revoked; use another one, or create one")]
    Revoked,
    /// It was rolled, and the time for which its previous secret was accepted has ended.
    #[error("this is the previous secret of a key that was rolled; use the key's new secret")]
    Rolled,
    /// It is the previous secret of a key that was rolled, which is accepted for a while and manages no keys.
    #[error(
        "this is the previous secret of a key that was rolled, and manages no keys; use the key's new secret"
    )]
    Outgoing,
    /// Its end has passed.
    #[error("this API key has expired; use another one, or set a later `expiresAt` with another key")]
    Expired,
    /// The organisation's plan has no API access.
    #[error(
        "the organisation's plan has no API access; change to a plan that has it, or use a key with the `dashboard` scope"
    )]
    NoApiAccess,
    /// Its organisation was closed.
    #[error("this organisation is closed, and its ledger is kept; ask an operator to open it again")]
    Closed,
    /// The caller's address is not one of those that the key may be used from. `None` when the address is not known.
    #[error(
        "this API key may not be used from {}; call from one of its `allowedIps`, or add this address to them",
        .0.map_or_else(|| "an unknown address".to_owned(), |address| address.to_string())
    )]
    Address(Option<IpAddr>),
    /// The route is for the other kind of caller.
    #[error("{0}")]
    WrongSide(&'static str),
    /// The key lacks a scope.
    #[error("this API key lacks the scope `{}`; use a key that has it", .0.as_str())]
    Lacks(Scope),
    /// The role of the operator who acts for an organisation lacks a scope.
    #[error(
        "an operator with the role `{}` has no scope `{}` when it acts for an organisation; use a key with the role {}",
        .0.as_str(), .1.as_str(), OperatorRole::with_scope(*.1)
    )]
    RoleLacks(OperatorRole, Scope),
    /// The role of the operator's key does not include this.
    #[error("this operator's key has the role `{}`; use one with the role {}", .0.as_str(), OperatorRole::with(*.1))]
    Role(OperatorRole, Duty),
    /// It is paused, because it spent far more than it used to.
    #[error(
        "this API key is paused, because it spent far more than it used to; it only reads, and ends what it has begun. If that \
         was no leak, resume it with POST /api/v3/api-keys/{0}/resume and another key that has the scope `team:write`"
    )]
    Paused(KeyId),
    /// The organisation has switched this off.
    #[error("{0}")]
    SwitchedOff(&'static str),
    /// The key would give another key a scope that it lacks.
    #[error(
        "this API key lacks the scope `{}`, so it cannot create, change or roll a key that has it; use a key that has it",
        .0.as_str()
    )]
    CannotGive(Scope),
    /// The key would give, change or end a role with a scope that it lacks.
    #[error(
        "this API key lacks the scope `{}`, so it cannot give, change or end the role `{}`; use a key that has it",
        .1.as_str(), .0.as_str()
    )]
    CannotGiveRole(MemberRole, Scope),
}
