//! Rows that this process could not write.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::{AccountId, EntryId, Receipt};

/// How many rows a process remembers at most: some 20 MB. At this number all are left to the projector alone.
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
        let rows = accounts.values().map(|left| left.rows().len()).fold(0usize, usize::saturating_add);
        if ROWS_MAX <= rows {
            accounts.clear();
        }
        accounts.entry(account).or_default().rows().push(receipt.clone());
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

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Account, Allowance, Credits, Details, Mode, OrgId, PlanId, due};

    fn account() -> (AccountId, Receipt) {
        let now = "2024-01-15T10:30:00Z".parse().unwrap();
        let id = AccountId { org: OrgId::new(now, 1), mode: Mode::Live };
        let open = Account::open(id, PlanId("free".to_owned()), Allowance::Monthly(Credits::ZERO), now);
        let renewed = due(&open, now).and_then(|posting| open.clone().apply(&posting)).unwrap();
        (id, renewed.receipts(Details::default()).remove(0))
    }

    #[test]
    fn an_account_without_missing_rows_is_forgotten() {
        let (id, receipt) = account();
        let backlog = RowBacklog::default();
        backlog.leave(id, &receipt);
        let left = backlog.of(id).unwrap();
        backlog.close(id);
        assert_eq!(backlog.of(id).unwrap().rows().len(), 1);
        left.written(receipt.entry.id);
        backlog.close(id);
        assert!(backlog.of(id).is_none());
    }

    /// At the limit all rows are left to the projector, so that accounts that never return do not fill it for ever.
    #[test]
    fn the_rows_that_are_remembered_are_bounded() {
        let (id, receipt) = account();
        let backlog = RowBacklog::default();
        for _ in 0..ROWS_MAX {
            backlog.leave(id, &receipt);
        }
        assert_eq!(backlog.of(id).unwrap().rows().len(), ROWS_MAX);
        backlog.leave(id, &receipt);
        assert_eq!(backlog.of(id).unwrap().rows().len(), 1);
    }
}
