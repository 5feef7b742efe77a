use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::header::{DATE, HeaderName, RETRY_AFTER};
use http::response::Parts;

use domain::BadUrl;

/// Bytes of an answer's body that are kept: enough to see what went wrong.
pub const KEPT_BYTES_MAX: usize = 4_096;

/// Header fields of an answer that are kept, and characters of a name or value.
const FIELDS_MAX: usize = 20;
const FIELD_CHARS_MAX: usize = 256;

/// What became of one post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    /// The answer, or why there is none.
    pub outcome: Result<Reply, Trouble>,
    /// How long it took, from the first question for an address.
    pub took: Duration,
}

/// An answer, whatever it says: only its status tells whether the event was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The status. A redirection is an answer like any other.
    pub status: u16,
    /// The first 20 header fields; of each name and value the first 256 characters.
    pub headers: Vec<(String, String)>,
    /// The first [`KEPT_BYTES_MAX`] bytes of the body as they came, never decompressed; what of them is no
    /// UTF-8 is replaced by U+FFFD, so that it may take up to three times as many bytes.
    pub body: String,
    /// After how many seconds the receiver wants to be asked again, if it says so. A date counts from the
    /// answer's own `Date`, for its clock need not be ours; without one it says nothing.
    pub retry_after_seconds: Option<u32>,
}

/// Why there is no answer, in words for the customer whose URL it is: of our side and of closed networks
/// they say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// It was not sent.
    #[error("not sent: {0}")]
    Forbidden(Forbidden),
    /// The name has no address, or nobody could tell.
    #[error("no address was found for the host's name")]
    NotResolved,
    /// None of the addresses takes connections.
    #[error("no connection could be made to the host")]
    NotConnected,
    /// No TLS with who the host should be.
    #[error(
        "no secure connection could be made; the host needs TLS 1.2 or 1.3 and a certificate for its name"
    )]
    Tls,
    /// It took too long in all.
    #[error("no complete answer came in time")]
    Timeout,
    /// Past [`SENT_BYTES_MAX`](super::SENT_BYTES_MAX) or [`READ_BYTES_MAX`](super::READ_BYTES_MAX), or an
    /// answer of more than 100 header fields.
    #[error("the event, or the head of the answer, is larger than 64 KiB or has too many fields")]
    TooLarge,
    /// The connection ended early, or what came was no HTTP.
    #[error("the connection ended before a complete HTTP/1.1 answer came")]
    Broken,
}

/// Why something may not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Forbidden {
    /// The URL itself.
    #[error("the URL {0}")]
    Url(BadUrl),
    /// An address of the host. Which one would tell what our network looks like.
    #[error("the host's name leads to an address that is not public")]
    Address,
}

impl Reply {
    /// The answer of that head, whose body begins with `body`.
    pub(super) fn new(head: &Parts, body: &[u8]) -> Self {
        let kept = |bytes: &[u8]| String::from_utf8_lossy(bytes).chars().take(FIELD_CHARS_MAX).collect();
        let fields = head.headers.iter().take(FIELDS_MAX);
        Self {
            status: head.status.as_u16(),
            headers: fields
                .map(|(name, value)| (kept(name.as_str().as_bytes()), kept(value.as_bytes())))
                .collect(),
            body: String::from_utf8_lossy(body.get(..KEPT_BYTES_MAX).unwrap_or(body)).into_owned(),
            retry_after_seconds: retry_after(head),
        }
    }
}

/// RFC 9110, section 10.2.3: a number of seconds, or a date.
fn retry_after(head: &Parts) -> Option<u32> {
    let field = |name: HeaderName| head.headers.get(name)?.to_str().ok().map(str::trim);
    let text = field(RETRY_AFTER).filter(|text| !text.is_empty())?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u32::MAX));
    }
    let wait = date(text)?.signed_duration_since(date(field(DATE)?)?).num_seconds().max(0);
    Some(u32::try_from(wait).unwrap_or(u32::MAX))
}

/// RFC 9110, section 5.6.7: the date that is written today, and the two of old that are to be read.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let today = DateTime::parse_from_rfc2822(text).map(|date| date.to_utc());
    let of_old = |form| NaiveDateTime::parse_from_str(text, form).map(|date| date.and_utc());
    today.or_else(|_| of_old("%A, %d-%b-%y %H:%M:%S GMT")).or_else(|_| of_old("%a %b %e %H:%M:%S %Y")).ok()
}

#[cfg(test)]
mod tests {
    use http::Response;

    use super::*;

    fn head(fields: &[(&str, &str)]) -> Parts {
        let response =
            fields.iter().fold(Response::builder(), |head, (name, value)| head.header(*name, *value));
        response.body(()).unwrap().into_parts().0
    }

    #[test]
    fn how_long_to_wait_is_read_in_every_way_of_writing_it() {
        const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
        for (text, date, seconds) in [
            ("120", None, Some(120)),
            ("0", None, Some(0)),
            (" 7 ", None, Some(7)),
            ("4294967295", None, Some(u32::MAX)),
            ("99999999999999999999", None, Some(u32::MAX)),
            ("", None, None),
            ("-1", None, None),
            ("1.5", None, None),
            ("soon", Some(DATE), None),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some(DATE), Some(120)),
            ("Sunday, 06-Nov-94 08:51:37 GMT", Some(DATE), Some(120)),
            ("Sun Nov  6 08:51:37 1994", Some(DATE), Some(120)),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some("Sunday, 06-Nov-94 08:49:37 GMT"), Some(120)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", Some(DATE), Some(0)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(DATE), Some(u32::MAX)),
            ("Mon, 06 Nov 1994 08:51:37 GMT", Some(DATE), None),
            ("Sun, 06 Nov 1994 08:51:37 GMT", Some("now"), None),
            ("Sun, 06 Nov 1994 08:51:37 GMT", None, None),
        ] {
            let mut fields = vec![("retry-after", text)];
            fields.extend(date.map(|date| ("date", date)));
            assert_eq!(Reply::new(&head(&fields), b"").retry_after_seconds, seconds, "{text} {date:?}");
        }
        assert_eq!(Reply::new(&head(&[]), b"").retry_after_seconds, None);
    }

    #[test]
    fn only_the_beginning_of_an_answer_is_kept() {
        let (name, value) = ("n".repeat(300), "ü".repeat(300));
        let many = vec![(name.as_str(), value.as_str()); 30];
        let reply = Reply::new(&head(&many), &[b'x'; KEPT_BYTES_MAX + 1]);
        assert_eq!(reply.headers, vec![("n".repeat(256), "ü".repeat(256)); 20]);
        assert_eq!(reply.body, "x".repeat(KEPT_BYTES_MAX));
        let reply = Reply::new(&head(&[]), &[0xff; KEPT_BYTES_MAX]);
        assert_eq!(reply.body, "\u{fffd}".repeat(KEPT_BYTES_MAX));
    }

    #[test]
    fn trouble_is_told_without_telling_addresses() {
        for (trouble, told) in [
            (
                Trouble::Forbidden(Forbidden::Url(BadUrl::Scheme)),
                "not sent: the URL must begin with https://",
            ),
            (
                Trouble::Forbidden(Forbidden::Address),
                "not sent: the host's name leads to an address that is not public",
            ),
            (Trouble::NotResolved, "no address was found for the host's name"),
        ] {
            assert_eq!(trouble.to_string(), told);
        }
    }
}
