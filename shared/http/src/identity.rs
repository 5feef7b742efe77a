//! From the headers of a request to who calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::context::RateCount;
use super::limits::RateLimited;
use super::{ApiError, App, PathId, RequestContext, verifik};
use domain::{
    AccountId, ApiKeySecret, Denial, KeyId, Mode, OperatorRole, OrgId, OrganisationSwitches, Principal,
    Reference, Scope,
};
use store::{Fault, KnownKey};

/// The header in which an operator names the organisation that it acts for: `org_…`, or `external:` and the organisation's
/// `externalId`.
const ACTS_FOR: &str = "scrip-organisation";

/// The header in which such an operator names the ledger: live (the default) or test.
const ACTS_IN: &str = "scrip-mode";

/// A caller whose key was admitted.
pub(super) struct Identified {
    pub(super) call: RequestContext,
    pub(super) principal: Principal,
    /// What the key's organisation has switched on or off.
    pub(super) switches: OrganisationSwitches,
    /// Whether the key is paused.
    pub(super) is_paused: bool,
    /// Whether the key was read in the last minute.
    pub(super) is_current: bool,
}

/// An organisation's caller.
pub(super) struct OrganisationCaller {
    pub(super) call: RequestContext,
    pub(super) account: AccountId,
    pub(super) key: KeyId,
    pub(super) scopes: BTreeSet<Scope>,
    /// What the organisation has switched on or off.
    pub(super) switches: OrganisationSwitches,
    /// The role of the operator who acts for the organisation; `None` for a key of its own.
    pub(super) role: Option<OperatorRole>,
}

/// A request of an operator.
#[derive(Clone, Debug)]
pub struct OperatorCall {
    /// The key's id, `superAdmin` in transactions.
    pub key: KeyId,
    /// The key's role.
    pub role: OperatorRole,
    /// The request.
    pub call: RequestContext,
}

/// Identifies the caller. This is the only way from an `Authorization` header to a principal.
pub(super) async fn identify(parts: &mut Parts, app: &Arc<App>) -> Result<Identified, ApiError> {
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
    if known.is_closed {
        return Err(Denial::Closed.into());
    }
    within_limits(app, &known, &call).await?;
    app.settings.note_use(&known.key, call.moment.now).await;
    // `Once` reads it to know whose idempotency key the request has.
    parts.extensions.insert(principal.clone());
    let (switches, is_paused, is_current) = (known.switches, known.key.paused_at.is_some(), known.is_current);
    Ok(Identified { call, principal, switches, is_paused, is_current })
}

/// Counts the request with the limits of the key and of its organisation.
async fn within_limits(app: &App, known: &KnownKey, call: &RequestContext) -> Result<(), ApiError> {
    let organisation = known.key.org.map(|org| org.to_string());
    let organisation = organisation.zip(known.rate_limit).map(|(org, limit)| ("organisation", org, limit));
    let key = known.key.rate_limit.map(|limit| ("key", known.key.key_id.to_string(), limit));
    for (of, subject, limit) in key.into_iter().chain(organisation) {
        let state = app.settings.count_request(&subject, limit, call.moment.wall).await;
        call.counts(RateCount { of, state });
        if !state.is_within {
            return Err(RateLimited { of, limit, ends_in: state.ends_in }.into());
        }
    }
    Ok(())
}

impl Identified {
    /// The organisation whose key calls, or for which an operator acts.
    pub(super) async fn organisation(
        self,
        parts: &mut Parts,
        app: &Arc<App>,
    ) -> Result<OrganisationCaller, ApiError> {
        let Self { call, principal, switches, .. } = self;
        let named = one(&parts.headers, ACTS_FOR)?;
        let (key, role) = match principal {
            Principal::Organisation { account, key, scopes } if named.is_none() => {
                return Ok(OrganisationCaller { call, account, key, scopes, switches, role: None });
            }
            Principal::Organisation { .. } => {
                let words = "the header Scrip-Organisation is for operators' keys; leave it out";
                return Err(Denial::WrongSide(words).into());
            }
            Principal::Operator { key, role } => (key, role),
        };
        let words = "an operator's key works under /admin/v1/, or for the organisation that the header \
                     Scrip-Organisation names; send that header, or use a key of the organisation";
        let named = named.ok_or(Denial::WrongSide(words))?;
        let mode = match one(&parts.headers, ACTS_IN)? {
            None | Some("live") => Mode::Live,
            Some("test") => Mode::Test,
            Some(_) => return Err(ApiError::field("Scrip-Mode", "must be `live` or `test`")),
        };
        let (org, switches) = acted_for(app, named, &call).await?;
        let account = AccountId { org, mode };
        call.of(account);
        let scopes = role.scopes();
        parts.extensions.insert(Principal::Organisation { account, key, scopes: scopes.clone() });
        Ok(OrganisationCaller { call, account, key, scopes, switches, role: Some(role) })
    }
}

/// The organisation that an operator has named, and what it has switched on or off.
async fn acted_for(
    app: &App,
    named: &str,
    call: &RequestContext,
) -> Result<(OrgId, OrganisationSwitches), ApiError> {
    let wall = call.moment.wall;
    let org = match named.strip_prefix("external:") {
        Some(external) => {
            let external = Reference::try_from(external.to_owned()).map_err(|_| OrgId::NOT_FOUND)?;
            app.settings.org_of_external(&external, wall).await?.ok_or(OrgId::NOT_FOUND)?
        }
        None => OrgId::try_from(named.to_owned()).map_err(|_| OrgId::NOT_FOUND)?,
    };
    let switches = app.settings.switches(org, wall).await?.ok_or(OrgId::NOT_FOUND)?;
    Ok((org, switches))
}

/// The value of a header that may be sent once.
fn one<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>, ApiError> {
    let mut sent = headers.get_all(name).iter();
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => {
            value.to_str().map(Some).map_err(|_| ApiError::field(name, "must be visible ASCII characters"))
        }
        (Some(_), Some(_)) => Err(ApiError::field(name, "must be sent once")),
    }
}

/// The error while the settings cannot be read, for a request that does not decide on the last known ones.
pub(super) fn not_current() -> ApiError {
    Fault::Unavailable { doing: "read an API key", source: "it is not current".into() }.into()
}
