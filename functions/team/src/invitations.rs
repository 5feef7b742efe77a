//! Invitations: made, listed, withdrawn and accepted.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, Invitation, InvitationId, InvitationState, InvitationStatus, InvitationToken, Member,
    MemberId, MemberNotice, Mode, Notification, Reference, SessionId, SignIn, SignInKind, SignInOwner,
    SignInToken,
};
use scrip_http::{
    ApiError, App, Caller, Id, InvitationView, InvitationWithToken, JsonBody, Listing, MemberView,
    NewInvitation, NoFields, NoSeat, Once, OptionalBody, PageLimit, PathId, QueryParams, Reply,
    RequestContext, may,
};
use serde::Deserialize;
use store::{Accepted, BudgetChanged, Invited, Moment, Withdrawn, secret_bytes};
use utoipa::{IntoParams, ToSchema};

use super::mails::send_invitation;
use super::members::{at_arrival, sees_members};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct InvitationsQuery {
    /// Invitations on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// The acceptance of an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acceptance {
    /// The token: what follows `#` in the link.
    token: String,
    /// Your name, for the other members.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
}

/// Lists the organisation's invitations, the oldest first, also those that are over. A test key sees none.
#[utoipa::path(get, path = "/api/v3/invitations", tag = "team", params(InvitationsQuery), responses((status = 200, body = Vec<InvitationView>)))]
pub(super) async fn list_invitations(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    QueryParams(InvitationsQuery { limit, cursor }): QueryParams<InvitationsQuery>,
) -> Result<Reply, ApiError> {
    let (account, now) = (caller.account, caller.call.arrived_at());
    let listing = Listing { list: "invitations", account, question: &() };
    let read = |text: String| {
        let after = app.cursors.read(&listing, &text)?;
        InvitationId::try_from(after).map_err(|_| ApiError::InvalidCursor)
    };
    let after = cursor.map(read).transpose()?;
    if !sees_members(account) {
        return Reply::page(&Vec::<InvitationView>::new(), None);
    }
    let page = app.settings.invitations(account.org, after, limit.get()).await?;
    let of = |invitation| InvitationView::of(invitation, now);
    let invitations: Vec<_> = page.invitations.into_iter().map(of).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next.to_string())).transpose()?;
    Reply::page(&invitations, next)
}

/// Invites a member. The answer has the link, which is shown once, works once, and ends after 7 days. Members and open
/// invitations take the seats of the plan.
#[utoipa::path(
    post,
    path = "/api/v3/invitations",
    tag = "team",
    request_body = NewInvitation,
    responses(
        (status = 201, body = InvitationWithToken),
        (status = 403, description = "PLAN_LIMIT_REACHED: all seats of the plan are taken"),
        (status = 409, description = "CONFLICT: the address belongs to a member, or was invited"),
    ),
)]
pub(super) async fn invite_member(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Once { body, id }: Once<NewInvitation>,
) -> Result<Reply, ApiError> {
    let account = caller.account;
    if !sees_members(account) {
        return Err(ApiError::wrong_side("a test key invites no members; use a live key"));
    }
    let NewInvitation { email, role, limit } = body;
    role.is_within(caller.scopes())?;
    let invitation_id = InvitationId::from(id);
    let token = InvitationToken::new(account.org, invitation_id, secret_bytes()?);
    let wanted = Invitation {
        invitation_id,
        org: account.org,
        email,
        role,
        limit,
        invited_by: caller.by,
        hash: token.hash(),
        state: InvitationState::Open,
    };
    let moment = at_arrival(caller.call.moment, &caller);
    let (invitation, is_new) = match app.settings.invite(&wanted, moment).await? {
        Invited::New(invitation) => (*invitation, true),
        Invited::Known(invitation) => (*invitation, false),
        Invited::Full { limit, taken } => return Err(NoSeat { limit, taken }.into()),
        Invited::TooLate => {
            return Err(ApiError::Conflict(
                "this request was first sent more than 7 days ago; send a new one, under another Idempotency-Key",
            ));
        }
        Invited::Taken => {
            return Err(ApiError::Conflict(
                "this address belongs to a member, or to an open invitation; withdraw that one to invite it again",
            ));
        }
    };
    // An invitation that is over, and was made by an earlier attempt of this request, gets no budget again.
    if invitation.status(moment.now) == InvitationStatus::Open
        && let Some(budget) = invitation.budget()
        && app.ledger.create_budget(account, budget).await? == BudgetChanged::AccountFull
    {
        app.settings.withdraw(account.org, invitation_id, |_| Ok(())).await?;
        return Err(ApiError::Conflict(
            "there are 10,000 budgets; delete some that are not needed, or leave out `limit`",
        ));
    }
    let notice = MemberNotice::Invited(invitation.clone());
    app.ledger.emit(account, &Notification::Member(notice.into()), caller.call.moment).await?;
    if is_new && send_invitation(&app, &invitation, &token).await? {
        return InvitationWithToken::mailed(InvitationView::of(invitation, moment.now));
    }
    let about = InvitationView::of(invitation, moment.now);
    InvitationWithToken::reply(about, Some(&token).filter(|_| is_new), &app)
}

/// Withdraws an invitation and gives back its seat. Your own key needs every scope of the invitation's role. It stays in the
/// list.
#[utoipa::path(
    delete,
    path = "/api/v3/invitations/{id}",
    tag = "team",
    params(("id" = String, Path, description = "inv_…")),
    responses(
        (status = 200, body = InvitationView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: it was accepted; remove the member instead"),
    ),
)]
pub(super) async fn withdraw_invitation(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(id): Path<Id<InvitationId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (account, now) = (caller.account, caller.call.arrived_at());
    let id = if sees_members(account) { id.found()? } else { return Err(InvitationId::NOT_FOUND) };
    let may = |invitation: &Invitation| invitation.role.is_within(caller.scopes());
    match app.settings.withdraw(account.org, id, may).await? {
        Withdrawn::Withdrawn(invitation) => {
            if let Some(budget) = invitation.budget() {
                app.ledger.delete_budget(account, budget.id).await?;
            }
            Reply::ok(&InvitationView::of(*invitation, now))
        }
        Withdrawn::Accepted => {
            Err(ApiError::Conflict("this invitation was accepted; remove the member instead"))
        }
        Withdrawn::Denied(denial) => Err(denial.into()),
        Withdrawn::Absent => Err(InvitationId::NOT_FOUND),
    }
}

/// Accepts an invitation: makes you a member, and signs you in. It takes no API key; the token is the proof that you were
/// invited. It works once. The answer sets the cookie of a session; GET /api/v3/sessions/current reads it.
#[utoipa::path(
    post,
    path = "/api/v3/invitations/accept",
    tag = "team",
    security(),
    request_body = Acceptance,
    responses(
        (status = 201, body = MemberView),
        (status = 404, description = "NOT_FOUND: no invitation has this token"),
        (status = 409, description = "CONFLICT: the invitation was accepted or withdrawn, or has expired; or its organisation is closed"),
    ),
)]
pub(super) async fn accept_invitation(
    State(app): State<Arc<App>>,
    call: RequestContext,
    JsonBody(Acceptance { token, name }): JsonBody<Acceptance>,
) -> Result<Reply, ApiError> {
    let token = InvitationToken::parse(&token).ok_or(NO_TOKEN)?;
    let (moment, now) = (call.moment, call.arrived_at());
    match app.settings.accept(&token, name, now).await? {
        Accepted::Joined(member) => {
            tell_joined(&app, &member, moment).await?;
            let owner = SignInOwner::Member(member.org, member.member_id);
            let id = SessionId::new(now, store::random());
            let token = SignInToken::new(SignInKind::Session, owner, id, secret_bytes()?);
            let session = SignIn::session(&token, None, None, now);
            app.settings.add_sign_in(owner, &session, moment).await?;
            Ok(Reply::created(&MemberView::from(*member), false)?.signs_in(&token, &session, now, &app))
        }
        Accepted::Absent => Err(NO_TOKEN),
        Accepted::Closed => Err(ApiError::Conflict("the organisation is closed, and takes no new members")),
        Accepted::Over(status) => {
            // The attempt that accepted it may have ended before it was done.
            let member = app.settings.member(token.org, MemberId::from(token.invitation)).await?;
            if let Some(member) = member {
                tell_joined(&app, &member, moment).await?;
            }
            Err(over(status))
        }
    }
}

const NO_TOKEN: ApiError =
    ApiError::NotFound("no invitation has this token; check that the link was copied whole");

fn over(status: InvitationStatus) -> ApiError {
    ApiError::Conflict(match status {
        InvitationStatus::Accepted | InvitationStatus::Open => {
            "this invitation was accepted before; it works once"
        }
        InvitationStatus::Withdrawn => "this invitation was withdrawn; ask to be invited again",
        InvitationStatus::Expired => "this invitation has expired; ask to be invited again",
    })
}

/// Emits that a member has joined, once for each member.
async fn tell_joined(app: &App, member: &Member, moment: Moment) -> Result<(), ApiError> {
    let account = AccountId { org: member.org, mode: Mode::Live };
    let notice = MemberNotice::Joined(member.clone());
    app.ledger.emit(account, &Notification::Member(notice.into()), moment).await?;
    Ok(())
}
