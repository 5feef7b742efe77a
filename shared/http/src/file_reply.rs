//! Answers that are files, without the envelope.

use std::borrow::Cow;

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, header};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};

/// 200 with a file.
#[derive(Clone, Debug)]
pub struct FileReply {
    /// What it is: `application/pdf`.
    pub media_type: &'static str,
    /// The name under which it is saved: letters, digits, `.`, `_` and `-`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl IntoResponse for FileReply {
    fn into_response(self) -> Response {
        let Self { media_type, name, bytes } = self;
        let mut response = bytes.into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        let disposition = HeaderValue::try_from(format!("attachment; filename=\"{name}\""));
        if let Ok(disposition) = disposition {
            headers.insert(header::CONTENT_DISPOSITION, disposition);
        }
        response
    }
}

impl PartialSchema for FileReply {
    fn schema() -> RefOr<Schema> {
        let format = SchemaFormat::KnownFormat(KnownFormat::Binary);
        ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
    }
}

impl ToSchema for FileReply {
    fn name() -> Cow<'static, str> {
        "File".into()
    }
}
