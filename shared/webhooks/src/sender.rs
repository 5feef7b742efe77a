use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::header::{
    ACCEPT_ENCODING, CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::uri::PathAndQuery;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::aws_lc_rs::default_provider;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use super::metered::Metered;
use super::{Forbidden, KEPT_BYTES_MAX, Reply, Resolve, Sent, SystemResolver, Trouble};
use domain::{BadUrl, HookUrl, Reach};

/// Bytes that a body may have.
pub const SENT_BYTES_MAX: usize = 64 * 1024;

/// Bytes that are read of a connection in all: TLS, head, framing and body (contract: 64 KiB).
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// How many of a host's addresses are tried, one after the other.
pub const TRIES_MAX: usize = 3;

/// How a receiver knows us.
const AGENT: HeaderValue = HeaderValue::from_static("Scrip-Webhooks/1");

/// Fields that are ours to set, or that would change how the message is read.
const OURS: [HeaderName; 10] = [
    HOST,
    USER_AGENT,
    ACCEPT_ENCODING,
    CONNECTION,
    CONTENT_LENGTH,
    EXPECT,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// How long a post may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// All of it, from the question for an address to the end of the answer.
    pub whole: Duration,
    /// All attempts at a connection; each address that is tried has an equal share.
    pub connect: Duration,
}

/// Posts events, each over a connection of its own, by these steps: the URL is checked, its name resolved
/// once, every address of it checked, one of those very addresses connected to, and the host's certificate
/// held against the name. No proxy is asked, no redirection followed, nothing decompressed.
pub struct Sender {
    reach: Reach,
    resolver: Arc<dyn Resolve>,
    /// None for the system's roots, which are read with the first post over TLS: they take a cold start longer than
    /// all else.
    roots: Option<RootCertStore>,
    /// None only if the provider of cryptography had no version of TLS.
    tls: OnceLock<Option<TlsConnector>>,
    limits: Limits,
}

impl Default for Limits {
    /// 10 s in all (contract), 5 s to connect.
    fn default() -> Self {
        Self { whole: Duration::from_secs(10), connect: Duration::from_secs(5) }
    }
}

impl Sender {
    /// A sender by the system's resolver and roots.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        let resolver = Arc::new(SystemResolver);
        Self { reach, resolver, roots: None, tls: OnceLock::new(), limits: Limits::default() }
    }

    /// A sender by a resolver and roots of one's own.
    #[must_use]
    pub fn with(reach: Reach, resolver: Arc<dyn Resolve>, roots: RootCertStore) -> Self {
        Self { reach, resolver, roots: Some(roots), tls: OnceLock::new(), limits: Limits::default() }
    }

    /// Whom it may reach.
    #[must_use]
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Whether a URL leads where nothing may be sent, as far as that is known now: a name that leads nowhere yet
    /// may lead somewhere by the time that something is sent.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub async fn check(&self, url: &HookUrl) -> Result<(), Forbidden> {
        match timeout(self.limits.connect, self.resolve(url)).await {
            Ok(Err(Trouble::Forbidden(forbidden))) => Err(forbidden),
            Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// The same sender with other limits.
    #[must_use]
    pub fn limited(self, limits: Limits) -> Self {
        Self { limits, ..self }
    }

    /// Posts `body` to `url`, with `headers` but for those that are the sender's own.
    pub async fn post(&self, url: &HookUrl, headers: HeaderMap, body: Bytes) -> Sent {
        let began = Instant::now();
        let outcome = timeout(self.limits.whole, self.exchange(url, &headers, body)).await;
        Sent { outcome: outcome.unwrap_or(Err(Trouble::Timeout)), took: began.elapsed() }
    }

    async fn exchange(&self, url: &HookUrl, headers: &HeaderMap, body: Bytes) -> Result<Reply, Trouble> {
        url.check(self.reach).map_err(forbidden)?;
        if body.len() > SENT_BYTES_MAX {
            return Err(Trouble::TooLarge);
        }
        let request = request(url, headers, body)?;
        let socket = self.connect(&self.resolve(url).await?).await?;
        let (socket, spent) = Metered::new(socket, READ_BYTES_MAX);
        let outcome = if url.is_tls() {
            match self.secure(url, socket).await {
                Ok(stream) => ask(stream, request).await,
                Err(trouble) => Err(trouble),
            }
        } else {
            ask(socket, request).await
        };
        // What was being read when there was no more to be read is of no matter.
        outcome.map_err(|trouble| if spent.is_so() { Trouble::TooLarge } else { trouble })
    }

    /// The addresses to try, all of them open. One that is closed closes the name: who mixes them is after
    /// the closed one.
    async fn resolve(&self, url: &HookUrl) -> Result<Vec<SocketAddr>, Trouble> {
        let found = match url.address() {
            Some(address) => vec![SocketAddr::new(address, url.port())],
            None => self.resolver.resolve(url.host(), url.port()).await.map_err(|_| Trouble::NotResolved)?,
        };
        let places: Vec<_> = found.iter().map(|place| SocketAddr::new(place.ip(), url.port())).collect();
        if places.is_empty() {
            return Err(Trouble::NotResolved);
        }
        if !places.iter().all(|place| self.reach.admits_at(*place)) {
            return Err(Trouble::Forbidden(Forbidden::Address));
        }
        Ok(places)
    }

    /// A connection to the first of at most [`TRIES_MAX`] addresses that takes one.
    async fn connect(&self, places: &[SocketAddr]) -> Result<TcpStream, Trouble> {
        let places = places.get(..TRIES_MAX).unwrap_or(places);
        let share = u32::try_from(places.len()).ok().and_then(|count| self.limits.connect.checked_div(count));
        for place in places {
            let attempt = timeout(share.unwrap_or(self.limits.connect), TcpStream::connect(place)).await;
            if let Ok(Ok(socket)) = attempt {
                socket.set_nodelay(true).ok();
                return Ok(socket);
            }
        }
        Err(Trouble::NotConnected)
    }

    /// TLS with the host that the URL names, whatever address it was reached at.
    async fn secure<S>(
        &self,
        url: &HookUrl,
        socket: S,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<S>, Trouble>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match url.address() {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(url.host().to_owned()).map_err(|_| Trouble::Tls)?,
        };
        let tls = self.tls.get_or_init(|| connector(self.roots.clone().unwrap_or_else(system_roots)));
        let tls = tls.as_ref().ok_or(Trouble::Tls)?;
        tls.connect(name, socket).await.map_err(|_| Trouble::Tls)
    }
}

/// The roots that the system trusts.
fn system_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        tracing::error!(errors = ?found.errors, "no root certificates: nothing can be sent over TLS");
    }
    roots
}

fn connector(roots: RootCertStore) -> Option<TlsConnector> {
    let config = ClientConfig::builder_with_provider(Arc::new(default_provider()));
    let config = config.with_safe_default_protocol_versions().ok()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(TlsConnector::from(Arc::new(config)))
}

/// The request: `headers`, but for what is ours to say.
fn request(url: &HookUrl, headers: &HeaderMap, body: Bytes) -> Result<Request<Full<Bytes>>, Trouble> {
    // Neither fails for what the URL's standard writes; a test holds that.
    let path = PathAndQuery::try_from(url.path_and_query()).map_err(|_| forbidden(BadUrl::Character))?;
    let host = HeaderValue::from_str(url.authority()).map_err(|_| forbidden(BadUrl::Host))?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(path);
    let fields = request.headers_mut();
    fields.insert(HOST, host);
    fields.insert(USER_AGENT, AGENT);
    fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in headers.iter().filter(|(name, _)| !OURS.contains(name)) {
        fields.append(name, value.clone());
    }
    Ok(request)
}

/// Sends the request and reads the answer, on one connection that ends with it.
async fn ask<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Reply, Trouble>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(READ_BYTES_MAX).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let answer = async { read(sender.send_request(request).await.map_err(broken)?).await };
    // Both on this task, so that nothing of the connection outlives the post.
    match select(pin!(answer), pin!(connection)).await {
        Either::Left((answer, _)) => answer,
        Either::Right((_, answer)) => answer.await,
    }
}

/// The answer, once its body has ended or enough of it has come.
async fn read(response: Response<Incoming>) -> Result<Reply, Trouble> {
    let (head, mut body) = response.into_parts();
    let mut kept = Vec::new();
    while kept.len() < KEPT_BYTES_MAX {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(data.get(..room).unwrap_or(&data));
        }
    }
    Ok(Reply::new(&head, &kept))
}

fn broken(error: hyper::Error) -> Trouble {
    if error.is_parse_too_large() { Trouble::TooLarge } else { Trouble::Broken }
}

fn forbidden(bad: BadUrl) -> Trouble {
    Trouble::Forbidden(Forbidden::Url(bad))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_ours_to_say_nobody_else_says() {
        let url = HookUrl::parse("https://hooks.example.com:8443/a?b", Reach::Public).unwrap();
        let mut headers = HeaderMap::new();
        for name in OURS {
            headers.insert(name, HeaderValue::from_static("theirs"));
        }
        headers.append("webhook-id", HeaderValue::from_static("one"));
        headers.append("webhook-id", HeaderValue::from_static("two"));
        let request = request(&url, &headers, Bytes::from_static(b"{}")).unwrap();
        let told: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            told,
            [
                "host: hooks.example.com:8443",
                "user-agent: Scrip-Webhooks/1",
                "accept-encoding: identity",
                "connection: close",
                "webhook-id: one",
                "webhook-id: two",
            ]
        );
        assert_eq!((request.method(), request.uri().to_string().as_str()), (&Method::POST, "/a?b"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_096))]

        /// Two standards of what a URL may hold: what is accepted by the one is sent unchanged by the other.
        #[test]
        fn what_is_accepted_can_be_sent(rest in r"(/\PC{0,12})?(\?\PC{0,12})?") {
            let Ok(url) = HookUrl::parse(&format!("https://hooks.example.com{rest}"), Reach::Public) else {
                return Ok(());
            };
            let request = request(&url, &HeaderMap::new(), Bytes::new()).unwrap();
            prop_assert_eq!(request.uri().to_string(), url.path_and_query());
        }
    }
}
