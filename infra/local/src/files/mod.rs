//! The files of the machine that callers download, in place of S3: in the data folder, behind signed links.

mod routes;
mod store;

pub(crate) use routes::routes;
pub(crate) use store::LocalFiles;
