//! Makes the file of an export, page by page: never all of its transactions are in memory.

use std::fs::File;
use std::io::{BufWriter, Error, ErrorKind, IntoInnerError, Seek};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{Export, ExportError};
use scrip_documents::{DocumentError, FinishedFile, TransactionFile};
use store::{Fault, StatementCursor, StatementPlace, Unsettled};

use crate::Exporter;
use crate::header::header;

/// How many transactions are read at once: the most that a page of a statement examines.
const PAGE_ROWS: usize = 1_000;

/// After how many pages the progress is saved, and the lease renewed.
pub(crate) const PAGES_BETWEEN_SAVES: u32 = 20;

/// For how many seconds an attempt of the function `export` reads transactions.
const ATTEMPT_SECONDS: i64 = 840;

/// How much one attempt may do.
#[derive(Clone, Copy, Debug)]
pub struct MakingLimits {
    /// How many transactions the file may have.
    pub rows: u64,
    /// How many pages of transactions may be read.
    pub pages: u32,
    /// Until when pages are read, in system time.
    pub until: DateTime<Utc>,
    /// Whether the record is saved on the way.
    pub saves_progress: bool,
}

impl MakingLimits {
    /// What a request makes at once: 1,000 transactions, of at most 6,000 that are read.
    #[must_use]
    pub fn at_once(wall: DateTime<Utc>) -> Self {
        let until = wall.checked_add_signed(TimeDelta::seconds(10)).unwrap_or(wall);
        Self { rows: Export::ROWS_AT_ONCE, pages: 6, until, saves_progress: false }
    }

    /// What one attempt of the function `export` makes.
    #[must_use]
    pub fn of_worker(wall: DateTime<Utc>) -> Self {
        let until = wall.checked_add_signed(TimeDelta::seconds(ATTEMPT_SECONDS)).unwrap_or(wall);
        Self { rows: Export::ROWS_MAX, pages: u32::MAX, until, saves_progress: true }
    }
}

/// A file that was made.
#[derive(Debug)]
pub struct MadeFile {
    /// The file, at its beginning. It has no name.
    pub content: File,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many transactions it has; of an organisation, how many lines.
    pub rows: u64,
    /// The SHA-256 of an organisation's file, in hexadecimal digits.
    pub sha256: Option<String>,
}

/// The outcome of an attempt.
#[derive(Debug)]
pub enum Making {
    /// The file, and the export as it was last saved.
    Made(Export, MadeFile),
    /// There is more than the limits allow; the export as it was last saved.
    TooMuch(Export),
    /// No such file can be made; the export as it was last saved.
    Impossible(Export, ExportError),
    /// Another process has changed the export.
    Superseded,
    /// The ledgers of the organisation are not chained as far as the file has them; the export as it was last saved.
    NotYet(Export),
}

/// Why an attempt has failed. Another one may succeed.
#[derive(Debug, thiserror::Error)]
pub enum MakingError {
    /// The table did not answer.
    #[error(transparent)]
    Failed(#[from] Fault),
    /// A page of an organisation could not be read.
    #[error(transparent)]
    Unread(#[from] Unsettled),
    /// The file could not be written.
    #[error("the file of an export could not be written")]
    Unwritten(#[source] DocumentError),
}

impl From<MakingError> for Unsettled {
    fn from(error: MakingError) -> Self {
        match error {
            MakingError::Failed(fault) => fault.into(),
            MakingError::Unread(unsettled) => unsettled,
            MakingError::Unwritten(source) => {
                Fault::Unavailable { doing: "write the file of an export", source: source.into() }.into()
            }
        }
    }
}

impl From<Error> for MakingError {
    fn from(error: Error) -> Self {
        Self::Unwritten(error.into())
    }
}

type Draft = TransactionFile<BufWriter<File>>;

impl Exporter<'_> {
    /// Makes the file of an export within the limits.
    ///
    /// # Errors
    /// [`MakingError`] when another attempt may succeed.
    pub async fn make(&self, mut export: Export, limits: MakingLimits) -> Result<Making, MakingError> {
        let out = BufWriter::new(tempfile::tempfile_in(&self.folder)?);
        let draft = TransactionFile::new(export.format, header(&export), &self.folder, out);
        let mut draft = draft.map_err(MakingError::Unwritten)?;
        let begin = StatementCursor::parse(&export.begin);
        let mut cursor = Some(begin.ok_or_else(|| Fault::corrupt("an export", "its beginning"))?);
        let (mut rows, mut pages) = (0u64, 0u32);
        while cursor.is_some() {
            let wall = self.clock.moment().wall;
            if limits.pages <= pages || limits.until <= wall {
                return Ok(Making::TooMuch(export));
            }
            if limits.saves_progress && pages > 0 && pages.is_multiple_of(PAGES_BETWEEN_SAVES) {
                let saved = self.ledger.save_export(export.progressed(rows, wall)).await?;
                let Some(saved) = saved else { return Ok(Making::Superseded) };
                export = saved;
            }
            let place = StatementPlace { cursor, limit: PAGE_ROWS };
            let page =
                self.ledger.statement(export.key.account, &export.query, place, export.made_at).await?;
            rows = rows.saturating_add(u64::try_from(page.receipts.len()).unwrap_or(u64::MAX));
            if limits.rows < rows {
                return Ok(Making::TooMuch(export));
            }
            if let Err(error) = page.receipts.iter().try_for_each(|receipt| draft.add(receipt)) {
                return unwritten(export, error);
            }
            pages = pages.saturating_add(1);
            cursor = page.next;
        }
        if limits.saves_progress && PAGES_BETWEEN_SAVES <= pages {
            // The end of a large file and its upload take a while.
            let saved = self.ledger.save_export(export.progressed(rows, self.clock.moment().wall)).await?;
            let Some(saved) = saved else { return Ok(Making::Superseded) };
            export = saved;
        }
        match finish(draft).await {
            Ok(made) => Ok(Making::Made(export, made)),
            Err(error) => unwritten(export, error),
        }
    }
}

/// What an error of the file means: no attempt can make it, or this one has failed.
fn unwritten(export: Export, error: DocumentError) -> Result<Making, MakingError> {
    let is_full = match &error {
        DocumentError::TemporaryFile => true,
        DocumentError::Write(error) => error.kind() == ErrorKind::StorageFull,
        DocumentError::TooManyRows { max } => {
            let max = u32::try_from(*max).unwrap_or(u32::MAX);
            return Ok(Making::Impossible(export, ExportError::TooManyRows { max }));
        }
        DocumentError::Spreadsheet(_) | DocumentError::Font(_) | DocumentError::Pdf(_) => false,
    };
    if is_full {
        return Ok(Making::Impossible(export, ExportError::TooLarge));
    }
    Err(MakingError::Unwritten(error))
}

/// Writes the rest of the file, on a thread of its own: compressing a spreadsheet or setting a PDF takes seconds.
async fn finish(draft: Draft) -> Result<MadeFile, DocumentError> {
    let finish = move || {
        let FinishedFile { out, totals } = draft.finish()?;
        let mut content = out.into_inner().map_err(IntoInnerError::into_error)?;
        content.rewind()?;
        let bytes = content.metadata()?.len();
        Ok(MadeFile { content, bytes, rows: totals.transactions, sha256: None })
    };
    let finished = tokio::task::spawn_blocking(finish).await;
    finished.map_err(Error::other)?
}
