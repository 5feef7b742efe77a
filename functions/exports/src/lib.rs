//! `/api/v3/credits/transactions/export` and `…/exports`: transactions as files; and
//! `/admin/v1/organisations/{id}/exports`: everything of an organisation.

mod download;
mod organisation;
mod request;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use domain::{
    ClaimKey, Details, Export, ExportId, ExportKey, ExportPrice, ExportStage, FileFormat, Reference, Scope,
};
use scrip_exports::{ExportAnswer, Exporter};
use scrip_http::{
    ApiError, App, Caller, ExportView, Id, IdempotencyHeader, Idempotent, Listing, PageLimit, PathId,
    QueryParams, Reply, may,
};
use serde::Deserialize;
use store::{Claim, ClaimedId, ClaimsOf, StatementCursor, Unsettled};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use request::NewExport;

/// The function's routes and their description.
pub fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(make_export, download::download_transactions))
        .routes(routes!(list_exports))
        .routes(routes!(export))
        .routes(routes!(organisation::export_organisation, organisation::list_organisation_exports))
        .routes(routes!(organisation::organisation_export))
}

/// Makes a file of transactions, the newest first. An export of at most 1,000 transactions is ready at once. A larger one
/// is made in the background: read it until its `status` is ready or failed.
///
/// `csv` and `jsonl` are free. For `xlsx` and `pdf`, which also need the scope credits:consume, credits are held now, charged
/// when the file is made, and released if it is not made. The file can be downloaded for 24 hours; the record is kept for
/// 35 days. An account has at most 3 exports that are not finished. An export has at most 2,000,000 transactions, a PDF
/// 20,000.
#[utoipa::path(
    post,
    path = "/api/v3/credits/transactions/export",
    tag = "exports",
    params(IdempotencyHeader),
    request_body = NewExport,
    responses(
        (status = 201, body = ExportView, description = "ready: `url` downloads the file"),
        (status = 202, body = ExportView, description = "pending: the file is made in the background; GET …/exports/{exportId} returns how far it is"),
        (status = 402, description = "INSUFFICIENT_CREDITS: `details` has `required` and `available`; no export was begun"),
        (status = 403, description = "BUDGET_EXCEEDED; PLAN_LIMIT_REACHED; ORGANISATION_FROZEN"),
        (status = 409, description = "CONFLICT: the account has 3 exports that are not finished; OPERATION_IN_PROGRESS, with Retry-After"),
    ),
)]
async fn make_export(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    intent: Idempotent<NewExport>,
) -> Result<Reply, ApiError> {
    if intent.body.format.operation().is_some() {
        caller.must_also(Scope::CreditsConsume)?;
    }
    intent.body.query()?;
    let (of, key) = (ClaimsOf::Account(caller.account), ClaimKey::Caller(intent.key));
    let moment = caller.call.moment;
    let made = match app.ledger.claim_once(of, &key, &intent.fingerprint, moment).await {
        // Nothing is left of a request that was refused, and its key is free.
        Err(Unsettled::KeyReused) => {
            let known = app.ledger.holder_of(of, &key).await?.ok_or(Unsettled::InProgress)?;
            let refused = ExportKey::transactions(caller.account, known.into());
            if app.ledger.export(refused).await?.is_some() {
                return Err(Unsettled::KeyReused.into());
            }
            let details = Details::default();
            let claim = Claim::new(&key, &intent.fingerprint, &details);
            app.ledger.claim_from(known, of, claim, moment).await?
        }
        claimed => claimed?,
    };
    let id = ExportKey::transactions(caller.account, made.id.into());
    let exporter = app.exporter();
    let known = if made.replayed { app.ledger.export(id).await? } else { None };
    let answer = match known {
        Some(known) => Box::pin(exporter.resume(known, moment)).await?,
        None => {
            let asked = asked(&app, &caller, &intent.body, made).await?;
            Box::pin(exporter.begin(asked.leased_to_request(moment.wall), moment)).await?
        }
    };
    match answer {
        ExportAnswer::TooMany => Err(TOO_MANY),
        ExportAnswer::Export(export) => {
            let view = shown(&app, &exporter, &export).await?;
            if export.is_finished() {
                Reply::created(&view, made.replayed)
            } else {
                Reply::accepted(&view, made.replayed)
            }
        }
    }
}

const TOO_MANY: ApiError = ApiError::Conflict(
    "this account has 3 exports that are not finished; wait until one of them is \
     (GET /api/v3/credits/transactions/exports), then send the request again with the same Idempotency-Key",
);

/// The export that a request asks for, at the present price, of the transactions that there are now.
async fn asked(
    app: &App,
    caller: &Caller<may::Read>,
    wanted: &NewExport,
    made: ClaimedId,
) -> Result<Export, ApiError> {
    let moment = caller.call.moment;
    let account = app.ledger.account(caller.account).await?.ok_or(Unsettled::NoAccount)?;
    let organisation = app.settings.organisation(caller.account.org, moment.wall).await?;
    let query = wanted.query()?;
    let of = Some(account.sequence).filter(|_| query == store::StatementQuery::default());
    let most = wanted.format.rows_max();
    if of.is_some_and(|of| most < of) {
        let problem =
            format!("has at most {most} transactions, and there are more; send `from` and `to`, or a filter");
        return Err(ApiError::field("format", problem));
    }
    Ok(Export {
        key: ExportKey::transactions(caller.account, made.id.into()),
        format: wanted.format,
        ends: None,
        begin: StatementCursor::beginning(&account, &query, moment.now).text(),
        query,
        organisation: organisation.map(|organisation| organisation.name.to_string()).unwrap_or_default(),
        price: price(app, wanted.format, moment).await?,
        made_at: made.at,
        begun_at: app.clock.now(),
        key_id: caller.key,
        super_admin: caller.super_admin(),
        request_id: caller.call.id.to_string(),
        stage: ExportStage::Begun,
        hold: None,
        attempts: 0,
        leased_until: moment.wall,
        rows: 0,
        counts: BTreeMap::new(),
        of,
        revision: 0,
    })
}

/// What a file of this format costs; `None` if nothing.
async fn price(
    app: &App,
    format: FileFormat,
    moment: store::Moment,
) -> Result<Option<ExportPrice>, ApiError> {
    let Some(name) = format.operation().and_then(|name| Reference::try_from(name.to_owned()).ok()) else {
        return Ok(None);
    };
    let catalogue = app.settings.catalogue(moment.wall).await?;
    let (operation, price) = catalogue.prices.price(&name, moment.now)?;
    let price = ExportPrice { operation, credits: price.credits, version: price.version };
    Ok(Some(price).filter(|price| !price.credits.is_zero()))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportsQuery {
    /// Exports on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// Lists the exports of the last 35 days, the newest first.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions/exports",
    tag = "exports",
    params(ExportsQuery),
    responses((status = 200, body = Vec<ExportView>)),
)]
async fn list_exports(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(ExportsQuery { limit, cursor }): QueryParams<ExportsQuery>,
) -> Result<Reply, ApiError> {
    let listing = Listing { list: "exports", account: caller.account, question: &() };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        ExportId::try_from(place).map_err(|_| ApiError::InvalidCursor)
    };
    let before = cursor.map(read).transpose()?;
    let (exports, more) = app.ledger.exports(caller.account, before, limit.get()).await?;
    let last = exports.last().map(|export| export.key.export).filter(|_| more);
    let next = last.map(|last| app.cursors.write(&listing, &last.to_string())).transpose()?;
    let (exporter, now) = (app.exporter(), app.clock.now());
    let mut lines = Vec::new();
    for export in exports.iter().filter(|export| export.is_kept(now)) {
        lines.push(shown(&app, &exporter, export).await?);
    }
    Reply::page(&lines, next)
}

/// Returns an export, with a link that downloads its file.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions/exports/{exportId}",
    tag = "exports",
    params(("exportId" = String, Path, description = "exp_…")),
    responses((status = 200, body = ExportView), (status = 404, description = "NOT_FOUND")),
)]
async fn export(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    Path(id): Path<Id<ExportId>>,
) -> Result<Reply, ApiError> {
    let key = ExportKey::transactions(caller.account, id.found()?);
    let export = app.ledger.export(key).await?.filter(|export| export.is_kept(app.clock.now()));
    let export = export.ok_or(ExportId::NOT_FOUND)?;
    Reply::ok(&shown(&app, &app.exporter(), &export).await?)
}

async fn shown(app: &App, exporter: &Exporter<'_>, export: &Export) -> Result<ExportView, ApiError> {
    let url = exporter.link(export).await?;
    Ok(ExportView::new(export, url, app.clock.now()))
}
