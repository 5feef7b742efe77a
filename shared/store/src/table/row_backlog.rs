//! Rows that this process could not write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{AccountId, EntryId, Receipt};

/// How many rows a process remembers at most: some 20 MB. Rows beyond are left to the projector alone.
const ROWS_MAX: usize = 10_000;

/// The rows that this process could not write, by account.
///
/// The projector writes them too, from the stream. They are remembered so that an account does not make rows faster than
/// they can be written: a request is refused, before it is charged, while rows of earlier requests of the same process are
/// missing. A process thus leaves no more rows of an account than its requests make that are under way at once.
#[derive(Debug, Default)]
pub(crate) struct RowBacklog(Mutex<HashMap<AccountId, Arc<AccountBacklog>>>);

#[derive(Debug, Default)]
pub(crate) struct AccountBacklog {
    rows: Mutex<Vec<Receipt>>,
    /// Held by the request that writes them.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

impl RowBacklog {
    /// Remembers a row that could not be written.
    pub(crate) fn leave(&self, account: AccountId, receipt: &Receipt) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.values().map(|left| left.rows().len()).fold(0usize, usize::saturating_add) < ROWS_MAX {
            accounts.entry(account).or_default().rows().push(receipt.clone());
        }
    }

    /// The rows of an account that could not be written.
    pub(crate) fn of(&self, account: AccountId) -> Option<Arc<AccountBacklog>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&account).cloned()
    }

    /// Forgets an account that has no such rows any more.
    pub(crate) fn close(&self, account: AccountId) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.get(&account).is_some_and(|left| left.rows().is_empty()) {
            accounts.remove(&account);
        }
    }
}

impl AccountBacklog {
    pub(crate) fn rows(&self) -> std::sync::MutexGuard<'_, Vec<Receipt>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn written(&self, id: EntryId) {
        self.rows().retain(|receipt| receipt.entry.id != id);
    }
}
