//! Exports: makes files of transactions, and holds and charges what they cost.
//!
//! A request writes its steps in this order: a scheduled job; the export's id in the register of unfinished ones; the
//! export's record; the hold. Then the file is made and stored, by the request itself if it is small, otherwise by the
//! function `export`. One write of the record decides that the file is made, or that there will be none
//! ([`Ledger::save_export`]); the held credits follow that decision under keys of their own, so they are captured or
//! released once. The job is removed when the export is finished; until then it starts the function `export` again and
//! again, which begins from the beginning.
//!
//! An export of an organisation goes the same way, without credits: only its file differs ([`OrganisationPages`]).

mod charge;
mod header;
mod lines;
mod make;
mod organisation;
mod request;
mod settle;
mod worker;

use std::path::PathBuf;

use domain::{AccountId, Export, ExportKey, ExportStage};
use ports::{Clock, FileError, FileStore, LinkTerms, Moment, Queue, StoredFile};
use store::{Fault, Ledger};

pub use lines::{Line, LinePage, LinePlace, OrganisationPages};
pub use make::{MadeFile, Making, MakingError, MakingLimits};
pub use request::ExportAnswer;
pub use worker::EXPORT_FAULT;

/// Makes exports.
pub struct Exporter<'a> {
    /// The ledger.
    pub ledger: &'a Ledger,
    /// Where files are kept.
    pub files: &'a dyn FileStore,
    /// The queue of the function `export`.
    pub queue: &'a dyn Queue<ExportKey>,
    /// Real time.
    pub clock: &'a dyn Clock,
    /// The folder for files that are being made: at most 6 GB, for [`Export::ROWS_MAX`] transactions as a spreadsheet.
    pub folder: PathBuf,
}

impl Exporter<'_> {
    /// A link that downloads the file of a finished export; `None` if there is no file, or not any longer.
    ///
    /// # Errors
    /// [`Fault`] when no link can be made.
    pub async fn link(&self, export: &Export) -> Result<Option<String>, Fault> {
        let now = self.clock.now();
        match &export.stage {
            ExportStage::Ready(file, _) if now < file.until => {
                let terms = LinkTerms { now, until: file.until };
                self.files.link(&stored_file(export), terms).await.map(Some).map_err(without_files)
            }
            ExportStage::Ready(..)
            | ExportStage::Begun
            | ExportStage::Queued
            | ExportStage::Running
            | ExportStage::Made(_)
            | ExportStage::Failing(_)
            | ExportStage::Failed(_) => Ok(None),
        }
    }

    /// The present moment by an account's own clock.
    async fn moment_of(&self, account: AccountId) -> Result<Moment, Fault> {
        let moment = self.clock.moment();
        let own = self.ledger.test_clock(account).await?;
        Ok(Moment { now: own.unwrap_or(moment.now), ..moment })
    }
}

/// The store of files did not answer.
fn without_files(error: FileError) -> Fault {
    Fault::Unavailable { doing: "reach the files of exports", source: error.into() }
}

/// Where the file of an export is stored.
fn stored_file(export: &Export) -> StoredFile {
    let ExportKey { account, export: id, .. } = export.key;
    let name = export.file_name();
    let key = format!("{}/{}/{id}/{name}", account.org, account.mode.as_str());
    StoredFile { key, name, media_type: export.media_type() }
}
