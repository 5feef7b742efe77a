use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{Account, AccountId};

/// How many accounts a warm function remembers. About 10 MB at most; past it, all are forgotten
/// and read again as they come.
const HINTS_MAX: usize = 10_000;

/// The last state seen of each account. A hint may be old and is never wrong: what is decided on it
/// lands only if it still holds, and nobody is refused on it.
#[derive(Debug, Default)]
pub(super) struct Hints(Mutex<HashMap<AccountId, Account>>);

impl Hints {
    pub(super) fn get(&self, id: AccountId) -> Option<Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned()
    }

    /// Forgets an account: it is read again when it comes.
    pub(super) fn forget(&self, id: AccountId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }

    /// Takes `account` for what was last seen, however old it is.
    pub(super) fn replace(&self, account: &Account) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(account.id, account.clone());
    }

    /// Remembers `account`, unless something newer is known.
    pub(super) fn put(&self, account: &Account) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.get(&account.id).is_some_and(|known| known.sequence > account.sequence) {
            return;
        }
        if known.len() >= HINTS_MAX && !known.contains_key(&account.id) {
            known.clear();
        }
        known.insert(account.id, account.clone());
    }
}
