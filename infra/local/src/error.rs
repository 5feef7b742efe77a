//! How a failure of the machine itself is answered.

use scrip_http::ApiError;
use store::Fault;

/// The answer to a local route that failed: 503 TEMPORARILY_UNAVAILABLE.
pub(crate) fn machine_failed(error: anyhow::Error) -> ApiError {
    ApiError::Failed(Fault::Unavailable { doing: "run the local machine", source: error.into() })
}
