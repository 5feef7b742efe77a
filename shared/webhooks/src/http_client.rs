//! The HTTP client that posts to webhook endpoints, with the address policy.

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

use super::limited_reader::LimitedReader;
use super::{
    DeliveryError, EndpointResponse, ForbiddenTarget, KEPT_BYTES_MAX, PostResult, Resolve, SystemResolver,
};
use domain::{AddressPolicy, BadWebhookUrl, WebhookUrl};

/// The maximum size of a request body, in bytes.
pub const SENT_BYTES_MAX: usize = 64 * 1024;

/// The maximum number of bytes read from a connection: TLS, head, framing and body (contract: 64 KiB).
pub const READ_BYTES_MAX: usize = 64 * 1024;

/// How many addresses of a host are tried, one after another.
pub const TRIES_MAX: usize = 3;

/// The `User-Agent` of every request.
const AGENT: HeaderValue = HeaderValue::from_static("Scrip-Webhooks/1");

/// Headers that only the client sets, because they identify it or change how the message is read.
const RESERVED: [HeaderName; 10] = [
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

/// The timeouts of a post.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PostTimeouts {
    /// The whole exchange, from name resolution to the end of the response.
    pub whole: Duration,
    /// All connection attempts; each address gets an equal share.
    pub connect: Duration,
}

/// Posts events, each over its own connection, in these steps: check the URL, resolve its name once, check every
/// address, connect to one of the checked addresses, and verify the host's certificate. It uses no proxy, follows no
/// redirect and decompresses nothing.
pub struct WebhookClient {
    policy: AddressPolicy,
    resolver: Arc<dyn Resolve>,
    /// `None` for the system's root certificates, which are read with the first post over TLS because reading them is
    /// slower than the rest of a cold start.
    roots: Option<RootCertStore>,
    /// `None` only if the cryptography provider supports no TLS version.
    tls: OnceLock<Option<TlsConnector>>,
    limits: PostTimeouts,
}

impl Default for PostTimeouts {
    /// 10 s for the whole exchange (contract), 5 s to connect.
    fn default() -> Self {
        Self { whole: Duration::from_secs(10), connect: Duration::from_secs(5) }
    }
}

impl WebhookClient {
    /// A client with the system's resolver and root certificates.
    #[must_use]
    pub fn new(policy: AddressPolicy) -> Self {
        let resolver = Arc::new(SystemResolver);
        Self { policy, resolver, roots: None, tls: OnceLock::new(), limits: PostTimeouts::default() }
    }

    /// A client with the given resolver and root certificates.
    #[must_use]
    pub fn with(policy: AddressPolicy, resolver: Arc<dyn Resolve>, roots: RootCertStore) -> Self {
        Self { policy, resolver, roots: Some(roots), tls: OnceLock::new(), limits: PostTimeouts::default() }
    }

    /// The address policy.
    #[must_use]
    pub fn policy(&self) -> AddressPolicy {
        self.policy
    }

    /// Checks a URL against the address policy, as far as its name resolves now. A name that does not resolve passes,
    /// because it may resolve when an event is sent, and is then checked again.
    ///
    /// # Errors
    /// [`ForbiddenTarget`] when the URL or one of its addresses is not allowed.
    pub async fn check(&self, url: &WebhookUrl) -> Result<(), ForbiddenTarget> {
        match timeout(self.limits.connect, self.resolve(url)).await {
            Ok(Err(DeliveryError::Forbidden(forbidden))) => Err(forbidden),
            Ok(Ok(_) | Err(_)) | Err(_) => Ok(()),
        }
    }

    /// The same client with other timeouts.
    #[must_use]
    pub fn limited(self, limits: PostTimeouts) -> Self {
        Self { limits, ..self }
    }

    /// Posts `body` to `url` with `headers`, except for reserved ones, which the client sets.
    pub async fn post(&self, url: &WebhookUrl, headers: HeaderMap, body: Bytes) -> PostResult {
        let began = Instant::now();
        let outcome = timeout(self.limits.whole, self.try_post(url, &headers, body)).await;
        PostResult { outcome: outcome.unwrap_or(Err(DeliveryError::Timeout)), took: began.elapsed() }
    }

    async fn try_post(
        &self,
        url: &WebhookUrl,
        headers: &HeaderMap,
        body: Bytes,
    ) -> Result<EndpointResponse, DeliveryError> {
        url.check(self.policy).map_err(forbidden)?;
        if body.len() > SENT_BYTES_MAX {
            return Err(DeliveryError::TooLarge);
        }
        let request = request(url, headers, body)?;
        let socket = self.connect(&self.resolve(url).await?).await?;
        let (socket, limit) = LimitedReader::new(socket, READ_BYTES_MAX);
        let outcome = if url.is_tls() {
            match self.secure(url, socket).await {
                Ok(stream) => exchange(stream, request).await,
                Err(error) => Err(error),
            }
        } else {
            exchange(socket, request).await
        };
        // At the read limit the error depends on what was being read, but the limit is the cause.
        outcome.map_err(|error| if limit.is_reached() { DeliveryError::TooLarge } else { error })
    }

    /// The addresses to try. One forbidden address forbids the name: a name with both kinds is an attempt to reach the
    /// forbidden one.
    async fn resolve(&self, url: &WebhookUrl) -> Result<Vec<SocketAddr>, DeliveryError> {
        let found = match url.address() {
            Some(address) => vec![SocketAddr::new(address, url.port())],
            None => {
                self.resolver.resolve(url.host(), url.port()).await.map_err(|_| DeliveryError::NotResolved)?
            }
        };
        let addresses: Vec<_> =
            found.iter().map(|address| SocketAddr::new(address.ip(), url.port())).collect();
        if addresses.is_empty() {
            return Err(DeliveryError::NotResolved);
        }
        if !addresses.iter().all(|address| self.policy.admits_at(*address)) {
            return Err(DeliveryError::Forbidden(ForbiddenTarget::Address));
        }
        Ok(addresses)
    }

    /// A connection to the first of at most [`TRIES_MAX`] addresses that accepts one.
    async fn connect(&self, addresses: &[SocketAddr]) -> Result<TcpStream, DeliveryError> {
        let addresses = addresses.get(..TRIES_MAX).unwrap_or(addresses);
        let count = u32::try_from(addresses.len()).ok();
        let share = count.and_then(|count| self.limits.connect.checked_div(count));
        for address in addresses {
            let attempt = timeout(share.unwrap_or(self.limits.connect), TcpStream::connect(address)).await;
            if let Ok(Ok(socket)) = attempt {
                socket.set_nodelay(true).ok();
                return Ok(socket);
            }
        }
        Err(DeliveryError::NotConnected)
    }

    /// TLS with the host that the URL names, whatever address the socket is connected to.
    async fn secure<S>(
        &self,
        url: &WebhookUrl,
        socket: S,
    ) -> Result<impl AsyncRead + AsyncWrite + Unpin + use<S>, DeliveryError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match url.address() {
            Some(address) => ServerName::IpAddress(address.into()),
            None => ServerName::try_from(url.host().to_owned()).map_err(|_| DeliveryError::Tls)?,
        };
        let tls = self.tls.get_or_init(|| connector(self.roots.clone().unwrap_or_else(system_roots)));
        let tls = tls.as_ref().ok_or(DeliveryError::Tls)?;
        tls.connect(name, socket).await.map_err(|_| DeliveryError::Tls)
    }
}

/// The root certificates that the system trusts.
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

/// The request with `headers`, except for reserved ones.
fn request(
    url: &WebhookUrl,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Request<Full<Bytes>>, DeliveryError> {
    // Neither fails for a URL that was parsed; a test checks that.
    let path =
        PathAndQuery::try_from(url.path_and_query()).map_err(|_| forbidden(BadWebhookUrl::Character))?;
    let host = HeaderValue::from_str(url.authority()).map_err(|_| forbidden(BadWebhookUrl::Host))?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from(path);
    let fields = request.headers_mut();
    fields.insert(HOST, host);
    fields.insert(USER_AGENT, AGENT);
    fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in headers.iter().filter(|(name, _)| !RESERVED.contains(name)) {
        fields.append(name, value.clone());
    }
    Ok(request)
}

/// Sends the request and reads the response, on one connection that ends with it.
async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> Result<EndpointResponse, DeliveryError>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(READ_BYTES_MAX).handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let response = async { read(sender.send_request(request).await.map_err(broken)?).await };
    // Both run on this task, so that nothing of the connection outlives the post.
    match select(pin!(response), pin!(connection)).await {
        Either::Left((response, _)) => response,
        Either::Right((_, response)) => response.await,
    }
}

/// The response, once its body has ended or [`KEPT_BYTES_MAX`] bytes of it were read.
async fn read(response: Response<Incoming>) -> Result<EndpointResponse, DeliveryError> {
    let (head, mut body) = response.into_parts();
    let mut kept = Vec::new();
    while kept.len() < KEPT_BYTES_MAX {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame.map_err(broken)?.into_data() {
            let room = KEPT_BYTES_MAX.saturating_sub(kept.len());
            kept.extend_from_slice(data.get(..room).unwrap_or(&data));
        }
    }
    Ok(EndpointResponse::new(&head, &kept))
}

fn broken(error: hyper::Error) -> DeliveryError {
    if error.is_parse_too_large() { DeliveryError::TooLarge } else { DeliveryError::Broken }
}

fn forbidden(bad: BadWebhookUrl) -> DeliveryError {
    DeliveryError::Forbidden(ForbiddenTarget::Url(bad))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn reserved_headers_are_set_by_the_client_only() {
        let url = WebhookUrl::parse("https://hooks.example.com:8443/a?b", AddressPolicy::Public).unwrap();
        let mut headers = HeaderMap::new();
        for name in RESERVED {
            headers.insert(name, HeaderValue::from_static("theirs"));
        }
        headers.append("webhook-id", HeaderValue::from_static("one"));
        headers.append("webhook-id", HeaderValue::from_static("two"));
        let request = request(&url, &headers, Bytes::from_static(b"{}")).unwrap();
        let sent: Vec<_> = request
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        assert_eq!(
            sent,
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

        /// URLs are parsed by one library and sent by another: what the first accepts, the second sends unchanged.
        #[test]
        fn a_url_that_is_accepted_is_sent_unchanged(rest in r"(/\PC{0,12})?(\?\PC{0,12})?") {
            let Ok(url) = WebhookUrl::parse(&format!("https://hooks.example.com{rest}"), AddressPolicy::Public) else {
                return Ok(());
            };
            let request = request(&url, &HeaderMap::new(), Bytes::new()).unwrap();
            prop_assert_eq!(request.uri().to_string(), url.path_and_query());
        }
    }
}
