//! Who calls for an organisation, with which scope.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;

use super::audit;
use super::identity::{Identified, OperatorCall, OrganisationCaller, identify, not_current};
use super::{ApiError, App, RequestContext};
use domain::{AccountId, Actor, Denial, Details, KeyId, OrganisationSwitches, Reference, Scope};

/// An organisation that calls with a key, or in a member's session, that has the scope `S`; or an operator who acts for it.
#[derive(Clone, Debug)]
pub struct Caller<S> {
    /// The account that the key belongs to, or that the operator has named.
    pub account: AccountId,
    /// The key, or the member who has signed in.
    pub by: Actor,
    /// The request.
    pub call: RequestContext,
    /// What the organisation has switched on or off.
    pub switches: OrganisationSwitches,
    scopes: BTreeSet<Scope>,
    /// Whether an operator acts for the organisation.
    is_operator: bool,
    /// Whether the key is paused.
    is_paused: bool,
    needs: PhantomData<S>,
}

impl<S> Caller<S> {
    /// The operator's key, `superAdmin` in transactions, if an operator acts for the organisation.
    #[must_use]
    pub fn super_admin(&self) -> Option<KeyId> {
        self.by.key().filter(|_| self.is_operator)
    }

    /// Details that say who has asked for a transaction, with everything else left open.
    #[must_use]
    pub fn details(&self) -> Details {
        self.signs(Details::default())
    }

    /// Details with who has asked for the transaction.
    #[must_use]
    pub fn signs(&self, details: Details) -> Details {
        Details {
            key_id: self.by.key(),
            super_admin: self.super_admin(),
            requested_by: self.by.member(),
            request_id: Some(self.call.id.to_string()),
            ..details
        }
    }

    /// The member whom a request, or the item of it at the path `of`, counts to: the one that it names. What members do in
    /// their sessions counts to themselves.
    ///
    /// # Errors
    /// [`ApiError::Invalid`] when a member names another one.
    pub fn counts_to(&self, named: Option<Reference>, of: &str) -> Result<Option<Reference>, ApiError> {
        let Some(own) = self.by.member().map(Reference::from) else { return Ok(named) };
        if named.is_some_and(|named| named != own) {
            let problem = "must be your own id in a session; leave it out";
            return Err(ApiError::field(format!("{of}memberId"), problem));
        }
        Ok(Some(own))
    }

    /// The caller's scopes.
    #[must_use]
    pub fn scopes(&self) -> &BTreeSet<Scope> {
        &self.scopes
    }

    /// Refuses a key that does not also have this scope: for a part of a route that needs more than the route.
    ///
    /// # Errors
    /// [`ApiError::Denied`].
    pub fn must_also(&self, scope: Scope) -> Result<(), ApiError> {
        if !self.scopes.contains(&scope) {
            return Err(Denial::Lacks(scope).into());
        }
        if let Some(key) = self.by.key().filter(|_| self.is_paused && scope == Scope::CreditsConsume) {
            return Err(Denial::Paused(key).into());
        }
        Ok(())
    }
}

/// The scope that a route needs.
pub trait Needs: Send + Sync {
    /// The scope.
    const SCOPE: Scope;
    /// An alternative scope.
    const OR: Option<Scope> = None;
    /// Whether every caller may call it, whatever its scopes.
    const IS_FOR_ALL: bool = false;
    /// Whether the route changes settings. It then needs a key that was read in the last minute, also while the settings
    /// cannot be read.
    const CHANGES_SETTINGS: bool = false;
    /// Whether the audit log has the route's requests that change something, when an operator makes them. What ends in a
    /// transaction is in the ledger.
    const IS_AUDITED: bool = Self::CHANGES_SETTINGS;
    /// Whether a paused key may do it: read, and end what it has begun.
    const WHEN_PAUSED: bool = false;
}

/// What a route lets a key do.
pub mod may {
    use super::{Needs, Scope};

    /// Read.
    #[derive(Clone, Copy, Debug)]
    pub enum Read {}

    /// Spend credits.
    #[derive(Clone, Copy, Debug)]
    pub enum Spend {}

    /// Capture or release credits that were set aside.
    #[derive(Clone, Copy, Debug)]
    pub enum EndHolds {}

    /// End what spends credits.
    #[derive(Clone, Copy, Debug)]
    pub enum StopSpending {}

    /// Buy credits.
    #[derive(Clone, Copy, Debug)]
    pub enum Buy {}

    /// Change settings.
    #[derive(Clone, Copy, Debug)]
    pub enum Set {}

    /// Read settings. A key that may change settings may read them.
    #[derive(Clone, Copy, Debug)]
    pub enum SeeSettings {}

    /// Refund.
    #[derive(Clone, Copy, Debug)]
    pub enum RefundDebits {}

    /// Report that a paid operation failed.
    #[derive(Clone, Copy, Debug)]
    pub enum Fail {}

    /// Read keys and members.
    #[derive(Clone, Copy, Debug)]
    pub enum SeeTeam {}

    /// Manage keys and members.
    #[derive(Clone, Copy, Debug)]
    pub enum ManageTeam {}

    /// See and end one's own sessions.
    #[derive(Clone, Copy, Debug)]
    pub enum SignOut {}

    impl Needs for SignOut {
        const SCOPE: Scope = Scope::CreditsRead;
        const IS_FOR_ALL: bool = true;
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for EndHolds {
        const SCOPE: Scope = Scope::CreditsConsume;
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for SeeTeam {
        const SCOPE: Scope = Scope::TeamWrite;
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for ManageTeam {
        const SCOPE: Scope = Scope::TeamWrite;
        const CHANGES_SETTINGS: bool = true;
    }

    impl Needs for RefundDebits {
        const SCOPE: Scope = Scope::CreditsRefund;
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for Fail {
        const SCOPE: Scope = Scope::CreditsRefund;
        const OR: Option<Scope> = Some(Scope::CreditsConsume);
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for StopSpending {
        const SCOPE: Scope = Scope::CreditsConsume;
        const IS_AUDITED: bool = true;
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for Buy {
        const SCOPE: Scope = Scope::CreditsPurchase;
    }

    impl Needs for Set {
        const SCOPE: Scope = Scope::SettingsWrite;
        const CHANGES_SETTINGS: bool = true;
    }

    impl Needs for SeeSettings {
        const SCOPE: Scope = Scope::CreditsRead;
        const OR: Option<Scope> = Some(Scope::SettingsWrite);
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for Read {
        const SCOPE: Scope = Scope::CreditsRead;
        const WHEN_PAUSED: bool = true;
    }

    impl Needs for Spend {
        const SCOPE: Scope = Scope::CreditsConsume;
    }
}

impl<S: Needs> FromRequestParts<Arc<App>> for Caller<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let identified = identify(parts, app).await?;
        let Identified { is_current, is_outgoing, is_paused, .. } = identified;
        let OrganisationCaller { call, account, by, scopes, switches, role } =
            identified.organisation(parts, app).await?;
        if !S::IS_FOR_ALL && !scopes.iter().any(|scope| *scope == S::SCOPE || S::OR == Some(*scope)) {
            return Err(match role {
                _ if is_outgoing && S::SCOPE == Scope::TeamWrite => Denial::Outgoing,
                Some(role) => Denial::RoleLacks(role, S::SCOPE),
                None => Denial::Lacks(S::SCOPE),
            }
            .into());
        }
        if let Some(key) = by.key().filter(|_| is_paused && !S::WHEN_PAUSED) {
            return Err(Denial::Paused(key).into());
        }
        if S::CHANGES_SETTINGS && !is_current {
            return Err(not_current());
        }
        if let Some((role, key)) = role.zip(by.key()).filter(|_| S::IS_AUDITED && !parts.method.is_safe()) {
            audit::begin(app, &OperatorCall { key, role, call: call.clone() }, parts).await?;
        }
        // Only a test ledger has a clock of its own; for a live ledger nothing is read.
        let call = match app.ledger.test_clock(account).await? {
            Some(own) => call.at(own),
            None => call,
        };
        let is_operator = role.is_some();
        Ok(Self { account, by, call, switches, scopes, is_operator, is_paused, needs: PhantomData })
    }
}
