//! Who calls: an organisation with a scope, or an operator.

use std::collections::BTreeSet;
use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{ApiError, App, RequestContext, verifik};
use domain::{AccountId, ApiKeySecret, Denial, KeyId, Principal, Scope};
use store::Fault;

/// An organisation that calls with a key that has the scope `S`.
#[derive(Clone, Debug)]
pub struct Caller<S> {
    /// The account that the key belongs to.
    pub account: AccountId,
    /// The key.
    pub key: KeyId,
    /// The request.
    pub call: RequestContext,
    scopes: BTreeSet<Scope>,
    needs: PhantomData<S>,
}

impl<S> Caller<S> {
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
        if self.scopes.contains(&scope) { Ok(()) } else { Err(Denial::Lacks(scope).into()) }
    }
}

/// An operator. A request that does more than read needs a key that was read in the last minute, also while the settings
/// cannot be read.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The key's id, `superAdmin` in transactions.
    pub key: KeyId,
    /// The request.
    pub call: RequestContext,
}

/// An operator whose key may be the last known one: for what must be possible while the settings cannot be read.
#[derive(Clone, Debug)]
pub struct LastKnownOperator(pub Operator);

/// The scope that a route needs.
pub trait Needs: Send + Sync {
    /// The scope.
    const SCOPE: Scope;
    /// An alternative scope.
    const OR: Option<Scope> = None;
    /// Whether the route changes settings. It then needs a key that was read in the last minute, also while the settings
    /// cannot be read.
    const CHANGES_SETTINGS: bool = false;
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

    impl Needs for SeeTeam {
        const SCOPE: Scope = Scope::TeamWrite;
    }

    impl Needs for ManageTeam {
        const SCOPE: Scope = Scope::TeamWrite;
        const CHANGES_SETTINGS: bool = true;
    }

    impl Needs for RefundDebits {
        const SCOPE: Scope = Scope::CreditsRefund;
    }

    impl Needs for Fail {
        const SCOPE: Scope = Scope::CreditsRefund;
        const OR: Option<Scope> = Some(Scope::CreditsConsume);
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
    }

    impl Needs for Read {
        const SCOPE: Scope = Scope::CreditsRead;
    }

    impl Needs for Spend {
        const SCOPE: Scope = Scope::CreditsConsume;
    }
}

impl<S: Needs> FromRequestParts<Arc<App>> for Caller<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let Identified { call, principal, is_current } = identify(parts, app).await?;
        let Principal::Organisation { account, key, scopes } = principal else {
            return Err(Denial::WrongSide(
                "an operator's key works under /admin/v1/; use a key of the organisation",
            )
            .into());
        };
        if !scopes.iter().any(|scope| *scope == S::SCOPE || S::OR == Some(*scope)) {
            return Err(Denial::Lacks(S::SCOPE).into());
        }
        if S::CHANGES_SETTINGS && !is_current {
            return Err(not_current());
        }
        // Only a test ledger has a clock of its own; for a live ledger nothing is read.
        let call = match app.ledger.test_clock(account).await? {
            Some(own) => call.at(own),
            None => call,
        };
        Ok(Self { account, key, call, scopes, needs: PhantomData })
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let (operator, is_current) = operator(parts, app).await?;
        if is_current || parts.method.is_safe() { Ok(operator) } else { Err(not_current()) }
    }
}

impl FromRequestParts<Arc<App>> for LastKnownOperator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        operator(parts, app).await.map(|(operator, _)| Self(operator))
    }
}

/// The operator who calls, and whether the key is current.
async fn operator(parts: &mut Parts, app: &Arc<App>) -> Result<(Operator, bool), ApiError> {
    let Identified { call, principal, is_current } = identify(parts, app).await?;
    match principal {
        Principal::Operator { key } => Ok((Operator { key, call }, is_current)),
        Principal::Organisation { .. } => {
            Err(Denial::WrongSide("/admin/v1/ is for operators; use an operator's key").into())
        }
    }
}

/// The error while the settings cannot be read, for a request that does not decide on the last known ones.
fn not_current() -> ApiError {
    Fault::Unavailable { doing: "read an API key", source: "it is not current".into() }.into()
}

/// A caller whose key was admitted.
struct Identified {
    call: RequestContext,
    principal: Principal,
    /// Whether the key was read in the last minute.
    is_current: bool,
}

/// Identifies the caller. This is the only way from an `Authorization` header to a principal.
async fn identify(parts: &mut Parts, app: &Arc<App>) -> Result<Identified, ApiError> {
    let Ok(call) = RequestContext::from_request_parts(parts, app).await;
    let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
    let value = match (sent.next(), sent.next()) {
        (None, _) => return Err(ApiError::MissingKey),
        (Some(value), None) => value.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => return Err(ApiError::InvalidKey),
    };
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    let is_key = scheme.eq_ignore_ascii_case("bearer")
        || verifik::is_below(parts.uri.path()) && scheme.eq_ignore_ascii_case(verifik::SCHEME);
    if is_key && key.trim().is_empty() {
        return Err(ApiError::MissingKey);
    }
    let secret = Some(key.trim()).filter(|_| is_key).and_then(ApiKeySecret::parse);
    let secret = secret.ok_or(ApiError::InvalidKey)?;
    let known = app.settings.find_key(&secret, call.moment).await?.ok_or(ApiError::InvalidKey)?;
    let principal = known.key.admit(known.plan.as_ref(), call.from, call.moment.now)?;
    if let Principal::Organisation { account, .. } = &principal {
        call.of(*account);
    }
    // `Once` reads it to know whose idempotency key the request has.
    parts.extensions.insert(principal.clone());
    Ok(Identified { call, principal, is_current: known.is_current })
}
