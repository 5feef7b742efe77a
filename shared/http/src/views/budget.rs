//! Budgets, teams and requests as callers see them.

use chrono::{DateTime, Utc};
use domain::{Budget, BudgetCounter, BudgetRequest, BudgetRequestStatus, Credits, Team};
use serde::Serialize;
use utoipa::ToSchema;

use super::budget_filter::OnlyField;
use crate::timestamp;

/// A budget, and how much of it is used.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Budget)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "budgetId": "budget_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "scope": "member", "id": "member_42", "only": null, "limit": 100,
    "period": "day", "action": "block", "alertAt": [50, 80, 100], "raises": [], "effectiveLimit": 100, "used": 30,
    "remaining": 70, "resetsAt": "2024-01-16T00:00:00Z", "createdAt": "2024-01-15T10:30:00Z"
}))]
pub struct BudgetView {
    /// `budget_…`
    budget_id: String,
    /// organisation, team, member, key, customer, service or operation.
    scope: &'static str,
    /// Whose spending it limits; null for the organisation.
    id: Option<String>,
    /// Which part of that spending it limits; null for all of it.
    only: Option<OnlyField>,
    /// How many credits a period may spend or hold, without raises.
    limit: u64,
    /// day, week, month or once.
    period: &'static str,
    /// block or alert.
    action: &'static str,
    /// At which percentages of the limit the event budget.reached is sent.
    alert_at: Vec<u8>,
    /// What was added to the limit and has not ended.
    raises: Vec<RaiseView>,
    /// The limit with the raises.
    effective_limit: u64,
    /// How many credits the present period has spent or holds, without what was given back.
    used: u64,
    /// How many credits the present period can still spend.
    remaining: u64,
    /// When the next period begins; null for a budget that does not reset.
    resets_at: Option<String>,
    /// When it was created.
    created_at: String,
}

/// An addition to a limit that ends.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BudgetRaise)]
struct RaiseView {
    /// The credits that it adds.
    amount: u64,
    /// When it ends.
    until: String,
}

impl BudgetView {
    /// A budget and its counter at `now`.
    #[must_use]
    pub fn of(budget: &Budget, counter: &BudgetCounter, now: DateTime<Utc>) -> Self {
        let time = budget.period.at(now);
        let limit = budget.limit_at(now);
        let used = counter.used_in(time.start);
        let raises = budget.raises.iter().filter(|raise| now < raise.until);
        Self {
            budget_id: budget.id.to_string(),
            scope: budget.subject.level.as_str(),
            id: budget.subject.id.clone().map(String::from),
            only: budget.only.as_ref().map(OnlyField::from),
            limit: budget.limit.get(),
            period: budget.period.as_str(),
            action: budget.action.as_str(),
            alert_at: budget.alert_at.clone(),
            raises: raises
                .map(|raise| RaiseView { amount: raise.amount.get(), until: timestamp::text(&raise.until) })
                .collect(),
            effective_limit: limit.get(),
            used: used.get(),
            remaining: limit.less(used).unwrap_or(Credits::ZERO).get(),
            resets_at: time.end.as_ref().map(timestamp::text),
            created_at: timestamp::text(&budget.created_at),
        }
    }
}

/// A team.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Team)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "teamId": "team_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "name": "Onboarding", "members": ["member_42", "member_43"],
    "createdAt": "2024-01-15T10:30:00Z"
}))]
pub struct TeamView {
    /// `team_…`
    team_id: String,
    /// Its name.
    name: String,
    /// Its members: the ids that requests send as `memberId`.
    members: Vec<String>,
    /// When it was created.
    created_at: String,
}

impl From<&Team> for TeamView {
    fn from(team: &Team) -> Self {
        Self {
            team_id: team.id.to_string(),
            name: team.name.as_str().to_owned(),
            members: team.members.iter().map(|member| member.as_str().to_owned()).collect(),
            created_at: timestamp::text(&team.created_at),
        }
    }
}

/// A request for a larger budget.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = BudgetRequest)]
#[serde(rename_all = "camelCase")]
#[schema(example = json!({
    "requestId": "breq_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "budgetId": "budget_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "amount": 50,
    "reason": "Month-end checks", "askedBy": "key_01HM6QY8R0Z3V9Q2T5W7X8Y9ZA", "createdAt": "2024-01-15T10:30:00Z",
    "status": "approved", "approved": 50, "until": "2024-01-16T00:00:00Z", "answeredBy": "key_01HM6QY8R0Z3V9Q2T5W7X8Y9ZB",
    "answeredAt": "2024-01-15T10:35:00Z"
}))]
pub struct BudgetRequestView {
    /// `breq_…`
    request_id: String,
    /// The budget.
    budget_id: String,
    /// How many credits were asked for, beyond the limit.
    amount: u64,
    /// Why.
    reason: Option<String>,
    /// Who asked.
    asked_by: String,
    /// When it was made.
    created_at: String,
    /// open, approved or declined.
    status: &'static str,
    /// How many credits were added to the limit; null unless it was approved.
    approved: Option<u64>,
    /// When the raise ends; null for one that does not end, and for a request that was not approved.
    until: Option<String>,
    /// Who answered it.
    answered_by: Option<String>,
    /// When it was answered.
    answered_at: Option<String>,
}

impl From<&BudgetRequest> for BudgetRequestView {
    fn from(request: &BudgetRequest) -> Self {
        let (approved, until, by, at) = match &request.status {
            BudgetRequestStatus::Open => (None, None, None, None),
            BudgetRequestStatus::Approved { amount, until, by, at } => {
                (Some(amount.get()), *until, Some(by.clone()), Some(*at))
            }
            BudgetRequestStatus::Declined { by, at } => (None, None, Some(by.clone()), Some(*at)),
        };
        Self {
            request_id: request.id.to_string(),
            budget_id: request.budget.to_string(),
            amount: request.amount.get(),
            reason: request.reason.clone().map(String::from),
            asked_by: request.asked_by.clone(),
            created_at: timestamp::text(&request.created_at),
            status: request.status.as_str(),
            approved,
            until: until.as_ref().map(timestamp::text),
            answered_by: by,
            answered_at: at.as_ref().map(timestamp::text),
        }
    }
}
