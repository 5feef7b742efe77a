//! What operators do, for the audit log. A request is written before it is carried out, and its outcome after it.

use std::error::Error;

use axum::response::Response;
use http::request::Parts;

use percent_encoding::percent_decode_str;

use super::identity::OperatorCall;
use super::{ApiError, App, Reply, RequestContext};
use domain::{ApiKeySecret, OrgId};
use store::{AuditOutcome, AuditedRequest};

/// The most bytes of a request, and of each state of what it changes, that are kept. What is longer is left out.
const KEPT_BYTES_MAX: usize = 16_384;

/// Writes that an operator has sent a request, before it is carried out.
///
/// # Errors
/// When the log cannot be written: then the request is not carried out.
pub(super) async fn begin(app: &App, by: &OperatorCall, parts: &Parts) -> Result<(), ApiError> {
    let call = &by.call;
    let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let request = AuditedRequest {
        request_id: call.id.to_string(),
        at: call.moment.now,
        key: by.key,
        role: by.role,
        method: parts.method.to_string(),
        path: format!("{}{query}", without_secrets(parts.uri.path())),
        org: organisation(parts.uri.path()),
        account: call.account(),
        address: call.from.map(|address| address.to_string()),
    };
    app.settings.begin_audit(&request).await?;
    call.is_audited();
    Ok(())
}

/// A path without the API keys that a caller may have put into it in place of ids.
fn without_secrets(path: &str) -> String {
    let shown = |part: &str| {
        if ApiKeySecret::parse(part).is_some() { "(an API key)".to_owned() } else { part.to_owned() }
    };
    path.split('/').map(shown).collect::<Vec<_>>().join("/")
}

/// The organisation that a path below `/admin/v1/organisations/` names, as the router reads it.
fn organisation(path: &str) -> Option<OrgId> {
    let rest = path.strip_prefix("/admin/v1/organisations/")?;
    let id = rest.split('/').next().unwrap_or_default();
    OrgId::try_from(percent_decode_str(id).decode_utf8().ok()?.into_owned()).ok()
}

/// The outcome of a request; `None` if it is not in the audit log.
pub(super) fn outcome(call: &RequestContext, response: &Response) -> Option<AuditOutcome> {
    let audited = call.audited()?;
    let reply = response.extensions().get::<Reply>();
    let replayed = reply.is_some_and(|reply| reply.replayed);
    let after = reply.map(|reply| reply.kept().1.get().to_owned());
    Some(AuditOutcome {
        status: response.status().as_u16(),
        replayed,
        org: audited.opened.get().copied(),
        request: audited.asked.get().cloned().and_then(kept),
        before: audited.before.get().cloned().and_then(kept),
        after: after.and_then(kept),
    })
}

/// Writes the outcome of a request. If that fails, the log has the request without an outcome.
pub(super) async fn end(app: &App, call: &RequestContext, outcome: &AuditOutcome) {
    if let Err(fault) = app.settings.end_audit(&call.id, call.moment.now, outcome).await {
        tracing::warn!(request = %call.id, fault = &fault as &dyn Error, "the audit log has no outcome of a request");
    }
}

fn kept(text: String) -> Option<String> {
    Some(text).filter(|text| text.len() <= KEPT_BYTES_MAX)
}
