//! What the function `export` does for one message.

use std::error::Error;

use domain::{Export, ExportContent, ExportError, ExportKey, ExportStage, ExportStep};
use ports::Moment;
use store::Unsettled;

use crate::Exporter;
use crate::charge::hold;
use crate::lines::OrganisationPages;
use crate::make::{Making, MakingLimits};

/// What is logged when an attempt has failed. `ExportFaults` in `functions/export/function.yaml` counts these lines.
pub const EXPORT_FAULT: &str = "an attempt to make an export has failed";

impl Exporter<'_> {
    /// Brings an export to its end, unless another process works on it. A message that comes twice, late or without need
    /// does no harm. `pages` reads what the file of an organisation has.
    ///
    /// # Errors
    /// When it has to be repeated: the table or the store of files did not answer.
    pub async fn attend(&self, key: ExportKey, pages: &dyn OrganisationPages) -> Result<(), Unsettled> {
        let Some(export) = self.ledger.export(key).await? else {
            return Ok(self.ledger.unregister_export(key).await?);
        };
        let moment = self.moment_of(key.account).await?;
        match export.next(self.clock.now(), moment.wall) {
            ExportStep::Wait => Ok(()),
            ExportStep::Rest | ExportStep::Settle => self.settle(export, moment).await.map(|_| ()),
            ExportStep::GiveUp => self.give_up(export, moment).await,
            ExportStep::Make => {
                let Some(export) = self.ledger.save_export(export.attempted(moment.wall)).await? else {
                    return Ok(());
                };
                self.attempt(export, moment, pages).await
            }
        }
    }

    async fn attempt(
        &self,
        export: Export,
        moment: Moment,
        pages: &dyn OrganisationPages,
    ) -> Result<(), Unsettled> {
        let was_unheld = export.is_unheld();
        let Some(mut export) = self.held(export, moment).await? else { return Ok(()) };
        if was_unheld {
            // Its request may be sent again meanwhile, and is to answer that the credits are held.
            let Some(saved) = self.ledger.save_export(export).await? else { return Ok(()) };
            export = saved;
        }
        let known = export.clone();
        let limits = MakingLimits::of_worker(moment.wall);
        let making = match export.key.content {
            ExportContent::Transactions => self.make(export, limits).await,
            ExportContent::Organisation => self.make_organisation(export, limits, pages).await,
        };
        let decided = match making {
            Ok(Making::Made(export, made)) => match self.keep(export.clone(), made).await {
                Ok(decided) => decided,
                Err(unsettled) => return self.interrupted(export, unsettled).await,
            },
            Ok(Making::TooMuch(export)) => {
                self.ledger.save_export(export.failing(ExportError::TooLarge)).await?
            }
            Ok(Making::Impossible(export, error)) => self.ledger.save_export(export.failing(error)).await?,
            Ok(Making::Superseded) => None,
            Ok(Making::NotYet(export)) => {
                // Its job hands it over again.
                self.ledger.save_export(export.postponed()).await?;
                return Ok(());
            }
            Err(error) => return self.interrupted(known, error.into()).await,
        };
        match decided {
            Some(export) => self.settle(export, moment).await.map(|_| ()),
            None => Ok(()),
        }
    }

    /// The export with its credits held. `None` if they cannot be held: it then has failed, and is at its end.
    async fn held(&self, export: Export, moment: Moment) -> Result<Option<Export>, Unsettled> {
        match hold(self.ledger, &export, moment).await {
            Ok(hold) => Ok(Some(Export { hold, ..export })),
            Err(Unsettled::Refused(refusal)) => {
                tracing::info!(cause = &refusal as &dyn Error, "the credits of an export cannot be held");
                let failed = export.failing(ExportError::InsufficientCredits);
                if let Some(failed) = self.ledger.save_export(failed).await? {
                    self.settle(failed, moment).await?;
                }
                Ok(None)
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Lets another attempt begin at once, and returns why this one has failed.
    async fn interrupted(&self, export: Export, unsettled: Unsettled) -> Result<(), Unsettled> {
        tracing::warn!(
            account = %export.key.account, export = %export.key.export, attempt = export.attempts,
            cause = &unsettled as &dyn Error, "{EXPORT_FAULT}"
        );
        // The attempt has saved its progress since.
        let latest = self.ledger.export(export.key).await?;
        let is_ours =
            |latest: &Export| (latest.attempts, &latest.stage) == (export.attempts, &ExportStage::Running);
        if let Some(latest) = latest.filter(is_ours) {
            self.ledger.save_export(latest.released()).await?;
        }
        Err(unsettled)
    }

    /// Decides that no file will be made. The hold of an earlier attempt is found by holding the credits again under the
    /// same key.
    async fn give_up(&self, export: Export, moment: Moment) -> Result<(), Unsettled> {
        let Some(export) = self.held(export, moment).await? else { return Ok(()) };
        match self.ledger.save_export(export.failing(ExportError::NotMade)).await? {
            Some(export) => self.settle(export, moment).await.map(|_| ()),
            None => Ok(()),
        }
    }
}
