//! Receivers that speak TLS, or try to.

use std::sync::{Arc, Mutex};

use domain::AddressPolicy;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use scrip_webhooks::{DeliveryError, PostTimeouts, RootCertStore, WebhookClient};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::names::FixedResolver;
use super::peer::{PeerAnswer, PeerRequests, respond, serve};
use super::{LONG, SHORT, post};

/// A TLS receiver with a certificate for a name.
struct TlsReceiver {
    port: u16,
    seen: PeerRequests,
    /// The server names that clients sent.
    asked: Arc<Mutex<Vec<Option<String>>>>,
}

/// A certificate authority.
fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

fn roots(authority: &CertifiedIssuer<'static, KeyPair>) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).unwrap();
    roots
}

async fn serve_tls(
    params: CertificateParams,
    authority: Option<&CertifiedIssuer<'static, KeyPair>>,
) -> TlsReceiver {
    let key = KeyPair::generate().unwrap();
    let certificate = match authority {
        Some(authority) => params.signed_by(&key, authority).unwrap(),
        None => params.self_signed(&key).unwrap(),
    };
    let config = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let acceptor =
        TlsAcceptor::from(Arc::new(config.with_single_cert(vec![certificate.der().clone()], key).unwrap()));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = TlsReceiver { port, seen: PeerRequests::default(), asked: Arc::default() };
    let (seen, asked) = (server.seen.clone(), server.asked.clone());
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let Ok(stream) = acceptor.accept(socket).await else { continue };
            asked.lock().unwrap().push(stream.get_ref().1.server_name().map(str::to_owned));
            serve(stream, PeerAnswer::whole("200 OK", "taken"), seen.clone()).await;
        }
    });
    server
}

fn named(names: &[&str]) -> CertificateParams {
    CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap()
}

/// The outcome of a request to a host that resolves to this machine, with these trusted roots.
async fn outcome(host: &str, port: u16, roots: RootCertStore) -> Result<(u16, String), DeliveryError> {
    told_within(LONG, host, port, roots).await
}

async fn told_within(
    limits: PostTimeouts,
    host: &str,
    port: u16,
    roots: RootCertStore,
) -> Result<(u16, String), DeliveryError> {
    let sender =
        WebhookClient::with(AddressPolicy::AndLoopback, FixedResolver::new(&[&["127.0.0.1"]]), roots)
            .limited(limits);
    let sent = post(&sender, &format!("https://{host}:{port}/hooks")).await;
    sent.outcome.map(|reply| (reply.status, reply.body))
}

#[tokio::test]
async fn the_certificate_must_match_the_name_at_any_address() {
    let authority = authority();
    let server = serve_tls(named(&["hooks.example.com", "127.0.0.1"]), Some(&authority)).await;
    let taken = Ok((200, "taken".to_owned()));
    assert_eq!(outcome("hooks.example.com", server.port, roots(&authority)).await, taken);
    assert_eq!(outcome("HOOKS.example.com", server.port, roots(&authority)).await, taken);
    assert_eq!(outcome("127.0.0.1", server.port, roots(&authority)).await, taken);
    let name = Some("hooks.example.com".to_owned());
    assert_eq!(*server.asked.lock().unwrap(), [name.clone(), name, None]);
    let hosts: Vec<_> =
        server.seen.all().iter().map(|request| request.lines().nth(1).unwrap().to_owned()).collect();
    let host = format!("host: hooks.example.com:{}", server.port);
    assert_eq!(hosts, [host.clone(), host, format!("host: 127.0.0.1:{}", server.port)]);
}

#[tokio::test]
async fn a_receiver_with_another_name_is_sent_nothing() {
    let (authority, other) = (authority(), authority());
    let mut expired = named(&["hooks.example.com"]);
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    let mut early = named(&["hooks.example.com"]);
    (early.not_before, early.not_after) = (date_time_ymd(2100, 1, 1), date_time_ymd(2101, 1, 1));
    for (what, params, signer) in [
        ("signed by itself", named(&["hooks.example.com"]), None),
        ("signed by another", named(&["hooks.example.com"]), Some(&other)),
        ("of another name", named(&["other.example.com"]), Some(&authority)),
        ("of a name above", named(&["example.com"]), Some(&authority)),
        ("of names two levels up", named(&["*.com"]), Some(&authority)),
        ("of the address only", named(&["127.0.0.1"]), Some(&authority)),
        ("of no name", named(&[]), Some(&authority)),
        ("expired", expired, Some(&authority)),
        ("not yet valid", early, Some(&authority)),
    ] {
        let server = serve_tls(params, signer).await;
        assert_eq!(
            outcome("hooks.example.com", server.port, roots(&authority)).await,
            Err(DeliveryError::Tls),
            "{what}"
        );
        assert_eq!(server.seen.all(), [""; 0], "{what}");
    }
    let server = serve_tls(named(&["hooks.example.com"]), Some(&authority)).await;
    assert_eq!(
        outcome("hooks.example.com", server.port, RootCertStore::empty()).await,
        Err(DeliveryError::Tls)
    );
    let sent =
        post(&WebhookClient::new(AddressPolicy::AndLoopback), &format!("https://127.0.0.1:{}/", server.port))
            .await;
    assert_eq!(sent.outcome, Err(DeliveryError::Tls));
}

#[tokio::test]
async fn a_receiver_without_tls_is_left() {
    let (close, hang) = (PeerAnswer::whole("400 Bad Request", ""), PeerAnswer::Hang);
    for (what, answer, expected) in [
        ("HTTP", close, DeliveryError::Tls),
        ("nothing", hang(Vec::new()), DeliveryError::Timeout),
        ("half a record", hang(b"\x16\x03\x03\x00\xff\x02".to_vec()), DeliveryError::Timeout),
        ("a refusal", hang(b"\x15\x03\x03\x00\x02\x02\x28".to_vec()), DeliveryError::Tls),
        ("TLS 1.0", hang(old_hello()), DeliveryError::Tls),
        // Handshakes that never end: empty records, and one message of 16 MiB.
        (
            "empty records",
            PeerAnswer::Flood(Vec::new(), b"\x16\x03\x03\x00\x00".to_vec()),
            DeliveryError::Tls,
        ),
        (
            "warnings",
            PeerAnswer::Flood(Vec::new(), b"\x15\x03\x03\x00\x02\x01\x5a".to_vec()),
            DeliveryError::Tls,
        ),
        ("a huge message", PeerAnswer::Flood(Vec::new(), huge()), DeliveryError::Tls),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            let (mut socket, _) = listener.accept().await.unwrap();
            respond(&mut socket, answer).await;
        });
        let limits = if expected == DeliveryError::Timeout { SHORT } else { LONG };
        let reported = told_within(limits, "hooks.example.com", port, RootCertStore::empty()).await;
        assert_eq!(reported, Err(expected), "{what}");
        server.abort();
    }
}

/// A ServerHello of TLS 1.0, which is too old.
fn old_hello() -> Vec<u8> {
    [&b"\x16\x03\x01\x00\x2a\x02\x00\x00\x26\x03\x01"[..], &[7; 32], b"\x00\x00\x2f\x00"].concat()
}

/// A record that begins a message of 16 MiB.
fn huge() -> Vec<u8> {
    [&b"\x16\x03\x03\x10\x00\x02\xff\xff\xff"[..], &[0; 4_092]].concat()
}
