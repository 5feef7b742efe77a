//! Signatures of events, compared with Stripe's own SDK if `SCRIP_STRIPE_SDK` names a Python that has it.

use std::io::Write;
use std::process::{Command, Stdio};

use chrono::{DateTime, TimeDelta, Utc};
use scrip_payments::{EventRejected, TOLERANCE_SECONDS, sign, verify};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::now;

/// The number of events that each side signs.
const EVENTS: usize = 1_000;

/// A signed event.
#[derive(Clone)]
struct Signed {
    secret: SecretString,
    header: String,
    body: Vec<u8>,
}

/// Events that Scrip has signed, and events that the SDK has signed.
fn events() -> Vec<Signed> {
    let ours: Vec<Signed> = (0..EVENTS)
        .map(|number| {
            let secret = SecretString::from(format!("whsec_{number}"));
            let body =
                json!({ "id": number, "words": "w\u{e9}\n".repeat(number % 50) }).to_string().into_bytes();
            Signed { header: sign(&secret, &body, now()), secret, body }
        })
        .collect();
    let Ok(python) = std::env::var("SCRIP_STRIPE_SDK") else { return ours };
    let theirs = sdk(&python, &ours);
    ours.into_iter().chain(theirs).collect()
}

/// Lets the SDK verify Scrip's events and sign its own.
fn sdk(python: &str, ours: &[Signed]) -> Vec<Signed> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/contract/stripe/stripe_sdk.py");
    let time = now().timestamp().to_string();
    let mut child = Command::new(python)
        .args([script, &EVENTS.to_string(), &time])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    for event in ours {
        let (secret, body) = (event.secret.expose_secret(), String::from_utf8(event.body.clone()).unwrap());
        writeln!(stdin, "{}", json!({ "secret": secret, "header": event.header, "body": body })).unwrap();
    }
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "the SDK refuses Scrip's signatures");
    let lines = String::from_utf8(output.stdout).unwrap();
    let read = |line: &str| {
        let line: Value = serde_json::from_str(line).unwrap();
        let text = |name: &str| line[name].as_str().unwrap().to_owned();
        Signed { secret: text("secret").into(), header: text("header"), body: text("body").into() }
    };
    let theirs: Vec<Signed> = lines.lines().map(read).collect();
    assert_eq!(theirs.len(), EVENTS);
    theirs
}

fn accepts(event: &Signed, at: DateTime<Utc>) -> bool {
    match verify(std::slice::from_ref(&event.secret), &event.header, &event.body, at) {
        Ok(()) => true,
        Err(EventRejected::Forged(_)) => false,
        Err(EventRejected::Later(silence)) => panic!("{silence}"),
    }
}

/// An event with one thing changed; each `number` changes another place.
fn mutations(event: &Signed, number: usize) -> Vec<(&'static str, Signed)> {
    let body = |change: fn(&mut Vec<u8>, usize)| {
        let mut body = event.body.clone();
        let place = number % body.len();
        change(&mut body, place);
        Signed { body, ..event.clone() }
    };
    let header = |header: String| Signed { header, ..event.clone() };
    let (time, signature) = event.header.split_once(",v1=").unwrap();
    let other = |text: &str, place: usize| {
        let mut bytes = text.as_bytes().to_vec();
        bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
        String::from_utf8(bytes).unwrap()
    };
    let digit = 2 + number % (time.len() - 2);
    vec![
        ("a byte of the body", body(|body, place| body[place] ^= 1)),
        ("a byte less", body(|body, place| body.truncate(place))),
        ("a byte more", body(|body, place| body.insert(place, b' '))),
        ("no body", body(|body, _| body.clear())),
        ("a digit of the time", header(format!("{},v1={signature}", other(time, digit)))),
        ("a digit of the signature", header(format!("{time},v1={}", other(signature, number % 64)))),
        ("a shorter signature", header(format!("{time},v1={}", &signature[..number % 64]))),
        ("another scheme", header(format!("{time},v0={signature}"))),
        ("no time", header(format!("v1={signature}"))),
        ("no signature", header(time.to_owned())),
        (
            "another secret",
            Signed { secret: format!("{}x", event.secret.expose_secret()).into(), ..event.clone() },
        ),
    ]
}

#[test]
fn signed_events_are_accepted_and_changed_ones_refused() {
    let events = events();
    let tolerance = TimeDelta::seconds(i64::try_from(TOLERANCE_SECONDS).unwrap());
    for (number, event) in events.iter().enumerate() {
        for at in [now(), now() + tolerance, now() - tolerance] {
            assert!(accepts(event, at), "{number} at {at}");
        }
        for at in [now() + TimeDelta::minutes(6), now() - TimeDelta::minutes(6)] {
            assert!(!accepts(event, at), "{number} at {at}");
        }
        for (what, changed) in mutations(event, number) {
            assert!(!accepts(&changed, now()), "{number}: {what}");
        }
    }
}
