//! Why a request has no caller.

use http::StatusCode;

/// Why it is not known who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unidentified {
    /// The request has neither an API key nor the cookie of a session.
    #[error(
        "send your API key as `Authorization: Bearer <key>`, or below /v2/ as `Authorization: jwt <key>`"
    )]
    MissingKey,
    /// The header has a key alone.
    #[error("send the word Bearer before the key: `Authorization: Bearer <key>`")]
    NoScheme,
    /// The API key was never issued.
    #[error("this API key is not valid; check that it was copied whole")]
    InvalidKey,
    /// The session was ended, has ended, or never was.
    #[error("this session has ended; sign in again")]
    SessionEnded,
    /// No link has this token, or it was used or has ended.
    #[error("this link was used, or has ended; ask for another one")]
    LinkEnded,
    /// A request that changes something does not show that it comes from a page of its session.
    #[error(
        "send the session's `csrfToken`, which GET /api/v3/sessions/current returns, in the header `Scrip-CSRF-Token`"
    )]
    CsrfToken,
}

impl Unidentified {
    /// The status and the stable code.
    pub(super) fn code(self) -> (StatusCode, &'static str) {
        match self {
            Self::MissingKey => (StatusCode::UNAUTHORIZED, "MISSING_API_KEY"),
            Self::InvalidKey | Self::NoScheme => (StatusCode::UNAUTHORIZED, "INVALID_API_KEY"),
            Self::SessionEnded => (StatusCode::UNAUTHORIZED, "SESSION_EXPIRED"),
            Self::LinkEnded => (StatusCode::UNAUTHORIZED, "INVALID_SIGN_IN_LINK"),
            Self::CsrfToken => (StatusCode::FORBIDDEN, "INVALID_CSRF_TOKEN"),
        }
    }
}
