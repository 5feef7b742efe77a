//! Resolving the names of receivers, and which addresses they may have.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use domain::AddressPolicy;
use scrip_webhooks::{DeliveryError, ForbiddenTarget, Resolve, RootCertStore, TRIES_MAX, WebhookClient};

use super::peer::{Peer, PeerAnswer};
use super::{SHORT, post};

/// The variable with the URL that the child process of this test posts to.
const CHILD: &str = "SCRIP_TEST_POST_TO";

const CLOSED: Result<u16, DeliveryError> = Err(DeliveryError::Forbidden(ForbiddenTarget::Address));

/// A resolver with prepared answers, one for each lookup; after them the name does not exist.
pub(super) struct FixedResolver {
    left: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: AtomicUsize,
}

impl FixedResolver {
    pub(super) fn new(answers: &[&[&str]]) -> Arc<Self> {
        let addresses = |answer: &&[&str]| answer.iter().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self {
            left: Mutex::new(answers.iter().map(addresses).collect()),
            asked: AtomicUsize::new(0),
        })
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

#[async_trait]
impl Resolve for FixedResolver {
    async fn resolve(&self, _: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let answer = self.left.lock().unwrap().pop_front();
        let answer = answer.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        Ok(answer.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

fn sender(policy: AddressPolicy, resolver: &Arc<FixedResolver>) -> WebhookClient {
    WebhookClient::with(policy, resolver.clone(), RootCertStore::empty())
}

/// The status of a request to this port of a name.
async fn status(sender: &WebhookClient, port: u16) -> Result<u16, DeliveryError> {
    post(sender, &format!("http://hooks.example.com:{port}/")).await.outcome.map(|reply| reply.status)
}

#[tokio::test]
async fn a_name_is_resolved_once_a_post_and_connected_to_as_it_was_checked() {
    let peer = Peer::start(PeerAnswer::whole("200 OK", "")).await;
    let rebinding = FixedResolver::new(&[&["127.0.0.1"], &["169.254.169.254"], &["127.0.0.1"]]);
    let sender = sender(AddressPolicy::AndLoopback, &rebinding);
    for (nth, expected) in [(1, Ok(200)), (2, CLOSED), (3, Ok(200)), (4, Err(DeliveryError::NotResolved))] {
        assert_eq!(status(&sender, peer.port()).await, expected, "{nth}");
        assert_eq!(rebinding.asked(), nth);
    }
    let host = format!("host: hooks.example.com:{}\r\n", peer.port());
    assert_eq!(peer.seen().len(), 2);
    assert!(peer.seen().iter().all(|request| request.contains(&host)), "{:?}", peer.seen());
}

#[tokio::test]
async fn one_closed_address_closes_the_name() {
    let peer = Peer::start(PeerAnswer::whole("200 OK", "")).await;
    for closed in ["169.254.169.254", "10.0.0.1", "::ffff:127.0.0.1", "0.0.0.0", "fd00:ec2::254", "fe80::1"] {
        let many = [["127.0.0.1"; 20].as_slice(), &[closed]].concat();
        for answer in [[closed, "127.0.0.1"].as_slice(), &["127.0.0.1", closed], &[closed], &many] {
            let sender = sender(AddressPolicy::AndLoopback, &FixedResolver::new(&[answer]));
            assert_eq!(status(&sender, peer.port()).await, CLOSED, "{answer:?}");
        }
    }
    // Loopback is closed to all but the local machine, and the port of Lambda's runtime API to that too.
    let sender_of = |policy| sender(policy, &FixedResolver::new(&[&["127.0.0.1"]]));
    let outcome =
        post(&sender_of(AddressPolicy::Public), &format!("https://hooks.example.com:{}/", peer.port())).await;
    assert_eq!(outcome.outcome, Err(DeliveryError::Forbidden(ForbiddenTarget::Address)));
    assert_eq!(status(&sender_of(AddressPolicy::AndLoopback), 9001).await, CLOSED);
    assert_eq!(peer.seen(), [""; 0]);
}

#[tokio::test]
async fn the_first_address_that_takes_connections_is_posted_to_and_not_many_are_tried() {
    let peer = Peer::start(PeerAnswer::whole("200 OK", "")).await;
    for (answer, expected) in [
        (&["127.0.0.1", "127.0.0.2"][..], Ok(200)),
        (&["127.0.0.2", "127.0.0.1"], Ok(200)),
        (&["127.0.0.2", "127.0.0.3", "127.0.0.1"], Ok(200)),
        (&["127.0.0.2", "127.0.0.3", "127.0.0.4", "127.0.0.1"], Err(DeliveryError::NotConnected)),
        (&["127.0.0.2"], Err(DeliveryError::NotConnected)),
        (&[], Err(DeliveryError::NotResolved)),
    ] {
        let sender = sender(AddressPolicy::AndLoopback, &FixedResolver::new(&[answer]));
        assert_eq!(status(&sender, peer.port()).await, expected, "{answer:?}");
    }
    assert_eq!((peer.seen().len(), TRIES_MAX), (3, 3));
}

#[tokio::test]
async fn a_resolver_that_never_answers_ends_with_the_post() {
    struct Silent;
    #[async_trait]
    impl Resolve for Silent {
        async fn resolve(&self, _: &str, _: u16) -> io::Result<Vec<SocketAddr>> {
            std::future::pending().await
        }
    }
    let sender = WebhookClient::with(AddressPolicy::AndLoopback, Arc::new(Silent), RootCertStore::empty())
        .limited(SHORT);
    assert_eq!(status(&sender, 80).await, Err(DeliveryError::Timeout));
}

/// Runs in a process of its own that has the variables from its start. Another client shows that they have an
/// effect there.
#[tokio::test]
async fn no_proxy_of_the_environment_is_asked() {
    if let Ok(to) = std::env::var(CHILD) {
        let sent = post(&WebhookClient::new(AddressPolicy::AndLoopback), &to).await;
        assert_eq!(sent.outcome.unwrap().status, 200);
        assert_eq!(reqwest::Client::new().post(&to).send().await.unwrap().status(), 418);
        return;
    }
    let peer = Peer::start(PeerAnswer::whole("200 OK", "")).await;
    let proxy = Peer::start(PeerAnswer::whole("418 Proxy", "")).await;
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--exact", "api::delivery::names::no_proxy_of_the_environment_is_asked"])
        .env(CHILD, peer.url());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, format!("http://127.0.0.1:{}", proxy.port()));
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let done = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    assert!(String::from_utf8_lossy(&done.stdout).contains("1 passed"));
    assert_eq!((peer.seen().len(), proxy.seen().len()), (1, 1));
}
