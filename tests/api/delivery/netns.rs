//! A network namespace in which every address leads to a canary, which sees whatever is sent.

use std::fs;
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use bytes::Bytes;
use domain::{AddressPolicy, WebhookUrl};
use http::HeaderMap;
use scrip_webhooks::{DeliveryError, ForbiddenTarget, RootCertStore, WebhookClient};
use tests::PATIENCE;

use super::names::FixedResolver;
use super::peer::{Peer, PeerAnswer};
use super::post;

/// The variable that says that the test runs inside the namespace.
const INSIDE: &str = "SCRIP_TEST_IN_NETNS";

/// If this is `required`, a machine without network namespaces fails the test.
const WANTED: &str = "SCRIP_NETNS";

/// HTTP, TLS, and Lambda's runtime API.
const PORTS: [u16; 3] = [80, 443, 9001];

/// Forbidden addresses: metadata, credentials, the runtime API, private networks, and IPv4-mapped IPv6.
const CLOSED: [&str; 18] = [
    "169.254.169.254",
    "169.254.170.2",
    "169.254.170.23",
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.0.1",
    "100.100.100.200",
    "0.0.0.0",
    "240.0.0.1",
    "::1",
    "fd00:ec2::254",
    "fec0::1",
    "::ffff:169.254.169.254",
    "::169.254.169.254",
    "64:ff9b::169.254.169.254",
    "2002:a9fe:a9fe::",
    "5f00::1",
];

/// The addresses among these that the kernel itself does not connect, or maps to another address.
const OTHERWISE: [&str; 1] = ["0.0.0.0"];

/// Other spellings of some of them.
const SPELLINGS: [&str; 12] = [
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "0xA9.254.0251.254",
    "169.254.169.254.",
    "①⑥⑨.②⑤④.①⑥⑨.②⑤④",
    "%31%36%39.254.169.254",
    "127.1",
    "0x7f000001",
    "[::ffff:a9fe:a9fe]",
    "[0:0:0:0:0:ffff:7f00:1]",
];

/// Listens at every address and reports the address of each connection.
struct Canary(Receiver<SocketAddr>);

impl Canary {
    fn start() -> Self {
        let (report, reported) = channel();
        for port in PORTS {
            // IPv4 too: Linux listens on both.
            let listener = TcpListener::bind(("::", port)).unwrap();
            let report = report.clone();
            thread::spawn(move || {
                for socket in listener.incoming() {
                    report.send(socket.unwrap().local_addr().unwrap()).unwrap();
                }
            });
        }
        Self(reported)
    }

    /// The address of the next connection.
    fn next(&self) -> IpAddr {
        self.0.recv_timeout(PATIENCE).unwrap().ip().to_canonical()
    }

    fn is_silent(&self) -> bool {
        self.0.try_recv().is_err()
    }
}

/// The packets of the namespace's only interface, as the kernel counts them.
fn packets() -> u64 {
    let table = fs::read_to_string("/proc/self/net/dev").unwrap();
    let interfaces: Vec<_> = table.lines().skip(2).collect();
    let [counts] = interfaces.as_slice() else { panic!("{table}") };
    let (name, counts) = counts.split_once(':').unwrap();
    assert_eq!(name.trim(), "lo");
    let counts: Vec<u64> = counts.split_whitespace().map(|count| count.parse().unwrap()).collect();
    counts[1] + counts[9]
}

#[tokio::test]
async fn no_packet_reaches_a_forbidden_address() {
    if std::env::var_os(INSIDE).is_some() {
        return inside().await;
    }
    let can = |flags: &[&str]| Command::new("unshare").args(flags).arg("true").output();
    let ways = [&["--net"][..], &["--user", "--map-root-user", "--net"]];
    let Some(way) = ways.into_iter().find(|flags| can(flags).is_ok_and(|done| done.status.success())) else {
        let why = can(ways[1]).map_or_else(|error| error.to_string(), |done| format!("{done:?}"));
        assert_ne!(std::env::var(WANTED).as_deref(), Ok("required"), "no network namespace: {why}");
        eprintln!("not tested, because this machine allows no network namespaces: {why}");
        return;
    };
    let mut child = Command::new("unshare");
    child.args(way).arg(std::env::current_exe().unwrap()).env(INSIDE, "1").arg("--exact");
    child.arg("api::delivery::netns::no_packet_reaches_a_forbidden_address");
    let done = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let reported = [done.stdout, done.stderr].concat();
    let reported = String::from_utf8_lossy(&reported);
    assert!(done.status.success() && reported.contains("1 passed"), "{reported}");
}

async fn inside() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("api/delivery/netns.py");
    assert!(Command::new("python3").arg(script).status().unwrap().success());
    let canary = Canary::start();
    assert_eq!(packets(), 0);

    nothing_is_sent().await;
    assert!(canary.is_silent());
    assert_eq!(packets(), 0);

    for location in
        ["http://169.254.169.254/", "https://169.254.169.254/", "http://127.0.0.1:9001/", "file:///"]
    {
        let peer = Peer::start(PeerAnswer::whole(&format!("302 Found\r\nlocation: {location}"), "")).await;
        assert_eq!(
            post(&WebhookClient::new(AddressPolicy::AndLoopback), &peer.url()).await.outcome.unwrap().status,
            302
        );
    }
    assert!(canary.is_silent());

    the_canary_sees(&canary).await;
}

/// Tries every forbidden address in every way.
async fn nothing_is_sent() {
    let hosts =
        CLOSED.map(|address| if address.contains(':') { format!("[{address}]") } else { address.into() });
    for host in hosts.into_iter().chain(SPELLINGS.map(str::to_owned)) {
        for (scheme, port) in [("http", 80), ("https", 443), ("https", 80), ("http", 9001), ("https", 9001)] {
            let text = format!("{scheme}://{host}:{port}/latest/meta-data/");
            assert!(WebhookUrl::parse(&text, AddressPolicy::Public).is_err(), "{text}");
            // As if the URL had been stored before it was forbidden.
            let url = WebhookUrl::stored(&text).unwrap();
            let sent =
                WebhookClient::new(AddressPolicy::Public).post(&url, HeaderMap::new(), Bytes::new()).await;
            assert!(matches!(sent.outcome, Err(DeliveryError::Forbidden(_))), "{text}: {:?}", sent.outcome);
        }
    }
    for address in CLOSED {
        for answer in [&[address][..], &[address, "1.1.1.1"], &["1.1.1.1", "2606:4700::1111", address]] {
            for port in PORTS {
                let sender = WebhookClient::with(
                    AddressPolicy::Public,
                    FixedResolver::new(&[answer]),
                    RootCertStore::empty(),
                );
                let outcome = post(&sender, &format!("https://hooks.example.com:{port}/")).await.outcome;
                assert_eq!(outcome, Err(DeliveryError::Forbidden(ForbiddenTarget::Address)), "{answer:?}");
            }
        }
    }
    for text in
        ["http://127.0.0.1:9001/", "http://[::1]:9001/", "http://localhost:9001/", "http://127.1:9001/"]
    {
        let url = WebhookUrl::stored(text).unwrap();
        let sent =
            WebhookClient::new(AddressPolicy::AndLoopback).post(&url, HeaderMap::new(), Bytes::new()).await;
        assert!(matches!(sent.outcome, Err(DeliveryError::Forbidden(_))), "{text}: {:?}", sent.outcome);
    }
    for address in ["127.0.0.1", "::1", "127.9.9.9"] {
        let sender = WebhookClient::with(
            AddressPolicy::AndLoopback,
            FixedResolver::new(&[&[address]]),
            RootCertStore::empty(),
        );
        let outcome = post(&sender, "http://hooks.example.com:9001/").await.outcome;
        assert_eq!(outcome, Err(DeliveryError::Forbidden(ForbiddenTarget::Address)), "{address}");
    }
}

/// Checks the canary: it sees a connection to any of these addresses, and the sender's own to an allowed one.
async fn the_canary_sees(canary: &Canary) {
    for address in CLOSED.into_iter().filter(|address| !OTHERWISE.contains(address)) {
        let address: IpAddr = address.parse().unwrap();
        for port in PORTS {
            let before = packets();
            TcpStream::connect_timeout(&SocketAddr::new(address, port), PATIENCE).unwrap();
            assert_eq!(canary.next(), address.to_canonical());
            assert!(packets() > before);
        }
    }
    for address in ["1.1.1.1", "2606:4700::1111"] {
        let sender = WebhookClient::with(
            AddressPolicy::Public,
            FixedResolver::new(&[&[address]]),
            RootCertStore::empty(),
        );
        assert_eq!(post(&sender, "https://hooks.example.com/").await.outcome, Err(DeliveryError::Tls));
        assert_eq!(canary.next(), address.parse::<IpAddr>().unwrap());
    }
}
