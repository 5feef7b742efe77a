//! Links with which people sign in once.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::{Actor, MemberId, MemberStatus, Mode, SignIn, SignInKind, SignInOwner, SignInToken};
use scrip_http::{
    ApiError, App, Caller, Once, OptionalBody, Reply, RequestContext, SignedIn, may, timestamp,
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::sign_in::token;

/// Whom the link is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct NewSignInLink {
    /// A member, for whom you need the scope `team:write` and every scope of the member's role. Left out for yourself.
    #[schema(value_type = Option<String>)]
    member_id: Option<MemberId>,
}

/// A link with which a person signs in once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SignInLink)]
pub(super) struct SignInLinkView {
    /// The id of the link and of the session that it begins, `ses_…`.
    session_id: String,
    /// The token to sign in with. Null in the answer to a retry.
    token: Option<String>,
    /// The link: the dashboard's page `/sign-in` with the token after `#`, which browsers send to no server. Without a
    /// dashboard's address it is a path. Null in the answer to a retry.
    link: Option<String>,
    /// true in the answer to a retry, which shows neither. Left out if they are shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
    /// Until when it works.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: DateTime<Utc>,
}

/// Makes a link with which a browser signs in once, within 15 minutes: as the caller, or as a member. Five links of the same
/// person are open at most; the oldest one stops working for the next.
#[utoipa::path(
    post,
    path = "/api/v3/sign-in-links",
    tag = "sessions",
    request_body = NewSignInLink,
    responses(
        (status = 201, body = SignInLinkView),
        (status = 400, description = "VALIDATION_ERROR: the organisation has no such member"),
    ),
)]
pub(super) async fn create_sign_in_link(
    State(app): State<Arc<App>>,
    caller: Caller<may::SignOut>,
    signed_in: SignedIn,
    OptionalBody(Once { body, .. }): OptionalBody<NewSignInLink>,
) -> Result<Reply, ApiError> {
    if signed_in.owner.is_operator() {
        return Err(ApiError::wrong_side(
            "an operator signs in as an operator, with POST /admin/v1/sign-in-links, and acts for the organisation",
        ));
    }
    let Some(member) = body.member_id else { return own_link(&app, &caller.call, &signed_in).await };
    let account = caller.account;
    caller.must_also(domain::Scope::TeamWrite)?;
    let found = match account.mode {
        Mode::Live => app.settings.member(account.org, member).await?,
        Mode::Test => None,
    };
    let found = found.filter(|found| found.status() == MemberStatus::Active);
    let found = found.ok_or_else(|| ApiError::field("memberId", "the organisation has no such member"))?;
    found.role.is_within(caller.scopes())?;
    let owner = SignInOwner::Member(account.org, member);
    let by = (caller.by != Actor::Member(member)).then_some(caller.by);
    make(&app, &caller.call, owner, |token, now| SignIn { by, ..SignIn::link(token, None, now) }).await
}

/// A link that signs in as the caller.
pub(super) async fn own_link(
    app: &App,
    call: &RequestContext,
    signed_in: &SignedIn,
) -> Result<Reply, ApiError> {
    make(app, call, signed_in.owner, |token, now| SignIn::link(token, signed_in.key.clone(), now)).await
}

async fn make(
    app: &App,
    call: &RequestContext,
    owner: SignInOwner,
    link: impl Fn(&SignInToken, DateTime<Utc>) -> SignIn,
) -> Result<Reply, ApiError> {
    let token = token(SignInKind::Link, owner, call)?;
    let link = link(&token, call.arrived_at());
    app.settings.add_sign_in(owner, &link, call.moment).await?;
    let hidden = SignInLinkView {
        session_id: link.id.to_string(),
        token: None,
        link: None,
        secret_shown: true,
        expires_at: link.expires_at,
    };
    let shown = SignInLinkView {
        token: Some(token.reveal()),
        link: Some(address(app, &token)),
        secret_shown: false,
        ..hidden.clone()
    };
    Reply::created(&shown, false)?.shown_once(&hidden)
}

/// The address of a link.
pub(super) fn address(app: &App, token: &SignInToken) -> String {
    let dashboard = app.dashboard.as_deref().unwrap_or_default().trim_end_matches('/');
    let page = if token.owner.is_operator() { "/operator/sign-in" } else { "/sign-in" };
    format!("{dashboard}{page}#{}", token.reveal())
}
