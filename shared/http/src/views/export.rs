//! An export as callers see it.

use chrono::{DateTime, Utc};
use domain::{
    Direction, Export, ExportError, ExportFile, ExportStage, FileFormat, KeyId, Reference, Service,
    StatementQuery,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::timestamp;

/// An export: a file of transactions.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Export)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "exportId": "exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "status": "ready", "format": "xlsx",
    "from": "2024-01-01T00:00:00Z", "to": "2024-02-01T00:00:00Z", "filters": { "type": "DEBIT" },
    "progress": { "rows": 731, "of": 731 },
    "fileName": "transactions-2024-02-01-exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA.xlsx", "bytes": 48211,
    "url": "https://files.example.com/transactions-2024-02-01-exp_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA.xlsx?signature=…",
    "urlExpiresAt": "2024-02-02T10:30:00Z", "creditsHeld": 0, "creditsCharged": 1,
    "transactionId": "txn_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB", "error": null, "createdAt": "2024-02-01T10:30:00Z"
}))]
pub struct ExportView {
    /// `exp_…`
    export_id: String,
    /// pending, running, ready, failed, or expired: the file cannot be downloaded any longer.
    status: &'static str,
    /// csv, jsonl, xlsx or pdf.
    #[schema(value_type = String)]
    format: FileFormat,
    /// The beginning of the range.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    from: Option<DateTime<Utc>>,
    /// The end of the range.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    to: Option<DateTime<Utc>>,
    /// The filters that were sent.
    filters: FiltersView,
    /// How many transactions are written.
    progress: ProgressView,
    /// The name of the file.
    file_name: String,
    /// The size of the file; null until it is ready.
    bytes: Option<u64>,
    /// A link that downloads the file, without an API key; null unless the export is ready. Each answer has a new one.
    url: Option<String>,
    /// When the file is removed, in real time, whatever clock a test ledger has; null until it is ready.
    #[serde(serialize_with = "timestamp::optional")]
    #[schema(value_type = Option<String>, format = DateTime)]
    url_expires_at: Option<DateTime<Utc>>,
    /// Credits that are held for it while it is made.
    credits_held: u64,
    /// Credits that it has cost.
    credits_charged: u64,
    /// The transaction that charged them; null for a free format, and until it is ready.
    transaction_id: Option<String>,
    /// Why it has failed.
    error: Option<ExportErrorView>,
    /// When it was asked for. Later transactions are not in the file.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    created_at: DateTime<Utc>,
}

/// How far an export is.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExportProgress)]
struct ProgressView {
    /// Transactions written by the present attempt.
    rows: u64,
    /// Transactions in all; null while that is not known: with filters or a range.
    of: Option<u64>,
}

/// Why an export has failed. Nothing was charged.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExportError)]
pub struct ExportErrorView {
    /// INSUFFICIENT_CREDITS, TOO_MANY_TRANSACTIONS, EXPORT_TOO_LARGE, EXPORT_NOT_MADE or EXPORT_NOT_CHARGED.
    code: &'static str,
    /// What to do.
    message: String,
}

/// The filters of an export; those that were not sent are left out.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = ExportFilters)]
#[serde(rename_all = "camelCase")]
struct FiltersView {
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    direction: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    service: Option<Service>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    key_id: Option<KeyId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resource_id: Option<String>,
}

impl FiltersView {
    fn new(query: &StatementQuery) -> Self {
        let text = |name: &Option<Reference>| name.as_ref().map(|name| name.as_str().to_owned());
        Self {
            direction: query.direction.map(Direction::as_str),
            operation: query.operation.as_ref().map(|operation| operation.as_str().to_owned()),
            customer_id: text(&query.customer),
            member_id: text(&query.member),
            service: query.service,
            status: query.on_account.map(|on_account| if on_account { "postPaid" } else { "approved" }),
            key_id: query.key,
            resource_id: text(&query.resource),
        }
    }
}

impl ExportView {
    /// The view of an export at `now` in real time, with the link to its file.
    #[must_use]
    pub fn new(export: &Export, url: Option<String>, now: DateTime<Utc>) -> Self {
        let price = export.price.as_ref().map_or(0, |price| price.credits.get());
        let (status, file, charge, error) = match &export.stage {
            ExportStage::Begun | ExportStage::Queued => ("pending", None, None, None),
            ExportStage::Running | ExportStage::Made(_) | ExportStage::Failing(_) => {
                ("running", None, None, None)
            }
            ExportStage::Ready(file, charge) => (status_of(file, now), Some(file), *charge, None),
            ExportStage::Failed(error) => ("failed", None, None, Some(*error)),
        };
        let error = error.map(ExportErrorView::from);
        Self {
            export_id: export.key.export.to_string(),
            status,
            format: export.format,
            from: export.query.from,
            to: export.query.to,
            filters: FiltersView::new(&export.query),
            progress: ProgressView { rows: export.rows, of: export.of },
            file_name: export.file_name(),
            bytes: file.map(|file| file.bytes),
            url,
            url_expires_at: file.map(|file| file.until),
            credits_held: if export.is_finished() || export.is_unheld() { 0 } else { price },
            credits_charged: if charge.is_some() { price } else { 0 },
            transaction_id: charge.map(|charge| charge.to_string()),
            error,
            created_at: export.made_at,
        }
    }
}

impl From<ExportError> for ExportErrorView {
    fn from(error: ExportError) -> Self {
        Self { code: error.code(), message: error.to_string() }
    }
}

fn status_of(file: &ExportFile, now: DateTime<Utc>) -> &'static str {
    if now < file.until { "ready" } else { "expired" }
}
