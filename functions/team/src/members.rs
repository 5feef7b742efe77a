//! Members: listed, changed and removed by the organisation itself.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    AccountId, Member, MemberChange, MemberId, MemberNotice, MemberRole, Mode, Notification, Reference,
};
use scrip_http::{
    ApiError, App, Caller, Id, Listing, MemberView, NoFields, Once, OptionalBody, PageLimit, PathId,
    QueryParams, Reply, SeatsView, may,
};
use serde::Deserialize;
use store::{ChangedMember, Moment, Seats};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MembersQuery {
    /// Members on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A change of a member. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "role": "viewer" }))]
pub(super) struct MemberChanges {
    /// The member's name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// owner, admin, billing, member or viewer. Your own key needs every scope of the role.
    #[schema(value_type = Option<String>)]
    role: Option<MemberRole>,
}

/// Members belong to the organisation, not to a mode. A test key is given to more people than a live one, so it sees none.
pub(super) fn sees_members(caller: AccountId) -> bool {
    caller.mode == Mode::Live
}

/// Lists the organisation's members in the order in which they were invited, also those who were removed. A test key sees
/// none.
#[utoipa::path(get, path = "/api/v3/members", tag = "team", params(MembersQuery), responses((status = 200, body = Vec<MemberView>)))]
pub(super) async fn list_members(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    QueryParams(MembersQuery { limit, cursor }): QueryParams<MembersQuery>,
) -> Result<Reply, ApiError> {
    let account = caller.account;
    let listing = Listing { list: "members", account, question: &() };
    let read = |text: String| {
        let after = app.cursors.read(&listing, &text)?;
        MemberId::try_from(after).map_err(|_| ApiError::InvalidCursor)
    };
    let after = cursor.map(read).transpose()?;
    if !sees_members(account) {
        return Reply::page(&Vec::<MemberView>::new(), None);
    }
    let page = app.settings.members(account.org, after, limit.get()).await?;
    let members: Vec<_> = page.members.into_iter().map(MemberView::from).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next.to_string())).transpose()?;
    Reply::page(&members, next)
}

/// Reads how many seats the plan has, and how many are taken by members and open invitations. A test key sees none that are
/// taken.
#[utoipa::path(get, path = "/api/v3/members/seats", tag = "team", responses((status = 200, body = SeatsView)))]
pub(super) async fn read_seats(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
) -> Result<Reply, ApiError> {
    let (org, moment) = (caller.account.org, at_arrival(caller.call.moment, &caller));
    let limit = app.settings.seat_limit(org, moment).await?;
    let seats = match sees_members(caller.account) {
        true => app.settings.seats_at(org, moment.now).await?,
        false => Seats::default(),
    };
    Reply::ok(&SeatsView::of(&seats, limit))
}

/// Reads a member.
#[utoipa::path(
    get,
    path = "/api/v3/members/{id}",
    tag = "team",
    params(("id" = String, Path, description = "mem_…")),
    responses((status = 200, body = MemberView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_member(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    Path(id): Path<Id<MemberId>>,
) -> Result<Reply, ApiError> {
    let id = visible(caller.account, id)?;
    let member = app.settings.member(caller.account.org, id).await?;
    Reply::ok(&MemberView::from(member.ok_or(MemberId::NOT_FOUND)?))
}

/// Changes a member. Your own key needs every scope of the role, before and after the change. The last owner stays an
/// owner.
#[utoipa::path(
    patch,
    path = "/api/v3/members/{id}",
    tag = "team",
    params(("id" = String, Path, description = "mem_…")),
    request_body = MemberChanges,
    responses(
        (status = 200, body = MemberView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the member was removed, or is the last owner"),
    ),
)]
pub(super) async fn change_member(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(path): Path<Id<MemberId>>,
    Once { body, id }: Once<MemberChanges>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let change = MemberChange { name: body.name, role: body.role };
    let may = |member: &Member| member.role.is_within(caller.scopes());
    let changed = app.settings.change_member(account.org, visible(account, path)?, &change, may).await?;
    let member = changed_member(changed)?;
    if change != MemberChange::default() {
        let notice = MemberNotice::Changed(member.clone(), caller.by, id);
        app.ledger.emit(account, &Notification::Member(notice.into()), moment).await?;
    }
    Reply::ok(&MemberView::from(member))
}

/// Removes a member and gives back the seat. Your own key needs every scope of the member's role. The last owner cannot be
/// removed. A removed member stays in the list.
#[utoipa::path(
    delete,
    path = "/api/v3/members/{id}",
    tag = "team",
    params(("id" = String, Path, description = "mem_…")),
    responses(
        (status = 200, body = MemberView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the member is the last owner"),
    ),
)]
pub(super) async fn remove_member(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(id): Path<Id<MemberId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (account, moment, now) = (caller.account, caller.call.moment, caller.call.arrived_at());
    let may = |member: &Member| member.role.is_within(caller.scopes());
    let removed = app.settings.remove_member(account.org, visible(account, id)?, now, may).await?;
    let member = changed_member(removed)?;
    let notice = MemberNotice::Removed(member.clone(), caller.by);
    app.ledger.emit(account, &Notification::Member(notice.into()), moment).await?;
    Reply::ok(&MemberView::from(member))
}

/// The moment of a request by the clock of all ledgers, which plans and invitations follow.
pub(super) fn at_arrival<S>(moment: Moment, caller: &Caller<S>) -> Moment {
    Moment { now: caller.call.arrived_at(), ..moment }
}

fn visible(caller: AccountId, id: Id<MemberId>) -> Result<MemberId, ApiError> {
    if sees_members(caller) { id.found() } else { Err(MemberId::NOT_FOUND) }
}

/// The member after a change.
fn changed_member(outcome: ChangedMember) -> Result<Member, ApiError> {
    match outcome {
        ChangedMember::Changed(member) => Ok(*member),
        ChangedMember::Removed => {
            Err(ApiError::Conflict("this member was removed, and stays so; invite the address again"))
        }
        ChangedMember::LastOwner => {
            Err(ApiError::Conflict("this is the last owner; make another member an owner first"))
        }
        ChangedMember::Denied(denial) => Err(denial.into()),
        ChangedMember::Absent => Err(MemberId::NOT_FOUND),
    }
}
