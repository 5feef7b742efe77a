//! Teams.

use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};

use crate::budget::changes::MarkedChange;
use crate::budget::definitions::SubjectItem;
use crate::table::attribute::sort_key;
use crate::table::backoff::backoff;
use crate::table::budget_key::{TEAMS, budget_partition};
use crate::table::condition::Condition;
use crate::table::error::Fault;
use crate::table::item::{decode, with_key};
use crate::table::key::Key;
use crate::table::ledger::Ledger;
use crate::table::query::{ItemQuery, SortKeys};
use crate::table::requests::Write;
use domain::{AccountId, BudgetLevel, BudgetMark, BudgetSubject, Reference, Team, TeamId, TeamMembers};

/// The maximum number of teams of an account.
pub const TEAMS_MAX: u64 = 200;

/// The maximum number of members that one request moves into or out of a team: each is an item of one transaction, which has at
/// most 100.
const MOVED_MAX: usize = 90;

/// How often a change is made again because another one was made first.
const ATTEMPTS_MAX: u32 = 40;

/// How a team was created, changed or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TeamChanged {
    /// The team as it is now, or as it was before it was deleted.
    Changed(Box<Team>),
    /// This member is in another team.
    InAnother(Reference, TeamId),
    /// The request moves more than 90 members.
    TooManyMoves,
    /// The account has the maximum number of teams.
    TooMany,
    /// The team has budgets, which have to be deleted first.
    HasBudgets,
    /// There is no such team, or no such account.
    Absent,
}

/// A page of an account's teams.
#[derive(Clone, Debug, Default)]
pub struct TeamPage {
    /// The teams, the oldest first.
    pub teams: Vec<Team>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<String>,
}

/// The item of a team.
#[derive(Clone, Serialize, Deserialize)]
struct TeamItem {
    #[serde(flatten)]
    team: Team,
    /// How often it was changed.
    v: u64,
}

impl TeamItem {
    fn put(&self, account: AccountId, known: Option<u64>) -> Result<Write<'static>, Fault> {
        let item = with_key(&Key::team(account, self.team.id), self)?;
        Ok(Write::PutIf(item, Condition::at("v", known)))
    }
}

/// A change of a team: as it was, if it was, and as it is to be, if it is to be.
struct TeamChange<'a> {
    account: AccountId,
    /// The account's mark before the team was read: every change of it or of its budgets changes the mark.
    mark: BudgetMark,
    before: Option<&'a TeamItem>,
    after: Option<&'a TeamItem>,
}

impl Ledger {
    /// Creates a team.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn create_team(&self, account: AccountId, team: Team) -> Result<TeamChanged, Fault> {
        let new = TeamItem { team, v: 1 };
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(mark) = self.budget_mark(account).await? else { return Ok(TeamChanged::Absent) };
            if let Some(made) = self.team_item(account, new.team.id).await? {
                return Ok(TeamChanged::Changed(made.team.into()));
            }
            let change = TeamChange { account, mark, before: None, after: Some(&new) };
            if let Some(outcome) = self.write_team(change).await? {
                return Ok(outcome);
            }
        }
        Err(Fault::Busy)
    }

    /// Changes the name or the members of a team.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn change_team(
        &self,
        account: AccountId,
        id: TeamId,
        name: Option<Reference>,
        members: Option<TeamMembers>,
    ) -> Result<TeamChanged, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(mark) = self.budget_mark(account).await? else { return Ok(TeamChanged::Absent) };
            let Some(before) = self.team_item(account, id).await? else { return Ok(TeamChanged::Absent) };
            let mut after = before.clone();
            after.v = before.v.saturating_add(1);
            after.team.name = name.clone().unwrap_or(after.team.name);
            after.team.members = members.clone().unwrap_or(after.team.members);
            if after.team == before.team {
                return Ok(TeamChanged::Changed(before.team.into()));
            }
            let change = TeamChange { account, mark, before: Some(&before), after: Some(&after) };
            if let Some(outcome) = self.write_team(change).await? {
                return Ok(outcome);
            }
        }
        Err(Fault::Busy)
    }

    /// Deletes a team without budgets.
    ///
    /// # Errors
    /// When the table does not answer; when others change budgets too often at the same time.
    pub async fn delete_team(&self, account: AccountId, id: TeamId) -> Result<TeamChanged, Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let Some(mark) = self.budget_mark(account).await? else { return Ok(TeamChanged::Absent) };
            let Some(before) = self.team_item(account, id).await? else { return Ok(TeamChanged::Absent) };
            let subject = subject_of(id);
            if !self.budgets_of(account, &subject).await?.is_empty() {
                return Ok(TeamChanged::HasBudgets);
            }
            let change = TeamChange { account, mark, before: Some(&before), after: None };
            if let Some(outcome) = self.write_team(change).await? {
                return Ok(outcome);
            }
        }
        Err(Fault::Busy)
    }

    /// A team; `None` when there is none.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn team(&self, account: AccountId, id: TeamId) -> Result<Option<Team>, Fault> {
        Ok(self.team_item(account, id).await?.map(|item| item.team))
    }

    /// The teams of an account, the oldest first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn list_teams(
        &self,
        account: AccountId,
        after: Option<&str>,
        limit: i32,
    ) -> Result<TeamPage, Fault> {
        let first = after.map_or_else(|| TEAMS.to_owned(), |after| format!("{after}\u{0}"));
        let keys = SortKeys::Between(first, format!("{TEAMS}\u{10ffff}"));
        let page = self
            .table
            .query(ItemQuery::new(budget_partition(account), keys).limit(limit), "list teams")
            .await?;
        let next = page.items.last().and_then(sort_key).map(str::to_owned).filter(|_| page.last.is_some());
        let teams = page.items.into_iter().map(|item| Ok(decode::<TeamItem>("a team", item)?.team));
        Ok(TeamPage { teams: teams.collect::<Result<_, Fault>>()?, next })
    }

    pub(crate) async fn team_exists(
        &self,
        account: AccountId,
        subject: &BudgetSubject,
    ) -> Result<bool, Fault> {
        let id = subject.id.as_ref().and_then(|id| TeamId::try_from(id.as_str().to_owned()).ok());
        match id {
            Some(id) => Ok(self.team_item(account, id).await?.is_some()),
            None => Ok(false),
        }
    }

    async fn team_item(&self, account: AccountId, id: TeamId) -> Result<Option<TeamItem>, Fault> {
        let item = self.table.get(&Key::team(account, id), "read a team").await?;
        item.map(|item| decode("a team", item)).transpose()
    }

    /// Writes a changed team with its members' items, in one transaction; `None` when others have changed one of them first.
    async fn write_team(&self, change: TeamChange<'_>) -> Result<Option<TeamChanged>, Fault> {
        let TeamChange { account, mark, before, after } = change;
        let Some(shown) = after.or(before) else { return Ok(Some(TeamChanged::Absent)) };
        let register = self.budget_register(account).await?;
        let teams = register.as_ref().map_or(0, |register| register.teams);
        let more = match (before, after) {
            (None, _) if TEAMS_MAX <= teams => return Ok(Some(TeamChanged::TooMany)),
            (None, _) => 1,
            (_, None) => -1,
            (Some(_), Some(_)) => 0,
        };
        let level = BudgetLevel::Team;
        let change = MarkedChange { account, mark, register, budgets: 0, teams: more, level };
        let mut writes = change.writes()?;
        match self.member_moves(account, before, after).await? {
            MemberMoves::Writes(moves) => writes.extend(moves),
            MemberMoves::Not(outcome) => return Ok(Some(outcome)),
        }
        writes.push(match after {
            Some(after) => after.put(account, before.map(|before| before.v))?,
            None => Write::Delete(Key::team(account, shown.team.id)),
        });
        let refused = self.table.write_together(writes, "write a team").await?;
        self.accounts.forget(account);
        Ok(refused.is_none().then(|| TeamChanged::Changed(shown.team.clone().into())))
    }
}

/// What has to be written for members that join or leave.
enum MemberMoves {
    Writes(Vec<Write<'static>>),
    Not(TeamChanged),
}

impl Ledger {
    async fn member_moves(
        &self,
        account: AccountId,
        before: Option<&TeamItem>,
        after: Option<&TeamItem>,
    ) -> Result<MemberMoves, Fault> {
        let members =
            |item: Option<&TeamItem>| item.map(|item| item.team.members.clone()).unwrap_or_default();
        let (old, new) = (members(before), members(after));
        let joins = new.iter().filter(|member| !old.contains(member)).map(|member| (member, true));
        let leaves = old.iter().filter(|member| !new.contains(member)).map(|member| (member, false));
        let moves: Vec<_> = joins.chain(leaves).collect();
        if MOVED_MAX < moves.len() {
            return Ok(MemberMoves::Not(TeamChanged::TooManyMoves));
        }
        let Some(team) = after.or(before).map(|item| item.team.id) else {
            return Ok(MemberMoves::Writes(vec![]));
        };
        let subjects: Vec<_> =
            moves.iter().map(|(member, _)| BudgetSubject::part(BudgetLevel::Member, member)).collect();
        let known = try_join_all(subjects.iter().map(|subject| self.subject(account, subject))).await?;
        let mut writes = vec![];
        for ((subject, known), (member, joins)) in subjects.iter().zip(known).zip(moves) {
            let mut item = known.unwrap_or_else(|| SubjectItem::empty(subject.clone()));
            if let Some(other) = item.known.team.filter(|other| *other != team) {
                return Ok(MemberMoves::Not(TeamChanged::InAnother(member.clone(), other)));
            }
            item.known.team = joins.then_some(team);
            writes.push(item.write(account)?);
        }
        Ok(MemberMoves::Writes(writes))
    }
}

fn subject_of(id: TeamId) -> BudgetSubject {
    BudgetSubject { level: BudgetLevel::Team, id: Reference::try_from(String::from(id)).ok() }
}
