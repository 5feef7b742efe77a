//! `GET /api/v3/credits/transactions`: every credit explained.

mod audit;
mod receipt;

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Direction, EntryId, Operation, PurchaseId, Reference, Stage};
use scrip_http::{ApiError, App, Caller, Instant, Listing, Params, Proof, Reply, Transaction, in_order, may};
use serde::Deserialize;
use store::{Cursor, Query, StatementPlace};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use receipt::Receipt;

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
    /// `nextCursor` of the page before, which had the same filters.
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

/// Transactions, newest first. Numbers fall by one from line to line: nothing is left out. A page may have fewer
/// lines than `limit`, or none, and still a `nextCursor`: where few transactions match, or where years passed without
/// any. Go on until `nextCursor` is null.
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
    if let (Some(from), Some(to)) = (filter.from, filter.to) {
        in_order(from, to)?;
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
    let listing = Listing { list: "transactions", account: caller.account, question: &query };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        Cursor::parse(&place).ok_or(ApiError::InvalidCursor)
    };
    let cursor = filter.cursor.map(read).transpose()?;
    let now = caller.call.moment.now;
    let page = app.ledger.statement(caller.account, &query, StatementPlace { cursor, limit }, now).await?;
    let debits = page.receipts.iter().filter(|line| line.entry.direction == Direction::Debit);
    let debits: Vec<_> = debits.map(|line| line.entry.id).collect();
    let pots = app.ledger.pots(caller.account, &debits).await?;
    let line = |line: &domain::Receipt| Transaction::from(line).with_refunds(pots.get(&line.entry.id));
    let lines: Vec<_> = page.receipts.iter().map(line).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next.text())).transpose()?;
    Reply::page(&lines, next)
}

/// One transaction, explained: what was charged at which price, which lots gave, what there was before and
/// after, who asked, and what was refunded of it.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions/{id}",
    tag = "credits",
    params(("id" = String, Path, description = "txn_…")),
    responses((status = 200, body = Receipt), (status = 404, description = "NOT_FOUND")),
)]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<String>,
) -> Result<Reply, ApiError> {
    let unknown = || {
        ApiError::NotFound(
            "there is no transaction with this id in this ledger; GET /api/v3/credits/transactions lists those of your key",
        )
    };
    let id = EntryId::try_from(id).map_err(|_| unknown())?;
    if let Some(receipt) = app.ledger.transaction(caller.account, id).await? {
        return Reply::ok(&explained(&app, &caller, &receipt).await?);
    }
    // A purchase has its name before it is in the ledger, where its entry has another.
    let bought = PurchaseId { account: caller.account, transaction: id };
    let purchase = app.ledger.purchase(bought).await?.ok_or_else(unknown)?;
    if let Stage::Approved(entry) = purchase.stage
        && let Some(receipt) = app.ledger.transaction(caller.account, entry).await?
    {
        return Reply::ok(&explained(&app, &caller, &receipt).await?);
    }
    Reply::ok(&Receipt::unbooked(&purchase))
}

async fn explained(
    app: &App,
    caller: &Caller<may::Read>,
    receipt: &domain::Receipt,
) -> Result<Receipt, ApiError> {
    let pot = match receipt.entry.direction {
        Direction::Debit => app.ledger.pot(caller.account, receipt.entry.id).await?,
        Direction::Credit => None,
    };
    let proof = app.ledger.proof(caller.account, receipt.entry.id, receipt.sequence).await?;
    Ok(Receipt::new(receipt, pot.as_ref(), proof.map(Proof::from)))
}
