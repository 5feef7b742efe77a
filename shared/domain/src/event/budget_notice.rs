//! What is announced of budgets.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::value::timestamp;
use crate::{Budget, BudgetPeriod, BudgetRequest, BudgetRequestStatus, Credits, EventName};

/// A threshold of a budget that was reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetReached {
    /// The budget.
    pub budget: Box<Budget>,
    /// The threshold, in percent of the limit.
    pub percent: u8,
    /// The start of the period.
    pub period: DateTime<Utc>,
    /// The limit, with raises.
    pub limit: Credits,
    /// The credits used.
    pub used: Credits,
}

/// Something that is announced of a budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BudgetNotice {
    /// A threshold was reached.
    Reached(BudgetReached),
    /// A larger budget was asked for, or the request was answered.
    Request(Box<BudgetRequest>, Box<Budget>),
}

impl BudgetNotice {
    pub(super) fn name(&self) -> EventName {
        match self {
            Self::Reached(_) => EventName::BudgetReached,
            Self::Request(request, _) => match request.status {
                BudgetRequestStatus::Open => EventName::BudgetRequested,
                BudgetRequestStatus::Approved { .. } => EventName::BudgetRequestApproved,
                BudgetRequestStatus::Declined { .. } => EventName::BudgetRequestDeclined,
            },
        }
    }

    pub(super) fn source(&self) -> String {
        match self {
            Self::Reached(BudgetReached { budget, percent, period, limit, .. }) => {
                format!("budget {} {} {percent} of {}", budget.id, timestamp(*period), limit.get())
            }
            Self::Request(request, _) => format!("budget request {} {}", request.id, request.status.as_str()),
        }
    }

    pub(super) fn data(&self) -> Value {
        match self {
            Self::Reached(reached) => reached.data(),
            Self::Request(request, budget) => of_request(request, budget),
        }
    }
}

impl BudgetReached {
    fn data(&self) -> Value {
        let Self { budget, percent, period, limit, used } = self;
        let message = match (*percent, budget.action.as_str()) {
            (100, "block") if budget.period == BudgetPeriod::Once => {
                "A budget is used up; requests that need it are refused until it is raised".to_owned()
            }
            (100, "block") => {
                "A budget is used up; requests that need it are refused until it resets".to_owned()
            }
            (percent, _) => format!("A budget has reached {percent} % of its limit"),
        };
        json!({
            "budgetId": budget.id,
            "scope": budget.subject.level.as_str(),
            "id": budget.subject.id,
            "limit": limit,
            "used": used,
            "percent": percent,
            "period": budget.period.as_str(),
            "resetsAt": budget.period.at(*period).end.map(timestamp),
            "action": budget.action.as_str(),
            "message": message,
        })
    }
}

fn of_request(request: &BudgetRequest, budget: &Budget) -> Value {
    let mut data = json!({
        "requestId": request.id,
        "budgetId": budget.id,
        "scope": budget.subject.level.as_str(),
        "id": budget.subject.id,
        "amount": request.amount,
        "reason": request.reason,
        "askedBy": request.asked_by,
        "message": message(&request.status),
    });
    if let (Some(data), BudgetRequestStatus::Approved { amount, until, by, .. }) =
        (data.as_object_mut(), &request.status)
    {
        data.insert("approved".to_owned(), json!(amount));
        data.insert("until".to_owned(), json!(until.map(timestamp)));
        data.insert("by".to_owned(), json!(by));
    }
    if let (Some(data), BudgetRequestStatus::Declined { by, .. }) = (data.as_object_mut(), &request.status) {
        data.insert("by".to_owned(), json!(by));
    }
    data
}

fn message(status: &BudgetRequestStatus) -> &'static str {
    match status {
        BudgetRequestStatus::Open => "A larger budget was asked for",
        BudgetRequestStatus::Approved { .. } => "A budget was raised",
        BudgetRequestStatus::Declined { .. } => "A request for a larger budget was declined",
    }
}
