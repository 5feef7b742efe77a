//! Exports: their records, and the register of those that are not finished, which holds their number at its limit.
//!
//! An id is added to the register before the export's record is written, by a write whose condition is the limit. It is
//! removed once the record is finished. A crash in between leaves a job, which removes it.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::attribute::number;
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::{Key, StoredItem, export_partition};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{AccountId, Export, ExportContent, ExportId, ExportKey, Mode, OrgId};

impl Ledger {
    /// An export, strongly consistent; `None` when there is no such export.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn export(&self, key: ExportKey) -> Result<Option<Export>, Fault> {
        self.table.get(&Key::Export(key), "read an export").await?.map(read).transpose()
    }

    /// An account's exports of transactions before one of them, the newest first, at most `limit`; and whether there are more.
    ///
    /// # Errors
    /// When the table does not answer; when an export is unreadable.
    pub async fn exports(
        &self,
        account: AccountId,
        before: Option<ExportId>,
        limit: u16,
    ) -> Result<(Vec<Export>, bool), Fault> {
        self.exports_of(export_partition(account, ExportContent::Transactions), before, limit).await
    }

    /// The same of the exports of everything of an organisation.
    ///
    /// # Errors
    /// As [`Ledger::exports`].
    pub async fn organisation_exports(
        &self,
        org: OrgId,
        before: Option<ExportId>,
        limit: u16,
    ) -> Result<(Vec<Export>, bool), Fault> {
        let account = AccountId { org, mode: Mode::Live };
        self.exports_of(export_partition(account, ExportContent::Organisation), before, limit).await
    }

    async fn exports_of(
        &self,
        partition: String,
        before: Option<ExportId>,
        limit: u16,
    ) -> Result<(Vec<Export>, bool), Fault> {
        let keys = before.map_or(SortKeys::All, |before| SortKeys::Below(before.bare()));
        let query = ItemQuery::new(partition, keys).falling().limit(limit.into());
        let page = self.table.query(query, "read exports").await?;
        let more = page.last.is_some();
        Ok((page.items.into_iter().map(read).collect::<Result<_, Fault>>()?, more))
    }

    /// Saves a new export. If one with its id exists, that one stays and is returned.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn begin_export(&self, export: &Export) -> Result<Option<Export>, Fault> {
        let existing = self.table.put_new(item(export)?, "begin an export").await?;
        let existing = existing.map(read).transpose()?;
        // The SDK may have sent it twice: then the first call saved this export.
        Ok(existing.filter(|existing| existing != export))
    }

    /// Saves an export with its revision incremented and returns it; `None` when another process has saved or removed it
    /// since it was read. This write alone decides what becomes of an export.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn save_export(&self, export: Export) -> Result<Option<Export>, Fault> {
        let known = export.revision;
        let next = Export { revision: known.saturating_add(1), ..export };
        let saved = self.table.replace(item(&next)?, Some(known), "save an export").await?;
        // The SDK may have sent it twice: then the first call saved it.
        let saved = saved || self.export(next.key).await?.is_some_and(|known| known == next);
        Ok(saved.then_some(next))
    }

    /// Removes an export whose credits could not be held, unless another process has saved it since it was read. Returns
    /// whether it is gone.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn remove_export(&self, export: &Export) -> Result<bool, Fault> {
        let condition = Condition::equal("revision", number(export.revision));
        let removed = self.table.delete_if(&Key::Export(export.key), condition, "remove an export").await?;
        // The SDK may have sent it twice.
        Ok(removed || self.export(export.key).await?.is_none())
    }

    /// Adds an export to the register of its account; `false` when the account has [`Export::OPEN_MAX`] others that are
    /// not finished.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn register_export(&self, key: ExportKey) -> Result<bool, Fault> {
        let update = UpdateExpression::new("ADD ids :ids")
            .only_if("attribute_not_exists(ids) OR size(ids) < :most OR contains(ids, :id)")
            .value(":ids", AttributeValue::Ss(vec![key.export.to_string()]))
            .value(":id", AttributeValue::S(key.export.to_string()))
            .value(":most", number(Export::OPEN_MAX));
        self.table.update(&Key::OpenExports(key.account, key.content), update, "register an export").await
    }

    /// Removes an export from the register, if it is there.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn unregister_export(&self, key: ExportKey) -> Result<(), Fault> {
        let update = UpdateExpression::new("DELETE ids :ids")
            .only_if("attribute_exists(pk)")
            .value(":ids", AttributeValue::Ss(vec![key.export.to_string()]));
        self.table
            .update(&Key::OpenExports(key.account, key.content), update, "unregister an export")
            .await
            .map(|_| ())
    }
}

fn item(export: &Export) -> Result<StoredItem, Fault> {
    let mut item = with_key(&Key::Export(export.key), export)?;
    let end = export.kept_until().timestamp();
    item.insert("ttl".to_owned(), number(u64::try_from(end).unwrap_or(0)));
    Ok(item)
}

fn read(item: StoredItem) -> Result<Export, Fault> {
    decode("an export", item)
}
