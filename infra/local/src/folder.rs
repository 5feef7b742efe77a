use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::demo::Keys;

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
        Self(folder.map(|folder| folder.join("local.json")))
    }

    pub(crate) fn read(&self) -> anyhow::Result<Memory> {
        let Some(path) = &self.0 else { return Ok(Memory::default()) };
        match fs::read(path) {
            Ok(text) => serde_json::from_slice(&text).with_context(|| {
                format!("{} does not read; restore it, or start with an empty --data folder", path.display())
            }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Memory::default()),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// Writes it whole or not at all: a crash leaves the old file or the new one.
    pub(crate) fn write(&self, memory: &Memory) -> anyhow::Result<()> {
        let Some(path) = &self.0 else { return Ok(()) };
        let folder = path.parent().unwrap_or(Path::new("."));
        fs::create_dir_all(folder).with_context(|| format!("cannot use the folder {}", folder.display()))?;
        let mut draft = tempfile::NamedTempFile::new_in(folder)?;
        draft.write_all(&serde_json::to_vec_pretty(memory)?)?;
        draft.as_file().sync_all()?;
        draft.persist(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(())
    }
}
