//! Why a file was not written.

use std::io;

use rust_xlsxwriter::XlsxError;

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The destination does not accept the file's bytes.
    #[error("the file cannot be written")]
    Write(#[source] io::Error),
    /// The spreadsheet cannot be made.
    #[error("the spreadsheet cannot be made")]
    Spreadsheet(#[source] XlsxError),
    /// The folder for temporary files is full, or does not exist.
    #[error("the temporary file of the spreadsheet cannot be written")]
    TemporaryFile,
    /// The PDF has more rows than one may have.
    #[error(
        "a PDF has at most {max} transactions; choose a shorter range, or CSV, JSON Lines or XLSX, which have no limit"
    )]
    TooManyRows {
        /// The most rows that a PDF may have.
        max: usize,
    },
    /// A font of this crate cannot be read.
    #[error("the font {0} cannot be read")]
    Font(&'static str),
    /// The PDF cannot be made.
    #[error("the PDF cannot be made: {0}")]
    Pdf(String),
}

impl From<io::Error> for DocumentError {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

impl From<csv::Error> for DocumentError {
    fn from(error: csv::Error) -> Self {
        Self::Write(error.into())
    }
}

impl From<serde_json::Error> for DocumentError {
    fn from(error: serde_json::Error) -> Self {
        Self::Write(error.into())
    }
}

impl From<XlsxError> for DocumentError {
    fn from(error: XlsxError) -> Self {
        if matches!(error, XlsxError::TempFileError(..)) {
            Self::TemporaryFile
        } else if let XlsxError::IoError(error) = error {
            Self::Write(error)
        } else {
            Self::Spreadsheet(error)
        }
    }
}
