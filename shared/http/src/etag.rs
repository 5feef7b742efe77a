//! Entity tags: `ETag`, `If-None-Match` and `If-Match`.

use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::ApiError;

/// The tag of `data`. It is weak, because the envelope around the data has a time and a request id.
pub(super) fn tag(data: &str) -> String {
    format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(data)))
}

/// The tags of `If-None-Match`: what the caller has already.
#[derive(Debug)]
pub(super) struct IfNoneMatch(Vec<HeaderValue>);

impl IfNoneMatch {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Whether `tag` is one of them, by weak comparison (RFC 9110, 8.8.3.2). Our tags contain no comma, so a list is split
    /// at every comma.
    pub(super) fn has(&self, tag: &str) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let sent = self.0.iter().filter_map(|value| value.to_str().ok());
        sent.flat_map(|value| value.split(',')).any(|one| {
            let one = one.trim();
            one == "*" || opaque(one) == opaque(tag)
        })
    }
}

/// The tag of one edition of settings. It is strong: one number means one state.
pub(super) fn edition_tag(edition: u64) -> String {
    format!("\"{edition}\"")
}

/// The tags of `If-Match`: the editions of settings that the caller wants to change. Without the header, any edition.
#[derive(Debug)]
pub struct IfMatch(Vec<HeaderValue>);

impl IfMatch {
    /// Checks an edition against the tags, by strong comparison (RFC 9110, 13.1.1).
    ///
    /// # Errors
    /// [`ApiError::PreconditionFailed`].
    pub fn check(&self, edition: u64) -> Result<(), ApiError> {
        let tag = edition_tag(edition);
        let mut sent = self.0.iter().flat_map(|value| value.to_str().unwrap_or_default().split(','));
        let is_meant = self.0.is_empty() || sent.any(|one| ["*", tag.as_str()].contains(&one.trim()));
        if is_meant { Ok(()) } else { Err(ApiError::PreconditionFailed) }
    }
}

impl<S: Sync> FromRequestParts<S> for IfMatch {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        Ok(Self(parts.headers.get_all(IF_MATCH).iter().cloned().collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_none_match_compares_weakly() {
        let (tag, other) = (tag("[1]"), tag("[2]"));
        let strong = tag.trim_start_matches("W/");
        for (sent, expected) in [
            (vec![], false),
            (vec![""], false),
            (vec![tag.as_str()], true),
            (vec![strong], true),
            (vec![other.as_str()], false),
            (vec!["*"], true),
            (vec![&format!("{other}, {tag}")], true),
            (vec![&format!("\"a,b\",{strong}")], true),
            (vec![&format!("{other},,\t{strong} ")], true),
            (vec![other.as_str(), tag.as_str()], true),
            (vec![strong.trim_matches('"')], false),
            (vec![&tag.to_lowercase()], false),
            (vec![&format!("w/{strong}")], false),
        ] {
            let mut headers = HeaderMap::new();
            for value in &sent {
                headers.append(IF_NONE_MATCH, HeaderValue::from_str(value).unwrap());
            }
            assert_eq!(IfNoneMatch::of(&headers).has(&tag), expected, "{sent:?}");
        }
    }

    #[test]
    fn if_match_compares_strongly() {
        for (sent, expected) in [
            (vec![], true),
            (vec!["\"3\""], true),
            (vec!["*"], true),
            (vec!["\"2\", \"3\""], true),
            (vec!["\"2\"", " \"3\" "], true),
            (vec!["\"2\""], false),
            (vec!["W/\"3\""], false),
            (vec!["3"], false),
            (vec![""], false),
        ] {
            let sent_values = sent.iter().map(|value| HeaderValue::from_str(value).unwrap()).collect();
            assert_eq!(IfMatch(sent_values).check(3).is_ok(), expected, "{sent:?}");
        }
    }
}
