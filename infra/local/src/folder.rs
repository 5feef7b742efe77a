//! The data folder: its files, their access rights, and the state that the machine stores outside the database.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use store::random;
use tempfile::NamedTempFile;

use crate::demo::DemoKeys;
use crate::engine::{DATABASE_FILES, LOCK_FILE};

/// Deletes the charges of the simulated payment provider.
///
/// # Errors
/// When the file can't be deleted.
pub(crate) fn delete_journal(folder: &Path) -> anyhow::Result<()> {
    match fs::remove_file(folder.join(JOURNAL_FILE)) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot use the folder {}", folder.display()))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

const STATE_FILE: &str = "local.json";

/// The journal of the simulated payment provider.
pub(crate) const JOURNAL_FILE: &str = "payments.jsonl";

/// The folder of the files that callers download.
pub(crate) const FILES_FOLDER: &str = "exports";

/// Whether the file belongs to a data folder.
fn is_ours(name: &OsStr) -> bool {
    [STATE_FILE, JOURNAL_FILE].into_iter().chain(DATABASE_FILES).any(|ours| ours == name)
}

/// A new key of 32 bytes, in base64.
pub(crate) fn fresh_key() -> String {
    STANDARD.encode([random().to_be_bytes(), random().to_be_bytes()].concat())
}

/// Creates the folder if it does not exist, and lets only its owner read it, because it holds keys in clear text. A
/// folder that also holds other files keeps its own access rights; only its data files are restricted.
///
/// # Errors
/// When the folder can't be created, or belongs to another user.
pub(crate) fn keep_private(folder: &Path) -> anyhow::Result<()> {
    let unusable = || format!("cannot use the folder {}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).with_context(unusable)?;
    let mut only_ours = true;
    for entry in fs::read_dir(folder).with_context(unusable)? {
        let entry = entry.with_context(unusable)?;
        if is_ours(&entry.file_name()) && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o600)).with_context(unusable)?;
        } else if entry.file_name() == FILES_FOLDER && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            fs::set_permissions(entry.path(), Permissions::from_mode(0o700)).with_context(unusable)?;
        } else {
            only_ours = false;
        }
    }
    if only_ours {
        fs::set_permissions(folder, Permissions::from_mode(0o700)).with_context(unusable)?;
    }
    Ok(())
}

/// The state that a machine stores outside the database: the demo keys in clear text, which the database has only as
/// hashes, and the time at which the clock stands still.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SavedState {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) keys: Option<DemoKeys>,
    /// The key that encrypts webhooks' secrets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) webhook_key: Option<String>,
    /// The key that signs cursors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cursor_key: Option<String>,
    /// The key that signs links to files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) file_key: Option<String>,
    /// Whether a showcase is being made. A start that finds it true was interrupted: it begins again, with an empty database.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) is_being_made: bool,
    /// The time at which the clock stands still; `None` while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) now: Option<DateTime<Utc>>,
    /// The latest time at which a machine started or stopped on this data.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) seen: Option<DateTime<Utc>>,
}

impl SavedState {
    /// The state of an empty folder.
    pub(crate) fn fresh() -> Self {
        Self { webhook_key: Some(fresh_key()), ..Self::default() }
    }
}

/// The file of the saved state; without a path nothing is saved.
#[derive(Clone, Debug)]
pub(crate) struct StateFile(Option<PathBuf>);

impl StateFile {
    pub(crate) fn new(folder: Option<&Path>) -> Self {
        Self(folder.map(|folder| folder.join(STATE_FILE)))
    }

    /// Reads the state. In an empty folder it writes a new one first, before any other file exists.
    ///
    /// # Errors
    /// When the file is invalid, or missing although other data needs it.
    pub(crate) fn begin(&self) -> anyhow::Result<SavedState> {
        let fresh = SavedState::fresh;
        let Some(path) = &self.0 else { return Ok(fresh()) };
        if let Some(known) = read(path)? {
            return Ok(known);
        }
        let folder = path.parent().unwrap_or(Path::new("."));
        let others = DATABASE_FILES.into_iter().chain([JOURNAL_FILE]).filter(|name| *name != LOCK_FILE);
        let left: Vec<_> = others.filter(|name| folder.join(name).exists()).collect();
        ensure!(
            left.is_empty(),
            "{0} is missing, but the folder has data ({1}). {0} has the keys of that data; without them, the secrets of \
             webhooks cannot be read. Restore the file, or choose another --data folder",
            path.display(),
            left.join(", ")
        );
        // Of two processes that start at once, the second takes the state that the first has written.
        match self.draft(&fresh())?.persist_noclobber(path) {
            Ok(_) => (),
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => (),
            Err(error) => return Err(error).with_context(|| format!("cannot write {}", path.display())),
        }
        read(path)?.with_context(|| format!("{} was written and is gone", path.display()))
    }

    /// Writes it whole or not at all: a crash leaves the old file or the new one.
    pub(crate) fn write(&self, state: &SavedState) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        self.draft(state)?.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }

    /// A temporary file with the state, which only its owner can read.
    fn draft(&self, state: &SavedState) -> anyhow::Result<NamedTempFile> {
        let folder = self.0.as_deref().and_then(Path::parent).unwrap_or(Path::new("."));
        let mut draft = NamedTempFile::new_in(folder)?;
        draft.write_all(&serde_json::to_vec_pretty(state)?)?;
        draft.as_file().sync_all()?;
        Ok(draft)
    }
}

fn read(path: &Path) -> anyhow::Result<Option<SavedState>> {
    match fs::read(path) {
        Ok(text) => serde_json::from_slice(&text).map(Some).with_context(|| {
            format!("{} is invalid; restore it, or start with an empty --data folder", path.display())
        }),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
