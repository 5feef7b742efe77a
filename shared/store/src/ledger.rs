use std::error::Error;

use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_sdk_dynamodb::{Client, Config};
use futures_util::future::join_all;
use tracing::warn;

use super::hints::Hints;
use super::item::{ClaimItem, RowItem, decode, with_key};
use super::key::{Item, Key, row_partition};
use super::{ClaimsOf, Fault, Unsettled};
use domain::{Account, AccountId, ClaimKey, Details, Entry, EntryId, Period, Receipt};

/// The accounts, their claims and their rows: one table, with a stream.
#[derive(Debug)]
pub struct Ledger {
    /// Repeats a call whose answer was lost. For reads, and for writes that may be made twice.
    pub(super) client: Client,
    /// Sends every call once. For the debit: it is arithmetic, and must never be made twice.
    pub(super) once: Client,
    pub(super) table: String,
    pub(super) hints: Hints,
}

/// How many rows of a batch are written at the same time.
const ROWS_AT_ONCE: usize = 25;

impl Ledger {
    /// A ledger kept in `table`.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        let once = config.to_builder().retry_config(RetryConfig::disabled()).build();
        Self {
            client: Client::from_conf(config.clone()),
            once: Client::from_conf(once),
            table: table.into(),
            hints: Hints::default(),
        }
    }

    /// Takes `account` for what was last seen of it, however old it is. A hint decides nothing: tests serve any
    /// earlier version, and no answer differs.
    pub fn take_for_last_seen(&self, account: &Account) {
        self.hints.replace(account);
    }

    /// Opens an account; nothing happens when it is open already.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn open(&self, account: &Account) -> Result<(), Fault> {
        // The directory first: an account that is not in it would be renewed by nobody but its callers.
        self.list_account(account.id).await?;
        let item = super::expression::opened(account)?;
        self.put_new(item, "open an account").await.map(|_| ())
    }

    /// The account, strongly consistent; `None` when there is no such organisation.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, Fault> {
        let item = self.get(&Key::Account(id), true, "read an account").await?;
        let account = item.map(|item| self.read_account(id, item)).transpose()?;
        if let Some(account) = &account {
            self.hints.put(account);
        }
        Ok(account)
    }

    /// One transaction of an account, by its id.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn transaction(&self, account: AccountId, id: EntryId) -> Result<Option<Receipt>, Fault> {
        let item = self.get(&Key::Row(account, id), true, "read a transaction").await?;
        item.map(|item| Ok(decode::<RowItem>("a transaction", item)?.receipt())).transpose()
    }

    /// All lines of the ledger that an attempt has made: one, or those of a batch. `None` when it has made
    /// none that is recorded.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] while some of them are not recorded; [`Unsettled::Failed`] when the table
    /// does not serve.
    pub(super) async fn lines(
        &self,
        account: AccountId,
        attempt: EntryId,
    ) -> Result<Option<Vec<Receipt>>, Unsettled> {
        let Some(first) = self.transaction(account, attempt).await? else { return Ok(None) };
        let rows = first.details.batch.map_or(1, |place| place.rows);
        if rows <= 1 {
            return Ok(Some(vec![first]));
        }
        let last = attempt.after(u64::from(rows).saturating_sub(1));
        let items = self.items_between(account, (attempt, last), true).await?;
        if items.len() == usize::try_from(rows).unwrap_or(usize::MAX) {
            let line = |item| Ok(decode::<RowItem>("a transaction", item)?.receipt());
            Ok(Some(items.into_iter().map(line).collect::<Result<_, Fault>>()?))
        } else {
            Err(Unsettled::InProgress)
        }
    }

    /// The rows with ids from one to another, both of one month, rising.
    pub(super) async fn items_between(
        &self,
        account: AccountId,
        (first, last): (EntryId, EntryId),
        consistent: bool,
    ) -> Result<Vec<Item>, Fault> {
        let text = |text: String| AttributeValue::S(text);
        let query = self.client.query().table_name(&self.table).consistent_read(consistent);
        let items = query
            .key_condition_expression("pk = :pk AND sk BETWEEN :first AND :last")
            .expression_attribute_values(":pk", text(row_partition(account, Period::of(first.time()))))
            .expression_attribute_values(":first", text(first.bare()))
            .expression_attribute_values(":last", text(last.bare()))
            .into_paginator()
            .items()
            .send();
        let items = items.collect::<Result<Vec<_>, _>>().await;
        items.map_err(|error| Fault::unavailable("read the lines of a batch")(error.into()))
    }

    /// What the claim of an entry says of it; nothing for what the ledger does by itself. All that
    /// moved stands in the entry, so one whose claim is gone or has changed hands is still told.
    pub(super) async fn details(&self, account: AccountId, entry: &Entry) -> Result<Details, Fault> {
        let Some(key) = &entry.claim else { return Ok(Details::default()) };
        let claim = self.claim_of(ClaimsOf::Account(account), key).await?;
        let claim = claim.filter(|claim| claim.id == entry.id);
        if claim.is_none() {
            warn!(account = %account, transaction = %entry.id, "the claim is gone; the row has no details");
        }
        Ok(claim.map(|claim| claim.details).unwrap_or_default())
    }

    pub(super) async fn claim_of(&self, of: ClaimsOf, key: &ClaimKey) -> Result<Option<ClaimItem>, Fault> {
        let item = self.get(&Key::Claim(of, key), true, "read a claim").await?;
        item.map(|item| decode("a claim", item)).transpose()
    }

    /// Writes a transaction's row. Written twice it is the same row, so the first one stays.
    pub(super) async fn record(&self, account: AccountId, receipt: &Receipt) -> Result<(), Fault> {
        self.remember_plan(account, receipt).await?;
        self.remember_hold(account, receipt).await?;
        let item = with_key(&Key::Row(account, receipt.entry.id), &RowItem::from(receipt))?;
        self.put_new(item, "record a transaction").await.map(|_| ())
    }

    /// Records what has landed. The answer does not hang on it: if a write fails, the projector makes it
    /// from the stream.
    pub(super) async fn record_or_leave(&self, account: AccountId, receipts: &[Receipt]) {
        for some in receipts.chunks(ROWS_AT_ONCE) {
            let records = some.iter().map(|receipt| self.record(account, receipt));
            for (receipt, done) in some.iter().zip(join_all(records).await) {
                if let Err(fault) = done {
                    warn!(account = %account, transaction = %receipt.entry.id, fault = &fault as &dyn Error, "row left to the projector");
                }
            }
        }
    }

    pub(super) async fn get(
        &self,
        key: &Key<'_>,
        consistent: bool,
        doing: &'static str,
    ) -> Result<Option<Item>, Fault> {
        let get = self.client.get_item().table_name(&self.table).set_key(Some(key.attributes()));
        let got = get.consistent_read(consistent).send().await;
        got.map(|answer| answer.item).map_err(|error| Fault::unavailable(doing)(error.into()))
    }

    /// Writes an item unless one of its key exists; then that one comes back.
    pub(super) async fn put_new(&self, item: Item, doing: &'static str) -> Result<Option<Item>, Fault> {
        use aws_sdk_dynamodb::operation::put_item::PutItemError::ConditionalCheckFailedException;
        use aws_sdk_dynamodb::types::ReturnValuesOnConditionCheckFailure::AllOld;

        let put = self.client.put_item().table_name(&self.table).set_item(Some(item));
        let put = put.condition_expression("attribute_not_exists(pk)");
        match put.return_values_on_condition_check_failure(AllOld).send().await {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(ConditionalCheckFailedException(existing)) => {
                    Ok(Some(existing.item.clone().unwrap_or_default()))
                }
                Some(_) | None => Err(Fault::unavailable(doing)(error.into())),
            },
        }
    }
}
