//! The port of a store for files that customers download.

use std::fs::File;

use async_trait::async_trait;
use chrono::{DateTime, Utc};

/// Keeps files, and makes links that download them.
#[async_trait]
pub trait FileStore: Send + Sync {
    /// Stores the whole content of an open file, and replaces what is stored under the same key. Its memory does not grow
    /// with the file.
    ///
    /// # Errors
    /// [`FileError`] when it is not stored. A file of the same key is then unchanged.
    async fn put(&self, file: &StoredFile, content: File) -> Result<(), FileError>;

    /// A link that downloads a file under its name until the end of the terms. It needs no API key.
    ///
    /// # Errors
    /// [`FileError`] when no link can be made.
    async fn link(&self, file: &StoredFile, terms: LinkTerms) -> Result<String, FileError>;
}

/// A file of the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Where it is stored: names of `A-Z a-z 0-9 . _ -`, separated by `/`.
    pub key: String,
    /// The name under which it is saved when it is downloaded, of the same characters.
    pub name: String,
    /// Its media type.
    pub media_type: &'static str,
}

/// For how long a link is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkTerms {
    /// The present time.
    pub now: DateTime<Utc>,
    /// The instant from which the link is refused, in whole seconds, at most seven days after `now`.
    pub until: DateTime<Utc>,
}

/// The store did not keep a file, or made no link.
#[derive(Debug, thiserror::Error)]
#[error("a file could not be {doing}: {why}")]
pub struct FileError {
    /// `stored` or `linked to`.
    pub doing: &'static str,
    /// The reason.
    pub why: String,
}

impl FileError {
    /// A file could not be stored.
    #[must_use]
    pub fn stored(why: impl ToString) -> Self {
        Self { doing: "stored", why: why.to_string() }
    }

    /// A link could not be made.
    #[must_use]
    pub fn linked(why: impl ToString) -> Self {
        Self { doing: "linked to", why: why.to_string() }
    }
}

/// The store of a function that has none configured: every call fails.
#[derive(Clone, Copy, Debug)]
pub struct NoFiles;

#[async_trait]
impl FileStore for NoFiles {
    async fn put(&self, _: &StoredFile, _: File) -> Result<(), FileError> {
        Err(FileError::stored("this function has no store for files"))
    }

    async fn link(&self, _: &StoredFile, _: LinkTerms) -> Result<String, FileError> {
        Err(FileError::linked("this function has no store for files"))
    }
}
