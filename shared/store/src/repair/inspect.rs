//! Inspecting and freezing an account without reading its item.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::table::attribute::{number, text};
use crate::table::condition::UpdateExpression;
use crate::table::damage::{Damage, damages};
use crate::table::error::Fault;
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use domain::{Account, AccountId};

/// The state of an account's item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inspected {
    /// There is no item.
    Missing,
    /// It is readable.
    Reads(Box<Account>),
    /// It is unreadable.
    Broken {
        /// The unreadable attributes.
        damages: Vec<Damage>,
        /// Whether an operator has frozen the account; `None` when that is unreadable too.
        frozen: Option<bool>,
    },
}

impl Ledger {
    /// The state of an account's item now.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn inspect(&self, id: AccountId) -> Result<Inspected, Fault> {
        let Some(item) = self.table.get(&Key::Account(id), "read an account").await? else {
            return Ok(Inspected::Missing);
        };
        let frozen = match item.get("frozen") {
            Some(AttributeValue::Bool(frozen)) => Some(*frozen),
            None => Some(false),
            Some(_) => None,
        };
        Ok(match self.read_account(id, item.clone()) {
            Ok(account) => Inspected::Reads(Box::new(account)),
            Err(_) => Inspected::Broken { damages: damages(id, &item), frozen },
        })
    }

    /// Freezes or unfreezes an account whose item is unreadable, without reading it. `false` when there is no such
    /// account. The revision grows, so that a function that has cached the account decides again.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn set_frozen_unread(&self, id: AccountId, frozen: bool) -> Result<bool, Fault> {
        self.accounts.forget(id);
        // Where the revision is no number, no decision can land anyway.
        Ok(self.freeze_item(id, frozen, true).await? || self.freeze_item(id, frozen, false).await?)
    }

    async fn freeze_item(&self, id: AccountId, frozen: bool, revises: bool) -> Result<bool, Fault> {
        let update = if revises {
            UpdateExpression::new("SET #frozen = :frozen, #rev = #rev + :one")
                .only_if("attribute_exists(pk) AND attribute_type(#rev, :number)")
                .name("#rev", "rev")
                .value(":one", number(1))
                .value(":number", text("N"))
        } else {
            UpdateExpression::new("SET #frozen = :frozen").only_if("attribute_exists(pk)")
        };
        let update = update.name("#frozen", "frozen").value(":frozen", AttributeValue::Bool(frozen));
        self.table.update(&Key::Account(id), update, "freeze an account").await
    }
}
