//! Changes of budgets. Each is one transaction that also changes the account's mark, so a debit that was decided before it
//! does not land after it.

use crate::budget::budget_requests::is_open;
use crate::budget::definitions::{PlaceItem, RegisterItem, SubjectItem};
use crate::table::attribute::number;
use crate::table::backoff::backoff;
use crate::table::condition::{Condition, UpdateExpression};
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::table::requests::Write;
use domain::{
    AccountId, BadBudget, Budget, BudgetId, BudgetLevel, BudgetMark, BudgetRequest, BudgetRequestStatus,
    BudgetSubject, SubjectBudgets,
};

/// The maximum number of budgets of an account.
pub const BUDGETS_MAX: u64 = 10_000;

/// How often a change is made again because another one was made first.
const ATTEMPTS_MAX: u32 = 40;

/// How a budget was created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetChanged {
    /// It exists; also where an earlier attempt of the same request has created it.
    Created(Box<Budget>),
    /// The subject has the maximum number of budgets.
    SubjectFull,
    /// The account has the maximum number of budgets.
    AccountFull,
    /// There is no such team.
    NoTeam,
    /// There is no such account.
    NoAccount,
}

/// How a budget was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangedBudget {
    /// The budget as it is now, or as it was before it was deleted.
    Changed(Box<Budget>),
    /// It cannot be like that.
    Bad(BadBudget),
    /// There is no such budget.
    Absent,
}

/// How a request for a larger budget was approved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ApprovedRequest {
    /// The budget as it is now.
    Raised(Box<Budget>),
    /// The request was answered before, and nothing has changed.
    AnsweredBefore(Box<BudgetRequest>),
    /// The budget cannot be raised like that.
    Bad(BadBudget),
    /// The budget was deleted.
    NoBudget,
}

impl Ledger {
    /// Creates a budget.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn create_budget(&self, account: AccountId, new: Budget) -> Result<BudgetChanged, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(mark) = self.budget_mark(account).await? else { return Ok(BudgetChanged::NoAccount) };
            let item = self.subject(account, &new.subject).await?;
            let mut item = item.unwrap_or_else(|| SubjectItem::empty(new.subject.clone()));
            if let Some(made) = item.known.budgets.iter().find(|budget| budget.id == new.id) {
                return Ok(BudgetChanged::Created(made.clone().into()));
            }
            if new.subject.level == BudgetLevel::Team && !self.team_exists(account, &new.subject).await? {
                return Ok(BudgetChanged::NoTeam);
            }
            if SubjectBudgets::MAX <= item.known.budgets.len() {
                return Ok(BudgetChanged::SubjectFull);
            }
            let register = self.budget_register(account).await?;
            if register.as_ref().is_some_and(|register| BUDGETS_MAX <= register.budgets) {
                return Ok(BudgetChanged::AccountFull);
            }
            item.known.budgets.push(new.clone());
            let place = PlaceItem { subject: new.subject.clone() };
            let place = with_key(&Key::budget_place(account, new.id), &place)?;
            let change =
                MarkedChange { account, mark, register, budgets: 1, teams: 0, level: new.subject.level };
            let mut writes = change.writes()?;
            writes.push(Write::PutIf(place, Condition::absent()));
            writes.push(item.write(account)?);
            if self.table.write_together(writes, "create a budget").await?.is_none() {
                self.accounts.forget(account);
                return Ok(BudgetChanged::Created(new.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Changes a budget by `change`.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn change_budget(
        &self,
        account: AccountId,
        id: BudgetId,
        change: impl Fn(Budget) -> Result<Budget, BadBudget>,
    ) -> Result<ChangedBudget, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((mark, mut item)) = self.subject_of_budget(account, id).await? else {
                return Ok(ChangedBudget::Absent);
            };
            let Some(known) = item.known.budgets.iter_mut().find(|budget| budget.id == id) else {
                return Ok(ChangedBudget::Absent);
            };
            let changed = match change(known.clone()) {
                Ok(changed) => changed,
                Err(bad) => return Ok(ChangedBudget::Bad(bad)),
            };
            if *known == changed {
                return Ok(ChangedBudget::Changed(changed.into()));
            }
            known.clone_from(&changed);
            let register = self.budget_register(account).await?;
            let level = item.subject.level;
            let mut writes =
                MarkedChange { account, mark, register, budgets: 0, teams: 0, level }.writes()?;
            writes.push(item.write(account)?);
            if self.table.write_together(writes, "change a budget").await?.is_none() {
                self.accounts.forget(account);
                return Ok(ChangedBudget::Changed(changed.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Raises a budget and answers the request that asked for it, both or neither.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn approve_budget_request(
        &self,
        account: AccountId,
        answered: &BudgetRequest,
        raise: impl Fn(Budget) -> Result<Budget, BadBudget>,
    ) -> Result<ApprovedRequest, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let known = self.budget_request(account, answered.id).await?;
            if let Some(known) = known.filter(|known| known.status != BudgetRequestStatus::Open) {
                return Ok(ApprovedRequest::AnsweredBefore(known.into()));
            }
            let Some((mark, mut item)) = self.subject_of_budget(account, answered.budget).await? else {
                return Ok(ApprovedRequest::NoBudget);
            };
            let Some(budget) = item.known.budgets.iter_mut().find(|budget| budget.id == answered.budget)
            else {
                return Ok(ApprovedRequest::NoBudget);
            };
            match raise(budget.clone()) {
                Ok(raised) => *budget = raised,
                Err(bad) => return Ok(ApprovedRequest::Bad(bad)),
            }
            let raised = budget.clone();
            let register = self.budget_register(account).await?;
            let level = item.subject.level;
            let mut writes =
                MarkedChange { account, mark, register, budgets: 0, teams: 0, level }.writes()?;
            writes.push(item.write(account)?);
            let answer = with_key(&Key::budget_request(account, answered.id), answered)?;
            writes.push(Write::PutIf(answer, is_open()));
            if self.table.write_together(writes, "raise a budget").await?.is_none() {
                self.accounts.forget(account);
                return Ok(ApprovedRequest::Raised(raised.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// Deletes a budget.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn delete_budget(&self, account: AccountId, id: BudgetId) -> Result<ChangedBudget, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some((mark, mut item)) = self.subject_of_budget(account, id).await? else {
                return Ok(ChangedBudget::Absent);
            };
            let Some(place) = item.known.budgets.iter().position(|budget| budget.id == id) else {
                return Ok(ChangedBudget::Absent);
            };
            let deleted = item.known.budgets.remove(place);
            let register = self.budget_register(account).await?;
            let level = item.subject.level;
            let mut writes =
                MarkedChange { account, mark, register, budgets: -1, teams: 0, level }.writes()?;
            writes.push(item.write(account)?);
            writes.push(Write::Delete(Key::budget_place(account, id)));
            if self.table.write_together(writes, "delete a budget").await?.is_none() {
                self.accounts.forget(account);
                // A request that was decided before still finds its counter; nothing reads it any more.
                self.table.delete(&Key::budget_counter(account, id), "delete a budget's counter").await?;
                return Ok(ChangedBudget::Changed(deleted.into()));
            }
        }
        Err(Fault::Busy)
    }

    /// The account's mark, and the subject of a budget.
    async fn subject_of_budget(
        &self,
        account: AccountId,
        id: BudgetId,
    ) -> Result<Option<(BudgetMark, SubjectItem)>, Fault> {
        let Some(mark) = self.budget_mark(account).await? else { return Ok(None) };
        let place = self.table.get(&Key::budget_place(account, id), "look for a budget").await?;
        let Some(place) = place else { return Ok(None) };
        let place: PlaceItem = decode("the place of a budget", place)?;
        Ok(self.subject(account, &place.subject).await?.map(|item| (mark, item)))
    }

    /// The account's mark of its budgets; `None` without an account.
    pub(crate) async fn budget_mark(&self, account: AccountId) -> Result<Option<BudgetMark>, Fault> {
        Ok(self.account(account).await?.map(|account| account.budgets))
    }
}

impl SubjectItem {
    pub(crate) fn empty(subject: BudgetSubject) -> Self {
        Self { subject, known: SubjectBudgets::default(), v: 0 }
    }

    /// The write of the changed item, if it was not changed since it was read. A subject without anything stays as an empty
    /// item, so that its number of changes goes on.
    pub(crate) fn write<'a>(mut self, account: AccountId) -> Result<Write<'a>, Fault> {
        let condition = Condition::at("v", Some(self.v).filter(|v| 0 < *v));
        self.v = self.v.saturating_add(1);
        Ok(Write::PutIf(with_key(&Key::budget_subject(account, &self.subject), &self)?, condition))
    }
}

/// What every change of budgets writes: the account's mark, and the register with the same mark.
pub(crate) struct MarkedChange {
    pub(crate) account: AccountId,
    pub(crate) mark: BudgetMark,
    pub(crate) register: Option<RegisterItem>,
    /// By how much the number of budgets changes.
    pub(crate) budgets: i64,
    /// By how much the number of teams changes.
    pub(crate) teams: i64,
    pub(crate) level: BudgetLevel,
}

impl MarkedChange {
    pub(crate) fn writes<'a>(self) -> Result<Vec<Write<'a>>, Fault> {
        let known = self.register.as_ref().map(|register| register.mark.get());
        let mut register = self.register.unwrap_or_default();
        let mark = self.mark.changed(self.level);
        register.mark = mark;
        register.budgets = register.budgets.saturating_add_signed(self.budgets);
        register.teams = register.teams.saturating_add_signed(self.teams);
        let update = UpdateExpression::new("SET bud = :mark").value(":mark", number(mark.get()));
        let update = if self.mark.get() == 0 {
            update.only_if("attribute_exists(pk) AND attribute_not_exists(bud)")
        } else {
            update.only_if("bud = :known").value(":known", number(self.mark.get()))
        };
        let item = with_key(&Key::budget_register(self.account), &register)?;
        let condition = Condition::at("mark", known);
        Ok(vec![Write::Update(Key::Account(self.account), update), Write::PutIf(item, condition)])
    }
}
