//! The budgets that this process knows of each account.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use domain::{AccountId, BudgetMark, BudgetSubject, SubjectBudgets};

/// How many accounts, and how many subjects of one, a process caches. At this number they are forgotten.
const ACCOUNTS_MAX: usize = 500;
const SUBJECTS_MAX: usize = 500;

/// The budgets of subjects as of an account's mark. Every change of a budget changes the mark, so what is cached under the
/// present mark is current for as long as the mark stays.
#[derive(Debug, Default)]
pub(crate) struct BudgetCache(Mutex<HashMap<AccountId, KnownBudgets>>);

#[derive(Debug, Default)]
struct KnownBudgets {
    mark: BudgetMark,
    subjects: HashMap<BudgetSubject, SubjectBudgets>,
}

impl BudgetCache {
    /// The budgets of a subject, if they are known as of `mark`.
    pub(crate) fn get(
        &self,
        account: AccountId,
        mark: BudgetMark,
        subject: &BudgetSubject,
    ) -> Option<SubjectBudgets> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = known.get(&account).filter(|known| known.mark == mark)?;
        known.subjects.get(subject).cloned()
    }

    /// Keeps the budgets of a subject as of `mark`: they were read after the mark, with strong consistency.
    pub(crate) fn put(
        &self,
        account: AccountId,
        mark: BudgetMark,
        subject: BudgetSubject,
        budgets: SubjectBudgets,
    ) {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if ACCOUNTS_MAX <= accounts.len() && !accounts.contains_key(&account) {
            accounts.clear();
        }
        let known = accounts.entry(account).or_default();
        if known.mark != mark || SUBJECTS_MAX <= known.subjects.len() {
            *known = KnownBudgets { mark, ..KnownBudgets::default() };
        }
        known.subjects.insert(subject, budgets);
    }
}
