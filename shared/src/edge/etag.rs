use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::header::IF_NONE_MATCH;
use http::{HeaderMap, HeaderValue};
use sha2::{Digest, Sha256};

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
}
