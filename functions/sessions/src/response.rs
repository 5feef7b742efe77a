//! Sessions as callers see them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{MemberRole, Mode, OperatorRole, Scope, SignIn, SignInToken};
use scrip_http::{ApiError, App, CurrentSession, Reply, timestamp};
use serde::Serialize;
use store::{KnownOwner, Moment};
use utoipa::ToSchema;

/// A session, for the page that has begun it.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = Session)]
pub(super) struct SessionView {
    #[serde(flatten)]
    about: SessionLine,
    /// What the page sends in the header `Scrip-CSRF-Token` with each request that changes something.
    csrf_token: String,
    /// The organisation; null for an operator.
    organisation_id: Option<String>,
    /// The organisation's name; null for an operator.
    organisation_name: Option<String>,
    /// The key of the session; null for a member.
    key_id: Option<String>,
    /// The member; null for a key.
    member_id: Option<String>,
    /// The name of the member or of the key; null for none.
    name: Option<String>,
    /// The member's address; null for a key.
    email: Option<String>,
    /// A member's role, or an operator's; null for a key of an organisation.
    role: Option<&'static str>,
    /// The ledger that the key works on, live or test. Null for a member and an operator, who name it in the header
    /// `Scrip-Mode`.
    #[schema(value_type = Option<String>)]
    mode: Option<Mode>,
    /// What the session may do. Operators' roles are described in the guide.
    #[schema(value_type = Vec<String>)]
    scopes: BTreeSet<Scope>,
}

/// A session in a list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = SessionLine)]
pub(super) struct SessionLine {
    /// `ses_…`
    session_id: String,
    /// When it began.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
    /// When it ends.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: DateTime<Utc>,
    /// The browser, as it has named itself.
    browser: Option<String>,
    /// The key or the member who made the link with which it began, if that was not the owner.
    link_by: Option<String>,
    /// Whether it is the session of this request.
    is_current: bool,
}

/// How many sessions were ended.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct SignedOut {
    /// How many.
    ended: usize,
}

impl SessionLine {
    pub(super) fn of(session: &SignIn, current: Option<&CurrentSession>) -> Self {
        Self {
            session_id: session.id.to_string(),
            created_at: session.created_at,
            expires_at: session.expires_at,
            browser: session.agent.as_ref().map(|agent| agent.as_str().to_owned()),
            link_by: session.by.map(|by| by.to_string()),
            is_current: current.is_some_and(|current| current.session.id == session.id),
        }
    }
}

impl SignedOut {
    pub(super) fn reply(ended: usize) -> Result<Reply, ApiError> {
        Reply::ok(&Self { ended })
    }
}

impl SessionView {
    /// The session of a token.
    pub(super) async fn of(
        app: &App,
        token: &SignInToken,
        session: &SignIn,
        owner: &KnownOwner,
        moment: Moment,
    ) -> Result<Self, ApiError> {
        let org = token.owner.org();
        let name = match org {
            Some(org) => app.settings.organisation(org, moment.wall).await?.map(|found| found.name),
            None => None,
        };
        let about = SessionLine { is_current: true, ..SessionLine::of(session, None) };
        let common = Self {
            about,
            csrf_token: token.csrf(),
            organisation_id: org.map(|org| org.to_string()),
            organisation_name: name,
            key_id: None,
            member_id: None,
            name: None,
            email: None,
            role: None,
            mode: None,
            scopes: BTreeSet::new(),
        };
        Ok(match owner {
            KnownOwner::Key(known) => {
                let key = &known.key;
                let role = key.org.is_none().then(|| key.operator_role());
                Self {
                    key_id: Some(key.key_id.to_string()),
                    name: key.name.as_ref().map(|name| name.as_str().to_owned()),
                    role: role.map(OperatorRole::as_str),
                    mode: key.org.map(|_| key.mode),
                    scopes: role.map_or_else(|| key.scopes.clone(), OperatorRole::scopes),
                    ..common
                }
            }
            KnownOwner::Member(known) => {
                let member = &known.member;
                Self {
                    member_id: Some(member.member_id.to_string()),
                    name: member.name.as_ref().map(|name| name.as_str().to_owned()),
                    email: Some(member.email.as_str().to_owned()),
                    role: Some(MemberRole::as_str(member.role)),
                    scopes: member.role.scopes(),
                    ..common
                }
            }
        })
    }
}
