//! How a delivery says that it comes from us: by Standard Webhooks 1.0.0, and by a header of our own over
//! the body alone. While a secret is exchanged for another, both sign.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use sha2::Sha256;
use standardwebhooks::{Webhook, WebhookError};

use super::header;
use domain::HookSecret;

/// Digits of a time: enough until the year 33658.
const TIME_DIGITS_MAX: usize = 12;

/// What stands between two values of our own header.
const SEPARATOR: &str = ", ";

/// What is sent to one endpoint.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// `evt_…`: receivers know by it that they have had it before.
    pub id: &'a str,
    /// `del_…`
    pub delivery: &'a str,
    /// `credits.low_balance`
    pub event: &'a str,
    /// The very text that is sent, as [`body`](super::body) makes it.
    pub body: &'a str,
}

/// Why a message can't be signed.
#[derive(Debug, thiserror::Error)]
pub enum Unsigned {
    /// There is nothing to sign with.
    #[error("the endpoint has no secret")]
    NoSecret,
    /// A text does not fit into its header.
    #[error("what is to stand in {0} can't stand there")]
    Unwritable(&'static str),
    /// The signer would not.
    #[error("the message can't be signed")]
    Refused(#[from] WebhookError),
}

/// Why a delivery is not believed.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    /// There is no secret to hold it against.
    #[error("there is no secret to verify it by")]
    NoSecret,
    /// A header is not there, is there twice, or is no text.
    #[error("it should have {0}, once")]
    Header(&'static str),
    /// Its time is no number of seconds.
    #[error("its time is no number of seconds")]
    Time,
    /// It is not what was signed, or was signed more than five minutes from now.
    #[error("its webhook-signature does not verify")]
    Standard(#[source] WebhookError),
    /// Our own header is not over this body.
    #[error("its x-scrip-signature does not fit its body")]
    Own,
}

/// The headers of a message that is sent at `at`, signed with every secret that is valid, the newest first.
/// Receivers hold `at` against clocks of their own, so it is the machine's time, whatever a test clock says;
/// a later attempt has a later one.
///
/// # Errors
/// [`Unsigned`].
pub fn headers(
    secrets: &[HookSecret],
    message: &Message<'_>,
    at: DateTime<Utc>,
) -> Result<HeaderMap, Unsigned> {
    let Message { id, delivery, event, body } = *message;
    // Id and time are signed with a point between them; an id with a point in it could be read as another.
    if id.contains('.') {
        return Err(Unsigned::Unwritable(header::ID));
    }
    for (name, text) in [(header::ID, id), (header::EVENT, event), (header::DELIVERY, delivery)] {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Unsigned::Unwritable(name));
        }
    }
    if secrets.is_empty() {
        return Err(Unsigned::NoSecret);
    }
    let standard = secrets.iter().map(|secret| signer(secret)?.sign(id, at.timestamp(), body.as_bytes()));
    let standard = standard.collect::<Result<Vec<_>, _>>()?.join(" ");
    let own = secrets.iter().map(|secret| own(secret, body.as_bytes())).collect::<Option<Vec<_>>>();
    let own = own.ok_or(Unsigned::NoSecret)?.join(SEPARATOR);
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
        let value = HeaderValue::from_str(value).map_err(|_| Unsigned::Unwritable(name))?;
        headers.insert(name, value);
    }
    Ok(headers)
}

/// Whether a delivery was signed with one of `secrets` less than five minutes ago, in the one way and the
/// other. The time is the machine's: the verifier reads it itself.
///
/// # Errors
/// [`NotVerified`].
pub fn verify(secrets: &[HookSecret], headers: &HeaderMap, body: &[u8]) -> Result<(), NotVerified> {
    let (_, time, _) =
        (only(headers, header::ID)?, only(headers, header::TIMESTAMP)?, only(headers, header::SIGNATURE)?);
    // The verifier subtracts times without looking: one far enough away would be a panic, not a refusal.
    let is_time = (1..=TIME_DIGITS_MAX).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
    if !is_time {
        return Err(NotVerified::Time);
    }
    let mut verified = Err(NotVerified::NoSecret);
    for secret in secrets {
        let outcome = signer(secret).and_then(|signer| signer.verify(body, headers));
        verified = outcome.map_err(NotVerified::Standard);
        if verified.is_ok() {
            break;
        }
    }
    verified?;
    let told = only(headers, header::SCRIP_SIGNATURE)?;
    let expected: Vec<_> = secrets.iter().filter_map(|secret| own(secret, body)).collect();
    let fits = told.split(SEPARATOR).any(|told| expected.iter().any(|known| is_same(told, known)));
    if fits { Ok(()) } else { Err(NotVerified::Own) }
}

/// The value of a header that must be there once: of two, some receivers read the one and some the other.
fn only<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<&'a str, NotVerified> {
    let mut values = headers.get_all(name).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return Err(NotVerified::Header(name)) };
    value.to_str().map_err(|_| NotVerified::Header(name))
}

fn signer(secret: &HookSecret) -> Result<Webhook, WebhookError> {
    Webhook::from_bytes(secret.bytes().to_vec())
}

/// One value of our own header. Every key makes one; that there may be none is in HMAC's type only.
fn own(secret: &HookSecret, body: &[u8]) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(secret.bytes()).ok()?.chain_update(body);
    Some(format!("sha256={:x}", Bytes::copy_from_slice(&mac.finalize().into_bytes())))
}

/// Compares to the end, wherever the first difference is: the time taken does not tell how much was right.
fn is_same(told: &str, known: &str) -> bool {
    let differences = told.bytes().zip(known.bytes()).fold(0, |found, (a, b)| found | (a ^ b));
    told.len() == known.len() && differences == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(text: &str) -> HookSecret {
        HookSecret::try_from(text.to_owned()).unwrap()
    }

    fn signed(secrets: &[HookSecret], id: &str, seconds: i64, body: &str) -> HeaderMap {
        let message = Message { id, delivery: "del_1", event: "credits.low_balance", body };
        headers(secrets, &message, DateTime::from_timestamp(seconds, 0).unwrap()).unwrap()
    }

    /// From the tests of the JavaScript library and of the Rust library of Standard Webhooks.
    #[test]
    fn the_published_vectors_are_signed_as_published() {
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
        // The signatures were worked out with `openssl dgst -sha256 -mac HMAC -macopt hexkey:…`.
        let headers =
            signed(&[secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")], "evt_1", 1_700_000_000, "{}");
        let mut told: Vec<_> =
            headers.iter().map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        told.sort();
        assert_eq!(
            told,
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
    fn while_a_secret_is_exchanged_both_sign_the_newest_first() {
        let (new, old) = (HookSecret::new([1; 32]), HookSecret::new([2; 32]));
        let value = |secrets: &[HookSecret], name| {
            let headers = signed(secrets, "evt_1", 1_700_000_000, "{}");
            headers[name].to_str().unwrap().to_owned()
        };
        for (name, separator) in [(header::SIGNATURE, " "), (header::SCRIP_SIGNATURE, ", ")] {
            let [new_one, old_one] = [&new, &old].map(|one| value(std::slice::from_ref(one), name));
            assert_eq!(value(&[new.clone(), old.clone()], name), format!("{new_one}{separator}{old_one}"));
        }
    }

    #[test]
    fn what_cannot_be_told_from_something_else_is_not_signed() {
        let secrets = [HookSecret::new([1; 32])];
        let at = DateTime::UNIX_EPOCH;
        let good = Message { id: "evt_1", delivery: "del_1", event: "webhook.test", body: "" };
        assert!(headers(&secrets, &good, at).is_ok());
        assert!(matches!(headers(&[], &good, at), Err(Unsigned::NoSecret)));
        for (message, name) in [
            (Message { id: "", ..good }, header::ID),
            (Message { id: "evt_1.1700000000", ..good }, header::ID),
            (Message { id: "evt_1\r\nx: y", ..good }, header::ID),
            (Message { id: "evt 1", ..good }, header::ID),
            (Message { delivery: "", ..good }, header::DELIVERY),
            (Message { delivery: "del_\n", ..good }, header::DELIVERY),
            (Message { event: "\u{1f980}", ..good }, header::EVENT),
        ] {
            let refused = headers(&secrets, &message, at);
            assert!(matches!(refused, Err(Unsigned::Unwritable(found)) if found == name), "{message:?}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_delivery_is_told_in_its_order() {
        let secrets = [HookSecret::new([1; 32])];
        let old = signed(&secrets, "evt_1", 1_700_000_000, "{}");
        let said = |headers: &HeaderMap| verify(&secrets, headers, b"{}").unwrap_err().to_string();
        assert_eq!(said(&HeaderMap::new()), "it should have webhook-id, once");
        for name in [header::ID, header::TIMESTAMP, header::SIGNATURE] {
            let (mut away, mut twice) = (old.clone(), old.clone());
            away.remove(name);
            twice.append(name, old[name].clone());
            for headers in [away, twice] {
                assert_eq!(said(&headers), format!("it should have {name}, once"));
            }
        }
        for time in ["", "+1700000000", "-9223372036854775808", "9223372036854775807", "17e8", "1700000000.0"]
        {
            let mut headers = old.clone();
            headers.insert(header::TIMESTAMP, HeaderValue::from_static(time));
            assert_eq!(said(&headers), "its time is no number of seconds", "{time}");
        }
        assert_eq!(said(&old), "its webhook-signature does not verify");
        let unknown = verify(&[], &old, b"{}").unwrap_err();
        assert_eq!(unknown.to_string(), "there is no secret to verify it by");
    }
}
