//! `GET /v2/credits` and `/v2/credits/{creditId}`: an account's credit records, in Verifik's shape.

mod names;
mod query;
mod record;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{Account, CreditId, EntryId, PurchaseId, PurchaseStatus, RecordKind, Remainder};
use scrip_http::{ApiError, App, Caller, Id, NumberedPage, PathId, QueryParams, Reply, may};
use store::{FoundRecord, RecordsQuery};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use names::Names;
use query::{RecordParams, RecordsParams};
use record::{RecordSource, RecordView};

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new().routes(routes!(list_records)).routes(routes!(one_record))
}

/// Lists credit records, the newest first: purchases, grants and allowances (`category` `purchase`), and debits and captures
/// (`usage`); also purchases that are pending or have failed, of which the newest 1,000 are listed.
///
/// A record moves to a later page when newer ones arrive: a program that reads page after page meanwhile sees some records
/// twice and misses none that was there before. A pending purchase that is approved becomes a new record.
#[utoipa::path(
    get,
    path = "/v2/credits",
    tag = "records",
    params(RecordsParams),
    responses((status = 200, body = Vec<RecordView>)),
)]
async fn list_records(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(params): QueryParams<RecordsParams>,
) -> Result<Reply, ApiError> {
    let (page, per_page) = (params.page.get(), params.per_page.get());
    let own = params.where_client.is_none_or(|client| client.0 == caller.account.org);
    let mut records = Vec::new();
    let mut total = 0;
    if own {
        let offset = page.saturating_sub(1).saturating_mul(per_page.into());
        let query = RecordsQuery { filter: params.filter(), offset, limit: per_page };
        let found = app.ledger.records(caller.account, query, caller.call.moment.now).await?;
        let found = found.ok_or(ApiError::RecordsNotIndexed)?;
        let names = Names::of(&app, &caller, &params.populates.0, &found.records).await?;
        records = views(&app, &caller, found.account.as_ref(), &found.records).await?;
        records.iter_mut().for_each(|record| names.fill(record));
        total = found.total;
    }
    let pages = total.div_ceil(per_page.into());
    Reply::numbered_page(&records, NumberedPage { page, per_page, total, pages })
}

/// Returns a credit record, by its id or by the id of the purchase that it was before it was approved.
#[utoipa::path(
    get,
    path = "/v2/credits/{creditId}",
    tag = "records",
    params(("creditId" = String, Path, description = "credit_…"), RecordParams),
    responses((status = 200, body = RecordView), (status = 404, description = "CREDIT_RECORD_NOT_FOUND")),
)]
async fn one_record(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<Id<CreditId>>,
    QueryParams(params): QueryParams<RecordParams>,
) -> Result<Reply, ApiError> {
    let id = EntryId::from(id.found()?);
    let found = [find(&app, &caller, id).await?.ok_or(CreditId::NOT_FOUND)?];
    let account = app.ledger.account(caller.account).await?;
    let names = Names::of(&app, &caller, &params.populates.0, &found).await?;
    let mut records = views(&app, &caller, account.as_ref(), &found).await?;
    let mut record = records.pop().ok_or(CreditId::NOT_FOUND)?;
    names.fill(&mut record);
    Reply::ok(&record)
}

/// The record of a transaction, or of a purchase.
async fn find(app: &App, caller: &Caller<may::Read>, id: EntryId) -> Result<Option<FoundRecord>, ApiError> {
    let booked = async |entry: EntryId| -> Result<Option<FoundRecord>, ApiError> {
        let receipt = app.ledger.transaction(caller.account, entry).await?;
        let record = receipt.filter(|receipt| RecordKind::of(receipt) != RecordKind::Nothing);
        Ok(record.map(|receipt| FoundRecord::Booked(receipt.into())))
    };
    if let Some(record) = booked(id).await? {
        return Ok(Some(record));
    }
    let purchase = PurchaseId { account: caller.account, transaction: id };
    let Some(purchase) = app.ledger.purchase(purchase).await? else { return Ok(None) };
    match purchase.status {
        PurchaseStatus::Approved(entry) => booked(entry).await,
        PurchaseStatus::Pending(_) | PurchaseStatus::Failed(_) => {
            Ok(Some(FoundRecord::Unbooked(purchase.into())))
        }
    }
}

async fn views(
    app: &App,
    caller: &Caller<may::Read>,
    account: Option<&Account>,
    records: &[FoundRecord],
) -> Result<Vec<RecordView>, ApiError> {
    let debits = records.iter().filter_map(|record| match record {
        FoundRecord::Booked(receipt) if RecordKind::of(receipt) != RecordKind::Purchase => {
            Some((receipt.sequence, receipt.entry.id))
        }
        FoundRecord::Booked(_) | FoundRecord::Unbooked(_) => None,
    });
    let debits: Vec<_> = debits.collect();
    let remainders = app.ledger.remainders_of_rows(caller.account, &debits).await?;
    let lots: BTreeSet<_> = records.iter().filter_map(record::lot_of).collect();
    let lots = app.activity.lots_of(caller.account, &lots.into_iter().collect::<Vec<_>>()).await?;
    let lots: BTreeMap<_, _> = lots.into_iter().map(|lot| (lot.record.lot, lot.record)).collect();
    let now = caller.call.moment.now;
    let view = |record: &FoundRecord| match record {
        FoundRecord::Booked(receipt) => {
            let remainder: Option<&Remainder> = remainders.get(&receipt.entry.id);
            RecordView::booked(
                receipt,
                &RecordSource { client: caller.account.org, account, remainder, lots: &lots, now },
            )
        }
        FoundRecord::Unbooked(purchase) => RecordView::unbooked(purchase),
    };
    Ok(records.iter().map(view).collect())
}
