//! The audit log: what operators have done.

use std::sync::Arc;

use axum::extract::State;
use chrono::{DateTime, Utc};
use domain::{KeyId, OperatorRole, OrgId, Period};
use scrip_http::{ApiError, App, Id, Operator, PageLimit, QueryParams, Reply, duty, timestamp};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use store::{AuditEntry, AuditOutcome, AuditQuery, AuditedRequest};
use utoipa::{IntoParams, ToSchema};

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
#[into_params(parameter_in = Query)]
pub(super) struct AuditLogQuery {
    /// The month, such as 2024-01; this month if left out.
    #[param(value_type = Option<String>)]
    month: Option<Period>,
    /// Only what this operator's key has done.
    #[param(value_type = Option<String>)]
    key_id: Option<KeyId>,
    /// Only what was done to this organisation.
    #[param(value_type = Option<String>)]
    organisation_id: Option<Id<OrgId>>,
    /// Entries on a page, 1 to 100; 20 if left out. A page may have fewer, or none, and still have a cursor: it reads at
    /// most 400 items.
    #[serde(default)]
    #[param(value_type = Option<usize>, minimum = 1, maximum = 100)]
    limit: PageLimit<20, 100>,
    /// `nextCursor` of the previous page.
    cursor: Option<String>,
}

/// A request of an operator that did more than read.
#[derive(Serialize, ToSchema)]
#[schema(as = AuditEntry)]
#[serde(rename_all = "camelCase")]
struct AuditEntryView {
    /// The id of the request, `meta.requestId` of its answer.
    request_id: String,
    /// When the request arrived.
    #[serde(with = "timestamp")]
    #[schema(value_type = String, format = DateTime)]
    timestamp: DateTime<Utc>,
    /// The operator's key.
    key_id: String,
    /// The key's role at that time.
    #[schema(value_type = String)]
    role: OperatorRole,
    /// The HTTP method.
    method: String,
    /// The path and the query.
    path: String,
    /// The organisation that the request was about; null if it was about none.
    organisation_id: Option<String>,
    /// The organisation that the operator acted for (`Scrip-Organisation`); null for requests below `/admin/v1/`.
    acted_for: Option<String>,
    /// The address that the request came from.
    address: Option<String>,
    /// The status of the answer; null if the request was interrupted: it may have been carried out.
    status: Option<u16>,
    /// true if the answer is that of an earlier attempt with the same Idempotency-Key: this one has changed nothing.
    replayed: bool,
    /// The `reason` or the `note` of the request; null if it has none.
    reason: Option<String>,
    /// The body of the request; null if it had none, or was longer than 16 KiB.
    #[schema(value_type = Option<Object>)]
    request: Option<Box<RawValue>>,
    /// What the request changed, as it was before; null where that is not recorded.
    #[schema(value_type = Option<Object>)]
    before: Option<Box<RawValue>>,
    /// The data of the answer: what the request changed, as it was after. Secrets are left out.
    #[schema(value_type = Option<Object>)]
    after: Option<Box<RawValue>>,
}

/// Lists what operators have done besides reading, a month at a time, the newest first: who, when, from where, with which
/// request and outcome. Debits and other transactions that an operator makes for an organisation are in its ledger, with
/// `superAdmin`.
#[utoipa::path(get, path = "/admin/v1/audit-log", tag = "operator", params(AuditLogQuery), responses((status = 200, body = Vec<AuditEntryView>)))]
pub(super) async fn read_audit_log(
    State(app): State<Arc<App>>,
    operator: Operator<duty::Operators>,
    QueryParams(query): QueryParams<AuditLogQuery>,
) -> Result<Reply, ApiError> {
    let AuditLogQuery { month, key_id, organisation_id, limit, cursor } = query;
    let wanted = AuditQuery {
        month: month.unwrap_or_else(|| Period::of(operator.call.moment.now)),
        key: key_id,
        org: organisation_id.map(Id::found).transpose()?,
        before: cursor.map(|text| request_id(text).ok_or(ApiError::InvalidCursor)).transpose()?,
        limit: limit.get(),
    };
    let page = app.settings.audit_log(&wanted).await?;
    let entries: Vec<_> = page.entries.into_iter().map(AuditEntryView::from).collect();
    Reply::page(&entries, page.next)
}

/// The id of a request, if a text is one: `req_` and 26 characters.
fn request_id(text: String) -> Option<String> {
    let is_id = text
        .strip_prefix("req_")
        .is_some_and(|id| id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    is_id.then_some(text)
}

/// Why an operator has made a request, by its body.
fn reason(request: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Reasoned {
        reason: Option<String>,
        note: Option<String>,
    }
    let Reasoned { reason, note } = serde_json::from_str(request).ok()?;
    reason.or(note)
}

impl From<AuditEntry> for AuditEntryView {
    fn from(AuditEntry { request, outcome }: AuditEntry) -> Self {
        let AuditedRequest { request_id, at, key, role, method, path, org, account, address } = request;
        let json = |text: Option<String>| text.and_then(|text| RawValue::from_string(text).ok());
        let status = outcome.as_ref().map(|outcome| outcome.status);
        let AuditOutcome { request, before, after, replayed, org: opened, .. } = outcome.unwrap_or_default();
        let acted_for = account.map(|account| account.org);
        Self {
            request_id,
            timestamp: at,
            key_id: key.to_string(),
            role,
            method,
            path,
            organisation_id: org.or(acted_for).or(opened).map(|org| org.to_string()),
            acted_for: acted_for.map(|org| org.to_string()),
            address,
            status,
            replayed,
            reason: request.as_deref().and_then(reason),
            request: json(request),
            before: json(before),
            after: json(after),
        }
    }
}
