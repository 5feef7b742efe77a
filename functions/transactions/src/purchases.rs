//! The purchases of an account, also those that are not in the ledger.

use std::sync::Arc;

use axum::extract::State;
use domain::{EntryId, Purchase, PurchaseStatus};
use futures_util::FutureExt;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use scrip_http::{
    ApiError, App, Caller, Listing, PageLimit, QueryParams, Reply, TransactionView, may, purchase_view,
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;

/// How many transactions are read at the same time.
const READS_AT_ONCE: usize = 16;

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum PurchaseFilter {
    Pending,
    Approved,
    Failed,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct PurchasesQuery {
    /// Only purchases with this status: `pending`, `approved` or `failed`.
    #[param(value_type = Option<String>)]
    status: Option<PurchaseFilter>,
    /// Purchases on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page, with the same filter.
    cursor: Option<String>,
}

/// Lists purchases, the newest first: those that are in the ledger, and pending and failed ones. With `status`, a page may
/// have fewer purchases than `limit`, or none, and still have a `nextCursor`: continue until it is null.
#[utoipa::path(
    get,
    path = "/api/v3/credits/purchases",
    tag = "credits",
    params(PurchasesQuery),
    responses((status = 200, body = Vec<TransactionView>)),
)]
pub(crate) async fn list_purchases(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(PurchasesQuery { status, limit, cursor }): QueryParams<PurchasesQuery>,
) -> Result<Reply, ApiError> {
    let listing = Listing { list: "purchases", account: caller.account, question: &status };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        EntryId::from_bare(&place).ok_or(ApiError::InvalidCursor)
    };
    let before = cursor.map(read).transpose()?;
    let (purchases, more) = app.ledger.purchases(caller.account, before, limit.get()).await?;
    let last = purchases.last().map(|purchase| purchase.id.transaction).filter(|_| more);
    let next = last.map(|last| app.cursors.write(&listing, &last.bare())).transpose()?;
    let mut lines = Vec::new();
    for purchase in purchases {
        if status.is_none_or(|status| status == PurchaseFilter::of(&purchase)) {
            lines.push(line(app.clone(), purchase).boxed());
        }
    }
    let lines: Vec<_> = stream::iter(lines).buffered(READS_AT_ONCE).try_collect().await?;
    Reply::page(&lines, next)
}

async fn line(app: Arc<App>, purchase: Purchase) -> Result<TransactionView, ApiError> {
    Ok(purchase_view(&app.ledger, &purchase).await?)
}

impl PurchaseFilter {
    fn of(purchase: &Purchase) -> Self {
        match purchase.status {
            PurchaseStatus::Pending(_) => Self::Pending,
            PurchaseStatus::Approved(_) => Self::Approved,
            PurchaseStatus::Failed(_) => Self::Failed,
        }
    }
}
