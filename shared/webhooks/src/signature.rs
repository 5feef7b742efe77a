//! Signatures of deliveries: Standard Webhooks 1.0.0, and our own header over the body alone. During a secret rotation,
//! both secrets sign.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use standardwebhooks::{Webhook, WebhookError};

use super::header;
use domain::WebhookSecret;

/// The maximum number of digits of a timestamp: enough until the year 33658.
const TIME_DIGITS_MAX: usize = 12;

/// The separator of the values in our own header.
const SEPARATOR: &str = ", ";

/// A message to sign.
#[derive(Clone, Copy, Debug)]
pub struct MessageToSign<'a> {
    /// The event's id, `evt_…`, by which receivers detect duplicates.
    pub id: &'a str,
    /// The delivery's id, `del_…`.
    pub delivery: &'a str,
    /// The event's name, such as `credits.low_balance`.
    pub event: &'a str,
    /// The exact text that is sent, see [`EventEnvelope::body`](super::EventEnvelope::body).
    pub body: &'a str,
}

/// Why a message cannot be signed.
#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    /// There is no secret.
    #[error("the endpoint has no secret")]
    NoSecret,
    /// A text cannot be a header value.
    #[error("the text of the header {0} is not a valid header value")]
    Unwritable(&'static str),
    /// The signing library failed.
    #[error("the message can't be signed")]
    Refused(#[from] WebhookError),
}

/// Why the signature of a delivery is rejected.
#[derive(Debug, thiserror::Error)]
pub enum SignatureError {
    /// There is no secret.
    #[error("there is no secret to verify the delivery with")]
    NoSecret,
    /// A header is missing, repeated, or not text.
    #[error("the header {0} must be present exactly once")]
    Header(&'static str),
    /// The timestamp is not a number of seconds.
    #[error("the timestamp is not a number of seconds")]
    Time,
    /// The Standard Webhooks signature is wrong, or its timestamp is more than five minutes from now.
    #[error("the webhook-signature header does not match")]
    Standard(#[source] WebhookError),
    /// The signature in our own header is wrong.
    #[error("the x-scrip-signature header does not match")]
    Own,
}

/// The headers of a message that is sent at `at`, signed with every valid secret, newest first. Receivers compare `at`
/// with their own clocks, so it is system time even with a test clock, and each attempt has its own.
///
/// # Errors
/// [`SigningError`] when there is no secret, or a text cannot be a header value.
pub fn headers(
    secrets: &[WebhookSecret],
    message: &MessageToSign<'_>,
    at: DateTime<Utc>,
) -> Result<HeaderMap, SigningError> {
    let MessageToSign { id, delivery, event, body } = *message;
    // Id and timestamp are signed with a dot between them, so an id with a dot would be ambiguous.
    if id.contains('.') {
        return Err(SigningError::Unwritable(header::ID));
    }
    for (name, text) in [(header::ID, id), (header::EVENT, event), (header::DELIVERY, delivery)] {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(SigningError::Unwritable(name));
        }
    }
    if secrets.is_empty() {
        return Err(SigningError::NoSecret);
    }
    let standard = secrets.iter().map(|secret| signer(secret)?.sign(id, at.timestamp(), body.as_bytes()));
    let standard = standard.collect::<Result<Vec<_>, _>>()?.join(" ");
    let own = secrets.iter().map(|secret| own(secret, body.as_bytes())).collect::<Option<Vec<_>>>();
    let own = own.ok_or(SigningError::NoSecret)?.join(SEPARATOR);
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "application/json"),
        (header::ID, id),
        (header::TIMESTAMP, at.timestamp().to_string().as_str()),
        (header::SIGNATURE, standard.as_str()),
        (header::EVENT, event),
        (header::DELIVERY, delivery),
        (header::SCRIP_SIGNATURE, own.as_str()),
    ] {
        let value = HeaderValue::from_str(value).map_err(|_| SigningError::Unwritable(name))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Verifies both signatures of a delivery with `secrets`, and that it was signed less than five minutes ago. The
/// library reads the system clock.
///
/// # Errors
/// [`SignatureError`] with the first check that failed.
pub fn verify(secrets: &[WebhookSecret], headers: &HeaderMap, body: &[u8]) -> Result<(), SignatureError> {
    let (_, time, _) =
        (only(headers, header::ID)?, only(headers, header::TIMESTAMP)?, only(headers, header::SIGNATURE)?);
    // The library subtracts timestamps unchecked: a huge one would panic, so it is rejected here.
    let is_time = (1..=TIME_DIGITS_MAX).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
    if !is_time {
        return Err(SignatureError::Time);
    }
    let mut verified = Err(SignatureError::NoSecret);
    for secret in secrets {
        let outcome = signer(secret).and_then(|signer| signer.verify(body, headers));
        verified = outcome.map_err(SignatureError::Standard);
        if verified.is_ok() {
            break;
        }
    }
    verified?;
    let received = only(headers, header::SCRIP_SIGNATURE)?;
    let expected: Vec<_> = secrets.iter().filter_map(|secret| own(secret, body)).collect();
    let matches = received.split(SEPARATOR).any(|one| expected.iter().any(|known| is_same(one, known)));
    if matches { Ok(()) } else { Err(SignatureError::Own) }
}

/// The value of a header that must be present exactly once: of two, receivers may read either.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, SignatureError> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(SignatureError::Header(name));
    };
    value.to_str().map_err(|_| SignatureError::Header(name))
}

fn signer(secret: &WebhookSecret) -> Result<Webhook, WebhookError> {
    Webhook::from_bytes(secret.bytes().to_vec())
}

/// One value of our own header. `None` exists only in HMAC's types: every key is valid.
fn own(secret: &WebhookSecret, body: &[u8]) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?.chain_update(body);
    Some(format!("sha256={:x}", Bytes::copy_from_slice(&mac.finalize().into_bytes())))
}

/// Compares in constant time, so that the duration does not reveal how many bytes match.
fn is_same(received: &str, known: &str) -> bool {
    let differences = received.bytes().zip(known.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    received.len() == known.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> WebhookSecret {
        WebhookSecret::try_from(text.to_owned()).unwrap()
    }

    fn signed(secrets: &[WebhookSecret], id: &str, seconds: i64, body: &str) -> HeaderMap {
        let message = MessageToSign { id, delivery: "del_1", event: "credits.low_balance", body };
        headers(secrets, &message, DateTime::from_timestamp(seconds, 0).unwrap()).unwrap()
    }

    /// From the tests of the JavaScript library and of the Rust library of Standard Webhooks.
    #[test]
    fn the_published_test_vectors_have_the_published_signatures() {
        for (key, id, seconds, body, expected) in [
            (
                "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
                "msg_p5jXN8AQM9LWM0D4loKWxJek",
                1_614_265_330,
                r#"{"test": 2432232314}"#,
                "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
            ),
            (
                "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
                "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
                1_649_367_553,
                r#"{"email":"test@example.com","username":"test_user"}"#,
                "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
            ),
        ] {
            let headers = signed(&[secret(key)], id, seconds, body);
            assert_eq!(headers[header::SIGNATURE], expected);
            assert_eq!(headers[header::ID], id);
            assert_eq!(headers[header::TIMESTAMP], seconds.to_string());
        }
    }

    #[test]
    fn a_delivery_has_seven_headers() {
        // The signatures were computed with `openssl dgst -sha256 -mac HMAC -macopt hexkey:…`.
        let headers =
            signed(&[secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], "evt_1", 1_700_000_000, "{}");
        let mut lines: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        lines.sort();
        assert_eq!(
            lines,
            [
                "content-type: application/json",
                "webhook-id: evt_1",
                "webhook-signature: v1,zDDZQ0HbZDldGfbXFD+XxplmyMbPhxymu2DUsyrVk1U=",
                "webhook-timestamp: 1700000000",
                "x-scrip-delivery: del_1",
                "x-scrip-event: credits.low_balance",
                "x-scrip-signature: sha256=0975dbf64619b2320969cf81869d63ef060a0a952cfe498ae7ad2c70a828d1e8",
            ]
        );
    }

    #[test]
    fn during_a_rotation_both_secrets_sign_and_the_newest_is_first() {
        let (new, old) = (WebhookSecret::new([1; 32]), WebhookSecret::new([2; 32]));
        let value = |secrets: &[WebhookSecret], name| {
            let headers = signed(secrets, "evt_1", 1_700_000_000, "{}");
            headers[name].to_str().unwrap().to_owned()
        };
        for (name, separator) in [(header::SIGNATURE, " "), (header::SCRIP_SIGNATURE, ", ")] {
            let [new_one, old_one] = [&new, &old].map(|one| value(std::slice::from_ref(one), name));
            assert_eq!(value(&[new.clone(), old.clone()], name), format!("{new_one}{separator}{old_one}"));
        }
    }

    #[test]
    fn ambiguous_or_invalid_header_values_are_not_signed() {
        let secrets = [WebhookSecret::new([1; 32])];
        let at = DateTime::UNIX_EPOCH;
        let good = MessageToSign { id: "evt_1", delivery: "del_1", event: "webhook.test", body: "" };
        assert!(headers(&secrets, &good, at).is_ok());
        assert!(matches!(headers(&[], &good, at), Err(SigningError::NoSecret)));
        for (message, name) in [
            (MessageToSign { id: "", ..good }, header::ID),
            (MessageToSign { id: "evt_1.1700000000", ..good }, header::ID),
            (MessageToSign { id: "evt_1\r\nx: y", ..good }, header::ID),
            (MessageToSign { id: "evt 1", ..good }, header::ID),
            (MessageToSign { delivery: "", ..good }, header::DELIVERY),
            (MessageToSign { delivery: "del_\n", ..good }, header::DELIVERY),
            (MessageToSign { event: "\u{1f980}", ..good }, header::EVENT),
        ] {
            let refused = headers(&secrets, &message, at);
            assert!(matches!(refused, Err(SigningError::Unwritable(found)) if found == name), "{message:?}");
        }
    }

    #[test]
    fn the_first_failed_check_is_reported() {
        let secrets = [WebhookSecret::new([1; 32])];
        let old = signed(&secrets, "evt_1", 1_700_000_000, "{}");
        let error = |headers: &HeaderMap| verify(&secrets, headers, b"{}").unwrap_err().to_string();
        assert_eq!(error(&HeaderMap::new()), "the header webhook-id must be present exactly once");
        for name in [header::ID, header::TIMESTAMP, header::SIGNATURE] {
            let (mut missing, mut twice) = (old.clone(), old.clone());
            missing.remove(name);
            twice.append(name, old[name].clone());
            for headers in [missing, twice] {
                assert_eq!(error(&headers), format!("the header {name} must be present exactly once"));
            }
        }
        for time in ["", "+1700000000", "-9223372036854775808", "9223372036854775807", "17e8", "1700000000.0"]
        {
            let mut headers = old.clone();
            headers.insert(header::TIMESTAMP, HeaderValue::from_static(time));
            assert_eq!(error(&headers), "the timestamp is not a number of seconds", "{time}");
        }
        assert_eq!(error(&old), "the webhook-signature header does not match");
        let unknown = verify(&[], &old, b"{}").unwrap_err();
        assert_eq!(unknown.to_string(), "there is no secret to verify the delivery with");
    }
}
