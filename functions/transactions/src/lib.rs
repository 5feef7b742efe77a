//! `GET /api/v3/credits/transactions`: every credit explained.

mod audit;

use std::sync::Arc;

use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use shared::domain::{AccountId, Direction, EntryId, Operation, PurchaseId, Receipt, Reference, Stage};
use shared::edge::{ApiError, App, Caller, Instant, Params, Proof, Reply, Transaction, may};
use shared::store::{Cursor, Query};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// Transactions on a page when nothing is asked.
const LIMIT: usize = 50;

/// Transactions on a page at most.
const LIMIT_MAX: usize = 100;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one)).routes(routes!(audit::audit))
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Category {
    Purchase,
    Usage,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct Filter {
    /// Transactions on a page, 1 to 100; 50 when left out.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<usize>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
    /// DEBIT or CREDIT.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    direction: Option<Direction>,
    /// `usage` (debits) or `purchase` (credits).
    #[param(value_type = Option<String>)]
    category: Option<Category>,
    /// One operation.
    #[param(value_type = Option<String>)]
    operation: Option<Operation>,
    /// One customer's.
    #[param(value_type = Option<String>)]
    customer_id: Option<Reference>,
    /// One member's.
    #[param(value_type = Option<String>)]
    member_id: Option<Reference>,
    /// From this instant on.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    /// Before this instant.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
}

/// Transactions, newest first. Numbers fall by one from line to line: nothing is left out.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions",
    tag = "credits",
    params(Filter),
    responses((status = 200, body = Vec<Transaction>)),
)]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Params(filter): Params<Filter>,
) -> Result<Reply, ApiError> {
    let limit = filter.limit.unwrap_or(LIMIT);
    if !(1..=LIMIT_MAX).contains(&limit) {
        return Err(ApiError::field("limit", format!("must be a whole number from 1 to {LIMIT_MAX}")));
    }
    let category = filter.category.map(|category| match category {
        Category::Usage => Direction::Debit,
        Category::Purchase => Direction::Credit,
    });
    if filter.direction.is_some() && category.is_some() && filter.direction != category {
        return Reply::page(&Vec::<Transaction>::new(), None);
    }
    let query = Query {
        direction: filter.direction.or(category),
        operation: filter.operation,
        customer: filter.customer_id,
        member: filter.member_id,
        from: filter.from.map(|Instant(at)| at),
        to: filter.to.map(|Instant(at)| at),
    };
    let read = |text: String| Cursor::read(&text, caller.account, &query).ok_or(ApiError::InvalidCursor);
    let cursor = filter.cursor.map(read).transpose()?;
    let now = caller.call.moment.now;
    let page = app.ledger.statement(caller.account, &query, (cursor, limit), now).await?;
    let lines: Vec<_> = page.receipts.iter().map(Transaction::from).collect();
    Reply::page(&lines, page.next.map(|next| next.write(caller.account, &query)))
}

/// A transaction and its place in the hash chain.
#[derive(Serialize, ToSchema)]
struct Proven {
    #[serde(flatten)]
    transaction: Transaction,
    /// Null until the transaction is chained, which takes seconds; and for what is not in the ledger.
    proof: Option<Proof>,
}

/// One transaction.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions/{id}",
    tag = "credits",
    params(("id" = String, Path, description = "txn_…")),
    responses((status = 200, body = Proven), (status = 404, description = "NOT_FOUND")),
)]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let unknown = || ApiError::NotFound("there is no such transaction");
    let id = EntryId::try_from(id).map_err(|_| unknown())?;
    if let Some(receipt) = app.ledger.transaction(caller.account, id).await? {
        return told(&app, caller.account, &receipt).await;
    }
    // A purchase has its name before it is in the ledger, where its entry has another.
    let bought = PurchaseId { account: caller.account, transaction: id };
    let purchase = app.ledger.purchase(bought).await?.ok_or_else(unknown)?;
    if let Stage::Approved(entry) = purchase.stage
        && let Some(receipt) = app.ledger.transaction(caller.account, entry).await?
    {
        return told(&app, caller.account, &receipt).await;
    }
    Reply::ok(&Proven { transaction: Transaction::unbooked(&purchase), proof: None })
}

async fn told(app: &App, account: AccountId, receipt: &Receipt) -> Result<Reply, ApiError> {
    let proof = app.ledger.proof(account, receipt.entry.id, receipt.sequence).await?;
    Reply::ok(&Proven { transaction: Transaction::from(receipt), proof: proof.map(Proof::from) })
}
