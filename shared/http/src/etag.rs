use axum::extract::FromRequestParts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

use super::ApiError;

/// The tag of `data`. Weak: what is around the data, a time and a name of the request, is never the
/// same twice.
pub(super) fn tag(data: &str) -> String {
    format!("W/\"{}\"", URL_SAFE_NO_PAD.encode(Sha256::digest(data)))
}

/// What a caller says to have already.
#[derive(Debug)]
pub(super) struct Known(Vec<HeaderValue>);

impl Known {
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self(headers.get_all(IF_NONE_MATCH).iter().cloned().collect())
    }

    /// Whether what has `tag` is among it, by weak comparison (RFC 9110, 8.8.3.2). A tag of ours
    /// holds no comma, so a list can be taken apart at every one.
    pub(super) fn has(&self, tag: &str) -> bool {
        let opaque = |tag: &str| tag.strip_prefix("W/").unwrap_or(tag).to_owned();
        let sent = self.0.iter().filter_map(|value| value.to_str().ok());
        sent.flat_map(|value| value.split(',')).any(|one| {
            let one = one.trim();
            one == "*" || opaque(one) == opaque(tag)
        })
    }
}

/// The tag of settings by the number of their edition. Strong: one number names one state of them.
pub(super) fn edition_tag(edition: u64) -> String {
    format!("\"{edition}\"")
}

/// Which settings a caller means to change: those with the `ETag` that they have read, or any when they do not say.
#[derive(Debug)]
pub struct IfMatch(Vec<HeaderValue>);

impl IfMatch {
    /// Whether settings of that edition are meant, by strong comparison (RFC 9110, 13.1.1).
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
    fn a_tag_is_known_by_weak_comparison() {
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
            assert_eq!(Known::of(&headers).has(&tag), expected, "{sent:?}");
        }
    }

    #[test]
    fn settings_are_meant_by_their_very_tag() {
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
