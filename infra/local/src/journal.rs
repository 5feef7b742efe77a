use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::Context;
use shared::pay::simulated::{Charge, Journal};

/// The journal of the simulated payment company: one charge a line, as JSON; the last line of a
/// purchase holds. It is on disk before a charge is told to anybody.
struct JournalFile {
    file: File,
    /// Up to where the lines are whole.
    bytes: u64,
}

/// Opens the journal in `folder`, which may be new; what it holds, and how it goes on. A line that a
/// crash cut off was told to nobody, and is dropped.
///
/// # Errors
/// When the file can't be read, or a whole line of it does not read.
pub(crate) fn open(folder: &Path) -> anyhow::Result<(Vec<Charge>, Journal)> {
    fs::create_dir_all(folder).with_context(|| format!("cannot use the folder {}", folder.display()))?;
    let path = folder.join("payments.jsonl");
    let unusable = || format!("cannot use {}", path.display());
    let mut file = File::options().create(true).truncate(false).read(true).write(true).open(&path);
    let file = file.as_mut().map_err(|error| io::Error::new(error.kind(), error.to_string()));
    let file = file.with_context(unusable)?;
    // The file's name has to be as lasting as its lines.
    File::open(folder).and_then(|folder| folder.sync_all()).with_context(unusable)?;
    let mut text = Vec::new();
    file.read_to_end(&mut text).with_context(unusable)?;
    let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end.saturating_add(1));
    let lines = text.get(..whole).unwrap_or_default().split(|byte| *byte == b'\n');
    let charges = lines
        .filter(|line| !line.is_empty())
        .map(serde_json::from_slice)
        .collect::<Result<_, _>>()
        .with_context(|| {
            format!("{} does not read; restore it, or start with an empty --data folder", path.display())
        })?;
    let journal =
        JournalFile { file: file.try_clone().with_context(unusable)?, bytes: u64::try_from(whole)? };
    let journal = Mutex::new(journal);
    let journal: Journal =
        Box::new(move |charge| journal.lock().unwrap_or_else(PoisonError::into_inner).append(charge));
    Ok((charges, journal))
}

impl JournalFile {
    fn append(&mut self, charge: &Charge) -> io::Result<()> {
        let mut line = serde_json::to_vec(charge)?;
        line.push(b'\n');
        // Whatever a crash or a failed write left behind the last whole line goes first.
        self.file.set_len(self.bytes)?;
        self.file.seek(SeekFrom::Start(self.bytes))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        self.bytes = self.bytes.saturating_add(u64::try_from(line.len()).unwrap_or(u64::MAX));
        Ok(())
    }
}
