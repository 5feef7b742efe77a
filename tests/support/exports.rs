//! Exports of a ledger in tables of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{AccountId, EntryId, Export, ExportKey, ExportStage, FileFormat, KeyId, StatementQuery};
use ports::{Clock, FileError, FileStore, LinkTerms, NoQueue, StoredFile};
use scrip_exports::{Exporter, LinePage, LinePlace, OrganisationPages};
use store::{Ledger, StatementCursor, Unsettled, random};

/// A store that keeps only the sizes of files.
#[derive(Clone, Default)]
pub struct FileSizes(Arc<Mutex<BTreeMap<String, u64>>>);

#[async_trait]
impl FileStore for FileSizes {
    async fn put(&self, file: &StoredFile, content: File) -> Result<(), FileError> {
        let bytes = content.metadata().map_err(FileError::stored)?.len();
        self.0.lock().unwrap().insert(file.key.clone(), bytes);
        Ok(())
    }

    async fn link(&self, file: &StoredFile, _: LinkTerms) -> Result<String, FileError> {
        Ok(file.key.clone())
    }
}

/// A free export of everything that an account has, as its request begins it for the function `export`.
pub async fn queued_export(
    ledger: &Ledger,
    account: AccountId,
    format: FileFormat,
    now: DateTime<Utc>,
) -> Export {
    let known = ledger.account(account).await.unwrap().unwrap();
    let query = StatementQuery::default();
    Export {
        key: ExportKey::transactions(account, EntryId::new(now, random()).into()),
        format,
        ends: None,
        begin: StatementCursor::beginning(&known, &query, now).text(),
        query,
        organisation: "Own".to_owned(),
        price: None,
        made_at: now,
        begun_at: now,
        key_id: KeyId::new(now, random()),
        super_admin: None,
        request_id: "req_1".to_owned(),
        stage: ExportStage::Queued,
        hold: None,
        attempts: 0,
        leased_until: DateTime::UNIX_EPOCH,
        rows: 0,
        counts: BTreeMap::new(),
        of: Some(known.sequence),
        revision: 0,
    }
}

/// The pages of an organisation for exports of transactions, which have none.
pub struct NoPages;

#[async_trait]
impl OrganisationPages for NoPages {
    async fn are_chained(&self, _: &Export) -> Result<bool, Unsettled> {
        Ok(true)
    }

    async fn page(&self, _: &Export, _: LinePlace) -> Result<LinePage, Unsettled> {
        Ok(LinePage::default())
    }
}

/// An exporter on a ledger.
pub fn exporter<'a>(ledger: &'a Ledger, files: &'a FileSizes, clock: &'a dyn Clock) -> Exporter<'a> {
    Exporter { ledger, files, queue: &NoQueue, clock, folder: std::env::temp_dir() }
}
