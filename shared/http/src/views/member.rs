//! Members and invitations as callers see and order them.

use chrono::{DateTime, Utc};
use domain::{
    Amount, BudgetPeriod, Email, Invitation, InvitationStatus, InvitationToken, Member, MemberLimit,
    MemberRole, MemberStatus, Reference,
};
use serde::{Deserialize, Serialize};
use store::Seats;
use utoipa::ToSchema;

use crate::timestamp;
use crate::{ApiError, App, Reply};

/// How many credits a member may use.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = MemberLimit)]
#[serde(rename_all = "camelCase")]
pub struct MemberLimitView {
    /// The credits of each period.
    #[schema(value_type = u64, minimum = 1, maximum = 1_000_000_000_000_000_u64)]
    credits: Amount,
    /// `day`, `week` (from Monday), `month`, in UTC, or `once`.
    #[schema(value_type = String)]
    period: BudgetPeriod,
}

/// A member of the organisation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Member)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// `mem_…`
    member_id: String,
    /// The address that was invited.
    #[schema(value_type = String)]
    email: Email,
    /// The member's name.
    #[schema(value_type = Option<String>)]
    name: Option<Reference>,
    /// owner, admin, billing, member or viewer.
    #[schema(value_type = String)]
    role: MemberRole,
    /// active, or removed.
    #[schema(value_type = String)]
    status: MemberStatus,
    /// Who invited the member: the id of a key, or of a member.
    invited_by: String,
    /// When the member accepted the invitation.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    joined_at: DateTime<Utc>,
    /// When the member was removed.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    removed_at: Option<DateTime<Utc>>,
}

/// An invitation.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Invitation)]
#[serde(rename_all = "camelCase")]
pub struct InvitationView {
    /// `inv_…`
    invitation_id: String,
    /// The invited address.
    #[schema(value_type = String)]
    email: Email,
    /// The role that the member will have.
    #[schema(value_type = String)]
    role: MemberRole,
    /// The budget that the member gets on joining; null for none.
    limit: Option<MemberLimitView>,
    /// open, accepted, withdrawn, or expired.
    #[schema(value_type = String)]
    status: InvitationStatus,
    /// Who made it: the id of a key, or of a member.
    invited_by: String,
    /// Until when it can be accepted.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    expires_at: DateTime<Utc>,
}

/// An invitation with its token, which is shown once.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvitationWithToken {
    #[serde(flatten)]
    about: InvitationView,
    /// The token with which the invitation is accepted. Null if it was sent by mail, or an earlier answer has shown it; withdraw the invitation and
    /// make another one if you do not have it.
    token: Option<String>,
    /// The link to send to the invited person: the dashboard's page `/join` with the token after `#`, which browsers send to
    /// no server. Without a dashboard's address it is a path. Null if an earlier answer has shown it, or it was sent by mail.
    link: Option<String>,
    /// Whether the link was sent to the invited address by mail. It is shown only if not.
    mailed: bool,
    /// true if the token was shown before and is not shown again. Left out if it is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    #[schema(required = false)]
    secret_shown: bool,
}

/// The seats of the organisation's plan.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[schema(as = Seats)]
#[serde(rename_all = "camelCase")]
pub struct SeatsView {
    /// How many members and open invitations take.
    used: u64,
    /// How many the plan has; null for no limit.
    limit: Option<u32>,
    /// How many more are taken than the plan has, after a change of the plan. They stay, and there are no new ones.
    over: u64,
}

/// An invitation to make.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "email": "jo@example.com", "role": "billing" }))]
pub struct NewInvitation {
    /// The address to invite.
    #[schema(value_type = String, max_length = 254)]
    pub email: Email,
    /// owner, admin, billing, member or viewer. Your own key needs every scope of the role.
    #[schema(value_type = String)]
    pub role: MemberRole,
    /// A budget that the member gets on joining, `{credits, period}`: it counts debits with the member's id as `memberId`.
    #[schema(value_type = Option<MemberLimitView>)]
    pub limit: Option<MemberLimit>,
}

impl From<MemberLimit> for MemberLimitView {
    fn from(limit: MemberLimit) -> Self {
        Self { credits: limit.credits, period: limit.period }
    }
}

impl From<Member> for MemberView {
    fn from(member: Member) -> Self {
        Self {
            member_id: member.member_id.to_string(),
            status: member.status(),
            email: member.email,
            name: member.name,
            role: member.role,
            invited_by: member.invited_by.to_string(),
            joined_at: member.joined_at,
            removed_at: member.removed_at,
        }
    }
}

impl InvitationView {
    /// An invitation as it is at `now`.
    #[must_use]
    pub fn of(invitation: Invitation, now: DateTime<Utc>) -> Self {
        Self {
            invitation_id: invitation.invitation_id.to_string(),
            status: invitation.status(now),
            expires_at: invitation.expires_at(),
            email: invitation.email,
            role: invitation.role,
            limit: invitation.limit.map(MemberLimitView::from),
            invited_by: invitation.invited_by.to_string(),
        }
    }
}

impl InvitationWithToken {
    /// The answer that shows an invitation's token, whose retries do not; without a token, the answer of a retry.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn reply(
        about: InvitationView,
        token: Option<&InvitationToken>,
        app: &App,
    ) -> Result<Reply, ApiError> {
        let again = Self { about: about.clone(), token: None, link: None, mailed: false, secret_shown: true };
        let Some(token) = token else { return Reply::created(&again, true) };
        let link = Some(invitation_link(app, token));
        let shown = Self { about, token: Some(token.reveal()), link, mailed: false, secret_shown: false };
        Reply::created(&shown, false)?.shown_once(&again)
    }

    /// The answer when the link was sent by mail.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn mailed(about: InvitationView) -> Result<Reply, ApiError> {
        Reply::created(&Self { about, token: None, link: None, mailed: true, secret_shown: false }, false)
    }
}

impl SeatsView {
    /// The seats that are taken, of a plan with `limit`.
    #[must_use]
    pub fn of(seats: &Seats, limit: Option<u32>) -> Self {
        let over = limit.map_or(0, |limit| seats.taken.saturating_sub(limit.into()));
        Self { used: seats.taken, limit, over }
    }
}

/// The link of an invitation: the dashboard's page `/join`.
#[must_use]
pub fn invitation_link(app: &App, token: &InvitationToken) -> String {
    let dashboard = app.dashboard.as_deref().unwrap_or_default().trim_end_matches('/');
    format!("{dashboard}/join#{}", token.reveal())
}
