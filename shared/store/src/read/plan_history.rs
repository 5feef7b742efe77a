//! The history of an account's plans.

use chrono::{DateTime, Utc};

use crate::table::error::Fault;
use crate::table::item::{PlanSwitchItem, decode};
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use domain::{AccountId, EntryId, PlanTransition};

/// How many changes of plan a history has at most.
const HISTORY_MAX: i32 = 100;

/// A change of plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSwitch {
    /// The entry that made it.
    pub id: EntryId,
    /// The plans before and after it.
    pub switch: PlanTransition,
    /// When it was made.
    pub at: DateTime<Utc>,
}

impl Ledger {
    /// The changes of an account's plan, the latest first; at most a hundred.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn plan_history(&self, account: AccountId) -> Result<Vec<PlanSwitch>, Fault> {
        let query = ItemQuery::all(format!("PLANS#{account}")).falling().limit(HISTORY_MAX);
        let items = self.table.query(query, "read changes of plan").await?.items.into_iter();
        items
            .map(|item| {
                let PlanSwitchItem { id, switch, at } = decode("a change of plan", item)?;
                Ok(PlanSwitch { id, switch, at })
            })
            .collect()
    }
}
