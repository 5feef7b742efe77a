//! A file as an answer, without the envelope.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};

/// A file that the caller saves.
#[derive(Clone, Debug)]
pub struct Attachment {
    /// The name of the file, of `A-Z a-z 0-9 . _ -`.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
    /// Its content.
    pub content: Vec<u8>,
}

impl IntoResponse for Attachment {
    fn into_response(self) -> Response {
        let Self { name, media_type, content } = self;
        let mut response = content.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}\""));
        headers.insert(
            header::CONTENT_DISPOSITION,
            disposition.unwrap_or(HeaderValue::from_static("attachment")),
        );
        response
    }
}
