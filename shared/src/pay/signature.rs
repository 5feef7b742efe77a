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
