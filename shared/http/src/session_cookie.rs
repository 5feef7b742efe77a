//! The cookies of sessions.

use chrono::{DateTime, Utc};
use cookie::{Cookie, SameSite, time::Duration};
use http::HeaderMap;
use http::header::COOKIE;

use domain::{SignIn, SignInKind, SignInOwner, SignInToken};

/// Which of the two cookies a browser may have: one person can be signed in for an organisation and as an operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionCookie {
    /// Of a member, or of a key of an organisation.
    Organisation,
    /// Of an operator's key.
    Operator,
}

impl SessionCookie {
    /// The cookie of an owner's sessions.
    pub(super) fn of(owner: SignInOwner) -> Self {
        if owner.is_operator() { Self::Operator } else { Self::Organisation }
    }

    /// The name. With `__Host-` a browser takes the cookie only over HTTPS, from this host, for all its paths.
    fn name(self, is_https: bool) -> &'static str {
        match (self, is_https) {
            (Self::Organisation, true) => "__Host-scrip-session",
            (Self::Operator, true) => "__Host-scrip-operator",
            (Self::Organisation, false) => "scrip-session",
            (Self::Operator, false) => "scrip-operator",
        }
    }

    fn with(self, value: String, is_https: bool, lasts: Duration) -> String {
        let cookie = Cookie::build((self.name(is_https), value)).path("/").http_only(true);
        cookie.same_site(SameSite::Lax).secure(is_https).max_age(lasts).to_string()
    }

    /// The `Set-Cookie` header that begins a session.
    pub(super) fn begin(token: &SignInToken, session: &SignIn, now: DateTime<Utc>, is_https: bool) -> String {
        let lasts = session.expires_at.signed_duration_since(now).num_seconds().max(0);
        Self::of(token.owner).with(token.reveal(), is_https, Duration::seconds(lasts))
    }

    /// The `Set-Cookie` header that ends it.
    pub(super) fn end(owner: SignInOwner, is_https: bool) -> String {
        Self::of(owner).with(String::new(), is_https, Duration::ZERO)
    }

    /// The value of this cookie in a request; `None` without it.
    pub(super) fn value(self, headers: &HeaderMap, is_https: bool) -> Option<String> {
        let lines = headers.get_all(COOKIE).iter().filter_map(|line| line.to_str().ok());
        let mut cookies = lines.flat_map(Cookie::split_parse).filter_map(Result::ok);
        let found = cookies.find(|cookie| cookie.name() == self.name(is_https))?;
        Some(found.value().to_owned()).filter(|value| !value.is_empty())
    }
}

/// The session that a cookie's value names; `None` when it cannot be valid.
pub(super) fn token(value: &str) -> Option<SignInToken> {
    SignInToken::parse(SignInKind::Session, value)
}

#[cfg(test)]
mod tests {
    use domain::{KeyId, OrgId, SessionId};

    use super::*;

    #[test]
    fn a_cookie_is_for_this_host_and_no_script() {
        let at = DateTime::UNIX_EPOCH;
        let owner = SignInOwner::Key(Some(OrgId::new(at, 1)), KeyId::new(at, 2));
        let token = SignInToken::new(SignInKind::Session, owner, SessionId::new(at, 3), [7; 32]);
        let session = SignIn::session(&token, None, None, at);
        let set = SessionCookie::begin(&token, &session, at, true);
        let secret = token.reveal();
        assert_eq!(
            set,
            format!("__Host-scrip-session={secret}; HttpOnly; SameSite=Lax; Secure; Path=/; Max-Age=604800")
        );
        assert_eq!(
            SessionCookie::end(SignInOwner::Key(None, KeyId::new(at, 2)), false),
            "scrip-operator=; HttpOnly; SameSite=Lax; Path=/; Max-Age=0"
        );
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("a=b; __Host-scrip-session={secret}; c=d").parse().unwrap());
        assert_eq!(SessionCookie::Organisation.value(&headers, true), Some(secret.clone()));
        assert_eq!(SessionCookie::Organisation.value(&headers, false), None);
        assert_eq!(SessionCookie::Operator.value(&headers, true), None);
        assert_eq!(super::token(&secret), Some(token));
    }
}
