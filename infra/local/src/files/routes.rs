//! The route that downloads a file by a signed link.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Extension, Path};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures_util::stream;
use http::HeaderValue;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use scrip_http::{ApiError, App, QueryParams, RequestContext};
use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::store::{BadLink, LinkQuery, LocalFiles};

/// How many bytes are read at once.
const PART_BYTES: usize = 64 * 1024;

/// The router of files.
pub(crate) fn routes(files: LocalFiles) -> Router<Arc<App>> {
    Router::new().route("/_local/files/{*key}", get(download)).layer(Extension(files))
}

/// Answers a file as S3 does: the link is all that it takes.
async fn download(
    Extension(files): Extension<LocalFiles>,
    call: RequestContext,
    Path(key): Path<String>,
    QueryParams(link): QueryParams<LinkQuery>,
) -> Result<Response, ApiError> {
    let path = files.linked(&key, &link, call.moment.now).map_err(|bad| match bad {
        BadLink::Altered => ApiError::wrong_side("this link was changed; use the `url` of the export as it is"),
        BadLink::Ended => ApiError::wrong_side(
            "this link has ended; GET /api/v3/credits/transactions/exports/{exportId} answers a new one, while the file \
             is kept",
        ),
    })?;
    let file = File::open(path).await;
    let file =
        file.map_err(|_| ApiError::NotFound("this file is not kept any longer; ask for a new export"))?;
    let mut response = Response::new(Body::from_stream(stream::try_unfold(file, next_part)));
    let disposition = format!("attachment; filename=\"{}\"", link.name);
    for (header, value) in [(CONTENT_TYPE, &link.media_type), (CONTENT_DISPOSITION, &disposition)] {
        let value = HeaderValue::from_str(value);
        response.headers_mut().insert(header, value.unwrap_or(HeaderValue::from_static("attachment")));
    }
    Ok(response)
}

/// The next part of a file; none at its end.
async fn next_part(mut file: File) -> Result<Option<(Bytes, File)>, std::io::Error> {
    let mut part = vec![0u8; PART_BYTES];
    let read = file.read(&mut part).await?;
    part.truncate(read);
    Ok((read > 0).then(|| (Bytes::from(part), file)))
}
