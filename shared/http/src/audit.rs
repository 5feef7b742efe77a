//! What operators do, for the audit log. A request is written before it is carried out, and its outcome after it.

use std::error::Error;

use axum::response::Response;
use http::request::Parts;
use http::{Method, Uri};

use percent_encoding::percent_decode_str;

use super::identity::OperatorCall;
use super::{ApiError, App, Reply, RequestContext};
use domain::{ApiKey, ApiKeySecret, OrgId, SignInToken};
use store::{AuditOutcome, AuditedRequest};

/// The most bytes of a request, and of each state of what it changes, that are kept. What is longer is left out.
const KEPT_BYTES_MAX: usize = 16_384;

/// Writes that an operator has sent a request, before it is carried out.
///
/// # Errors
/// When the log cannot be written: then the request is not carried out.
pub(super) async fn begin(app: &App, by: &OperatorCall, parts: &Parts) -> Result<(), ApiError> {
    begin_request(app, by, &parts.method, &parts.uri).await
}

/// Writes that an operator signs in, before the session's token is shown.
///
/// # Errors
/// When the log cannot be written: then the token is not shown.
pub async fn audit_sign_in(
    app: &App,
    call: &RequestContext,
    key: &ApiKey,
    method: &Method,
    uri: &Uri,
) -> Result<(), ApiError> {
    let by = OperatorCall { key: key.key_id, role: key.operator_role(), call: call.clone() };
    begin_request(app, &by, method, uri).await
}

async fn begin_request(app: &App, by: &OperatorCall, method: &Method, uri: &Uri) -> Result<(), ApiError> {
    let call = &by.call;
    let request = AuditedRequest {
        request_id: call.id.to_string(),
        at: call.moment.now,
        key: by.key,
        role: by.role,
        method: method.to_string(),
        path: without_secrets(&uri.to_string()),
        org: organisation(uri.path()),
        account: call.account(),
        address: call.from.map(|address| address.to_string()),
    };
    app.settings.begin_audit(&request).await?;
    call.is_audited();
    Ok(())
}

/// A path and query without the secrets that a caller may have put into them: API keys, and secrets of webhooks.
fn without_secrets(uri: &str) -> String {
    let is_separator = |letter: char| "/?&=".contains(letter);
    let shown = |part: &str| {
        let (text, end) = part.split_at(part.trim_end_matches(is_separator).len());
        let plain = percent_decode_str(text).decode_utf8_lossy();
        let is_secret = ApiKeySecret::parse(&plain).is_some()
            || plain.starts_with("whsec_")
            || plain.starts_with("join_")
            || SignInToken::is_likely(&plain);
        if is_secret { format!("(a secret){end}") } else { part.to_owned() }
    };
    uri.split_inclusive(is_separator).map(shown).collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_kept_without_secrets() {
        let key = ApiKeySecret::for_operator([7; 34]).reveal().to_owned();
        let coded = format!("%6F{}", &key[1..]);
        for (uri, expected) in [
            (
                "/admin/v1/organisations/org_1?name=a%20b",
                "/admin/v1/organisations/org_1?name=a%20b".to_owned(),
            ),
            (&format!("/a/{key}/roll"), "/a/(a secret)/roll".to_owned()),
            (&format!("/a/{coded}"), "/a/(a secret)".to_owned()),
            (&format!("/a?x={key}&y=1"), "/a?x=(a secret)&y=1".to_owned()),
            ("/a/whsec_c2VjcmV0", "/a/(a secret)".to_owned()),
        ] {
            assert_eq!(without_secrets(uri), expected);
        }
    }
}
