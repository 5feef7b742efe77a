//! `/admin/v1/organisations/{id}/exports`: everything of an organisation, as one file for its operator.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use chrono::{DateTime, SubsecRound, Utc};
use domain::{
    AccountId, EntryId, Export, ExportId, ExportKey, ExportStage, FileFormat, LedgerEnds, Mode, OrgId,
    StatementQuery,
};
use scrip_exports::{ExportAnswer, Exporter};
use scrip_http::{
    ApiError, App, ExportErrorView, Id, Listing, Once, Operator, PageLimit, PathId, QueryParams,
    ReasonRequest, Reply, duty, timestamp,
};
use serde::{Deserialize, Serialize};
use store::Unsettled;
use utoipa::{IntoParams, ToSchema};

/// An export of everything of an organisation.
#[derive(Serialize, ToSchema)]
#[schema(as = OrganisationExport)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "exportId": "exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "organisationId": "org_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB", "status": "ready",
    "ledgers": { "live": { "throughSequence": 731 }, "test": { "throughSequence": 12 } },
    "progress": { "lines": 802, "counts": { "apiKey": 3, "organisation": 1, "transaction": 743 } },
    "fileName": "organisation-2024-02-01-exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA.jsonl.gz", "bytes": 148211,
    "sha256": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "url": "https://files.example.com/organisation-2024-02-01-exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA.jsonl.gz?signature=…",
    "urlExpiresAt": "2024-02-02T10:30:00Z", "error": null, "createdBy": "key_01HM6QY8R0Z3V9Q2T5W7X8Y9ZC",
    "createdAt": "2024-02-01T10:30:00Z"
}))]
struct OrganisationExportView {
    /// `exp_…`
    export_id: String,
    /// `org_…`
    organisation_id: String,
    /// pending, running, ready, failed, or expired: the file cannot be downloaded any longer.
    status: &'static str,
    /// Through which transaction the file has each ledger: the last ones when the export was asked for.
    ledgers: LedgersView,
    /// What is written so far.
    progress: LinesView,
    /// The name of the file: gzip of JSON Lines.
    file_name: String,
    /// The size of the file; null until it is ready.
    bytes: Option<u64>,
    /// The SHA-256 of the file; null until it is ready.
    sha256: Option<String>,
    /// A link that downloads the file, without an API key; null unless the export is ready. Each answer has a new one.
    url: Option<String>,
    /// When the file is removed, in real time; null until it is ready.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    url_expires_at: Option<DateTime<Utc>>,
    /// Why it has failed.
    error: Option<ExportErrorView>,
    /// The key of the operator who has asked for it.
    created_by: String,
    /// When it was asked for.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

/// The ledgers of an export.
#[derive(Serialize, ToSchema)]
#[schema(as = ExportedLedgers)]
struct LedgersView {
    live: LedgerEndView,
    test: LedgerEndView,
}

/// A ledger of an export.
#[derive(Serialize, ToSchema)]
#[schema(as = ExportedLedger)]
#[serde(rename_all = "camelCase")]
struct LedgerEndView {
    /// The number of the last transaction in the file.
    through_sequence: u64,
}

/// How far an export is.
#[derive(Serialize, ToSchema)]
#[schema(as = OrganisationExportProgress)]
struct LinesView {
    /// Lines written by the present attempt.
    lines: u64,
    /// Lines of each kind.
    counts: BTreeMap<String, u64>,
}

impl OrganisationExportView {
    fn new(export: &Export, url: Option<String>, now: DateTime<Utc>) -> Self {
        let (status, file, error) = match &export.stage {
            ExportStage::Begun | ExportStage::Queued => ("pending", None, None),
            ExportStage::Running | ExportStage::Made(_) | ExportStage::Failing(_) => ("running", None, None),
            ExportStage::Ready(file, _) if now < file.until => ("ready", Some(file), None),
            ExportStage::Ready(file, _) => ("expired", Some(file), None),
            ExportStage::Failed(error) => ("failed", None, Some(*error)),
        };
        let end = |mode| LedgerEndView { through_sequence: export.ends.map_or(0, |ends| ends.of(mode)) };
        Self {
            export_id: export.key.export.to_string(),
            organisation_id: export.key.account.org.to_string(),
            status,
            ledgers: LedgersView { live: end(Mode::Live), test: end(Mode::Test) },
            progress: LinesView { lines: export.rows, counts: export.counts.clone() },
            file_name: export.file_name(),
            bytes: file.map(|file| file.bytes),
            sha256: file.and_then(|file| file.sha256.clone()),
            url,
            url_expires_at: file.map(|file| file.until),
            error: error.map(ExportErrorView::from),
            created_by: export.key_id.to_string(),
            created_at: export.made_at,
        }
    }
}

/// Exports everything of an organisation, also of a closed one: settings, keys (without secrets), members, budgets, webhooks,
/// and both ledgers with all transactions and their hash chains, as one file of JSON Lines. The file is made in the background:
/// read the export until its `status` is ready or failed. The API guide describes the file.
///
/// An organisation has at most 3 exports that are not finished. The file can be downloaded for 24 hours; the record is kept
/// for 35 days.
#[utoipa::path(
    post,
    path = "/admin/v1/organisations/{id}/exports",
    tag = "operator",
    params(("id" = String, Path, description = "org_…")),
    request_body = ReasonRequest,
    responses(
        (status = 202, body = OrganisationExportView, description = "pending: the file is made in the background"),
        (status = 404, description = "NOT_FOUND"),
        (status = 409, description = "CONFLICT: the organisation has 3 exports that are not finished; OPERATION_IN_PROGRESS, with Retry-After"),
    ),
)]
pub(crate) async fn export_organisation(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    Once { id, .. }: Once<ReasonRequest>,
) -> Result<Reply, ApiError> {
    let (org, moment) = (org.found()?, operator.call.moment);
    let key = ExportKey::organisation(org, id.into());
    let exporter = app.exporter();
    let answer = match app.ledger.export(key).await? {
        Some(known) => Box::pin(exporter.resume(known, moment)).await?,
        None => {
            let asked = asked(&app, &operator, key, id).await?;
            Box::pin(exporter.begin(asked.leased_to_request(moment.wall), moment)).await?
        }
    };
    match answer {
        ExportAnswer::TooMany => Err(TOO_MANY),
        // The answer is kept in the audit log and under its idempotency key, so it has no link.
        ExportAnswer::Export(export) => {
            Reply::accepted(&OrganisationExportView::new(&export, None, app.clock.now()), false)
        }
    }
}

const TOO_MANY: ApiError = ApiError::Conflict(
    "this organisation has 3 exports that are not finished; wait until one of them is \
     (GET /admin/v1/organisations/{id}/exports)",
);

/// The export that a request asks for, of both ledgers through their present ends.
async fn asked(
    app: &App,
    operator: &Operator<duty::Customers>,
    key: ExportKey,
    request: EntryId,
) -> Result<Export, ApiError> {
    let moment = operator.call.moment;
    let org = key.account.org;
    let organisation = app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let end = async |mode| {
        let account = app.ledger.account(AccountId { org, mode }).await?;
        Ok::<_, ApiError>(account.ok_or(Unsettled::NoAccount)?.sequence)
    };
    Ok(Export {
        key,
        format: FileFormat::JsonLines,
        query: StatementQuery::default(),
        begin: String::new(),
        ends: Some(LedgerEnds { live: end(Mode::Live).await?, test: end(Mode::Test).await? }),
        organisation: organisation.name,
        price: None,
        made_at: request.time().trunc_subsecs(0),
        begun_at: app.clock.now(),
        key_id: operator.key,
        super_admin: Some(operator.key),
        request_id: operator.call.id.to_string(),
        stage: ExportStage::Begun,
        hold: None,
        attempts: 0,
        leased_until: moment.wall,
        rows: 0,
        counts: BTreeMap::new(),
        of: None,
        revision: 0,
    })
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct OrganisationExportsQuery {
    /// Exports on a page, 1 to 100; 20 if left out.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// Lists the exports of everything of an organisation, of the last 35 days, the newest first. They have links to their files,
/// so they need the same role as making one.
#[utoipa::path(
    get,
    path = "/admin/v1/organisations/{id}/exports",
    tag = "operator",
    params(("id" = String, Path, description = "org_…"), OrganisationExportsQuery),
    responses((status = 200, body = Vec<OrganisationExportView>), (status = 404, description = "NOT_FOUND")),
)]
pub(crate) async fn list_organisation_exports(
    State(app): State<Arc<App>>,
    _: Operator<duty::Customers>,
    Path(org): Path<Id<OrgId>>,
    QueryParams(OrganisationExportsQuery { limit, cursor }): QueryParams<OrganisationExportsQuery>,
) -> Result<Reply, ApiError> {
    let org = org.found()?;
    app.settings.current_organisation(org).await?.ok_or(OrgId::NOT_FOUND)?;
    let account = AccountId { org, mode: Mode::Live };
    let listing = Listing { list: "organisation-exports", account, question: &() };
    let read = |text: String| {
        let place = app.cursors.read(&listing, &text)?;
        ExportId::try_from(place).map_err(|_| ApiError::InvalidCursor)
    };
    let before = cursor.map(read).transpose()?;
    let (exports, more) = app.ledger.organisation_exports(org, before, limit.get()).await?;
    let last = exports.last().map(|export| export.key.export).filter(|_| more);
    let next = last.map(|last| app.cursors.write(&listing, &last.to_string())).transpose()?;
    let (exporter, now) = (app.exporter(), app.clock.now());
    let mut lines = Vec::new();
    for export in exports.iter().filter(|export| export.is_kept(now)) {
        lines.push(shown(&exporter, export, now).await?);
    }
    Reply::page(&lines, next)
}

/// Returns an export of everything of an organisation: what is written so far, or a link that downloads its file.
#[utoipa::path(
    get,
    path = "/admin/v1/organisations/{id}/exports/{exportId}",
    tag = "operator",
    params(
        ("id" = String, Path, description = "org_…"),
        ("exportId" = String, Path, description = "exp_…"),
    ),
    responses((status = 200, body = OrganisationExportView), (status = 404, description = "NOT_FOUND")),
)]
pub(crate) async fn organisation_export(
    State(app): State<Arc<App>>,
    _: Operator<duty::Customers>,
    Path(path): Path<(Id<OrgId>, Id<ExportId>)>,
) -> Result<Reply, ApiError> {
    let (org, export) = path;
    let key = ExportKey::organisation(org.found()?, export.found()?);
    let now = app.clock.now();
    let export = app.ledger.export(key).await?.filter(|export| export.is_kept(now));
    Reply::ok(&shown(&app.exporter(), &export.ok_or(ExportId::NOT_FOUND)?, now).await?)
}

async fn shown(
    exporter: &Exporter<'_>,
    export: &Export,
    now: DateTime<Utc>,
) -> Result<OrganisationExportView, ApiError> {
    let url = exporter.link(export).await?;
    Ok(OrganisationExportView::new(export, url, now))
}
