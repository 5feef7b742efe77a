//! Requests for larger budgets: made, listed, approved and declined.

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    Amount, Budget, BudgetId, BudgetNotice, BudgetRequest, BudgetRequestId, BudgetRequestStatus, Credits,
    Notification, RaiseEnd, Reference,
};
use scrip_http::{
    ApiError, App, BudgetRequestView, Caller, Id, Listing, NoFields, Once, OptionalBody, PageLimit, PathId,
    QueryParams, Reply, may,
};
use serde::Deserialize;
use store::ApprovedRequest;
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct BudgetRequestsQuery {
    /// Requests on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A request for a larger budget.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "budgetId": "budget_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "amount": 50, "reason": "Month-end checks" }))]
pub(super) struct NewBudgetRequest {
    /// The budget, as `details.budgetId` of the refusal names it.
    #[schema(value_type = String)]
    budget_id: BudgetId,
    /// How many credits are needed beyond the limit.
    #[schema(value_type = u64, minimum = 1)]
    amount: Amount,
    /// Why, for the person who decides.
    #[schema(value_type = Option<String>, max_length = 255)]
    reason: Option<Reference>,
}

/// How a request is approved.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[schema(example = json!({ "amount": 50, "until": "reset" }))]
pub(super) struct Approval {
    /// How many credits are added to the limit; as many as were asked for if left out.
    #[schema(value_type = Option<u64>, minimum = 1)]
    amount: Option<Amount>,
    /// When the raise ends: day (after 24 hours), reset (with the budget's period, the default) or never.
    #[schema(value_type = Option<String>)]
    until: Option<RaiseEnd>,
}

/// Asks for a larger budget. The event budget.requested tells those who can approve it.
#[utoipa::path(
    post,
    path = "/api/v3/budget-requests",
    tag = "budgets",
    request_body = NewBudgetRequest,
    responses(
        (status = 201, body = BudgetRequestView),
        (status = 400, description = "VALIDATION_ERROR: there is no such budget"),
    ),
)]
pub(super) async fn request_budget(
    State(app): State<Arc<App>>,
    caller: Caller<may::Spend>,
    Once { body, id }: Once<NewBudgetRequest>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let unknown =
        || ApiError::field("budgetId", "there is no such budget; `details.budgetId` of the refusal names it");
    let budget = app.ledger.budget(account, body.budget_id).await?.ok_or_else(unknown)?;
    let request = BudgetRequest {
        id: BudgetRequestId::from(id),
        budget: budget.id,
        amount: body.amount.into(),
        reason: body.reason,
        asked_by: caller.key.to_string(),
        created_at: id.time(),
        status: BudgetRequestStatus::Open,
    };
    app.ledger.add_budget_request(account, &request).await?;
    app.ledger.emit(account, &notice(&request, &budget), moment).await?;
    Reply::created(&BudgetRequestView::from(&request), false)
}

/// Lists requests for larger budgets, the newest first.
#[utoipa::path(get, path = "/api/v3/budget-requests", tag = "budgets", params(BudgetRequestsQuery), responses((status = 200, body = Vec<BudgetRequestView>)))]
pub(super) async fn list_budget_requests(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    QueryParams(BudgetRequestsQuery { limit, cursor }): QueryParams<BudgetRequestsQuery>,
) -> Result<Reply, ApiError> {
    let account = caller.account;
    let listing = Listing { list: "budget-requests", account, question: &() };
    let below = cursor.map(|text| app.cursors.read(&listing, &text)).transpose()?;
    let limit = i32::from(limit.get());
    let page = app.ledger.list_budget_requests(account, below.as_deref(), limit).await?;
    let requests: Vec<_> = page.requests.iter().map(BudgetRequestView::from).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next)).transpose()?;
    Reply::page(&requests, next)
}

/// Reads a request for a larger budget.
#[utoipa::path(
    get,
    path = "/api/v3/budget-requests/{id}",
    tag = "budgets",
    params(("id" = String, Path, description = "breq_…")),
    responses((status = 200, body = BudgetRequestView), (status = 404, description = "NOT_FOUND")),
)]
pub(super) async fn read_budget_request(
    State(app): State<Arc<App>>,
    caller: Caller<may::SeeSettings>,
    Path(id): Path<Id<BudgetRequestId>>,
) -> Result<Reply, ApiError> {
    Reply::ok(&BudgetRequestView::from(&find(&app, &caller, id).await?))
}

/// Approves a request: raises its budget, until the budget resets unless the body says otherwise.
#[utoipa::path(
    post,
    path = "/api/v3/budget-requests/{id}/approve",
    tag = "budgets",
    params(("id" = String, Path, description = "breq_…")),
    request_body(content = Option<Approval>, description = "Optional"),
    responses(
        (status = 200, body = BudgetRequestView),
        (status = 400, description = "VALIDATION_ERROR; also for a budget with 10 raises that have not ended"),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the request was answered before, or its budget was deleted"),
    ),
)]
pub(super) async fn approve_budget_request(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(path): Path<Id<BudgetRequestId>>,
    OptionalBody(Once { body, .. }): OptionalBody<Approval>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let request = find(&app, &caller, path).await?;
    let budget = app.ledger.budget(account, request.budget).await?;
    let amount = body.amount.map_or(request.amount, Credits::from);
    let end = body.until.unwrap_or(RaiseEnd::Reset);
    let until = budget.as_ref().and_then(|budget| end.of(budget.period, moment.now));
    let status = BudgetRequestStatus::Approved { amount, until, by: caller.key.to_string(), at: moment.now };
    let wanted = BudgetRequest { status, ..request };
    let raise = |budget: Budget| budget.raised(amount, until, moment.now);
    let is_gone = budget.is_none();
    let is_same = |known: &BudgetRequest| {
        known.answer_is(&wanted) || is_gone && matches!(known.status, BudgetRequestStatus::Approved { .. })
    };
    let (answered, budget) = match app.ledger.approve_budget_request(account, &wanted, raise).await? {
        ApprovedRequest::Raised(raised) => (wanted.clone(), Some(*raised)),
        ApprovedRequest::AnsweredBefore(known) if is_same(&known) => (*known, budget),
        ApprovedRequest::AnsweredBefore(known) => return Err(answered_before(&known)),
        ApprovedRequest::Bad(bad) => return Err(ApiError::field("amount", bad)),
        ApprovedRequest::NoBudget => return Err(GONE),
    };
    if let Some(budget) = &budget {
        app.ledger.emit(account, &notice(&answered, budget), moment).await?;
    }
    Reply::ok(&BudgetRequestView::from(&answered))
}

/// Declines a request.
#[utoipa::path(
    post,
    path = "/api/v3/budget-requests/{id}/decline",
    tag = "budgets",
    params(("id" = String, Path, description = "breq_…")),
    responses(
        (status = 200, body = BudgetRequestView),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the request was answered before"),
    ),
)]
pub(super) async fn decline_budget_request(
    State(app): State<Arc<App>>,
    caller: Caller<may::Set>,
    Path(path): Path<Id<BudgetRequestId>>,
    _: OptionalBody<NoFields>,
) -> Result<Reply, ApiError> {
    let (account, moment) = (caller.account, caller.call.moment);
    let request = find(&app, &caller, path).await?;
    let budget = app.ledger.budget(account, request.budget).await?.ok_or(GONE)?;
    let status = BudgetRequestStatus::Declined { by: caller.key.to_string(), at: moment.now };
    let wanted = BudgetRequest { status: status.clone(), ..request };
    let answered = app.ledger.answer_budget_request(account, wanted.id, status).await?;
    let answered = answered.ok_or(BudgetRequestId::NOT_FOUND)?;
    if !answered.answer_is(&wanted) {
        return Err(answered_before(&answered));
    }
    app.ledger.emit(account, &notice(&answered, &budget), moment).await?;
    Reply::ok(&BudgetRequestView::from(&answered))
}

const GONE: ApiError = ApiError::Conflict("the budget was deleted, so there is nothing to decide");

async fn find<S: scrip_http::Needs>(
    app: &App,
    caller: &Caller<S>,
    id: Id<BudgetRequestId>,
) -> Result<BudgetRequest, ApiError> {
    app.ledger.budget_request(caller.account, id.found()?).await?.ok_or(BudgetRequestId::NOT_FOUND)
}

fn answered_before(known: &BudgetRequest) -> ApiError {
    ApiError::Conflict(match known.status {
        BudgetRequestStatus::Approved { .. } => {
            "the request was approved before; a new request is needed for more"
        }
        BudgetRequestStatus::Declined { .. } => "the request was declined before; a new request is needed",
        BudgetRequestStatus::Open => "the request is being answered; send this one again",
    })
}

fn notice(request: &BudgetRequest, budget: &Budget) -> Notification {
    Notification::Budget(Box::new(BudgetNotice::Request(Box::new(request.clone()), Box::new(budget.clone()))))
}
