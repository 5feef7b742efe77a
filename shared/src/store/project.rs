use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValuesOnConditionCheckFailure};
use chrono::{DateTime, Utc};
use tracing::warn;

use super::item::{AccountItem, decode};
use super::key::{Item, Key};
use super::{Fault, Ledger};
use crate::domain::{Account, AccountId};

/// The attribute of the watermark's item.
const WATERMARK: &str = "seq";

/// An entry that the stream showed and whose row is known to exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Projected {
    /// Whose entry.
    pub account: AccountId,
    /// The number of its first line.
    pub first: u64,
    /// That of its last; the same but for a batch.
    pub sequence: u64,
    /// Where its row lies in time.
    pub time: DateTime<Utc>,
}

/// An item as the stream shows it, from whichever client read it.
pub type Image = serde_dynamo::Item;

/// Reads an account from an image of the stream; `None` for an item of another kind.
///
/// # Errors
/// [`Fault::Corrupt`] when it says it is an account and does not read as one.
pub fn account_image(image: Image) -> Result<Option<Account>, Fault> {
    let image = Item::from(image);
    let Some(AttributeValue::S(pk)) = image.get("pk") else { return Ok(None) };
    let Some(name) = pk.strip_prefix("ACCT#") else { return Ok(None) };
    let id = name.parse().map_err(|_| Fault::corrupt("an account", "its key"))?;
    decode::<AccountItem>("an account", image)?.account(id).map(Some)
}

impl Ledger {
    /// Makes sure that the row of the account's last entry exists, whatever crashed. `None` when the
    /// account was just opened and has no entry.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn complete(&self, account: &Account) -> Result<Option<Projected>, Fault> {
        let Some(last) = &account.last else { return Ok(None) };
        let is_whole = if last.rows() == 1 {
            self.get(&Key::Row(account.id, last.id), false, "look for a row").await?.is_some()
        } else {
            let rows = self.rows_between(account.id, (last.id, last.last_id())).await?;
            u64::try_from(rows.len()) == Ok(last.rows())
        };
        if !is_whole {
            let details = self.details(account.id, last).await?;
            for receipt in account.receipts(details) {
                self.record(account.id, &receipt).await?;
            }
        }
        let first = account.sequence.saturating_sub(last.rows()).saturating_add(1);
        let time = account.floor().time();
        Ok(Some(Projected { account: account.id, first, sequence: account.sequence, time }))
    }

    /// The sequence through which every row of an account is known to exist.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn watermark(&self, account: AccountId) -> Result<u64, Fault> {
        let Some(item) = self.get(&Key::Watermark(account), true, "read a watermark").await? else {
            return Ok(0);
        };
        Ok(through(&item).unwrap_or(0))
    }

    /// Moves the watermark: the rows `first..=last` exist. Where the stream has lost the records before
    /// them, their rows are looked for: whoever made an entry mostly wrote its row too. `now` is no
    /// earlier than the last of them.
    ///
    /// # Errors
    /// [`Fault::Corrupt`] when rows before `first` are missing, which only a copy of the stream could
    /// mend. When the table does not serve.
    pub async fn mark(
        &self,
        account: AccountId,
        (first, last): (u64, u64),
        now: DateTime<Utc>,
    ) -> Result<(), Fault> {
        let before = first.saturating_sub(1);
        let Some(known) = self.move_mark(account, before, last).await? else { return Ok(()) };
        if known >= last {
            return Ok(());
        }
        if self.rows_exist(account, (known, first), now).await? {
            warn!(%account, known, first, "the stream has lost records; their rows exist");
            self.move_mark(account, known, last).await?;
            return Ok(());
        }
        Err(Fault::corrupt(
            "the stream",
            format!("rows of {account} between {known} and {first} are missing"),
        ))
    }

    /// Moves the watermark from `before` or above to `last`; where it lies otherwise, says where.
    async fn move_mark(&self, account: AccountId, before: u64, last: u64) -> Result<Option<u64>, Fault> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let known = "(#through >= :before AND #through < :last)";
        let condition =
            if before == 0 { format!("attribute_not_exists(#through) OR {known}") } else { known.to_owned() };
        let update = self.client.update_item().table_name(&self.table);
        let update = update.set_key(Some(Key::Watermark(account).attributes()));
        let update = update.update_expression("SET #through = :last").condition_expression(condition);
        let update = update.expression_attribute_names("#through", WATERMARK);
        let update = update.expression_attribute_values(":last", number(last));
        let update = update.expression_attribute_values(":before", number(before));
        let update =
            update.return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = update.send().await else { return Ok(None) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(lost)) => {
                Ok(Some(lost.item.as_ref().and_then(through).unwrap_or(0)))
            }
            Some(_) | None => Err(Fault::unavailable("move a watermark")(error.into())),
        }
    }
}

fn through(item: &Item) -> Option<u64> {
    match item.get(WATERMARK) {
        Some(AttributeValue::N(digits)) => digits.parse().ok(),
        Some(_) | None => None,
    }
}
