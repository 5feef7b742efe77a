//! The budgets of an account that a request has to do with, and what it adds to each.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{Budget, BudgetSubject, BudgetTime, Spending};
use crate::{BudgetAction, BudgetId, BudgetLevel, Credits, Details, TeamId};

/// The budgets of one subject, and the team of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubjectBudgets {
    /// Its budgets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub budgets: Vec<Budget>,
    /// The team of a member.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub team: Option<TeamId>,
}

impl SubjectBudgets {
    /// The maximum number of budgets of one subject.
    pub const MAX: usize = 12;

    /// Whether nothing is known of the subject.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.budgets.is_empty() && self.team.is_none()
    }
}

/// The budgets of the subjects that a request spends for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetBook(BTreeMap<BudgetSubject, SubjectBudgets>);

/// What a request adds to one budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetCharge {
    /// The budget.
    pub budget: Budget,
    /// The credits.
    pub amount: Credits,
    /// The period that it adds to.
    pub time: BudgetTime,
    /// When the request counts it.
    pub counted_at: DateTime<Utc>,
    /// The limit at the time of the request; `None` for a budget that refuses nothing.
    pub limit: Option<Credits>,
}

/// What a request adds to all budgets, in the order of levels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetCharges {
    /// One charge for each budget.
    pub charges: Vec<BudgetCharge>,
    items: BTreeMap<Option<usize>, BTreeSet<BudgetId>>,
}

impl BudgetBook {
    /// Adds what is known of a subject.
    pub fn add(&mut self, subject: BudgetSubject, known: SubjectBudgets) {
        self.0.insert(subject, known);
    }

    /// The team of a member, as a subject.
    #[must_use]
    pub fn team_of(&self, member: &BudgetSubject) -> Option<BudgetSubject> {
        let team = self.0.get(member)?.team?;
        Some(BudgetSubject::named(BudgetLevel::Team, team))
    }

    /// What these spendings add to each budget.
    #[must_use]
    pub fn charges(&self, spendings: &[Spending], now: DateTime<Utc>) -> BudgetCharges {
        let mut sums: BTreeMap<(BudgetSubject, BudgetId), BudgetCharge> = BTreeMap::new();
        let mut items: BTreeMap<Option<usize>, BTreeSet<BudgetId>> = BTreeMap::new();
        for spending in spendings.iter().filter(|spending| !spending.amount.is_zero()) {
            let known = spending.all_subjects(self).into_iter().filter_map(|subject| self.0.get(&subject));
            let budgets = known.flat_map(|known| &known.budgets).filter(|budget| budget.counts(spending));
            for budget in budgets {
                items.entry(spending.item).or_default().insert(budget.id);
                let blocks = budget.action == BudgetAction::Block;
                let charge =
                    sums.entry((budget.subject.clone(), budget.id)).or_insert_with(|| BudgetCharge {
                        budget: budget.clone(),
                        amount: Credits::ZERO,
                        time: budget.period.at(now),
                        counted_at: now,
                        limit: blocks.then(|| budget.limit_at(now)),
                    });
                charge.amount = charge.amount.plus(spending.amount).unwrap_or(Credits::MAX);
            }
        }
        BudgetCharges { charges: sums.into_values().collect(), items }
    }
}

impl BudgetCharges {
    /// Whether no budget counts the request.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.charges.is_empty()
    }

    /// The details with the budgets that count them: for a batch, those of each item.
    #[must_use]
    pub fn noted(&self, details: &Details) -> Details {
        let ids = |item: Option<usize>| -> Vec<BudgetId> {
            self.items.get(&item).map(|ids| ids.iter().copied().collect()).unwrap_or_default()
        };
        let mut details = Details { budgets: ids(None), ..details.clone() };
        for (place, item) in details.items.iter_mut().enumerate() {
            item.details.budgets = ids(Some(place));
        }
        details
    }
}
