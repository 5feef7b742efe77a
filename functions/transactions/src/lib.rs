//! `GET /api/v3/credits/transactions`, `…/transactions/{id}`, `…/purchases` and `…/audit`: the history of an account.

mod audit;
mod purchases;

use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Direction, EntryId, KeyId, Operation, PurchaseId, PurchaseStatus, Reference, Service};
use scrip_http::{
    ApiError, App, Caller, CategoryFilter, Id, Instant, Listing, PageLimit, PathId, ProofView, QueryParams,
    ReceiptView, Reply, StatusFilter, TransactionView, in_order, may, of_kind,
};
use serde::Deserialize;
use store::{StatementCursor, StatementPlace, StatementQuery};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(audit::audit))
        .routes(routes!(purchases::list_purchases))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
struct TransactionsQuery {
    /// Transactions on a page, 1 to 100; 50 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<50, 100>,
    /// `nextCursor` of the previous page, with the same filters.
    cursor: Option<String>,
    /// DEBIT or CREDIT.
    #[serde(rename = "type")]
    #[param(value_type = Option<String>)]
    direction: Option<Direction>,
    /// `usage` (debits) or `purchase` (credits).
    #[param(value_type = Option<String>)]
    category: Option<CategoryFilter>,
    /// Only this operation.
    #[param(value_type = Option<String>)]
    operation: Option<Operation>,
    /// Only this customer.
    #[param(value_type = Option<String>)]
    customer_id: Option<Reference>,
    /// Only this member of staff.
    #[param(value_type = Option<String>)]
    member_id: Option<Reference>,
    /// Only transactions of this service: debits that used it, and grants that are reserved for it.
    #[param(value_type = Option<String>)]
    service: Option<Service>,
    /// `approved`, or `postPaid` for debits that are partly owed. Pending and failed purchases are at
    /// `GET /api/v3/credits/purchases`.
    #[param(value_type = Option<String>)]
    status: Option<StatusFilter>,
    /// Only requests with this API key, `key_…`.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only this resource.
    #[param(value_type = Option<String>)]
    resource_id: Option<Reference>,
    /// Only transactions at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Instant>,
    /// Only transactions before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Instant>,
}

/// Lists transactions, the newest first. Without filters, sequence numbers decrease by one from line to line. A page may
/// have fewer transactions than `limit`, or none, and still have a `nextCursor`, if few transactions match or years passed
/// without any. Continue until `nextCursor` is null.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions",
    tag = "credits",
    params(TransactionsQuery),
    responses((status = 200, body = Vec<TransactionView>)),
)]
async fn list(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(filter): QueryParams<TransactionsQuery>,
) -> Result<Reply, ApiError> {
    if let (Some(from), Some(to)) = (filter.from, filter.to) {
        in_order(from, to)?;
    }
    let query = StatementQuery {
        direction: None,
        operation: filter.operation,
        customer: filter.customer_id,
        member: filter.member_id,
        service: filter.service,
        key: filter.key_id,
        resource: filter.resource_id,
        on_account: filter.status.map(|status| status == StatusFilter::PostPaid),
        from: filter.from.map(|Instant(at)| at),
        to: filter.to.map(|Instant(at)| at),
    };
    let Some(query) = of_kind(query, filter.direction, filter.category) else {
        return Reply::page(&Vec::<TransactionView>::new(), None);
    };
    let listing = Listing { list: "transactions", account: caller.account, question: &query };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        StatementCursor::parse(&place).ok_or(ApiError::InvalidCursor)
    };
    let cursor = filter.cursor.map(read).transpose()?;
    let now = caller.call.moment.now;
    let place = StatementPlace { cursor, limit: filter.limit.get().into() };
    let page = app.ledger.statement(caller.account, &query, place, now).await?;
    let debits = page.receipts.iter().filter(|line| line.entry.direction == Direction::Debit);
    let debits: Vec<_> = debits.map(|line| line.entry.id).collect();
    let remainders = app.ledger.remainders(caller.account, &debits).await?;
    let line =
        |line: &domain::Receipt| TransactionView::from(line).with_refunds(remainders.get(&line.entry.id));
    let lines: Vec<_> = page.receipts.iter().map(line).collect();
    let next = page.next.map(|next| app.cursors.write(&listing, &next.text())).transpose()?;
    Reply::page(&lines, next)
}

/// Returns a transaction with its price, its lots, the balances before and after, the API key that requested it, and its
/// refunds.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions/{id}",
    tag = "credits",
    params(("id" = String, Path, description = "txn_…")),
    responses((status = 200, body = ReceiptView), (status = 404, description = "NOT_FOUND")),
)]
async fn one(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<Id<EntryId>>,
) -> Result<Reply, ApiError> {
    let id = id.found()?;
    if let Some(receipt) = app.ledger.transaction(caller.account, id).await? {
        return Reply::ok(&explained(&app, &caller, &receipt).await?);
    }
    // A purchase has an id before it is in the ledger, where its transaction has another one.
    let bought = PurchaseId { account: caller.account, transaction: id };
    let purchase = app.ledger.purchase(bought).await?.ok_or(EntryId::NOT_FOUND)?;
    if let PurchaseStatus::Approved(entry) = purchase.status
        && let Some(receipt) = app.ledger.transaction(caller.account, entry).await?
    {
        return Reply::ok(&explained(&app, &caller, &receipt).await?);
    }
    Reply::ok(&ReceiptView::unbooked(&purchase))
}

async fn explained(
    app: &App,
    caller: &Caller<may::Read>,
    receipt: &domain::Receipt,
) -> Result<ReceiptView, ApiError> {
    let remainder = match receipt.entry.direction {
        Direction::Debit => app.ledger.remainder(caller.account, receipt.entry.id).await?,
        Direction::Credit => None,
    };
    let proof = app.ledger.proof(caller.account, receipt.entry.id, receipt.sequence).await?;
    Ok(ReceiptView::new(receipt, remainder.as_ref(), proof.map(ProofView::from)))
}
