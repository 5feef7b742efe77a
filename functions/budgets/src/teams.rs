//! Teams: groups of members that share budgets.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Reference, Team, TeamId, TeamMembers};
use scrip_http::{
    ApiError, App, Caller, Id, Listing, NoFields, Once, OptionalBody, PageLimit, PathId, QueryParams, Reply,
    TeamView, may,
};
use serde::Deserialize;
use store::TeamChanged;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct TeamsQuery {
    /// Teams on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A team to create.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "name": "Onboarding", "members": ["member_42", "member_43"] }))]
pub(super) struct NewTeam {
    /// Its name.
    #[schema(value_type = String, max_length = 255)]
    name: Reference,
    /// Its members: the ids that requests send as `memberId`, at most 90 in one request. A member is in one team at most.
    #[serde(default)]
    #[schema(value_type = Vec<String>, max_items = 90)]
    members: Vec<Reference>,
}

/// A change of a team. Fields that are left out keep their values.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "members": ["member_42"] }))]
pub(super) struct TeamChanges {
    /// Its name.
    #[schema(value_type = Option<String>, max_length = 255)]
    name: Option<Reference>,
    /// All its members, at most 200; at most 90 of them may join or leave at once.
    #[schema(value_type = Option<Vec<String>>, max_items = 200)]
    members: Option<Vec<Reference>>,
}

/// Lists teams, the oldest first.
#[utoipa::path(get, path = "/api/v3/teams", tag = "budgets", params(TeamsQuery), responses((status = 200, body = Vec<TeamView>)))]
pub(super) async fn list_teams(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    QueryParams(TeamsQuery { limit, cursor }): QueryParams<TeamsQuery>,
) -> Result<Reply, ApiError> {
    let account = caller.account;
    let listing = Listing { list: "teams", account, question: &() };
    let after = cursor.map(|text| app.cursors.read(&listing, &text)).transpose()?;
    let limit = i32::from(limit.get());
    let page = app.ledger.list_teams(account, after.as_deref(), limit).await?;
    let teams: Vec<_> = page.teams.iter().map(TeamView::from).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next)).transpose()?;
    Reply::page(&teams, next)
}

/// Creates a team. What its members spend is counted by the team's budgets from now on.
#[utoipa::path(
    post,
    path = "/api/v3/teams",
    tag = "budgets",
    request_body = NewTeam,
    responses(
        (status = 201, body = TeamView),
        (status = 400, description = "VALIDATION_ERROR; also for a member that is in another team"),
        (status = 409, description = "CONFLICT: there are 200 teams"),
    ),
)]
pub(super) async fn create_team(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Once { body, id }: Once<NewTeam>,
) -> Result<Reply, ApiError> {
    let members = members(body.members)?;
    let team = Team { id: TeamId::from(id), name: body.name, members, created_at: id.time() };
    Reply::created(&TeamView::from(&changed(app.ledger.create_team(caller.account, team).await?)?), false)
}

/// Reads a team.
#[utoipa::path(
    get,
    path = "/api/v3/teams/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "team_…")),
    responses((status = 200, body = TeamView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_team(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeTeam>,
    Path(id): Path<Id<TeamId>>,
) -> Result<Reply, ApiError> {
    let team = app.ledger.team(caller.account, id.found()?).await?.ok_or(TeamId::NOT_FOUND)?;
    Reply::ok(&TeamView::from(&team))
}

/// Changes the name or the members of a team.
#[utoipa::path(
    patch,
    path = "/api/v3/teams/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "team_…")),
    request_body = TeamChanges,
    responses(
        (status = 200, body = TeamView),
        (status = 404, description = "NOT_FOUND"),
        (status = 400, description = "VALIDATION_ERROR; also for a member that is in another team"),
    ),
)]
pub(super) async fn change_team(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(path): Path<Id<TeamId>>,
    Once { body, .. }: Once<TeamChanges>,
) -> Result<Reply, ApiError> {
    let members = body.members.map(members).transpose()?;
    let team = changed(app.ledger.change_team(caller.account, path.found()?, body.name, members).await?)?;
    Reply::ok(&TeamView::from(&team))
}

/// Deletes a team that has no budgets.
#[utoipa::path(
    delete,
    path = "/api/v3/teams/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "team_…")),
    responses(
        (status = 200, body = TeamView, description = "The team that was deleted"),
        (status = 404, description = "NOT_FOUND"),
        (status = 400, description = "VALIDATION_ERROR: the team has more than 90 members; remove some first"),
        (status = 409, description = "CONFLICT: the team has budgets; delete these first"),
    ),
)]
pub(super) async fn delete_team(
    State(app): State<Arc<App>>,
    caller: Caller<may::ManageTeam>,
    Path(id): Path<Id<TeamId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    Reply::ok(&TeamView::from(&changed(app.ledger.delete_team(caller.account, id.found()?).await?)?))
}

fn members(asked: Vec<Reference>) -> Result<TeamMembers, ApiError> {
    let too_many = || ApiError::field("members", format!("must be at most {} members", TeamMembers::MAX));
    TeamMembers::new(asked).ok_or_else(too_many)
}

fn changed(changed: TeamChanged) -> Result<Team, ApiError> {
    match changed {
        TeamChanged::Changed(team) => Ok(*team),
        TeamChanged::InAnother(member, team) => Err(ApiError::field(
            "members",
            format!("`{}` is in {team}; remove the member from that team first", member.as_str()),
        )),
        TeamChanged::TooManyMoves => Err(ApiError::field(
            "members",
            "more than 90 members would join or leave at once; do it in several requests",
        )),
        TeamChanged::TooMany => Err(ApiError::Conflict("there are 200 teams; delete one first")),
        TeamChanged::HasBudgets => Err(ApiError::Conflict(
            "the team has budgets; delete these first with DELETE /api/v3/credits/budgets/{id}",
        )),
        TeamChanged::Absent => Err(TeamId::NOT_FOUND),
    }
}
