//! Why a file was not written.

/// Why a file was not written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// A font of this crate cannot be read.
    #[error("the font {0} cannot be read")]
    Font(&'static str),
    /// The PDF cannot be made.
    #[error("the PDF cannot be made: {0}")]
    Pdf(String),
}
