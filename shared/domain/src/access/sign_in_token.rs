//! Tokens of sessions, and of the links with which people sign in.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::{KeyId, MemberId, OrgId, SessionId};

/// Whom a session is of: an API key, which belongs to an organisation or to the operators, or a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum SignInOwner {
    /// A key of an organisation, or of the operators.
    Key(Option<OrgId>, KeyId),
    /// A member of an organisation.
    Member(OrgId, MemberId),
}

/// What a token is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignInKind {
    /// A session, in whose cookie it is.
    Session,
    /// A link that begins a session once.
    Link,
}

/// The token of a session or of a link in plain text: what it is of, its owner, its id, and 32 random bytes. Never stored,
/// never printed by accident.
#[derive(Clone, PartialEq, Eq)]
pub struct SignInToken {
    /// What it is of.
    pub kind: SignInKind,
    /// The owner.
    pub owner: SignInOwner,
    /// The id of the session, or of the one that the link begins.
    pub id: SessionId,
    secret: [u8; Self::BYTES],
}

impl SignInOwner {
    /// The organisation; `None` for an operator.
    #[must_use]
    pub fn org(self) -> Option<OrgId> {
        match self {
            Self::Key(org, _) => org,
            Self::Member(org, _) => Some(org),
        }
    }

    /// Whether it is an operator.
    #[must_use]
    pub fn is_operator(self) -> bool {
        self.org().is_none()
    }
}

/// As in keys of tables: `org_…/key_…`, `operators/key_…` or `org_…/mem_…`.
impl fmt::Display for SignInOwner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(Some(org), key) => write!(out, "{org}/{key}"),
            Self::Key(None, key) => write!(out, "operators/{key}"),
            Self::Member(org, member) => write!(out, "{org}/{member}"),
        }
    }
}

impl SignInKind {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Session => "session_",
            Self::Link => "signin_",
        }
    }
}

impl SignInToken {
    const BYTES: usize = 32;
    /// The characters of an id without its prefix.
    const ID_CHARS: usize = 26;

    /// A token, from random bytes.
    #[must_use]
    pub fn new(kind: SignInKind, owner: SignInOwner, id: SessionId, secret: [u8; Self::BYTES]) -> Self {
        Self { kind, owner, id, secret }
    }

    /// Parses a token of this kind; `None` when it cannot be valid.
    #[must_use]
    pub fn parse(kind: SignInKind, text: &str) -> Option<Self> {
        let (of, rest) = text.strip_prefix(kind.prefix())?.split_at_checked(1)?;
        let id = |rest: &mut &str| {
            let (id, after) = rest.split_at_checked(Self::ID_CHARS)?;
            *rest = after;
            Some(id.to_owned())
        };
        let mut rest = rest;
        let org = match of {
            "o" => None,
            _ => Some(OrgId::try_from(format!("org_{}", id(&mut rest)?)).ok()?),
        };
        let owner = id(&mut rest)?;
        let owner = match (of, org) {
            ("m", Some(org)) => SignInOwner::Member(org, MemberId::try_from(format!("mem_{owner}")).ok()?),
            ("k", Some(_)) | ("o", None) => {
                SignInOwner::Key(org, KeyId::try_from(format!("key_{owner}")).ok()?)
            }
            _ => return None,
        };
        let session = SessionId::try_from(format!("ses_{}", id(&mut rest)?)).ok()?;
        let secret = URL_SAFE_NO_PAD.decode(rest).ok()?.try_into().ok()?;
        Some(Self { kind, owner, id: session, secret })
    }

    /// Whether a text begins as tokens do, so that it is not shown.
    #[must_use]
    pub fn is_likely(text: &str) -> bool {
        [SignInKind::Session, SignInKind::Link].iter().any(|kind| text.starts_with(kind.prefix()))
    }

    /// The hash that is stored: SHA-256. A token has 256 random bits, so it needs no slow hash.
    #[must_use]
    pub fn hash(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.secret))
    }

    /// What a page sends in a header with each request that changes something. Only pages that could read an answer to this
    /// session know it.
    #[must_use]
    pub fn csrf(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::new().chain_update(b"csrf").chain_update(self.secret).finalize())
    }

    /// The token in plain text.
    #[must_use]
    pub fn reveal(&self) -> String {
        let (letter, org, owner) = match self.owner {
            SignInOwner::Key(Some(org), key) => ("k", org.bare(), key.bare()),
            SignInOwner::Key(None, key) => ("o", String::new(), key.bare()),
            SignInOwner::Member(org, member) => ("m", org.bare(), member.bare()),
        };
        let secret = URL_SAFE_NO_PAD.encode(self.secret);
        format!("{}{letter}{org}{owner}{}{secret}", self.kind.prefix(), self.id.bare())
    }
}

impl fmt::Debug for SignInToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Token(of {})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn owners() -> [SignInOwner; 3] {
        let at = DateTime::UNIX_EPOCH;
        let (org, key, member) = (OrgId::new(at, 1), KeyId::new(at, 2), MemberId::new(at, 3));
        [SignInOwner::Key(Some(org), key), SignInOwner::Key(None, key), SignInOwner::Member(org, member)]
    }

    #[test]
    fn a_token_is_parsed_as_what_it_is_and_shows_itself_only_when_asked() {
        let id = SessionId::new(DateTime::UNIX_EPOCH, 4);
        for owner in owners() {
            let token = SignInToken::new(SignInKind::Session, owner, id, [7; 32]);
            let text = token.reveal();
            assert_eq!(SignInToken::parse(SignInKind::Session, &text), Some(token.clone()), "{owner}");
            assert_eq!(SignInToken::parse(SignInKind::Link, &text), None, "{owner}");
            assert!(SignInToken::is_likely(&text));
            assert!(!format!("{token:?}").contains(&URL_SAFE_NO_PAD.encode([7; 32])));
            let other = SignInToken::new(SignInKind::Session, owner, id, [8; 32]);
            assert_ne!((other.hash(), other.csrf()), (token.hash(), token.csrf()));
            assert_ne!(token.hash(), token.csrf());
            for letter in
                ["k", "o", "m", "x"].iter().filter(|letter| !text.starts_with(&format!("session_{letter}")))
            {
                let wrong = format!("session_{letter}{}", &text["session_k".len()..]);
                let parsed = SignInToken::parse(SignInKind::Session, &wrong);
                // The ids of a key and of a member look alike without their prefixes.
                assert!(parsed.is_none_or(|parsed| parsed.owner != owner), "{wrong}");
            }
            for wrong in
                [&text[..text.len() - 1], &format!("{text}A"), "session_", "session_é", "session_k", ""]
            {
                assert_eq!(SignInToken::parse(SignInKind::Session, wrong), None, "{wrong}");
            }
        }
    }

    #[test]
    fn only_operators_belong_to_no_organisation() {
        assert_eq!(owners().map(SignInOwner::is_operator), [false, true, false]);
        assert_eq!(owners().map(|owner| owner.to_string().starts_with("operators/")), [false, true, false]);
    }
}
