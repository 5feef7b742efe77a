//! The result of a post to an endpoint: its response, or why there is none.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime, Utc};
use http::header::{DATE, HeaderName, RETRY_AFTER};
use http::response::Parts;

use super::header;
use domain::BadWebhookUrl;

/// Bytes of a response body that are kept: enough to diagnose a failure.
pub const KEPT_BYTES_MAX: usize = 4_096;

/// Header fields of a response that are kept.
const FIELDS_MAX: usize = 20;

/// Characters of a header name or value that are kept.
const FIELD_CHARS_MAX: usize = 256;

/// The result of one post.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PostResult {
    /// The response, or why there is none.
    pub outcome: Result<EndpointResponse, DeliveryError>,
    /// How long it took, including name resolution.
    pub took: Duration,
}

/// The response of an endpoint. Only the status says whether the endpoint accepted the event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointResponse {
    /// The status. A redirect is not followed.
    pub status: u16,
    /// The first 20 header fields, each name and value cut to 256 characters.
    pub headers: Vec<(String, String)>,
    /// The first [`KEPT_BYTES_MAX`] bytes of the body, not decompressed. Invalid UTF-8 is replaced by U+FFFD, so the text
    /// may take three times as many bytes.
    pub body: String,
    /// The seconds of `Retry-After`. A date is relative to the response's own `Date`, because the clocks may differ; without
    /// `Date` it is ignored.
    pub retry_after_seconds: Option<u32>,
    /// Whether the endpoint asks for no further attempt at the event ([`header::ABORT_MESSAGE`]).
    pub aborts_message: bool,
}

/// Why there is no response, in words for the customer who owns the URL. They reveal nothing about our network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveryError {
    /// The policy forbids the URL or its address; nothing was sent.
    #[error("not sent: {0}")]
    Forbidden(ForbiddenTarget),
    /// The host name has no address, or could not be resolved.
    #[error("no address was found for the host's name")]
    NotResolved,
    /// No address accepted a connection.
    #[error("no connection could be made to the host")]
    NotConnected,
    /// TLS failed, or the certificate is not for the host.
    #[error(
        "no secure connection could be made; the host needs TLS 1.2 or 1.3 and a certificate for its name"
    )]
    Tls,
    /// The whole exchange took too long.
    #[error("no complete response arrived in time")]
    Timeout,
    /// The body exceeds [`SENT_BYTES_MAX`](super::SENT_BYTES_MAX), or the response exceeds
    /// [`READ_BYTES_MAX`](super::READ_BYTES_MAX) or has more than 100 header fields.
    #[error("the event, or the head of the response, is larger than 64 KiB or has too many fields")]
    TooLarge,
    /// The connection ended early, or the response is not HTTP.
    #[error("the connection ended before a complete HTTP/1.1 response arrived")]
    Broken,
}

/// Why the address policy forbids a URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ForbiddenTarget {
    /// The URL itself is not allowed.
    #[error("the URL {0}")]
    Url(BadWebhookUrl),
    /// An address of the host is not allowed. The text does not name it, which would reveal our network.
    #[error("the host's name leads to an address that is not public")]
    Address,
}

impl EndpointResponse {
    /// The response with `head`, whose body starts with `body`.
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
            aborts_message: aborts_message(head),
        }
    }
}

/// Whether `webhook-delivery` has the value `abort-message`, in any case, among its values.
fn aborts_message(head: &Parts) -> bool {
    let fields = head.headers.get_all(header::CONTROL).into_iter().filter_map(|field| field.to_str().ok());
    let mut values = fields.flat_map(|field| field.split(','));
    values.any(|value| value.trim().eq_ignore_ascii_case(header::ABORT_MESSAGE))
}

/// `Retry-After` (RFC 9110, section 10.2.3): a number of seconds, or a date.
fn retry_after(head: &Parts) -> Option<u32> {
    let field = |name: HeaderName| head.headers.get(name)?.to_str().ok().map(str::trim);
    let text = field(RETRY_AFTER).filter(|text| !text.is_empty())?;
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(text.parse().unwrap_or(u32::MAX));
    }
    let wait = date(text)?.signed_duration_since(date(field(DATE)?)?).num_seconds().max(0);
    Some(u32::try_from(wait).unwrap_or(u32::MAX))
}

/// An HTTP date (RFC 9110, section 5.6.7), in the current format or one of the two obsolete ones.
fn date(text: &str) -> Option<DateTime<Utc>> {
    let current = DateTime::parse_from_rfc2822(text).map(|date| date.to_utc());
    let obsolete = |form| NaiveDateTime::parse_from_str(text, form).map(|date| date.and_utc());
    current
        .or_else(|_| obsolete("%A, %d-%b-%y %H:%M:%S GMT"))
        .or_else(|_| obsolete("%a %b %e %H:%M:%S %Y"))
        .ok()
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
    fn retry_after_is_read_in_every_format() {
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
            assert_eq!(
                EndpointResponse::new(&head(&fields), b"").retry_after_seconds,
                seconds,
                "{text} {date:?}"
            );
        }
        assert_eq!(EndpointResponse::new(&head(&[]), b"").retry_after_seconds, None);
    }

    /// The fields of a response; whether no further attempt is asked for.
    #[test]
    fn abort_message_is_read_and_other_values_are_ignored() {
        const NAME: &str = "webhook-delivery";
        for (fields, aborts) in [
            (&[][..], false),
            (&[(NAME, "abort-message")], true),
            (&[("Webhook-Delivery", " Abort-Message ")], true),
            (&[(NAME, "disable")], false),
            (&[(NAME, "abort")], false),
            (&[(NAME, "abort-messages")], false),
            (&[(NAME, "")], false),
            (&[(NAME, "\u{fc}")], false),
            (&[(NAME, "later, abort-message")], true),
            (&[(NAME, "later"), (NAME, "abort-message")], true),
            (&[("x-webhook-delivery", "abort-message")], false),
        ] {
            assert_eq!(EndpointResponse::new(&head(fields), b"").aborts_message, aborts, "{fields:?}");
        }
        // However many fields are kept in the log.
        let many = [vec![("n", "v"); 40], vec![(NAME, "abort-message")]].concat();
        assert!(EndpointResponse::new(&head(&many), b"").aborts_message);
    }

    #[test]
    fn only_the_beginning_of_a_response_is_kept() {
        let (name, value) = ("n".repeat(300), "ü".repeat(300));
        let many = vec![(name.as_str(), value.as_str()); 30];
        let response = EndpointResponse::new(&head(&many), &[b'x'; KEPT_BYTES_MAX + 1]);
        assert_eq!(response.headers, vec![("n".repeat(256), "ü".repeat(256)); 20]);
        assert_eq!(response.body, "x".repeat(KEPT_BYTES_MAX));
        let response = EndpointResponse::new(&head(&[]), &[0xff; KEPT_BYTES_MAX]);
        assert_eq!(response.body, "\u{fffd}".repeat(KEPT_BYTES_MAX));
    }

    #[test]
    fn error_texts_do_not_contain_addresses() {
        for (error, text) in [
            (
                DeliveryError::Forbidden(ForbiddenTarget::Url(BadWebhookUrl::Scheme)),
                "not sent: the URL must begin with https://",
            ),
            (
                DeliveryError::Forbidden(ForbiddenTarget::Address),
                "not sent: the host's name leads to an address that is not public",
            ),
            (DeliveryError::NotResolved, "no address was found for the host's name"),
        ] {
            assert_eq!(error.to_string(), text);
        }
    }
}
