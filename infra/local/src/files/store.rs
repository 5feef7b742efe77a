//! Files below the data folder, and the signatures of links to them.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use ports::{FileError, FileStore, LinkTerms, StoredFile};
use scrip_http::{Clock, SystemClock};
use serde::Deserialize;
use tempfile::{NamedTempFile, TempDir};

use crate::folder::FILES_FOLDER;

/// For how many days files are kept, as in a deployment's bucket.
const KEPT_DAYS: i64 = 2;

/// The files of a machine. Those of a machine that keeps no data are gone with it.
#[derive(Clone)]
pub(crate) struct LocalFiles(Arc<Place>);

struct Place {
    folder: PathBuf,
    base_url: String,
    key: Key,
    /// Removes the folder of a machine that keeps no data.
    _temporary: Option<TempDir>,
}

/// What a link says besides the path of its file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkQuery {
    /// The name under which the file is saved.
    pub(super) name: String,
    /// Its media type.
    #[serde(rename = "type")]
    pub(super) media_type: String,
    /// The second from which the link is refused, since 1970.
    pub(super) until: i64,
    /// The signature of all of it.
    signature: String,
}

/// Why a link is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BadLink {
    /// The machine has not made it.
    Altered,
    /// Its time is over.
    Ended,
}

impl LocalFiles {
    /// The files below the data folder, or in a temporary folder without one. `secret` signs links, which begin with
    /// `base_url`. Old files are removed.
    ///
    /// # Errors
    /// When no folder can be made.
    pub(crate) fn open(data: Option<&Path>, base_url: String, secret: &str) -> anyhow::Result<Self> {
        let (folder, temporary) = match data {
            Some(data) => (data.join(FILES_FOLDER), None),
            None => {
                let temporary = TempDir::new()?;
                (temporary.path().to_owned(), Some(temporary))
            }
        };
        let now = SystemClock.now();
        let oldest = now.checked_sub_signed(TimeDelta::try_days(KEPT_DAYS).unwrap_or_default());
        if folder.exists() {
            remove_older(&folder, oldest.unwrap_or(now))?;
        }
        let key = Key::new(HMAC_SHA256, secret.as_bytes());
        Ok(Self(Arc::new(Place { folder, base_url, key, _temporary: temporary })))
    }

    /// The file that a link downloads.
    ///
    /// # Errors
    /// [`BadLink`].
    pub(super) fn linked(&self, key: &str, link: &LinkQuery, now: DateTime<Utc>) -> Result<PathBuf, BadLink> {
        let signature = URL_SAFE_NO_PAD.decode(&link.signature).map_err(|_| BadLink::Altered)?;
        let signed = text(key, &link.name, &link.media_type, link.until);
        verify(&self.0.key, signed.as_bytes(), &signature).map_err(|_| BadLink::Altered)?;
        if link.until <= now.timestamp() { Err(BadLink::Ended) } else { Ok(self.0.folder.join(key)) }
    }

    fn store(&self, key: &str, mut content: File) -> io::Result<()> {
        let path = self.0.folder.join(key);
        let folder = path.parent().unwrap_or(&self.0.folder);
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        // A crash leaves the whole file or none.
        let mut draft = NamedTempFile::new_in(folder)?;
        io::copy(&mut content, &mut draft)?;
        draft.persist(path)?;
        Ok(())
    }
}

/// What is signed of a link. No part of it has a line break.
fn text(key: &str, name: &str, media_type: &str, until: i64) -> String {
    format!("{key}\n{name}\n{media_type}\n{until}")
}

/// Removes the files below a folder that were written before a time.
fn remove_older(folder: &Path, oldest: DateTime<Utc>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_older(&entry.path(), oldest)?;
            // It stays while it has files.
            drop(fs::remove_dir(entry.path()));
        } else if DateTime::<Utc>::from(entry.metadata()?.modified()?) < oldest {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[async_trait]
impl FileStore for LocalFiles {
    async fn put(&self, file: &StoredFile, content: File) -> Result<(), FileError> {
        let (files, key) = (self.clone(), file.key.clone());
        let stored = tokio::task::spawn_blocking(move || files.store(&key, content)).await;
        stored.map_err(FileError::stored)?.map_err(FileError::stored)
    }

    async fn link(&self, file: &StoredFile, terms: LinkTerms) -> Result<String, FileError> {
        let StoredFile { key, name, media_type } = file;
        let until = terms.until.timestamp();
        let signature = sign(&self.0.key, text(key, name, media_type, until).as_bytes());
        let signature = URL_SAFE_NO_PAD.encode(signature);
        let escaped = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let (name, media_type) = (escaped(name), escaped(media_type));
        let query = format!("name={name}&type={media_type}&until={until}&signature={signature}");
        Ok(format!("{}/_local/files/{key}?{query}", self.0.base_url))
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, Write};

    use super::*;

    fn file() -> StoredFile {
        StoredFile {
            key: "org_1/live/exp_1/a.csv".to_owned(),
            name: "a.csv".to_owned(),
            media_type: "text/csv",
        }
    }

    fn content(text: &str) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file.rewind().unwrap();
        file
    }

    /// A file is replaced whole, and is private; an old one is removed at the next start, a new one stays.
    #[tokio::test]
    async fn files_outlive_the_machine_for_two_days() {
        let data = tempfile::tempdir().unwrap();
        let open = || LocalFiles::open(Some(data.path()), "http://localhost".to_owned(), "secret").unwrap();
        let path = data.path().join("exports/org_1/live/exp_1/a.csv");
        for text in ["one", "another"] {
            open().put(&file(), content(text)).await.unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        open();
        assert!(path.exists());
        let old = SystemClock.now().checked_sub_signed(TimeDelta::days(3)).unwrap();
        File::options().write(true).open(&path).unwrap().set_modified(old.into()).unwrap();
        open();
        assert!(!path.exists() && !path.parent().unwrap().exists());
    }

    #[tokio::test]
    async fn files_of_a_machine_without_data_are_gone_with_it() {
        let files = LocalFiles::open(None, "http://localhost".to_owned(), "secret").unwrap();
        files.put(&file(), content("one")).await.unwrap();
        let path = files.0.folder.join(file().key);
        assert!(path.exists());
        drop(files);
        assert!(!path.exists());
    }
}
