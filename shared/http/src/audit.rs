//! What operators do, for the audit log. A request is written before it is carried out, and its outcome after it.

use std::error::Error;

use axum::response::Response;
use http::request::Parts;

use super::identity::OperatorCall;
use super::{ApiError, App, Reply, RequestContext};
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
        path: format!("{}{query}", parts.uri.path()),
        account: call.account(),
        address: call.from.map(|address| address.to_string()),
    };
    app.settings.begin_audit(&request).await?;
    call.is_audited();
    Ok(())
}

/// The outcome of a request; `None` if it is not in the audit log.
pub(super) fn outcome(call: &RequestContext, response: &Response) -> Option<AuditOutcome> {
    let audited = call.audited()?;
    let after = response.extensions().get::<Reply>().map(|reply| reply.kept().1.get().to_owned());
    Some(AuditOutcome {
        status: response.status().as_u16(),
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
