//! Thresholds of budgets that were reached.

use chrono::DateTime;

use crate::budget::counter_item::counter_of;
use crate::table::attribute::{number, number_of};
use crate::table::condition::UpdateExpression;
use crate::table::error::Fault;
use crate::table::key::{Key, StoredItem};
use crate::table::ledger::Ledger;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::{AccountId, Budget, BudgetId, BudgetReached, Credits};

impl Ledger {
    /// The highest threshold that a budget has reached in its present period and that was not announced; `None` when there is
    /// none. One read while nothing was reached.
    ///
    /// # Errors
    /// When the table does not answer; when the counter is unreadable.
    pub async fn reached_threshold(
        &self,
        account: AccountId,
        budget: BudgetId,
    ) -> Result<Option<BudgetReached>, Fault> {
        let key = Key::budget_counter(account, budget);
        let Some(item) = self.table.get(&key, "read how much of a budget is used").await? else {
            return Ok(None);
        };
        let counter = counter_of(&item)?;
        let limit = Credits::try_from(number_of(&item, "limit").unwrap_or_default()).unwrap_or_default();
        let Some(percent) = Budget::reached(&alerts_of(&item), limit, counter.used) else { return Ok(None) };
        if u64::from(percent) <= number_of(&item, "told").unwrap_or_default() {
            return Ok(None);
        }
        let Some(budget) = self.budget(account, budget).await? else { return Ok(None) };
        let period = counter.period.unwrap_or(DateTime::UNIX_EPOCH);
        Ok(Some(BudgetReached { budget: budget.into(), percent, period, limit, used: counter.used }))
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
