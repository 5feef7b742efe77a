//! Thresholds of budgets that were reached.

use std::collections::BTreeSet;

use chrono::DateTime;
use futures_util::future::try_join_all;

use crate::budget::counter_item::counter_of;
use crate::table::attribute::{number, number_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AccountId, Budget, BudgetCounter, BudgetId, BudgetReached, Credits, EntryId};

impl Ledger {
    /// The highest threshold that transactions have reached in a budget's present period and that was not announced; `None`
    /// when there is none. Charges whose attempts have not landed, and may never, do not count. `landed` are attempts that have.
    /// One read while nothing was reached; then one more for each charge that is open.
    ///
    /// # Errors
    /// When the table does not answer; when the counter is unreadable.
    pub async fn reached_threshold(
        &self,
        account: AccountId,
        budget: BudgetId,
        landed: &BTreeSet<EntryId>,
    ) -> Result<Option<BudgetReached>, Fault> {
        let key = Key::budget_counter(account, budget);
        let Some(item) = self.table.get(&key, "read how much of a budget is used").await? else {
            return Ok(None);
        };
        let counter = counter_of(&item)?;
        let limit = Credits::try_from(number_of(&item, "limit").unwrap_or_default()).unwrap_or_default();
        let (alerts, told) = (alerts_of(&item), number_of(&item, "told").unwrap_or_default());
        let new = |used| Budget::reached(&alerts, limit, used).filter(|percent| told < u64::from(*percent));
        if new(counter.used).is_none() {
            return Ok(None);
        }
        let used = self.landed_use(account, &counter, landed).await?;
        let Some(percent) = new(used) else { return Ok(None) };
        let Some(budget) = self.budget(account, budget).await? else { return Ok(None) };
        let period = counter.period.unwrap_or(DateTime::UNIX_EPOCH);
        Ok(Some(BudgetReached { budget: budget.into(), percent, period, limit, used }))
    }

    /// What a counter counts, without the open charges whose attempts have not landed. Those are counted with their
    /// transactions.
    async fn landed_use(
        &self,
        account: AccountId,
        counter: &BudgetCounter,
        landed: &BTreeSet<EntryId>,
    ) -> Result<Credits, Fault> {
        let open: Vec<_> = counter.open.iter().filter(|(attempt, _)| !landed.contains(attempt)).collect();
        let rows = try_join_all(open.iter().map(|(attempt, _)| self.transaction(account, **attempt))).await?;
        let missing = open.iter().zip(rows).filter(|(_, row)| row.is_none());
        let missing = missing.fold(0u64, |sum, ((_, open), _)| sum.saturating_add(open.amount.get()));
        Ok(Credits::try_from(counter.used.get().saturating_sub(missing)).unwrap_or_default())
    }

    /// Notes that a threshold was announced.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn note_reached(&self, account: AccountId, reached: &BudgetReached) -> Result<(), Fault> {
        let update = UpdateExpression::new("SET #told = :percent")
            .name("#told", "told")
            .name("#period", "period")
            .value(":percent", number(u64::from(reached.percent)))
            .value(":period", AttributeValue::N(reached.period.timestamp().to_string()))
            .only_if("#period = :period AND (attribute_not_exists(#told) OR #told < :percent)");
        let key = Key::budget_counter(account, reached.budget.id);
        self.table.update(&key, update, "note that a threshold was announced").await.map(|_| ())
    }
}

fn alerts_of(item: &StoredItem) -> Vec<u8> {
    let Some(AttributeValue::L(alerts)) = item.get("alerts") else { return vec![] };
    alerts.iter().filter_map(|percent| percent.as_n().ok()?.parse().ok()).collect()
}
