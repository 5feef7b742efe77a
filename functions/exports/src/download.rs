//! The answer that is a small file itself.

use std::io::Read;
use std::sync::Arc;

use axum::extract::State;
use domain::EntryId;
use scrip_exports::{MadeFile, Making, MakingError, MakingLimits};
use scrip_http::{ApiError, App, Attachment, Caller, QueryParams, may};
use store::{ClaimedId, Unsettled, random};

use crate::asked;
use crate::request::NewExport;

/// How large a file may be that is an answer, in bytes: below the 6 MB that Lambda lets a function answer.
const BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Downloads a small file of transactions, the newest first: `csv` or `jsonl`, at most 1,000 transactions and 4 MB. Nothing
/// is stored, and nothing is charged. For more, and for the other formats, POST to the same path.
#[utoipa::path(
    get,
    path = "/api/v3/credits/transactions/export",
    tag = "exports",
    params(NewExport),
    responses(
        (status = 200, description = "The file. `Content-Disposition` has its name", content_type = "text/csv", body = String),
        (status = 400, description = "VALIDATION_ERROR: the format is not free, or there are more transactions than an answer can have"),
    ),
)]
pub(crate) async fn download_transactions(
    State(app): State<Arc<App>>,
    caller: Caller<may::Read>,
    QueryParams(wanted): QueryParams<NewExport>,
) -> Result<Attachment, ApiError> {
    if wanted.format.operation().is_some() {
        return Err(ApiError::field(
            "format",
            "costs credits: POST to the same path, with an Idempotency-Key",
        ));
    }
    let moment = caller.call.moment;
    let made = ClaimedId { id: EntryId::new(moment.now, random()), at: moment.now, replayed: false };
    let export = asked(&app, &caller, &wanted, made).await?;
    let (name, media_type) = (export.file_name(), wanted.format.media_type());
    if export.of.is_some_and(|of| domain::Export::ROWS_AT_ONCE < of) {
        return Err(too_large());
    }
    let limits = MakingLimits::at_once(moment.wall);
    match Box::pin(app.exporter().make(export, limits)).await.map_err(Unsettled::from)? {
        Making::Made(_, file) if file.bytes <= BYTES_MAX => {
            Ok(Attachment { name, media_type, content: content(file)? })
        }
        Making::Made(..)
        | Making::TooMuch(_)
        | Making::Impossible(..)
        | Making::Superseded
        | Making::NotYet(_) => Err(too_large()),
    }
}

fn content(mut file: MadeFile) -> Result<Vec<u8>, ApiError> {
    let mut content = Vec::new();
    file.content.read_to_end(&mut content).map_err(MakingError::from).map_err(Unsettled::from)?;
    Ok(content)
}

fn too_large() -> ApiError {
    ApiError::field(
        "from",
        "the range has more transactions than one answer can have (1,000, or 4 MB); choose a shorter one, or POST to the \
         same path, which makes a file of any size",
    )
}
