//! The URL of a webhook, and which URLs are refused.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use url::{Host, Position, Url};

use crate::AddressPolicy;

/// The maximum length of a URL in characters, both as given and normalised (contract).
pub const URL_CHARS_MAX: usize = 2_048;

/// The maximum lengths of a host name and of one label of it (RFC 1035, section 2.3.4).
const NAME_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// Names that are only valid inside a network, or never (RFC 6761, 6762, 7686, 8375, and ICANN's reservation of
/// `.internal`); in clouds they can lead to metadata and internal hosts.
const PRIVATE_NAMES: [&str; 7] =
    ["internal", "local", "localhost", "localdomain", "home.arpa", "onion", "invalid"];

/// The only name without a dot that is allowed, on the local machine.
const THIS_MACHINE: &str = "localhost";

/// The URL of a webhook: an absolute URL, normalised according to the WHATWG's standard. Text that programs
/// parse to different hosts (backslashes, tabs, missing slashes) is refused before parsing, so that all of them
/// see the host that is sent to.
///
/// A valid name says nothing about the addresses it resolves to: the sender must check these for every request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(Url);

/// The reason why a URL is refused, with what to change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadWebhookUrl {
    /// It is longer than [`URL_CHARS_MAX`].
    #[error("must be at most {URL_CHARS_MAX} characters, including percent-encoding")]
    TooLong,
    /// It has characters that programs parse differently.
    #[error("must not contain spaces, control characters or backslashes; percent-encode them")]
    Character,
    /// It has another scheme, or none.
    #[error("must begin with https://")]
    Scheme,
    /// It has a user name or a password.
    #[error("must not contain a user name or password; verify the signature of deliveries instead")]
    UserInfo,
    /// It has a fragment.
    #[error("must not contain a fragment; the part after # is never sent")]
    Fragment,
    /// It has no host, or an invalid one.
    #[error("must name a host, such as https://hooks.example.com/")]
    Host,
    /// Its port is invalid or not allowed.
    #[error("must name a port from 1 to 65535, or none")]
    Port,
    /// Its host name has one label.
    #[error("must have a fully qualified host name, such as hooks.example.com")]
    SingleLabel,
    /// Its host name ends with a dot.
    #[error("must have a host name without a dot at the end")]
    TrailingDot,
    /// Its host name is only valid inside a network.
    #[error("must name a public host; names that end with .{0} are not")]
    PrivateName(&'static str),
    /// Its address is refused by [`AddressPolicy`].
    #[error("must lead to a public address")]
    Address,
}

impl WebhookUrl {
    /// Parses a customer's URL.
    ///
    /// # Errors
    /// The first [`BadWebhookUrl`] that applies.
    pub fn parse(text: &str, policy: AddressPolicy) -> Result<Self, BadWebhookUrl> {
        if text.chars().count() > URL_CHARS_MAX {
            return Err(BadWebhookUrl::TooLong);
        }
        if text.chars().any(|char| char.is_whitespace() || char.is_control() || char == '\\') {
            return Err(BadWebhookUrl::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadWebhookUrl::Scheme)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(BadWebhookUrl::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // The parser would skip an empty host with its slash, and drop empty user information.
        if authority.is_empty() {
            return Err(BadWebhookUrl::Host);
        }
        if authority.contains('@') {
            return Err(BadWebhookUrl::UserInfo);
        }
        let url = Self::stored(text)?;
        url.check(policy)?;
        Ok(url)
    }

    /// Parses a stored URL. The rules may have changed since: see [`WebhookUrl::check`].
    ///
    /// # Errors
    /// [`BadWebhookUrl`] for text that is not an HTTP URL at all.
    pub fn stored(text: &str) -> Result<Self, BadWebhookUrl> {
        let url = Url::parse(text).map_err(|error| {
            if error == url::ParseError::InvalidPort { BadWebhookUrl::Port } else { BadWebhookUrl::Host }
        })?;
        match (url.scheme(), url.host()) {
            ("http" | "https", Some(_)) => Ok(Self(url)),
            ("http" | "https", None) => Err(BadWebhookUrl::Host),
            (_, _) => Err(BadWebhookUrl::Scheme),
        }
    }

    /// Scheme, host and port: `https://hooks.example.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Checks whether deliveries to this URL are allowed, as far as the URL shows.
    ///
    /// # Errors
    /// The first [`BadWebhookUrl`] that applies.
    pub fn check(&self, policy: AddressPolicy) -> Result<(), BadWebhookUrl> {
        let Self(url) = self;
        if !(self.is_tls() || policy == AddressPolicy::AndLoopback) {
            return Err(BadWebhookUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadWebhookUrl::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(BadWebhookUrl::Fragment);
        }
        if self.port() == 0 {
            return Err(BadWebhookUrl::Port);
        }
        match url.host() {
            Some(Host::Domain(name)) => check_name(name, policy)?,
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => (),
            None => return Err(BadWebhookUrl::Host),
        }
        let address =
            self.address().or_else(|| (self.host() == THIS_MACHINE).then_some([127, 0, 0, 1].into()));
        match address {
            Some(address) if !policy.admits(address) => Err(BadWebhookUrl::Address),
            Some(address) if !policy.admits_at(SocketAddr::new(address, self.port())) => {
                Err(BadWebhookUrl::Port)
            }
            Some(_) | None if url.as_str().len() > URL_CHARS_MAX => Err(BadWebhookUrl::TooLong),
            Some(_) | None => Ok(()),
        }
    }

    /// The host, in Punycode; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host's address, if it is one.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The port, or the scheme's default port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// The host, and the port unless it is the scheme's default: the value of the `Host` header.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The path, at least `/`, and the query if there is one.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[Position::BeforePath..Position::AfterQuery]
    }
}

/// Checks that a name can be that of a public host.
fn check_name(name: &str, policy: AddressPolicy) -> Result<(), BadWebhookUrl> {
    if name.ends_with('.') {
        return Err(BadWebhookUrl::TrailingDot);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=LABEL_CHARS_MAX).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > NAME_CHARS_MAX || !name.split('.').all(is_label) {
        return Err(BadWebhookUrl::Host);
    }
    if name == THIS_MACHINE && policy == AddressPolicy::AndLoopback {
        return Ok(());
    }
    let under =
        |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match PRIVATE_NAMES.into_iter().find(|suffix| under(suffix)) {
        Some(suffix) => Err(BadWebhookUrl::PrivateName(suffix)),
        None if !name.contains('.') => Err(BadWebhookUrl::SingleLabel),
        None => Ok(()),
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.as_str())
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> Self {
        url.0.into()
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = BadWebhookUrl;

    fn try_from(text: String) -> Result<Self, BadWebhookUrl> {
        Self::stored(&text)
    }
}
