//! The ledger table, and reads of accounts and transactions by their ids.

use aws_sdk_dynamodb::Config;
use aws_sdk_dynamodb::config::retry::RetryConfig;

use crate::table::account_cache::AccountCache;
use crate::table::budget_cache::BudgetCache;
use crate::table::budget_lanes::BudgetLanes;
use crate::table::damage;
use crate::table::error::Fault;
use crate::table::item::receipt;
use crate::table::key::{Key, StoredItem, row_partition};
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Table;
use crate::table::row_backlog::RowBacklog;
use crate::table::row_heat::RowHeat;
use crate::table::row_query::AccountRows;
use domain::{Account, AccountId, EntryId, Period, Receipt, RowShards};

/// The accounts, their claims and their rows: one table, with a stream.
#[derive(Debug)]
pub struct Ledger {
    /// Repeats a call whose answer was lost. For reads, and for writes that may be made twice.
    pub(crate) table: Table,
    /// Sends every call once. For writes that are arithmetic, which must never be made twice.
    pub(crate) once: Table,
    pub(crate) accounts: AccountCache,
    /// The rows that this process could not write.
    pub(crate) backlog: RowBacklog,
    pub(crate) heat: RowHeat,
    /// The budgets that this process knows.
    pub(crate) budgets: BudgetCache,
    /// What this process has charged to budgets.
    pub(crate) lanes: BudgetLanes,
}

impl Ledger {
    /// A ledger kept in `table`.
    #[must_use]
    pub fn new(config: &Config, table: impl Into<String>) -> Self {
        let once = config.to_builder().retry_config(RetryConfig::disabled()).build();
        let table = table.into();
        Self {
            table: Table::new(config, table.clone()),
            once: Table::new(&once, table),
            accounts: AccountCache::default(),
            backlog: RowBacklog::default(),
            heat: RowHeat::default(),
            budgets: BudgetCache::default(),
            lanes: BudgetLanes::default(),
        }
    }

    /// Puts any version of an account into the cache, however old. No answer depends on what is cached; tests prove
    /// it with this function.
    pub fn cache_account(&self, account: &Account) {
        self.accounts.replace(account);
    }

    /// The account, strongly consistent; `None` when there is no such organisation.
    ///
    /// # Errors
    /// When the table does not answer; when the account's item is unreadable.
    pub async fn account(&self, id: AccountId) -> Result<Option<Account>, Fault> {
        let item = self.table.get(&Key::Account(id), "read an account").await?;
        let account = item.map(|item| self.read_account(id, item)).transpose()?;
        if let Some(account) = &account {
            self.accounts.put(account);
        }
        Ok(account)
    }

    /// Reads an account from its item. An unreadable one is removed from the cache, so that its old state is not used.
    pub(crate) fn read_account(&self, id: AccountId, item: StoredItem) -> Result<Account, Fault> {
        damage::read_account(id, item).inspect_err(|_| self.accounts.forget(id))
    }

    /// One transaction of an account, by its id.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn transaction(&self, account: AccountId, id: EntryId) -> Result<Option<Receipt>, Fault> {
        self.table.get(&Key::Row(account, id), "read a transaction").await?.map(receipt).transpose()
    }

    /// The rows of an account in all shards that have some: in as many as there can be where the account's item is missing
    /// or unreadable.
    pub(crate) async fn rows_of_account(&self, id: AccountId) -> Result<AccountRows, Fault> {
        let item = self.table.get(&Key::Account(id), "read an account").await?;
        let account = item.and_then(|item| damage::read_account(id, item).ok());
        let shards = account.map_or(RowShards::MAX, |account| account.row_shards);
        Ok(AccountRows { account: id, shards })
    }

    /// The rows with ids from `first` to `last`, both of one month and shard, by rising ids.
    pub(crate) async fn rows_between(
        &self,
        account: AccountId,
        first: EntryId,
        last: EntryId,
        consistent: bool,
    ) -> Result<Vec<StoredItem>, Fault> {
        let partition = row_partition(account, Period::of(first.time()), first.row_shard());
        let query = ItemQuery::new(partition, SortKeys::Between(first.bare(), last.bare()));
        self.table.query_all(query.consistent(consistent), "read the lines of a batch").await
    }
}
