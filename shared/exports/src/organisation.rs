//! Makes the file of an organisation, page by page: never more than one page is in memory.

use std::io::{Error, ErrorKind};
use std::time::Duration;

use chrono::SecondsFormat;
use domain::{AccountId, Export, ExportError, Hash, LedgerEnds, Mode};
use serde::Serialize;
use store::{Fault, Unsettled};

use crate::Exporter;
use crate::lines::{Line, LineFile, LinePlace, OrganisationPages, WrittenLines};
use crate::make::{MadeFile, Making, MakingError, MakingLimits, PAGES_BETWEEN_SAVES};

/// The version of the format. It changes when a reader of an earlier version could misread a file.
const VERSION: u32 = 1;

/// How often an attempt looks whether the ledgers are chained, before it leaves the export to the next attempt.
const LOOKS_MAX: u32 = 20;

/// The pause before it looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// The first line: what the file has, and of when.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Header<'a> {
    format: &'static str,
    version: u32,
    export_id: String,
    organisation_id: String,
    organisation: &'a str,
    /// When the export was asked for.
    created_at: String,
    /// The key of the operator who has asked for it.
    created_by: Option<String>,
    ledgers: Ledgers,
}

#[derive(Serialize)]
struct Ledgers {
    live: LedgerInFile,
    test: LedgerInFile,
}

/// A ledger, as far as the file has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LedgerInFile {
    /// Its name, from which the genesis is computed.
    ledger: String,
    /// The hash before its first transaction.
    genesis: Hash,
    /// The number of the last transaction in the file.
    through_sequence: u64,
}

impl Exporter<'_> {
    /// Makes the file of an organisation within the limits.
    ///
    /// # Errors
    /// [`MakingError`] when another attempt may succeed.
    pub(crate) async fn make_organisation(
        &self,
        mut export: Export,
        limits: MakingLimits,
        pages: &dyn OrganisationPages,
    ) -> Result<Making, MakingError> {
        if !are_chained(&export, pages).await? {
            return Ok(Making::NotYet(export));
        }
        let mut file = LineFile::begin(tempfile::tempfile_in(&self.folder)?, &header(&export)?)?;
        let mut place = Some(LinePlace::default());
        let mut read = 0u32;
        while let Some(from) = place {
            let wall = self.clock.moment().wall;
            if limits.until <= wall {
                return Ok(Making::Impossible(export, ExportError::OrganisationTooLarge));
            }
            if read > 0 && read.is_multiple_of(PAGES_BETWEEN_SAVES) {
                let progress = Export { counts: file.counts().clone(), ..export };
                let saved = self.ledger.save_export(progress.progressed(file.lines(), wall)).await?;
                let Some(saved) = saved else { return Ok(Making::Superseded) };
                export = saved;
            }
            let page = pages.page(&export, from).await?;
            if let Err(error) = page.lines.iter().try_for_each(|line| file.add(line)) {
                return unwritten(export, error);
            }
            if limits.rows < file.lines() {
                return Ok(Making::Impossible(export, ExportError::OrganisationTooLarge));
            }
            read = read.saturating_add(1);
            place = page.next;
        }
        let counts = file.counts().clone();
        // The end of a large file and its upload take a while.
        let progress = Export { counts, ..export }.progressed(file.lines(), self.clock.moment().wall);
        let Some(export) = self.ledger.save_export(progress).await? else { return Ok(Making::Superseded) };
        match file.finish() {
            Ok(WrittenLines { content, bytes, lines, sha256 }) => {
                Ok(Making::Made(export, MadeFile { content, bytes, rows: lines, sha256: Some(sha256) }))
            }
            Err(error) => unwritten(export, error),
        }
    }
}

/// Whether the ledgers are chained as far as the export has them, now or within two seconds: the projector follows a
/// transaction mostly within one.
async fn are_chained(export: &Export, pages: &dyn OrganisationPages) -> Result<bool, Unsettled> {
    for _ in 0..LOOKS_MAX {
        if pages.are_chained(export).await? {
            return Ok(true);
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(false)
}

fn header(export: &Export) -> Result<Line, MakingError> {
    let ends = export.ends.ok_or_else(|| Fault::corrupt("an export of an organisation", "where it ends"))?;
    let org = export.key.account.org;
    let header = Header {
        format: "scrip-organisation",
        version: VERSION,
        export_id: export.key.export.to_string(),
        organisation_id: org.to_string(),
        organisation: &export.organisation,
        created_at: export.made_at.to_rfc3339_opts(SecondsFormat::Secs, true),
        created_by: export.super_admin.map(|key| key.to_string()),
        ledgers: Ledgers {
            live: LedgerInFile::of(AccountId { org, mode: Mode::Live }, ends),
            test: LedgerInFile::of(AccountId { org, mode: Mode::Test }, ends),
        },
    };
    Ok(Line::new("header", None, &header).map_err(Error::from)?)
}

impl LedgerInFile {
    fn of(account: AccountId, ends: LedgerEnds) -> Self {
        Self {
            ledger: account.to_string(),
            genesis: Hash::genesis(account),
            through_sequence: ends.of(account.mode),
        }
    }
}

/// What an error of the file means: no attempt can make it, or this one has failed.
fn unwritten(export: Export, error: Error) -> Result<Making, MakingError> {
    if error.kind() == ErrorKind::StorageFull {
        return Ok(Making::Impossible(export, ExportError::OrganisationTooLarge));
    }
    Err(error.into())
}
