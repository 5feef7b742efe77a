use std::fmt;
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};
use url::{Host, Position, Url};

use crate::Reach;

/// Characters that a URL may have, as it was given and once it is normalised (contract).
pub const URL_CHARS_MAX: usize = 2_048;

/// Characters of a host's name, and of one label of it (RFC 1035, section 2.3.4).
const NAME_CHARS_MAX: usize = 253;
const LABEL_CHARS_MAX: usize = 63;

/// Names that stand for something only inside of a network, or for nothing (RFC 6761, 6762, 7686, 8375, and
/// ICANN's reservation of `.internal`); in clouds they lead to metadata and neighbours.
const PRIVATE_NAMES: [&str; 7] =
    ["internal", "local", "localhost", "localdomain", "home.arpa", "onion", "invalid"];

/// The one name without a dot that may be sent to, on the local machine.
const THIS_MACHINE: &str = "localhost";

/// Where a customer wants events to be posted: an absolute URL as the WHATWG's standard normalises it. What
/// browsers and other programs take for different hosts (backslashes, tabs, missing slashes) is refused
/// before it is read, so that nobody sees another host in it than the one that is sent to.
///
/// That the *name* is fit says nothing of what it resolves to: that is for the sender to check, each time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct HookUrl(Url);

/// What is wrong with a URL; each says how to mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadUrl {
    /// More than [`URL_CHARS_MAX`].
    #[error("must be at most {URL_CHARS_MAX} characters, counted with all that has to be percent-encoded")]
    TooLong,
    /// Characters that programs read in different ways.
    #[error("must be without spaces, control characters and backslashes; percent-encode them")]
    Character,
    /// Another scheme, or none.
    #[error("must begin with https://")]
    Scheme,
    /// A name or a password before the host.
    #[error("must be without a user name or password; a delivery's signature says whom it comes from")]
    UserInfo,
    /// Something after `#`.
    #[error("must be without a fragment; what follows # is never sent")]
    Fragment,
    /// No host, or nothing that can be the name of one.
    #[error("must name a host, such as https://hooks.example.com/")]
    Host,
    /// No port, or none that can be sent to.
    #[error("must name a port from 1 to 65535, or none")]
    Port,
    /// A name of one label.
    #[error("must name its host in full, such as hooks.example.com")]
    SingleLabel,
    /// A name that ends with a dot.
    #[error("must name its host without a dot at the end")]
    TrailingDot,
    /// A name known only inside of a network.
    #[error("must name a public host; names that end with .{0} are not")]
    PrivateName(&'static str),
    /// An address that [`Reach`] closes.
    #[error("must lead to a public address")]
    Address,
}

impl HookUrl {
    /// Reads what a customer gives.
    ///
    /// # Errors
    /// The first [`BadUrl`] in it.
    pub fn parse(text: &str, reach: Reach) -> Result<Self, BadUrl> {
        if text.chars().count() > URL_CHARS_MAX {
            return Err(BadUrl::TooLong);
        }
        if text.chars().any(|char| char.is_whitespace() || char.is_control() || char == '\\') {
            return Err(BadUrl::Character);
        }
        let (scheme, rest) = text.split_once("://").ok_or(BadUrl::Scheme)?;
        if !["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
            return Err(BadUrl::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        // An empty host would be skipped with its slash, and empty user information be lost.
        if authority.is_empty() {
            return Err(BadUrl::Host);
        }
        if authority.contains('@') {
            return Err(BadUrl::UserInfo);
        }
        let url = Self::stored(text)?;
        url.check(reach)?;
        Ok(url)
    }

    /// Reads what was stored. Rules may have changed since: see [`HookUrl::check`].
    ///
    /// # Errors
    /// [`BadUrl`] for what is no URL of a web server at all.
    pub fn stored(text: &str) -> Result<Self, BadUrl> {
        let url = Url::parse(text).map_err(|error| {
            if error == url::ParseError::InvalidPort { BadUrl::Port } else { BadUrl::Host }
        })?;
        match (url.scheme(), url.host()) {
            ("http" | "https", Some(_)) => Ok(Self(url)),
            ("http" | "https", None) => Err(BadUrl::Host),
            (_, _) => Err(BadUrl::Scheme),
        }
    }

    /// Scheme, host and port: `https://hooks.example.com`.
    #[must_use]
    pub fn origin(&self) -> String {
        self.0.origin().ascii_serialization()
    }

    /// Whether it may be sent to as far as the URL tells.
    ///
    /// # Errors
    /// The first [`BadUrl`] in it.
    pub fn check(&self, reach: Reach) -> Result<(), BadUrl> {
        let Self(url) = self;
        if !(self.is_tls() || reach == Reach::AndLoopback) {
            return Err(BadUrl::Scheme);
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(BadUrl::UserInfo);
        }
        if url.fragment().is_some() {
            return Err(BadUrl::Fragment);
        }
        if self.port() == 0 {
            return Err(BadUrl::Port);
        }
        match url.host() {
            Some(Host::Domain(name)) => check_name(name, reach)?,
            Some(Host::Ipv4(_) | Host::Ipv6(_)) => (),
            None => return Err(BadUrl::Host),
        }
        let address =
            self.address().or_else(|| (self.host() == THIS_MACHINE).then_some([127, 0, 0, 1].into()));
        match address {
            Some(address) if !reach.admits(address) => Err(BadUrl::Address),
            Some(address) if !reach.admits_at(SocketAddr::new(address, self.port())) => Err(BadUrl::Port),
            Some(_) | None if url.as_str().len() > URL_CHARS_MAX => Err(BadUrl::TooLong),
            Some(_) | None => Ok(()),
        }
    }

    /// The host, in Punycode; an IPv6 address in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.host_str().unwrap_or_default()
    }

    /// The host, if it is an address.
    #[must_use]
    pub fn address(&self) -> Option<IpAddr> {
        match self.0.host()? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        }
    }

    /// The port; the scheme's own unless it is named.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.0.port_or_known_default().unwrap_or(0)
    }

    /// The host, and the port unless it is the scheme's own: what the field `Host` says.
    #[must_use]
    pub fn authority(&self) -> &str {
        &self.0[Position::BeforeHost..Position::AfterPort]
    }

    /// Whether it is https.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// The path, `/` at least, and the query if there is one.
    #[must_use]
    pub fn path_and_query(&self) -> &str {
        &self.0[Position::BeforePath..Position::AfterQuery]
    }
}

/// Whether a name can be that of a public host.
fn check_name(name: &str, reach: Reach) -> Result<(), BadUrl> {
    if name.ends_with('.') {
        return Err(BadUrl::TrailingDot);
    }
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let is_label = |label: &str| {
        (1..=LABEL_CHARS_MAX).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if name.len() > NAME_CHARS_MAX || !name.split('.').all(is_label) {
        return Err(BadUrl::Host);
    }
    if name == THIS_MACHINE && reach == Reach::AndLoopback {
        return Ok(());
    }
    let under =
        |suffix: &str| name.strip_suffix(suffix).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
    match PRIVATE_NAMES.into_iter().find(|suffix| under(suffix)) {
        Some(suffix) => Err(BadUrl::PrivateName(suffix)),
        None if !name.contains('.') => Err(BadUrl::SingleLabel),
        None => Ok(()),
    }
}

impl fmt::Display for HookUrl {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.as_str())
    }
}

impl From<HookUrl> for String {
    fn from(url: HookUrl) -> Self {
        url.0.into()
    }
}

impl TryFrom<String> for HookUrl {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<Self, BadUrl> {
        Self::stored(&text)
    }
}
