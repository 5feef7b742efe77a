//! The data folder: who may read it, and what the machine remembers in it beside the database.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

use crate::demo::Keys;
use crate::engine::{DATABASE_FILES, LOCK_FILE};
use crate::journal::JOURNAL_FILE;
use crate::seal::fresh_key;

const MEMORY_FILE: &str = "local.json";

/// Whether a file is one of those that a data folder consists of.
fn is_ours(name: &OsStr) -> bool {
    [MEMORY_FILE, JOURNAL_FILE].into_iter().chain(DATABASE_FILES).any(|ours| ours == name)
}

/// Makes the folder where there is none, and has nobody but its owner read what is in it: keys in clear are. A folder with
/// anything else in it than ours stays as open as it is, for it is not ours alone; our files in it do not.
///
/// # Errors
/// When the folder can't be made, or is somebody else's.
pub(crate) fn keep_private(folder: &Path) -> anyhow::Result<()> {
    let unusable = || format!("cannot use the folder {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(unusable)?;
    let mut only_ours = true;
    for entry in fs::read_dir(folder).with_context(unusable)? {
        let entry = entry.with_context(unusable)?;
        if is_ours(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600)).with_context(unusable)?;
        } else {
            only_ours = false;
        }
    }
    if only_ours {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).with_context(unusable)?;
    }
    Ok(())
}

/// What the local machine remembers beside the database: the demo keys in clear, which the database
/// has only as hashes, and where the clock stands.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<Keys>,
    /// The key that webhooks' secrets are encrypted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_key: Option<String>,
    /// The key that cursors are authenticated with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor_key: Option<String>,
    /// Where the clock stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<DateTime<Utc>>,
    /// The latest time that a start or an end of the machine has seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<DateTime<Utc>>,
}

/// The file of that memory; none when nothing is to stay.
#[derive(Clone, Debug)]
pub(crate) struct MemoryFile(Option<PathBuf>);

impl MemoryFile {
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self(folder.map(|folder| folder.join(MEMORY_FILE)))
    }

    /// What is remembered; in an empty folder a beginning, which is on disk before anything else is.
    ///
    /// # Errors
    /// When it does not read, or is gone while what belongs to it is there.
    pub(crate) fn begin(&self) -> anyhow::Result<Memory> {
        let fresh = || Memory { webhook_key: Some(fresh_key()), ..Memory::default() };
        let Some(path) = &self.0 else { return Ok(fresh()) };
        if let Some(known) = read(path)? {
            return Ok(known);
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let others = DATABASE_FILES.into_iter().chain([JOURNAL_FILE]).filter(|name| *name != LOCK_FILE);
        let left: Vec<_> = others.filter(|name| folder.join(name).exists()).collect();
        ensure!(
            left.is_empty(),
            "{} is gone, and {} is there: without it nobody has the keys that the data was made with, and what webhooks \
             are signed with can't be read. Restore it, or choose another --data folder",
            path.display(),
            left.join(", ")
        );
        // Who comes second goes by what the first has written.
        match self.draft(&fresh())?.persist_noclobber(path) {
            Ok(_) => (),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => (),
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
        read(path)?.with_context(|| format!("{} was written and is gone", path.display()))
    }

    /// Writes it whole or not at all: a crash leaves the old file or the new one.
    pub(crate) fn write(&self, memory: &Memory) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        self.draft(memory)?.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// What is to be written, under another name, for its owner alone.
    fn draft(&self, memory: &Memory) -> anyhow::Result<NamedTempFile> {
        let folder = self.0.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let mut draft = NamedTempFile::new_in(folder)?;
        draft.write_all(&serde_json::to_vec_pretty(memory)?)?;
        draft.as_file().sync_all()?;
        Ok(draft)
    }
}

fn read(path: &Path) -> anyhow::Result<Option<Memory>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| {
            format!("{} does not read; restore it, or start with an empty --data folder", path.display())
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
