//! The last state that this process has seen of each account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{Account, AccountId};

/// How many accounts a warm function caches: about 10 MB at most. At this number the cache is emptied.
const ACCOUNTS_MAX: usize = 10_000;

/// The last state seen of each account: a hint. It may be old, which is safe: a decision based on it lands only if it
/// still holds, and no request is refused on it.
#[derive(Debug, Default)]
pub(crate) struct AccountCache(Mutex<HashMap<AccountId, Account>>);

impl AccountCache {
    pub(crate) fn get(&self, id: AccountId) -> Option<Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Removes an account, so that the next request reads it.
    pub(crate) fn forget(&self, id: AccountId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Caches `account`, even in place of a newer state.
    pub(crate) fn replace(&self, account: &Account) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account.id, account.clone());
    }

    /// Caches `account`, unless a newer state is cached.
    pub(crate) fn put(&self, account: &Account) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&account.id).is_some_and(|known| known.sequence > account.sequence) {
            return;
        }
        if known.len() >= ACCOUNTS_MAX && !known.contains_key(&account.id) {
            known.clear();
        }
        known.insert(account.id, account.clone());
    }
}
