//! The answers of handlers, before the layer around every route adds the envelope.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use chrono::{DateTime, Utc};
use http::StatusCode;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::session_cookie::SessionCookie;
use super::{ApiError, App};
use domain::{SignIn, SignInOwner, SignInToken};

/// Which page of a list an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NumberedPage {
    /// The page, from 1.
    pub page: u64,
    /// How many entries a page has.
    pub per_page: u16,
    /// How many entries the list has.
    pub total: u64,
    /// How many pages the list has.
    pub pages: u64,
}

/// A handler's answer, without the envelope.
#[derive(Clone, Debug)]
pub struct Reply {
    pub(super) status: StatusCode,
    pub(super) data: Box<RawValue>,
    /// The answer to a retry, if it differs.
    again: Option<Box<RawValue>>,
    pub(super) replayed: bool,
    pub(super) next_cursor: Option<Option<String>>,
    pub(super) numbered: Option<NumberedPage>,
    pub(super) public: bool,
    pub(super) edition: Option<u64>,
    pub(super) retry_after: Option<u32>,
    /// The `Set-Cookie` header.
    pub(super) cookie: Option<String>,
}

impl Reply {
    /// 200 with `data`.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn ok(data: &impl Serialize) -> Result<Self, ApiError> {
        Self::new(StatusCode::OK, data)
    }

    /// 201 with `data`; `replayed` if an earlier attempt of the request created it.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn created(data: &impl Serialize, replayed: bool) -> Result<Self, ApiError> {
        Ok(Self { replayed, ..Self::new(StatusCode::CREATED, data)? })
    }

    /// 202 with `data`: Scrip finishes the request later. `replayed` as in [`Reply::created`].
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn accepted(data: &impl Serialize, replayed: bool) -> Result<Self, ApiError> {
        Ok(Self { replayed, ..Self::new(StatusCode::ACCEPTED, data)? })
    }

    /// 200 with a page of a list and the cursor of the next page; none for the last page.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn page(data: &impl Serialize, next_cursor: Option<String>) -> Result<Self, ApiError> {
        Ok(Self { next_cursor: Some(next_cursor), ..Self::new(StatusCode::OK, data)? })
    }

    /// 200 with a page of a list that has page numbers.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn numbered_page(data: &impl Serialize, page: NumberedPage) -> Result<Self, ApiError> {
        Ok(Self { numbered: Some(page), ..Self::new(StatusCode::OK, data)? })
    }

    /// Marks the answer of an earlier attempt of the request.
    #[must_use]
    pub fn replayed(self, replayed: bool) -> Self {
        Self { replayed, ..self }
    }

    /// Marks an answer that is the same for every caller: caches may keep it for a minute, and a caller that has it
    /// already gets 304 (`ETag`, `If-None-Match`).
    #[must_use]
    pub fn public(self) -> Self {
        Self { public: true, ..self }
    }

    /// Sets the answer to a retry, for a secret that is shown once.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn shown_once(self, again: &impl Serialize) -> Result<Self, ApiError> {
        let again = to_raw_value(again).map_err(ApiError::unwritable)?;
        Ok(Self { again: Some(again), ..self })
    }

    /// The status and data that are kept for a retry.
    pub(super) fn kept(&self) -> (StatusCode, &RawValue) {
        (self.status, self.again.as_ref().unwrap_or(&self.data))
    }

    /// The kept answer of an earlier attempt.
    pub(super) fn again(status: StatusCode, data: Box<RawValue>) -> Self {
        Self {
            status,
            data,
            again: None,
            replayed: true,
            next_cursor: None,
            numbered: None,
            public: false,
            edition: None,
            retry_after: None,
            cookie: None,
        }
    }

    /// Says after how many seconds the request should be repeated (`Retry-After`).
    #[must_use]
    pub fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Adds the edition of the settings as `ETag`, for `If-Match`.
    #[must_use]
    pub fn tagged(self, edition: u64) -> Self {
        Self { edition: Some(edition), ..self }
    }

    /// Gives the caller the cookie of a session.
    #[must_use]
    pub fn signs_in(self, token: &SignInToken, session: &SignIn, now: DateTime<Utc>, app: &App) -> Self {
        Self { cookie: Some(SessionCookie::begin(token, session, now, app.is_https)), ..self }
    }

    /// Takes the cookie of a session from the caller.
    #[must_use]
    pub fn signs_out(self, owner: SignInOwner, app: &App) -> Self {
        Self { cookie: Some(SessionCookie::end(owner, app.is_https)), ..self }
    }

    fn new(status: StatusCode, data: &impl Serialize) -> Result<Self, ApiError> {
        let data = to_raw_value(data).map_err(ApiError::unwritable)?;
        Ok(Self {
            status,
            data,
            again: None,
            replayed: false,
            next_cursor: None,
            numbered: None,
            public: false,
            edition: None,
            retry_after: None,
            cookie: None,
        })
    }
}

/// A reply travels in the extensions; the layer around every route writes it.
impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = self.body();
        let mut response = body.status.into_response();
        response.extensions_mut().insert(Arc::new((self, body)));
        response
    }
}
