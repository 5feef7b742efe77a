use std::marker::PhantomData;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::{ApiError, App, Call};
use domain::{AccountId, Denial, KeyId, Principal, Scope, Secret};

/// An organisation that calls with a key of the scope that `S` names.
#[derive(Clone, Debug)]
pub struct Caller<S> {
    /// The ledger that its key sees.
    pub account: AccountId,
    /// The key.
    pub key: KeyId,
    /// The request.
    pub call: Call,
    needs: PhantomData<S>,
}

/// An operator who calls.
#[derive(Clone, Debug)]
pub struct Operator {
    /// The key's public name: `superAdmin` in what it does.
    pub key: KeyId,
    /// The request.
    pub call: Call,
}

/// What a route needs of a key.
pub trait Needs: Send + Sync {
    /// The scope.
    const SCOPE: Scope;
    /// Another one that will do.
    const OR: Option<Scope> = None;
}

/// The scopes that routes ask for.
pub mod may {
    use super::{Needs, Scope};

    /// Only looks.
    #[derive(Clone, Copy, Debug)]
    pub enum Read {}

    /// Spends.
    #[derive(Clone, Copy, Debug)]
    pub enum Consume {}

    /// Buys.
    #[derive(Clone, Copy, Debug)]
    pub enum Purchase {}

    /// Changes settings.
    #[derive(Clone, Copy, Debug)]
    pub enum Set {}

    /// Looks at settings: whoever changes them may see them.
    #[derive(Clone, Copy, Debug)]
    pub enum SeeSettings {}

    /// Takes back.
    #[derive(Clone, Copy, Debug)]
    pub enum Refund {}

    /// Reports that what it was charged for has failed.
    #[derive(Clone, Copy, Debug)]
    pub enum Fail {}

    impl Needs for Refund {
        const SCOPE: Scope = Scope::CreditsRefund;
    }

    impl Needs for Fail {
        const SCOPE: Scope = Scope::CreditsRefund;
        const OR: Option<Scope> = Some(Scope::CreditsConsume);
    }

    impl Needs for Purchase {
        const SCOPE: Scope = Scope::CreditsPurchase;
    }

    impl Needs for Set {
        const SCOPE: Scope = Scope::SettingsWrite;
    }

    impl Needs for SeeSettings {
        const SCOPE: Scope = Scope::CreditsRead;
        const OR: Option<Scope> = Some(Scope::SettingsWrite);
    }

    impl Needs for Read {
        const SCOPE: Scope = Scope::CreditsRead;
    }

    impl Needs for Consume {
        const SCOPE: Scope = Scope::CreditsConsume;
    }
}

impl<S: Needs> FromRequestParts<Arc<App>> for Caller<S> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        let (call, principal) = identify(parts, app).await?;
        let Principal::Organisation { account, key, scopes } = principal else {
            return Err(Denial::WrongSide(
                "an operator's key works under /admin/v1/; use a key of the organisation",
            )
            .into());
        };
        if !scopes.iter().any(|scope| *scope == S::SCOPE || S::OR == Some(*scope)) {
            return Err(Denial::Lacks(S::SCOPE).into());
        }
        // A test ledger may have a clock of its own; for live ones nothing is read.
        let call = match app.ledger.test_clock(account).await? {
            Some(own) => call.at(own),
            None => call,
        };
        Ok(Self { account, key, call, needs: PhantomData })
    }
}

impl FromRequestParts<Arc<App>> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, ApiError> {
        match identify(parts, app).await? {
            (call, Principal::Operator { key }) => Ok(Self { key, call }),
            (_, Principal::Organisation { .. }) => {
                Err(Denial::WrongSide("/admin/v1/ is for operators; use an operator's key").into())
            }
        }
    }
}

/// Who calls. The one way from an `Authorization` header to a principal, for functions that check
/// keys themselves and for whatever checks them on their behalf.
async fn identify(parts: &mut Parts, app: &Arc<App>) -> Result<(Call, Principal), ApiError> {
    let Ok(call) = Call::from_request_parts(parts, app).await;
    let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
    let value = match (sent.next(), sent.next()) {
        (None, _) => return Err(ApiError::MissingKey),
        (Some(value), None) => value.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => return Err(ApiError::InvalidKey),
    };
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    if scheme.eq_ignore_ascii_case("bearer") && key.trim().is_empty() {
        return Err(ApiError::MissingKey);
    }
    let secret = Some(key.trim()).filter(|_| scheme.eq_ignore_ascii_case("bearer")).and_then(Secret::parse);
    let secret = secret.ok_or(ApiError::InvalidKey)?;
    let known = app.settings.known(&secret, call.moment).await?.ok_or(ApiError::InvalidKey)?;
    let principal = known.key.admit(known.plan.as_ref(), call.moment.now)?;
    if let Principal::Organisation { account, .. } = &principal {
        call.of(*account);
    }
    // For what is read of the request next, which is remembered as theirs.
    parts.extensions.insert(principal.clone());
    Ok((call, principal))
}
