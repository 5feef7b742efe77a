//! What transactions mean for budgets: credits that come back, and thresholds that were reached.

use std::collections::BTreeSet;

use domain::{BudgetId, BudgetNotice, EntryId, Notification, Receipt};

use futures_util::future::try_join_all;

use super::ProjectionError;
use super::account::AccountRecords;

/// What transactions mean for budgets.
#[derive(Default)]
pub(super) struct BudgetChanges {
    /// The budgets that have counted one of them.
    counted: BTreeSet<BudgetId>,
    /// The attempts that have become these transactions.
    landed: BTreeSet<EntryId>,
    /// Transactions that take from an earlier one, which a budget may have counted.
    drawn: Vec<Receipt>,
}

impl BudgetChanges {
    pub(super) fn add(&mut self, receipts: &[Receipt]) {
        self.counted.extend(receipts.iter().flat_map(|receipt| &receipt.details.budgets));
        self.landed.extend(receipts.iter().map(|receipt| receipt.entry.id));
        let gives_back =
            |receipt: &&Receipt| receipt.details.drawn.as_ref().is_some_and(|drawn| !drawn.is_capture());
        self.drawn.extend(receipts.iter().filter(gives_back).cloned());
    }
}

impl AccountRecords<'_> {
    /// Gives credits back to budgets and announces thresholds. Repeating it changes nothing. Accounts without budgets cost no
    /// read, except for refunds and releases: one for each.
    pub(super) async fn follow_budgets(self, changes: &BudgetChanges) -> Result<(), ProjectionError> {
        // In the order of their numbers: a budget remembers the last one that has given it something.
        for receipt in &changes.drawn {
            if let Some(gift) = self.ledger.budget_gift(self.id, receipt).await? {
                self.ledger.give_to_budgets(self.id, &gift).await?;
            }
        }
        let landed = &changes.landed;
        let reached =
            changes.counted.iter().map(|budget| self.ledger.reached_threshold(self.id, *budget, landed));
        for reached in try_join_all(reached).await?.into_iter().flatten() {
            let notice = Notification::Budget(Box::new(BudgetNotice::Reached(reached.clone())));
            self.ledger.emit(self.id, &notice, self.others.moment).await?;
            self.ledger.note_reached(self.id, &reached).await?;
        }
        Ok(())
    }
}
