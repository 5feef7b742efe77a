//! The lines of the file of an organisation: JSON, compressed, hashed and counted as they are written.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Error, IntoInnerError, Seek, Write};

use async_trait::async_trait;
use domain::{Export, Mode};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use store::Unsettled;

/// What the file of an organisation has, page by page. The pages of an export are the same in every attempt, as far as what
/// they are read from has not changed.
#[async_trait]
pub trait OrganisationPages: Send + Sync {
    /// Whether each ledger is chained as far as the export has it.
    ///
    /// # Errors
    /// When a table does not answer.
    async fn are_chained(&self, export: &Export) -> Result<bool, Unsettled>;

    /// The page at a place; the first one at the default place. It reads a bounded number of items.
    ///
    /// # Errors
    /// When a table does not answer; when an item is unreadable.
    async fn page(&self, export: &Export, place: LinePlace) -> Result<LinePage, Unsettled>;
}

/// A place in the file of an organisation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinePlace {
    /// The number of its section.
    pub section: usize,
    /// Where in the section it is; `None` at its beginning.
    pub cursor: Option<String>,
}

/// A page of lines.
#[derive(Debug, Default)]
pub struct LinePage {
    /// The lines.
    pub lines: Vec<Line>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<LinePlace>,
}

/// One line.
#[derive(Debug, Serialize)]
pub struct Line {
    /// What it is about.
    kind: &'static str,
    /// The ledger that it is about; `None` for the organisation itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    mode: Option<Mode>,
    /// What the API serves of it.
    data: Box<RawValue>,
}

impl Line {
    /// A line with a view.
    ///
    /// # Errors
    /// None in practice: every view can be written as JSON.
    pub fn new<V: Serialize>(
        kind: &'static str,
        mode: Option<Mode>,
        view: &V,
    ) -> Result<Self, serde_json::Error> {
        Ok(Self { kind, mode, data: serde_json::value::to_raw_value(view)? })
    }
}

/// The last line: by it a reader knows that the file is whole.
#[derive(Serialize)]
struct Footer<'a> {
    /// How many lines there are between the first and the last one.
    lines: u64,
    /// How many of each kind.
    counts: &'a BTreeMap<String, u64>,
}

/// A file of lines that is being written.
pub(crate) struct LineFile {
    out: GzEncoder<HashedFile>,
    lines: u64,
    counts: BTreeMap<String, u64>,
}

/// A file of lines that was written.
pub(crate) struct WrittenLines {
    pub(crate) content: File,
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    pub(crate) sha256: String,
}

impl LineFile {
    /// A file that begins with this line.
    pub(crate) fn begin(file: File, first: &Line) -> Result<Self, Error> {
        let out = HashedFile { out: BufWriter::new(file), hash: Sha256::new(), bytes: 0 };
        let out = GzEncoder::new(out, Compression::default());
        let mut begun = Self { out, lines: 0, counts: BTreeMap::new() };
        begun.write(first)?;
        Ok(begun)
    }

    /// Writes a line and counts it.
    pub(crate) fn add(&mut self, line: &Line) -> Result<(), Error> {
        self.write(line)?;
        self.lines = self.lines.saturating_add(1);
        let count = self.counts.entry(line.kind.to_owned()).or_default();
        *count = count.saturating_add(1);
        Ok(())
    }

    /// How many lines it has, without the first one.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// How many lines of each kind it has.
    pub(crate) fn counts(&self) -> &BTreeMap<String, u64> {
        &self.counts
    }

    /// Writes the last line, and returns the whole file, at its beginning.
    pub(crate) fn finish(mut self) -> Result<WrittenLines, Error> {
        let footer = Line::new("footer", None, &Footer { lines: self.lines, counts: &self.counts })?;
        self.write(&footer)?;
        let HashedFile { out, hash, bytes } = self.out.finish()?;
        let mut content = out.into_inner().map_err(IntoInnerError::into_error)?;
        content.rewind()?;
        Ok(WrittenLines { content, bytes, lines: self.lines, sha256: hexadecimal(&hash.finalize()) })
    }

    fn write(&mut self, line: &Line) -> Result<(), Error> {
        serde_json::to_writer(&mut self.out, line)?;
        self.out.write_all(b"\n")
    }
}

/// A file whose content is hashed and counted as it is written.
struct HashedFile {
    out: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Write for HashedFile {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, Error> {
        let written = self.out.write(bytes)?;
        self.hash.update(bytes.get(..written).unwrap_or(bytes));
        self.bytes = self.bytes.saturating_add(u64::try_from(written).unwrap_or(u64::MAX));
        Ok(written)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.out.flush()
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        write!(text, "{byte:02x}").unwrap_or_default();
        text
    })
}
