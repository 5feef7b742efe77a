//! Lets the held credits follow what is decided about an export.

use std::error::Error;

use domain::{Export, ExportError, ExportFile, ExportStage};
use ports::Moment;
use store::Unsettled;

use crate::charge::{Captured, capture, release};
use crate::make::MadeFile;
use crate::{Exporter, stored_file, without_files};

/// How many steps it takes at most: capture, or release, and the end; and as many that another process has made.
const STEPS_MAX: u32 = 8;

impl Exporter<'_> {
    /// Stores the file of an export, and decides that it is made. `None` when another process has changed the export.
    pub(crate) async fn keep(&self, export: Export, made: MadeFile) -> Result<Option<Export>, Unsettled> {
        let MadeFile { content, bytes, rows, sha256 } = made;
        self.files.put(&stored_file(&export), content).await.map_err(without_files)?;
        let until = Export::file_until(self.clock.now());
        let file = ExportFile { bytes, rows, sha256, until: chrono::SubsecRound::trunc_subsecs(until, 0) };
        Ok(self.ledger.save_export(export.made(file)).await?)
    }

    /// Captures or releases the credits of an export, as is decided, and removes it from the register. Returns it as it
    /// is then.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] when it has to be repeated; when the table does not answer.
    pub(crate) async fn settle(&self, mut export: Export, moment: Moment) -> Result<Export, Unsettled> {
        for _ in 0..STEPS_MAX {
            let stage = match &export.stage {
                ExportStage::Ready(..) | ExportStage::Failed(_) => {
                    self.ledger.unregister_export(export.key).await?;
                    return Ok(export);
                }
                ExportStage::Begun | ExportStage::Queued | ExportStage::Running => return Ok(export),
                ExportStage::Made(file) => match capture(self.ledger, &export, moment).await? {
                    Captured::By(transaction) => ExportStage::Ready(file.clone(), Some(transaction)),
                    Captured::Never(refusal) => {
                        tracing::warn!(
                            account = %export.key.account, export = %export.key.export,
                            cause = &refusal as &dyn Error, "the held credits of an export cannot be captured"
                        );
                        ExportStage::Failing(ExportError::NotCharged)
                    }
                },
                ExportStage::Failing(error) => {
                    let error = *error;
                    release(self.ledger, &export, moment).await?;
                    ExportStage::Failed(error)
                }
            };
            let key = export.key;
            export = match self.ledger.save_export(Export { stage, ..export }).await? {
                Some(saved) => saved,
                None => self.ledger.export(key).await?.ok_or(Unsettled::InProgress)?,
            };
        }
        Err(Unsettled::InProgress)
    }
}
