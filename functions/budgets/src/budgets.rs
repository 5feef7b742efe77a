//! Budgets: created, listed, changed and deleted.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Budget, BudgetId, BudgetLevel, Reference};
use futures_util::future::try_join_all;
use scrip_http::{
    ApiError, App, BudgetView, Caller, Id, Listing, NoFields, Once, OptionalBody, PageLimit, PathId,
    QueryParams, Reply, may,
};
use serde::Deserialize;
use store::{BudgetChanged, ChangedBudget};
use utoipa::IntoParams;

use super::request::{BudgetChanges, NewBudget, subject};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BudgetsQuery {
    /// Budgets on a page, 1 to 50; 20 if left out. A page may have up to 11 more, because it ends with all budgets of one subject.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 50)]
    limit: PageLimit<20, 50>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
    /// Only the budgets of one subject, with `id` unless it is the organisation; these are all on one page.
    #[param(value_type = Option<String>)]
    scope: Option<BudgetLevel>,
    /// The team, member, key, customer, service or operation.
    #[param(value_type = Option<String>)]
    id: Option<Reference>,
}

/// Creates a budget. It counts what is spent or held from now on. Functions notice it at once: a debit that is answered after
/// this request is within the budget. A subject has at most 12 budgets, a ledger at most 10,000.
#[utoipa::path(
    post,
    path = "/api/v3/credits/budgets",
    tag = "budgets",
    request_body = NewBudget,
    responses(
        (status = 201, body = BudgetView),
        (status = 400, description = "VALIDATION_ERROR, or UNKNOWN_OPERATION for a scope or filter that names one"),
        (status = 409, description = "CONFLICT: the subject has 12 budgets, or the ledger has 10,000"),
    ),
)]
pub(super) async fn create_budget(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Once { body, id }: Once<NewBudget>,
) -> Result<Reply, ApiError> {
    let moment = caller.call.moment;
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let wanted = body.budget(id, &catalogue.prices, moment.now)?;
    match app.ledger.create_budget(caller.account, wanted).await? {
        BudgetChanged::Created(budget) => Reply::created(&view(&app, &caller, &budget).await?, false),
        BudgetChanged::SubjectFull => Err(ApiError::Conflict(
            "there are 12 budgets for this scope and id; change or delete one of them",
        )),
        BudgetChanged::AccountFull => {
            Err(ApiError::Conflict("there are 10,000 budgets; delete some that are not needed"))
        }
        BudgetChanged::NoTeam => {
            Err(ApiError::field("id", "there is no such team; GET /api/v3/teams lists yours"))
        }
        BudgetChanged::NoAccount => Err(BudgetId::NOT_FOUND),
    }
}

/// Lists budgets by subject, with what is used of each. Reads one unit for each.
#[utoipa::path(get, path = "/api/v3/credits/budgets", tag = "budgets", params(BudgetsQuery), responses((status = 200, body = Vec<BudgetView>)))]
pub(super) async fn list_budgets(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    QueryParams(query): QueryParams<BudgetsQuery>,
) -> Result<Reply, ApiError> {
    let account = caller.account;
    if let Some(level) = query.scope {
        let budgets = app.ledger.budgets_of(account, &subject(level, query.id)?).await?;
        return Reply::page(&views(&app, &caller, &budgets).await?, None);
    }
    if query.id.is_some() {
        return Err(ApiError::field("id", "needs `scope`"));
    }
    let listing = Listing { list: "budgets", account, question: &() };
    let after = query.cursor.map(|text| app.cursors.read(&listing, &text)).transpose()?;
    let page = app.ledger.list_budgets(account, after.as_deref(), usize::from(query.limit.get())).await?;
    let next = page.next.map(|next| app.cursors.write(&listing, &next)).transpose()?;
    Reply::page(&views(&app, &caller, &page.budgets).await?, next)
}

/// Reads a budget.
#[utoipa::path(
    get,
    path = "/api/v3/credits/budgets/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "budget_…")),
    responses((status = 200, body = BudgetView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_budget(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(id): Path<Id<BudgetId>>,
) -> Result<Reply, ApiError> {
    let budget = app.ledger.budget(caller.account, id.found()?).await?.ok_or(BudgetId::NOT_FOUND)?;
    Reply::ok(&view(&app, &caller, &budget).await?)
}

/// Changes the limit of a budget, what happens at it, or when it is announced. A debit that is answered after this request is
/// within the new limit.
#[utoipa::path(
    patch,
    path = "/api/v3/credits/budgets/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "budget_…")),
    request_body = BudgetChanges,
    responses((status = 200, body = BudgetView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn change_budget(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(path): Path<Id<BudgetId>>,
    Once { body, .. }: Once<BudgetChanges>,
) -> Result<Reply, ApiError> {
    let change = body.change()?;
    let changed = app
        .ledger
        .change_budget(caller.account, path.found()?, |budget| budget.changed(change.clone()))
        .await?;
    Reply::ok(&view(&app, &caller, &changed_budget(changed)?).await?)
}

/// Deletes a budget. What it has counted is forgotten.
#[utoipa::path(
    delete,
    path = "/api/v3/credits/budgets/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "budget_…")),
    responses((status = 200, body = BudgetView, description = "The budget that was deleted"), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn delete_budget(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(id): Path<Id<BudgetId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (account, id, moment) = (caller.account, id.found()?, caller.call.moment);
    let counter = app.ledger.budget_use(account, id, moment).await?;
    let deleted = changed_budget(app.ledger.delete_budget(account, id).await?)?;
    Reply::ok(&BudgetView::of(&deleted, &counter, moment.now))
}

/// A budget that was changed.
fn changed_budget(changed: ChangedBudget) -> Result<Budget, ApiError> {
    match changed {
        ChangedBudget::Changed(budget) => Ok(*budget),
        ChangedBudget::Bad(bad) => Err(ApiError::field("limit", bad)),
        ChangedBudget::Absent => Err(BudgetId::NOT_FOUND),
    }
}

async fn view<S: scrip_http::Needs>(
    app: &App,
    caller: &Caller<S>,
    budget: &Budget,
) -> Result<BudgetView, ApiError> {
    let moment = caller.call.moment;
    let counter = app.ledger.budget_use(caller.account, budget.id, moment).await?;
    Ok(BudgetView::of(budget, &counter, moment.now))
}

async fn views<S: scrip_http::Needs>(
    app: &App,
    caller: &Caller<S>,
    budgets: &[Budget],
) -> Result<Vec<BudgetView>, ApiError> {
    try_join_all(budgets.iter().map(|budget| view(app, caller, budget))).await
}
