//! How an event says whom it comes from: `t=<seconds>,v1=<hex>`, an HMAC-SHA-256 over the time and
//! the very bytes of the body. Stripe's scheme; the simulated provider signs the same way.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::Refused;

/// How far an event's time may lie from ours, either way, in seconds: an event that was overheard
/// can't be sent again later. Stripe's own figure.
pub const TOLERANCE_SECONDS: u64 = 300;

/// How many signatures one event may carry. While a secret is being exchanged there are two.
const SIGNATURES_MAX: usize = 8;

/// Digits of a time: enough until the year 33658.
const TIME_DIGITS_MAX: usize = 12;

/// Bytes of an HMAC-SHA-256.
const MAC_BYTES: usize = 32;

/// What a header says.
struct Header<'a> {
    /// The time as it was written: that is what was signed.
    time: &'a str,
    signatures: Vec<[u8; MAC_BYTES]>,
}

/// The header for a body that is sent at `at`.
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

/// Whether a body was signed with one of `secrets`, less than [`TOLERANCE_SECONDS`] from `now`. To be
/// asked before anything else is done with it.
///
/// # Errors
/// [`Refused::Forged`].
pub fn verify(
    secrets: &[SecretString],
    header: &str,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), Refused> {
    let Header { time, signatures } = Header::read(header).map_err(Refused::Forged)?;
    let is_signed = secrets.iter().any(|secret| {
        let mac = mac(secret, time, body);
        mac.is_some_and(|mac| signatures.iter().any(|known| mac.clone().verify_slice(known).is_ok()))
    });
    if !is_signed {
        return Err(Refused::Forged("no signature of the event matches its body"));
    }
    let age = time.parse().ok().and_then(|signed: i64| now.timestamp().checked_sub(signed));
    match age {
        Some(age) if age.unsigned_abs() <= TOLERANCE_SECONDS => Ok(()),
        Some(age) if age < 0 => Err(Refused::Forged("the event was signed at a time that is yet to come")),
        Some(_) | None => Err(Refused::Forged("the event was signed too long ago")),
    }
}

/// The code over time and body; none for the empty secret, under which anybody could sign.
fn mac(secret: &SecretString, time: &str, body: &[u8]) -> Option<Hmac<Sha256>> {
    let secret = Some(secret.expose_secret().as_bytes()).filter(|secret| !secret.is_empty())?;
    let mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
    Some(mac.chain_update(time).chain_update(b".").chain_update(body))
}

impl<'a> Header<'a> {
    /// Reads a header; in error, what is wrong with it. Schemes other than `v1` say nothing.
    fn read(header: &'a str) -> Result<Self, &'static str> {
        if header.is_empty() {
            return Err("the event carries no signature");
        }
        let (mut time, mut signatures) = (None, Vec::new());
        for part in header.split(',') {
            match part.split_once('=').ok_or("the signature does not read t=…,v1=…")? {
                ("t", _) if time.is_some() => return Err("the signature names two times"),
                ("t", digits) => time = Some(digits),
                ("v1", _) if signatures.len() >= SIGNATURES_MAX => {
                    return Err("the event carries too many signatures");
                }
                ("v1", hex) => signatures.push(unhex(hex).ok_or("the signature is not 64 digits of hex")?),
                (_, _) => (),
            }
        }
        let time = time.ok_or("the signature names no time")?;
        let digits = (1..=TIME_DIGITS_MAX).contains(&time.len()) && time.bytes().all(|b| b.is_ascii_digit());
        match (digits, signatures.is_empty()) {
            (false, _) => Err("the time of the signature is no number of seconds"),
            (true, true) => Err("the event carries no signature of the scheme v1"),
            (true, false) => Ok(Self { time, signatures }),
        }
    }
}

/// Reads the hex that [`sign`] writes: one spelling, in lower case.
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

    /// What is said of a header; nothing when it is accepted.
    fn said(header: &str, now: DateTime<Utc>) -> String {
        let verified = verify(&secrets(&["whsec_old", "whsec_new"]), header, BODY, now);
        verified.map_or_else(|refused| refused.to_string(), |()| String::new())
    }

    /// Worked out with `openssl dgst -sha256 -hmac whsec_new` over `1700000000.{"id":"evt_1"}`.
    const KNOWN: &str = "f3ac0c93c23f69e2e6046d7f0e2c82c93d0403de0f8651457189ab70fbbfcaae";

    #[test]
    fn the_scheme_is_stripes() {
        let signed = sign(&SecretString::from("whsec_new"), BODY, at(0));
        assert_eq!(signed, format!("t=1700000000,v1={KNOWN}"));
    }

    #[test]
    fn what_is_wrong_with_a_signature_is_told_without_telling_what_is_right() {
        let other = "0".repeat(64);
        let many = format!(",v1={other}").repeat(SIGNATURES_MAX);
        for (header, expected) in [
            (format!("t=1700000000,v1={KNOWN}"), ""),
            (format!("v1={KNOWN},t=1700000000"), ""),
            (format!("t=1700000000,v1={other},v1={KNOWN},v0={other}"), ""),
            (format!("t=1700000000,v2=?,v1={KNOWN}"), ""),
            (String::new(), "the event carries no signature"),
            ("nonsense".into(), "the signature does not read t=…,v1=…"),
            (format!("t=1700000000 v1={KNOWN}"), "the time of the signature is no number of seconds"),
            (format!("t=1700000000, v1={KNOWN}"), "the event carries no signature of the scheme v1"),
            (format!("t=1700000000,v1={KNOWN},"), "the signature does not read t=…,v1=…"),
            (format!("t=1700000000,t=1700000000,v1={KNOWN}"), "the signature names two times"),
            (format!("v1={KNOWN}"), "the signature names no time"),
            (format!("t=,v1={KNOWN}"), "the time of the signature is no number of seconds"),
            (format!("t=-1700000000,v1={KNOWN}"), "the time of the signature is no number of seconds"),
            (
                format!("t=9{},v1={KNOWN}", "9".repeat(TIME_DIGITS_MAX)),
                "the time of the signature is no number of seconds",
            ),
            (format!("t=1700000000,v0={KNOWN}"), "the event carries no signature of the scheme v1"),
            (format!("t=1700000000,v1={}", KNOWN.to_uppercase()), "the signature is not 64 digits of hex"),
            (format!("t=1700000000,v1={KNOWN}0"), "the signature is not 64 digits of hex"),
            ("t=1700000000,v1=".into(), "the signature is not 64 digits of hex"),
            (format!("t=1700000000,v1={KNOWN}{many}"), "the event carries too many signatures"),
            (format!("t=01700000000,v1={KNOWN}"), "no signature of the event matches its body"),
            (format!("t=1700000001,v1={KNOWN}"), "no signature of the event matches its body"),
            (format!("t=1700000000,v1={other}"), "no signature of the event matches its body"),
        ] {
            assert_eq!(said(&header, at(0)), expected, "{header}");
        }
    }

    #[test]
    fn an_event_is_read_within_five_minutes_of_its_time() {
        let header = format!("t=1700000000,v1={KNOWN}");
        for (now, expected) in [
            (0, ""),
            (300, ""),
            (-300, ""),
            (301, "the event was signed too long ago"),
            (-301, "the event was signed at a time that is yet to come"),
        ] {
            assert_eq!(said(&header, at(now)), expected, "{now}");
        }
    }

    #[test]
    fn any_secret_of_ours_will_do_and_no_other() {
        let header = sign(&SecretString::from("whsec_old"), BODY, at(0));
        assert!(verify(&secrets(&["whsec_old"]), &header, BODY, at(0)).is_ok());
        assert!(verify(&secrets(&["whsec_new", "whsec_old"]), &header, BODY, at(0)).is_ok());
        assert!(verify(&secrets(&["whsec_new"]), &header, BODY, at(0)).is_err());
        assert!(verify(&[], &header, BODY, at(0)).is_err());
    }

    #[test]
    fn nobody_signs_with_nothing() {
        assert_eq!(sign(&SecretString::from(""), BODY, at(0)), "");
        let mac = Hmac::<Sha256>::new_from_slice(b"").unwrap().chain_update("1700000000.").chain_update(BODY);
        let hex: String = mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        let header = format!("t=1700000000,v1={hex}");
        assert!(verify(&secrets(&[""]), &header, BODY, at(0)).is_err());
    }
}
