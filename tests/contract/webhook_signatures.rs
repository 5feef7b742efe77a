//! Webhook signatures, verified by other implementations: the `standardwebhooks` crate always; its PyPI and npm
//! libraries, Svix's, and the hmac modules of Python and Node if `SCRIP_WEBHOOK_VERIFIERS` names a Python that has
//! them, `SCRIP_NODE` a Node and `SCRIP_NODE_MODULES` its modules.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};
use std::thread;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{EventId, EventName, WebhookSecret};
use http::{HeaderMap, HeaderValue};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use scrip_http::{Clock, SystemClock};
use scrip_webhooks::{EventEnvelope, MessageToSign, header, headers, verify};
use serde_json::{Map, Value, json};

/// The number of signed deliveries.
const DELIVERIES: usize = 1_000;

/// The base64 digits of a signature that carry six bits each. The next one carries four: PyPI's library accepts
/// another digit in its place.
const WHOLE_DIGITS: usize = 42;

/// Characters that encoders and parsers often get wrong.
const CHARACTERS: [char; 16] = [
    '\n',
    '\r',
    '\t',
    '\0',
    '\u{1f}',
    '\u{7f}',
    '"',
    '\\',
    '/',
    '.',
    '\u{e9}',
    '\u{301}',
    '\u{200d}',
    '\u{2028}',
    '\u{feff}',
    '\u{1f980}',
];

/// A delivery as its receiver gets it, with the secrets to verify it by.
#[derive(Clone)]
struct SignedDelivery {
    secrets: Vec<WebhookSecret>,
    headers: HeaderMap,
    body: Vec<u8>,
}

/// A delivery and the expected verdicts.
struct Case {
    what: &'static str,
    delivery: SignedDelivery,
    /// The verdict of Standard Webhooks.
    standard: bool,
    /// The verdict of X-Scrip-Signature, which covers the body alone.
    own: bool,
}

/// The verdicts on a delivery, by verifier and check, one for each secret.
type Verdicts = BTreeMap<String, BTreeMap<String, Vec<bool>>>;

/// A delivery before it is signed.
#[derive(Clone, Debug)]
struct UnsignedDelivery {
    secrets: Vec<WebhookSecret>,
    random: u128,
    data: Value,
    number: usize,
}

/// Any text without U+FFFD: npm's library reads invalid UTF-8 as that character, so it cannot tell them apart.
fn texts() -> impl Strategy<Value = String> {
    let character = prop_oneof![any::<char>(), prop::sample::select(CHARACTERS.to_vec())];
    let character = character.prop_filter("is U+FFFD", |character| *character != '\u{fffd}');
    prop::collection::vec(character, 0..40).prop_map(|characters| characters.into_iter().collect())
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        texts().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((texts(), inner), 0..4)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn secrets() -> impl Strategy<Value = Vec<WebhookSecret>> {
    let secret = prop::collection::vec(any::<u8>(), 24..=64)
        .prop_map(|bytes| WebhookSecret::try_from(format!("whsec_{}", STANDARD.encode(bytes))).unwrap());
    prop::collection::vec(secret, 1..=2)
}

/// Random deliveries, the same in every run.
fn unsigned() -> Vec<UnsignedDelivery> {
    let mut chance = TestRunner::deterministic();
    let any = (secrets(), any::<u128>(), values());
    let mut draw = |number| {
        let (secrets, random, data) = any.new_tree(&mut chance).unwrap().current();
        UnsignedDelivery { secrets, random, data, number }
    };
    (0..DELIVERIES).map(&mut draw).collect()
}

impl UnsignedDelivery {
    /// The body as Scrip sends it; every third one indented, every third one with every character escaped,
    /// which JSON allows.
    fn body(&self, now: DateTime<Utc>) -> String {
        let sequence = self.number as u64;
        let envelope = EventEnvelope::unnumbered(self.id(now), self.event(), now, self.data.clone());
        let text = EventEnvelope { sequence, ..envelope }.body();
        match self.number % 3 {
            0 => text,
            1 => serde_json::to_string_pretty(&serde_json::from_str::<Value>(&text).unwrap()).unwrap(),
            _ => escaped(&text),
        }
    }

    fn event(&self) -> &'static str {
        EventName::ALL[self.number % EventName::ALL.len()].as_str()
    }

    fn id(&self, now: DateTime<Utc>) -> String {
        EventId::new(now, self.random).to_string()
    }

    fn signed(&self, now: DateTime<Utc>, at: DateTime<Utc>) -> SignedDelivery {
        let (id, body) = (self.id(now), self.body(now));
        let delivery = id.replace("evt_", "del_");
        let message = MessageToSign { id: &id, delivery: &delivery, event: self.event(), body: &body };
        let headers = headers(&self.secrets, &message, at).unwrap();
        SignedDelivery { secrets: self.secrets.clone(), headers, body: body.into_bytes() }
    }
}

/// The text as JSON in ASCII.
fn escaped(text: &str) -> String {
    let escape = |character: char| {
        let units = character.encode_utf16(&mut [0; 2]).to_vec();
        units.into_iter().map(|unit| format!("\\u{unit:04x}")).collect::<String>()
    };
    text.chars().map(|one| if one.is_ascii() { one.to_string() } else { escape(one) }).collect()
}

impl SignedDelivery {
    fn text(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    fn with(&self, name: &'static str, value: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.insert(name, HeaderValue::from_str(value).unwrap());
        changed
    }

    fn without(&self, name: &str) -> Self {
        let mut changed = self.clone();
        changed.headers.remove(name).unwrap();
        changed
    }

    /// The delivery with every signature of a header changed, so that no secret matches.
    fn each(&self, name: &'static str, separator: &str, change: impl Fn(&str) -> String) -> Self {
        let changed: Vec<_> = self.text(name).split(separator).map(change).collect();
        self.with(name, &changed.join(separator))
    }

    fn with_body(&self, change: impl Fn(&mut Vec<u8>)) -> Self {
        let mut changed = self.clone();
        change(&mut changed.body);
        changed
    }
}

/// The text with another digit at a place, in any alphabet that signatures use.
fn other(text: &str, place: usize) -> String {
    let mut bytes = text.as_bytes().to_vec();
    bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
    String::from_utf8(bytes).unwrap()
}

/// A delivery as it was signed, and with one thing changed; each `number` changes another place.
fn cases(unsigned: &UnsignedDelivery, next: &UnsignedDelivery, now: DateTime<Utc>) -> Vec<Case> {
    use header::{ID, SCRIP_SIGNATURE as OWN, SIGNATURE, TIMESTAMP};
    let (good, next) = (unsigned.signed(now, now), next.signed(now, now));
    let number = unsigned.number;
    let place = number % good.body.len();
    let (id, time) = (good.text(ID).len(), good.text(TIMESTAMP).len());
    let signatures = |change: fn(&str, usize) -> String| good.each(SIGNATURE, " ", |one| change(one, number));
    let hexes = |change: fn(&str, usize) -> String| good.each(OWN, ", ", |one| change(one, number));
    let case = |what, delivery, (standard, own)| Case { what, delivery, standard, own };
    let (neither, only_own, only_standard) = ((false, false), (false, true), (true, false));
    vec![
        case("as signed", good.clone(), (true, true)),
        case("a bit of the body", good.with_body(|body| body[place] ^= 1), neither),
        case(
            "a byte of the body less",
            good.with_body(|body| {
                body.remove(place);
            }),
            neither,
        ),
        case("a byte of the body more", good.with_body(|body| body.insert(place, b' ')), neither),
        case("no body", good.with_body(Vec::clear), neither),
        case("another's body", SignedDelivery { body: next.body.clone(), ..good.clone() }, neither),
        case("another secret", SignedDelivery { secrets: next.secrets.clone(), ..good.clone() }, neither),
        case("another id", good.with(ID, &other(good.text(ID), id - 1 - number % 26)), only_own),
        case("no id", good.without(ID), only_own),
        case("another second", good.with(TIMESTAMP, &other(good.text(TIMESTAMP), time - 1)), only_own),
        case("no time", good.without(TIMESTAMP), only_own),
        case("too old", unsigned.signed(now, now - TimeDelta::seconds(301)), only_own),
        case("yet to come", unsigned.signed(now, now + TimeDelta::hours(1)), only_own),
        case("a digit of the signature", signatures(|one, n| other(one, 3 + n % WHOLE_DIGITS)), only_own),
        case("a shorter signature", signatures(|one, n| one[..3 + n % 44].to_owned()), only_own),
        case("another version", signatures(|one, _| one.replace("v1,", "v2,")), only_own),
        case("another's signature", good.with(SIGNATURE, next.text(SIGNATURE)), only_own),
        case("no signature", good.without(SIGNATURE), only_own),
        case("a digit of our own", hexes(|one, n| other(one, 7 + n % 64)), only_standard),
        case("a shorter one of our own", hexes(|one, n| one[..7 + n % 64].to_owned()), only_standard),
        case("another hash", hexes(|one, _| one.replace("sha256=", "sha1=")), only_standard),
        case("another's own", good.with(OWN, next.text(OWN)), only_standard),
        case("none of our own", good.without(OWN), only_standard),
    ]
}

/// The verdicts of the `standardwebhooks` crate and of the local inbox.
fn own_verdicts(delivery: &SignedDelivery) -> Verdicts {
    let SignedDelivery { secrets, headers, body } = delivery;
    let by = |verifies: &dyn Fn(&WebhookSecret) -> bool| secrets.iter().map(verifies).collect::<Vec<_>>();
    let standard =
        by(&|secret| standardwebhooks::Webhook::new(secret.reveal()).unwrap().verify(body, headers).is_ok());
    let inbox = by(&|secret| verify(std::slice::from_ref(secret), headers, body).is_ok());
    BTreeMap::from([
        ("standard".into(), BTreeMap::from([("crates.io standardwebhooks".into(), standard)])),
        ("both".into(), BTreeMap::from([("our inbox".into(), inbox)])),
    ])
}

/// The verdicts of a program that reads deliveries and prints verdicts, line by line.
fn verdicts_of(mut program: Command, cases: &[Case]) -> Vec<Verdicts> {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdin = BufWriter::new(child.stdin.take().unwrap());
    let output = thread::scope(|scope| {
        scope.spawn(move || {
            for Case { delivery: SignedDelivery { secrets, headers, body }, .. } in cases {
                let secrets: Vec<_> = secrets.iter().map(WebhookSecret::reveal).collect();
                let headers = headers
                    .iter()
                    .map(|(name, value)| (name.to_string(), Value::from(value.to_str().unwrap())));
                let headers: Map<_, _> = headers.collect();
                let line = json!({ "secrets": secrets, "headers": headers, "body": STANDARD.encode(body) });
                writeln!(stdin, "{line}").unwrap();
            }
        });
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program:?} failed");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// The verdicts of every available verifier on each delivery.
fn verdicts(cases: &[Case]) -> Vec<Vec<Verdicts>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/contract");
    let mut said = vec![cases.iter().map(|case| own_verdicts(&case.delivery)).collect()];
    if let Ok(python) = std::env::var("SCRIP_WEBHOOK_VERIFIERS") {
        let mut program = Command::new(python);
        program.arg(format!("{folder}/webhook_verifiers.py"));
        said.push(verdicts_of(program, cases));
    }
    if let (Ok(node), Ok(_)) = (std::env::var("SCRIP_NODE"), std::env::var("SCRIP_NODE_MODULES")) {
        let mut program = Command::new(node);
        program.arg(format!("{folder}/webhook_verifier.mjs"));
        said.push(verdicts_of(program, cases));
    }
    said
}

#[test]
#[expect(clippy::print_stdout, reason = "prints the number of cases")]
fn every_verifier_accepts_signed_deliveries_and_refuses_changed_ones() {
    let (now, unsigned) = (SystemClock.now(), unsigned());
    let next = unsigned.iter().cycle().skip(1);
    let cases: Vec<_> = unsigned.iter().zip(next).flat_map(|(one, next)| cases(one, next, now)).collect();
    let mut counts: BTreeMap<String, (u32, u32)> = BTreeMap::new();
    for verdicts in verdicts(&cases) {
        assert_eq!(verdicts.len(), cases.len());
        for (place, (case, verdict)) in cases.iter().zip(verdicts).enumerate() {
            for (asked, verifiers) in verdict {
                let expected = match asked.as_str() {
                    "standard" => case.standard,
                    "own" => case.own,
                    "both" => case.standard && case.own,
                    _ => panic!("{asked}"),
                };
                for (verifier, said) in verifiers {
                    let everywhere = vec![expected; case.delivery.secrets.len()];
                    assert_eq!(said, everywhere, "{verifier} of {place}: {}", case.what);
                    let (accepted, refused) = counts.entry(verifier).or_default();
                    *(if expected { accepted } else { refused }) += 1;
                }
            }
        }
    }
    println!("{DELIVERIES} deliveries, each as signed, and with one thing changed:");
    for (verifier, (accepted, refused)) in counts {
        println!("    {verifier}: {accepted} accepted, {refused} refused");
    }
}
