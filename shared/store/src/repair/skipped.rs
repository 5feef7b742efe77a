//! Records of the stream that the projector skipped because an item was unreadable.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::attribute::{sort_key, text};
use crate::table::damage;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem, skipped_partition};
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use crate::table::stream_image::StreamImage;
use domain::AccountId;

/// How many skipped records of an account are read at most: more changes than a broken account can make before every
/// function has read its broken item.
const SKIPPED_MAX: i32 = 1_000;

/// How many digits a record's position has: those of a stream have up to 40.
const POSITION_DIGITS: usize = 40;

/// A skipped record.
pub(crate) struct SkippedRecord {
    /// Its position in the stream, which its key is made of.
    pub(crate) position: String,
    /// The item that it shows.
    pub(crate) image: StoredItem,
}

impl Ledger {
    /// Stores a record of the stream that the projector cannot read, so that it is found again once the cause is
    /// repaired. A repeated call stores nothing more.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn keep_skipped(
        &self,
        account: AccountId,
        position: &str,
        image: StreamImage,
        why: &Fault,
    ) -> Result<(), Fault> {
        let mut image = StoredItem::from(image);
        image.retain(|name, _| !["pk", "sk"].contains(&name.as_str()));
        let mut item = Key::Skipped(account, format!("{position:0>POSITION_DIGITS$}")).attributes();
        item.insert("why".to_owned(), text(why.to_string()));
        item.insert("image".to_owned(), AttributeValue::M(image));
        self.table.put_new(item, "keep a record of the stream").await.map(|_| ())
    }

    /// The skipped records of an account, in the order of the stream.
    pub(crate) async fn skipped(&self, account: AccountId) -> Result<Vec<SkippedRecord>, Fault> {
        let query = ItemQuery::all(skipped_partition(account)).limit(SKIPPED_MAX);
        let mut records = Vec::new();
        for item in self.table.query(query, "read skipped records").await?.items {
            let Some(position) = sort_key(&item).map(str::to_owned) else { continue };
            match item.get("image") {
                Some(AttributeValue::M(image)) => {
                    records.push(SkippedRecord { position, image: image.clone() });
                }
                Some(_) | None => {
                    tracing::error!(%account, place = position, "a skipped record is unreadable")
                }
            }
        }
        Ok(records)
    }

    /// Writes the missing rows of skipped records whose items are now readable. Returns whether there were any.
    ///
    /// # Errors
    /// When the table does not answer; when an item is still unreadable.
    pub async fn complete_skipped(&self, account: AccountId) -> Result<bool, Fault> {
        let mut completed = false;
        for SkippedRecord { position, image } in self.skipped(account).await? {
            let known = self.complete(&damage::read_account(account, image)?).await?;
            self.drop_skipped(account, position).await?;
            completed |= known.is_some();
        }
        Ok(completed)
    }

    pub(crate) async fn drop_skipped(&self, account: AccountId, position: String) -> Result<(), Fault> {
        self.table.delete(&Key::Skipped(account, position), "drop a skipped record").await
    }
}
