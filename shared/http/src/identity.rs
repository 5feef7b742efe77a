//! From the headers of a request to who calls.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;

use super::context::RateCount;
use super::limits::RateLimited;
use super::session_cookie::{self, SessionCookie};
use super::unidentified::Unidentified;
use super::{ApiError, App, PathId, RequestContext, verifik};
use domain::{
    AccountId, Actor, ApiKey, ApiKeySecret, Denial, KeyId, MemberStatus, Mode, OperatorRole, OrgId,
    OrganisationSwitches, Principal, RateLimit, Reference, Scope, SignIn, SignInOwner, SignInToken,
};
use store::{Fault, KnownKey, KnownMember, KnownOwner};

/// The header in which an operator names the organisation that it acts for: `org_…`, or `external:` and the organisation's
/// `externalId`.
const ACTS_FOR: &str = "scrip-organisation";

/// The header in which such an operator, or a member in a session, names the ledger: live (the default) or test.
const ACTS_IN: &str = "scrip-mode";

/// The header in which a page of a session shows that a request comes from it.
const CSRF: &str = "scrip-csrf-token";

/// A caller whose key or session was admitted.
pub(super) struct Identified {
    pub(super) call: RequestContext,
    pub(super) principal: Principal,
    /// What the caller's organisation has switched on or off.
    pub(super) switches: OrganisationSwitches,
    /// Whether the key is paused.
    pub(super) is_paused: bool,
    /// Whether the key, and the session, were read in the last minute.
    pub(super) is_current: bool,
    /// Whether it is the previous secret of a key that was rolled.
    pub(super) is_outgoing: bool,
}

/// An organisation's caller.
pub(super) struct OrganisationCaller {
    pub(super) call: RequestContext,
    pub(super) account: AccountId,
    pub(super) by: Actor,
    pub(super) scopes: BTreeSet<Scope>,
    /// What the organisation has switched on or off.
    pub(super) switches: OrganisationSwitches,
    /// The role of the operator who acts for the organisation; `None` for a key or a member of its own.
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

/// What a request shows of its caller.
enum Credential {
    Key(ApiKeySecret),
    Session(SignInToken),
}

/// A key or a member that was found, before its limits are counted.
struct Admitted {
    principal: Principal,
    is_current: bool,
    is_closed: bool,
    switches: OrganisationSwitches,
    /// The key, to note that it was used; `None` for a member.
    key: Option<ApiKey>,
    org: Option<OrgId>,
    org_limit: Option<RateLimit>,
}

/// Whose sessions a caller can see and end, and the session of the request. Extracted after the caller.
#[derive(Clone, Debug)]
pub struct SignedIn {
    /// The key or the member who calls.
    pub owner: SignInOwner,
    /// The hash of the key's secret; `None` for a member.
    pub key: Option<String>,
    /// The session; `None` for a request with an API key.
    pub session: Option<CurrentSession>,
}

/// The session of a request.
#[derive(Clone, Debug)]
pub struct CurrentSession {
    /// Its token.
    pub token: SignInToken,
    /// The session.
    pub session: SignIn,
    /// Its key or member.
    pub owner: KnownOwner,
}

/// A key that begins a session.
#[derive(Clone, Debug)]
pub struct SigningIn {
    /// The key.
    pub owner: SignInOwner,
    /// The hash of its secret.
    pub hash: String,
}

impl<S: Sync> FromRequestParts<S> for SignedIn {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(parts.extensions.get().cloned().ok_or(Unidentified::MissingKey)?)
    }
}

/// Identifies the caller. This is the only way from an `Authorization` header or a cookie to a principal.
pub(super) async fn identify(parts: &mut Parts, app: &Arc<App>) -> Result<Identified, ApiError> {
    let Ok(call) = RequestContext::from_request_parts(parts, app).await;
    let (admitted, signed_in) = match credential(parts, app)? {
        Credential::Key(secret) => {
            let known = app.settings.find_key(&secret, call.moment).await?.ok_or(Unidentified::InvalidKey)?;
            let owner = SignInOwner::Key(known.key.org, known.key.key_id);
            (with_key(known, &call)?, SignedIn { owner, key: Some(secret.hash()), session: None })
        }
        Credential::Session(token) => in_session(parts, app, &call, token).await?,
    };
    enter(app, &call, &admitted).await?;
    let is_outgoing = admitted.key.as_ref().is_some_and(|key| key.rolled_until.is_some());
    let is_paused = admitted.key.as_ref().is_some_and(|key| key.paused_at.is_some());
    let Admitted { principal, switches, is_current, .. } = admitted;
    // `Once` reads it to know whose idempotency key the request has.
    parts.extensions.insert(principal.clone());
    parts.extensions.insert(signed_in);
    Ok(Identified { call, principal, switches, is_paused, is_current, is_outgoing })
}

/// Finds the key with which a person signs in, and counts the request as every request with it.
///
/// # Errors
/// As for every request with the key.
pub async fn sign_in_with(app: &App, call: &RequestContext, key: &str) -> Result<SigningIn, ApiError> {
    let secret = ApiKeySecret::parse(key.trim()).ok_or(Unidentified::InvalidKey)?;
    let known = app.settings.find_key(&secret, call.moment).await?.ok_or(Unidentified::InvalidKey)?;
    let owner = SignInOwner::Key(known.key.org, known.key.key_id);
    enter(app, call, &with_key(known, call)?).await?;
    Ok(SigningIn { owner, hash: secret.hash() })
}

/// The key or the member of a session that has just begun, if a request in it would be admitted.
///
/// # Errors
/// As for every request in the session.
pub async fn resume_session(
    app: &App,
    call: &RequestContext,
    token: &SignInToken,
) -> Result<KnownOwner, ApiError> {
    let known = app.settings.find_session(token, call.moment).await?.ok_or(Unidentified::SessionEnded)?;
    let is_closed = match &known.owner {
        KnownOwner::Key(key) => with_key((**key).clone(), call)?.is_closed,
        KnownOwner::Member(member) => as_member((**member).clone(), Mode::Live)?.is_closed,
    };
    if is_closed { Err(Denial::Closed.into()) } else { Ok(known.owner) }
}

/// What every caller passes that was found: the organisation is open, and the limits have room.
async fn enter(app: &App, call: &RequestContext, admitted: &Admitted) -> Result<(), ApiError> {
    if let Principal::Organisation { account, .. } = &admitted.principal {
        call.of(*account);
    }
    if admitted.is_closed {
        return Err(Denial::Closed.into());
    }
    within_limits(app, admitted, call).await?;
    if let Some(key) = &admitted.key {
        app.settings.note_use(key, call.moment.now).await;
    }
    Ok(())
}

/// The key or the session of a request. A key comes first, so that a cookie changes nothing for a program.
fn credential(parts: &Parts, app: &App) -> Result<Credential, ApiError> {
    let mut sent = parts.headers.get_all(AUTHORIZATION).iter();
    let value = match (sent.next(), sent.next()) {
        (None, _) => return session(parts, app),
        (Some(value), None) => value.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => return Err(Unidentified::InvalidKey.into()),
    };
    let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
    let is_key = scheme.eq_ignore_ascii_case("bearer")
        || verifik::is_below(parts.uri.path()) && scheme.eq_ignore_ascii_case(verifik::SCHEME);
    if is_key && key.trim().is_empty() {
        return Err(Unidentified::MissingKey.into());
    }
    if key.is_empty() && ApiKeySecret::parse(scheme).is_some() {
        return Err(Unidentified::NoScheme.into());
    }
    let secret = Some(key.trim()).filter(|_| is_key).and_then(ApiKeySecret::parse);
    Ok(Credential::Key(secret.ok_or(Unidentified::InvalidKey)?))
}

/// The session that a cookie names: an operator's for what operators do, and one of an organisation otherwise.
fn session(parts: &Parts, app: &App) -> Result<Credential, ApiError> {
    let is_operators = parts.uri.path().starts_with("/admin/") || parts.headers.contains_key(ACTS_FOR);
    let (first, second) = match is_operators {
        true => (SessionCookie::Operator, SessionCookie::Organisation),
        false => (SessionCookie::Organisation, SessionCookie::Operator),
    };
    let value = |cookie: SessionCookie| cookie.value(&parts.headers, app.is_https);
    let value = value(first).or_else(|| value(second)).ok_or(Unidentified::MissingKey)?;
    Ok(Credential::Session(session_cookie::token(&value).ok_or(Unidentified::SessionEnded)?))
}

/// The caller with a key.
fn with_key(known: KnownKey, call: &RequestContext) -> Result<Admitted, ApiError> {
    let KnownKey { key, plan, is_closed, rate_limit, switches, is_current } = known;
    let principal = key.admit(plan.as_ref(), call.from, call.moment.now)?;
    Ok(Admitted {
        principal,
        is_current,
        is_closed,
        switches,
        org: key.org,
        org_limit: rate_limit,
        key: Some(key),
    })
}

/// The caller in a session: with its key, or the member. A request that changes something has to show that it comes from a
/// page of the session.
async fn in_session(
    parts: &Parts,
    app: &App,
    call: &RequestContext,
    token: SignInToken,
) -> Result<(Admitted, SignedIn), ApiError> {
    let known = app.settings.find_session(&token, call.moment).await?.ok_or(Unidentified::SessionEnded)?;
    let is_shown = one(&parts.headers, CSRF)? == Some(token.csrf().as_str());
    if !parts.method.is_safe() && !is_shown {
        return Err(Unidentified::CsrfToken.into());
    }
    let admitted = match &known.owner {
        KnownOwner::Key(key) => with_key((**key).clone(), call)?,
        KnownOwner::Member(member) => as_member((**member).clone(), mode(&parts.headers)?)?,
    };
    let is_current = admitted.is_current && known.is_current;
    let (owner, key) = (token.owner, known.session.key.clone());
    let session = CurrentSession { session: known.session, owner: known.owner, token };
    let signed_in = SignedIn { owner, key, session: Some(session) };
    Ok((Admitted { is_current, ..admitted }, signed_in))
}

/// A member who has signed in, for the ledger that the request names.
fn as_member(known: KnownMember, mode: Mode) -> Result<Admitted, ApiError> {
    let KnownMember { member, is_closed, rate_limit, switches, is_current } = known;
    if member.status() == MemberStatus::Removed {
        return Err(Unidentified::SessionEnded.into());
    }
    let account = AccountId { org: member.org, mode };
    let principal = Principal::Organisation {
        account,
        by: Actor::Member(member.member_id),
        scopes: member.role.scopes(),
    };
    let (org, org_limit) = (Some(member.org), rate_limit);
    Ok(Admitted { principal, is_current, is_closed, switches, key: None, org, org_limit })
}

/// The ledger that a caller without a mode of its own names.
fn mode(headers: &HeaderMap) -> Result<Mode, ApiError> {
    match one(headers, ACTS_IN)? {
        None | Some("live") => Ok(Mode::Live),
        Some("test") => Ok(Mode::Test),
        Some(_) => Err(ApiError::field("Scrip-Mode", "must be `live` or `test`")),
    }
}

/// Counts the request with the limits of the key and of its organisation.
async fn within_limits(app: &App, admitted: &Admitted, call: &RequestContext) -> Result<(), ApiError> {
    let organisation = admitted.org.map(|org| org.to_string());
    let organisation = organisation.zip(admitted.org_limit).map(|(org, limit)| ("organisation", org, limit));
    let key = admitted.key.as_ref();
    let key = key.and_then(|key| Some(("key", key.key_id.to_string(), key.rate_limit?)));
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
            Principal::Organisation { account, by, scopes } if named.is_none() => {
                if parts.headers.contains_key(ACTS_IN) && mode(&parts.headers)? != account.mode {
                    let problem =
                        format!("must be `{0}`: this key works on the {0} ledger", account.mode.as_str());
                    return Err(ApiError::field("Scrip-Mode", problem));
                }
                return Ok(OrganisationCaller { call, account, by, scopes, switches, role: None });
            }
            Principal::Organisation { .. } => {
                let words = "the header Scrip-Organisation is for operators; leave it out";
                return Err(Denial::WrongSide(words).into());
            }
            Principal::Operator { key, role } => (key, role),
        };
        let words = "an operator's key works under /admin/v1/, or for the organisation that the header \
                     Scrip-Organisation names; send that header, or use a key of the organisation";
        let named = named.ok_or(Denial::WrongSide(words))?;
        let mode = mode(&parts.headers)?;
        let (org, switches) = acted_for(app, named, &call).await?;
        let account = AccountId { org, mode };
        call.of(account);
        let scopes = role.scopes();
        let by = Actor::Key(key);
        parts.extensions.insert(Principal::Organisation { account, by, scopes: scopes.clone() });
        Ok(OrganisationCaller { call, account, by, scopes, switches, role: Some(role) })
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
        None => OrgId::try_from(named.to_owned()).map_err(|_| {
            let unreadable =
                "must be `org_…` and 26 characters, or `external:` and the organisation's `externalId`";
            ApiError::field("Scrip-Organisation", unreadable)
        })?,
    };
    let switches = app.settings.switches(org, wall).await?.ok_or(OrgId::NOT_FOUND)?;
    Ok((org, switches))
}

/// Refuses the headers by which an operator acts for an organisation where they would change nothing: below `/admin/`, whose
/// paths and bodies name the organisation and the mode.
pub(super) fn acts_for_none(headers: &HeaderMap) -> Result<(), ApiError> {
    for (name, instead) in
        [(ACTS_FOR, "the path names the organisation"), (ACTS_IN, "send `mode` in the body")]
    {
        if headers.contains_key(name) {
            return Err(ApiError::field(name, format!("is not for paths below /admin/: {instead}")));
        }
    }
    Ok(())
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
