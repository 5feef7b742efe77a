//! What a posting spends, as budgets see it.

use crate::{
    BatchOutcome, BudgetLevel, Credits, Details, Direction, KeyId, Operation, Posting, PriceCategory,
    Reference, Service,
};

use super::{BudgetBook, BudgetSubject};

/// The credits that one operation spends or holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spending {
    /// The credits.
    pub amount: Credits,
    /// The operation; `None` for a hold of a number of credits.
    pub operation: Option<Operation>,
    /// The operation's category in the price list.
    pub category: Option<PriceCategory>,
    /// The member of staff.
    pub member: Option<Reference>,
    /// The API key.
    pub key: Option<KeyId>,
    /// The customer.
    pub customer: Option<Reference>,
    /// The service.
    pub service: Option<Service>,
    /// Which item of a batch it is, from 0; `None` outside batches.
    pub item: Option<usize>,
}

impl Spending {
    /// What a posting with these details spends: one operation, or the charged items of a batch. Nothing for a posting
    /// that is no debit or hold of a caller's: a capture spends what its hold has counted.
    #[must_use]
    pub fn of(posting: &Posting, details: &Details) -> Vec<Self> {
        let entry = &posting.entry;
        if entry.direction != Direction::Debit {
            return vec![];
        }
        if entry.operation.as_str() == crate::ledger::BATCH {
            let items = details.items.iter().zip(&entry.parts).enumerate();
            return items
                .filter_map(|(place, (item, part))| match part {
                    BatchOutcome::Taken(amount) => {
                        let own = Self::new(*amount, item.operation(), &item.details);
                        Some(Self { key: details.key_id, item: Some(place), ..own })
                    }
                    BatchOutcome::Short { .. } | BatchOutcome::Unpriced => None,
                })
                .collect();
        }
        if entry.operation.as_str() == crate::ledger::HOLD {
            return vec![Self::new(entry.amount, details.purpose.clone(), details)];
        }
        if entry.operation.is_own() {
            return vec![];
        }
        vec![Self::new(entry.amount, Some(entry.operation.clone()), details)]
    }

    fn new(amount: Credits, operation: Option<Operation>, details: &Details) -> Self {
        Self {
            amount,
            operation,
            category: details.category,
            member: details.member_id.clone(),
            key: details.key_id,
            customer: details.customer_id.clone(),
            service: details.service,
            item: None,
        }
    }

    /// Whose spending it is at each level, without the member's team.
    #[must_use]
    pub fn subjects(&self) -> Vec<BudgetSubject> {
        let part = |level, id: &Option<Reference>| id.as_ref().map(|id| BudgetSubject::part(level, id));
        let named = |level, id: Option<String>| id.map(|id| BudgetSubject::named(level, id));
        let parts = [
            part(BudgetLevel::Member, &self.member),
            named(BudgetLevel::Key, self.key.map(String::from)),
            part(BudgetLevel::Customer, &self.customer),
            named(BudgetLevel::Service, self.service.map(|service| service.as_str().to_owned())),
            named(BudgetLevel::Operation, self.operation.clone().map(String::from)),
        ];
        [BudgetSubject::ORGANISATION].into_iter().chain(parts.into_iter().flatten()).collect()
    }

    /// The same with the member's team.
    pub(super) fn all_subjects(&self, book: &BudgetBook) -> Vec<BudgetSubject> {
        let mut subjects = self.subjects();
        let member = subjects.iter().find(|subject| subject.level == BudgetLevel::Member);
        subjects.extend(member.and_then(|member| book.team_of(member)));
        subjects
    }
}
