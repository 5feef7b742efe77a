//! Signatures of provider events: `t=<seconds>,v1=<hex>`, an HMAC-SHA-256 of the time and the exact body. This is Stripe's
//! scheme; the simulated provider uses it too.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::EventRejected;

/// The maximum difference between an event's time and ours, in seconds. It limits replay of an intercepted event. Stripe's
/// libraries use the same value.
pub const TOLERANCE_SECONDS: u64 = 300;

/// The maximum number of signatures of an event. During a rotation there are two.
const SIGNATURES_MAX: usize = 8;

/// The maximum number of digits of a time: enough until the year 33658.
const TIME_DIGITS_MAX: usize = 12;

/// Bytes of an HMAC-SHA-256.
const MAC_BYTES: usize = 32;

/// A parsed signature header.
struct Header<'a> {
    /// The time as text, because the text is signed.
    time: &'a str,
    signatures: Vec<[u8; MAC_BYTES]>,
}

/// The signature header of a body that is sent at `at`.
#[must_use]
pub fn sign(secret: &SecretString, body: &[u8], at: DateTime<Utc>) -> String {
    let time = at.timestamp().to_string();
    let Some(mac) = mac(secret, &time, body) else { return String::new() };
    let mut header = format!("t={time},v1=");
    for byte in mac.finalize().into_bytes() {
        write!(header, "{byte:02x}").ok();
    }
    header
}

/// Verifies that a body was signed with one of `secrets`, at most [`TOLERANCE_SECONDS`] from `now`. Callers do this before
/// they read the body.
///
/// # Errors
/// [`EventRejected::Forged`] when it was not.
pub fn verify(
    secrets: &[SecretString],
    header: &str,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), EventRejected> {
    let Header { time, signatures } = Header::read(header).map_err(EventRejected::Forged)?;
    let is_signed = secrets.iter().any(|secret| {
        let mac = mac(secret, time, body);
        mac.is_some_and(|mac| signatures.iter().any(|known| mac.clone().verify_slice(known).is_ok()))
    });
    if !is_signed {
        return Err(EventRejected::Forged("no signature of the event matches its body"));
    }
    let age = time.parse().ok().and_then(|signed: i64| now.timestamp().checked_sub(signed));
    match age {
        Some(age) if age.unsigned_abs() <= TOLERANCE_SECONDS => Ok(()),
        Some(age) if age < 0 => Err(EventRejected::Forged("the event was signed in the future")),
        Some(_) | None => Err(EventRejected::Forged("the event was signed too long ago")),
    }
}

/// The HMAC of time and body; `None` for the empty secret, with which anyone could sign.
fn mac(secret: &SecretString, time: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let secret = Some(secret.expose_secret().as_bytes()).filter(|secret| !secret.is_empty())?;
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(time).chain_update(b".").chain_update(body))
}

impl<'a> Header<'a> {
    /// Parses a header. The error says what is wrong. Schemes other than `v1` are ignored.
    fn read(header: &'a str) -> Result<Self, &'static str> {
        if header.is_empty() {
            return Err("the event has no signature");
        }
        let (mut time, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.split_once('=').ok_or("the signature is not of the form t=…,v1=…")? {
                ("t", _) if time.is_some() => return Err("the signature has two times"),
                ("t", digits) => time = Some(digits),
                ("v1", _) if signatures.len() >= SIGNATURES_MAX => {
                    return Err("the event has too many signatures");
                }
                ("v1", hex) => signatures.push(unhex(hex).ok_or("the signature is not 64 digits of hex")?),
                (_, _) => (),
            }
        }
        let time = time.ok_or("the signature has no time")?;
        let digits = (1..=TIME_DIGITS_MAX).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
        match (digits, signatures.is_empty()) {
            (false, _) => Err("the time of the signature is not a number of seconds"),
            (true, true) => Err("the event has no signature of the scheme v1"),
            (true, false) => Ok(Self { time, signatures }),
        }
    }
}

/// Reads lower-case hex, as [`sign`] writes it.
fn unhex(text: &str) -> Option<[u8; MAC_BYTES]> {
    let mut bytes = [0; MAC_BYTES];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != MAC_BYTES || !rest.is_empty() {
        return None;
    }
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = nibble(*high)? << 4 | nibble(*low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a')?.checked_add(10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BODY: &[u8] = b"{\"id\":\"evt_1\"}";

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000_i64.checked_add(seconds).unwrap(), 0).unwrap()
    }

    fn secrets(texts: &[&str]) -> Vec<SecretString> {
        texts.iter().map(|text| SecretString::from(*text)).collect()
    }

    /// The error for a header; empty when it is accepted.
    fn error_of(header: &str, now: DateTime<Utc>) -> String {
        let verified = verify(&secrets(&["whsec_old", "whsec_new"]), header, BODY, now);
        verified.map_or_else(|refused| refused.to_string(), |()| String::new())
    }

    /// Computed with `openssl dgst -sha256 -hmac whsec_new` over `1700000000.{"id":"evt_1"}`.
    const KNOWN: &str = "f3ac0c93c23f69e2e6046d7f0e2c82c93d0403de0f8651457189ab70fbbfcaae";

    #[test]
    fn a_signature_follows_stripes_scheme() {
        let signed = sign(&SecretString::from("whsec_new"), BODY, at(0));
        assert_eq!(signed, format!("t=1700000000,v1={KNOWN}"));
    }

    #[test]
    fn an_invalid_header_is_rejected_with_its_reason() {
        let other = "0".repeat(64);
        let many = format!(",v1={other}").repeat(SIGNATURES_MAX);
        for (header, expected) in [
            (format!("t=1700000000,v1={KNOWN}"), ""),
            (format!("v1={KNOWN},t=1700000000"), ""),
            (format!("t=1700000000,v1={other},v1={KNOWN},v0={other}"), ""),
            (format!("t=1700000000,v2=?,v1={KNOWN}"), ""),
            (String::new(), "the event has no signature"),
            ("nonsense".into(), "the signature is not of the form t=…,v1=…"),
            (format!("t=1700000000 v1={KNOWN}"), "the time of the signature is not a number of seconds"),
            (format!("t=1700000000, v1={KNOWN}"), "the event has no signature of the scheme v1"),
            (format!("t=1700000000,v1={KNOWN},"), "the signature is not of the form t=…,v1=…"),
            (format!("t=1700000000,t=1700000000,v1={KNOWN}"), "the signature has two times"),
            (format!("v1={KNOWN}"), "the signature has no time"),
            (format!("t=,v1={KNOWN}"), "the time of the signature is not a number of seconds"),
            (format!("t=-1700000000,v1={KNOWN}"), "the time of the signature is not a number of seconds"),
            (
                format!("t=9{},v1={KNOWN}", "9".repeat(TIME_DIGITS_MAX)),
                "the time of the signature is not a number of seconds",
            ),
            (format!("t=1700000000,v0={KNOWN}"), "the event has no signature of the scheme v1"),
            (format!("t=1700000000,v1={}", KNOWN.to_uppercase()), "the signature is not 64 digits of hex"),
            (format!("t=1700000000,v1={KNOWN}0"), "the signature is not 64 digits of hex"),
            ("t=1700000000,v1=".into(), "the signature is not 64 digits of hex"),
            (format!("t=1700000000,v1={KNOWN}{many}"), "the event has too many signatures"),
            (format!("t=01700000000,v1={KNOWN}"), "no signature of the event matches its body"),
            (format!("t=1700000001,v1={KNOWN}"), "no signature of the event matches its body"),
            (format!("t=1700000000,v1={other}"), "no signature of the event matches its body"),
        ] {
            assert_eq!(error_of(&header, at(0)), expected, "{header}");
        }
    }

    #[test]
    fn an_event_is_accepted_within_five_minutes_of_its_time() {
        let header = format!("t=1700000000,v1={KNOWN}");
        for (now, expected) in [
            (0, ""),
            (300, ""),
            (-300, ""),
            (301, "the event was signed too long ago"),
            (-301, "the event was signed in the future"),
        ] {
            assert_eq!(error_of(&header, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn one_of_our_secrets_is_enough_and_others_are_rejected() {
        let header = sign(&SecretString::from("whsec_old"), BODY, at(0));
        assert!(verify(&secrets(&["whsec_old"]), &header, BODY, at(0)).is_ok());
        assert!(verify(&secrets(&["whsec_new", "whsec_old"]), &header, BODY, at(0)).is_ok());
        assert!(verify(&secrets(&["whsec_new"]), &header, BODY, at(0)).is_err());
        assert!(verify(&[], &header, BODY, at(0)).is_err());
    }

    #[test]
    fn the_empty_secret_signs_and_verifies_nothing() {
        assert_eq!(sign(&SecretString::from(""), BODY, at(0)), "");
        let mac = Hmac::<Sha256>::new_from_slice(b"").unwrap().chain_update("1700000000.").chain_update(BODY);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let header = format!("t=1700000000,v1={hex}");
        assert!(verify(&secrets(&[""]), &header, BODY, at(0)).is_err());
    }
}
