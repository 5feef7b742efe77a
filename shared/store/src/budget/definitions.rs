//! Reading budgets: those that a request has to do with, one by its id, and all of an account.

use std::collections::BTreeSet;

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::table::attribute::sort_key;
use crate::table::budget_key::{BUDGET_SUBJECTS, budget_partition};
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use domain::{
    Account, AccountId, Budget, BudgetBook, BudgetCharges, BudgetId, BudgetLevel, BudgetMark, BudgetSubject,
    Details, Posting, Spending, SubjectBudgets,
};

/// How many queries one page of budgets makes at most, and how many subjects each reads.
const QUERIES_MAX: u32 = 4;
const SUBJECTS_AT_ONCE: i32 = 100;

/// The item of a subject.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SubjectItem {
    pub(crate) subject: BudgetSubject,
    #[serde(flatten)]
    pub(crate) known: SubjectBudgets,
    /// How often it was changed.
    pub(crate) v: u64,
}

/// The item that names the subject of a budget.
#[derive(Serialize, Deserialize)]
pub(crate) struct PlaceItem {
    pub(crate) subject: BudgetSubject,
}

/// The item with what all budgets of an account have in common.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct RegisterItem {
    /// How many budgets there are.
    pub(crate) budgets: u64,
    /// How many teams there are.
    #[serde(default)]
    pub(crate) teams: u64,
    pub(crate) mark: BudgetMark,
}

/// A page of an account's budgets.
#[derive(Clone, Debug, Default)]
pub struct BudgetPage {
    /// The budgets, by subject.
    pub budgets: Vec<Budget>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

impl Ledger {
    /// What a posting that was decided on `account` adds to budgets. An account that never had a budget costs no read; others
    /// one for each subject that this process does not know as of the account's mark.
    pub(crate) async fn budget_charges(
        &self,
        account: &Account,
        posting: &Posting,
        details: &Details,
    ) -> Result<BudgetCharges, Fault> {
        if account.budgets == BudgetMark::default() {
            return Ok(BudgetCharges::default());
        }
        let spendings = Spending::of(posting, details);
        let book = self.budget_book(account, &spendings).await?;
        // The entry may take effect later than the request arrived, in the next month.
        Ok(book.charges(&spendings, posting.entry.at))
    }

    async fn budget_book(&self, account: &Account, spendings: &[Spending]) -> Result<BudgetBook, Fault> {
        let mark = account.budgets;
        let matters = |subject: &BudgetSubject| {
            mark.has(subject.level) || (subject.level == BudgetLevel::Member && mark.has_teams())
        };
        let subjects: BTreeSet<_> = spendings.iter().flat_map(Spending::subjects).filter(matters).collect();
        let mut book = BudgetBook::default();
        let reads = subjects.iter().map(|subject| self.known_budgets(account, subject));
        for (subject, known) in subjects.iter().zip(try_join_all(reads).await?) {
            book.add(subject.clone(), known);
        }
        let teams: BTreeSet<_> = subjects.iter().filter_map(|subject| book.team_of(subject)).collect();
        let reads = teams.iter().map(|team| self.known_budgets(account, team));
        for (team, known) in teams.iter().zip(try_join_all(reads).await?) {
            book.add(team.clone(), known);
        }
        Ok(book)
    }

    async fn known_budgets(
        &self,
        account: &Account,
        subject: &BudgetSubject,
    ) -> Result<SubjectBudgets, Fault> {
        let (id, mark) = (account.id, account.budgets);
        if let Some(known) = self.budgets.get(id, mark, subject) {
            return Ok(known);
        }
        let known = self.subject(id, subject).await?.map(|item| item.known).unwrap_or_default();
        self.budgets.put(id, mark, subject.clone(), known.clone());
        Ok(known)
    }

    pub(crate) async fn subject(
        &self,
        account: AccountId,
        subject: &BudgetSubject,
    ) -> Result<Option<SubjectItem>, Fault> {
        let item = self.table.get(&Key::budget_subject(account, subject), "read budgets").await?;
        item.map(|item| decode("budgets", item)).transpose()
    }

    pub(crate) async fn budget_register(&self, account: AccountId) -> Result<Option<RegisterItem>, Fault> {
        let item = self.table.get(&Key::budget_register(account), "read the register of budgets").await?;
        item.map(|item| decode("the register of budgets", item)).transpose()
    }

    /// A budget by its id; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn budget(&self, account: AccountId, id: BudgetId) -> Result<Option<Budget>, Fault> {
        let Some(item) = self.table.get(&Key::budget_place(account, id), "look for a budget").await? else {
            return Ok(None);
        };
        let place: PlaceItem = decode("the place of a budget", item)?;
        let item = self.subject(account, &place.subject).await?;
        Ok(item.and_then(|item| item.known.budgets.into_iter().find(|budget| budget.id == id)))
    }

    /// The budgets of one subject.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn budgets_of(
        &self,
        account: AccountId,
        subject: &BudgetSubject,
    ) -> Result<Vec<Budget>, Fault> {
        Ok(self.subject(account, subject).await?.map(|item| item.known.budgets).unwrap_or_default())
    }

    /// The budgets of an account by subject: `limit`, and at most [`SubjectBudgets::MAX`] - 1 more, because a page ends with a
    /// subject. A page may have fewer, because members of teams and subjects whose budgets were deleted have items, too; it
    /// makes at most four queries.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn list_budgets(
        &self,
        account: AccountId,
        after: Option<&str>,
        limit: usize,
    ) -> Result<BudgetPage, Fault> {
        let mut page = BudgetPage { budgets: vec![], next: after.map(str::to_owned) };
        for _ in 0..QUERIES_MAX {
            let first = page.next.as_deref().unwrap_or(BUDGET_SUBJECTS);
            let keys = SortKeys::Between(format!("{first}\u{0}"), format!("{BUDGET_SUBJECTS}\u{10ffff}"));
            let query = ItemQuery::new(budget_partition(account), keys).limit(SUBJECTS_AT_ONCE);
            let read = self.table.query(query, "list budgets").await?;
            let has_more = read.last.is_some();
            let mut items = read.items.into_iter();
            for item in items.by_ref() {
                page.next = sort_key(&item).map(str::to_owned);
                page.budgets.extend(read_subject(item)?.known.budgets);
                if limit <= page.budgets.len() {
                    break;
                }
            }
            if !has_more && items.len() == 0 {
                page.next = None;
                break;
            }
            if limit <= page.budgets.len() {
                break;
            }
        }
        Ok(page)
    }
}

fn read_subject(item: StoredItem) -> Result<SubjectItem, Fault> {
    decode("budgets", item)
}
