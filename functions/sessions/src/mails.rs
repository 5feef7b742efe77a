//! Links that are sent to a member's address.

use std::error::Error;
use std::sync::Arc;

use axum::extract::State;
use domain::{Email, Member, MemberStatus, SignIn, SignInKind, SignInOwner};
use ports::{Mail, Mailer};
use scrip_http::{ApiError, App, JsonBody, Reply, RequestContext, count_sign_in_mail};
use serde::{Deserialize, Serialize};
use store::Moment;
use utoipa::ToSchema;

use super::links::address;
use super::sign_in::token;

/// An address that wants to sign in.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({ "email": "jo@example.com" }))]
pub(super) struct SignInMail {
    /// The address of a member.
    #[schema(value_type = String, max_length = 254)]
    email: Email,
}

/// What follows, whether or not the address is known.
#[derive(Serialize, ToSchema)]
struct SignInMailSent {
    /// What to tell the person.
    message: &'static str,
}

/// Sends a mail with links to an address: one for each organisation of which it is a member's, at most 20. It takes no API key,
/// and its answer does not say whether the address is known. An address is sent at most 5 mails in 15 minutes.
#[utoipa::path(
    post,
    path = "/api/v3/sign-in-mails",
    tag = "sessions",
    security(),
    request_body = SignInMail,
    responses(
        (status = 202, body = SignInMailSent),
        (status = 409, description = "CONFLICT: this service sends no mail"),
        (status = 429, description = "RATE_LIMITED, with Retry-After"),
    ),
)]
pub(super) async fn send_sign_in_mail(
    State(app): State<Arc<App>>,
    call: RequestContext,
    JsonBody(SignInMail { email }): JsonBody<SignInMail>,
) -> Result<Reply, ApiError> {
    let mailer = app.mailer.as_deref().ok_or(ApiError::Conflict(
        "this service sends no mail; ask an admin of your organisation for a link, or sign in with an API key",
    ))?;
    count_sign_in_mail(&app, &call, &email).await?;
    let mut links = Vec::new();
    for member in members(&app, &email).await? {
        if let Some(link) = link(&app, &call, &member).await? {
            links.push(link);
        }
    }
    if !links.is_empty() {
        send(mailer, &email, &links).await;
    }
    let message = "If this address is a member's, a mail with a link is on its way to it. The link works once, for 15 minutes.";
    Reply::accepted(&SignInMailSent { message }, false)
}

/// The members who have an address, one for each organisation.
async fn members(app: &App, email: &Email) -> Result<Vec<Member>, ApiError> {
    let mut found = Vec::new();
    for membership in app.settings.memberships(email).await? {
        let member = app.settings.member(membership.org, membership.member_id).await?;
        found.extend(member.filter(|member| member.status() == MemberStatus::Active));
    }
    Ok(found)
}

/// A line of the mail: the organisation and its link. `None` for a closed organisation.
async fn link(app: &App, call: &RequestContext, member: &Member) -> Result<Option<String>, ApiError> {
    let moment = Moment { now: call.arrived_at(), ..call.moment };
    let organisation = app.settings.current_organisation(member.org).await?;
    let Some(organisation) = organisation.filter(|found| found.closed_at.is_none()) else { return Ok(None) };
    let owner = SignInOwner::Member(member.org, member.member_id);
    let token = token(SignInKind::Link, owner, call)?;
    app.settings.add_sign_in(owner, &SignIn::link(&token, None, moment.now), moment).await?;
    Ok(Some(format!("{}\n{}", organisation.name, address(app, &token))))
}

/// Sends the mail. A failure is for the log alone: the answer would tell that the address is known.
async fn send(mailer: &dyn Mailer, email: &Email, links: &[String]) {
    let text = format!(
        "Sign in with one of these links. Each works once, for {} minutes.\n\n{}\n\n\
         If you did not ask for this mail, you need not do anything.\n",
        SignIn::LINK_MINUTES,
        links.join("\n\n")
    );
    let mail = Mail { to: email.as_str().to_owned(), subject: "Your link to sign in".to_owned(), text };
    if let Err(error) = mailer.send(&mail).await {
        tracing::error!(error = &error as &dyn Error, "a mail for signing in was not sent");
    }
}
