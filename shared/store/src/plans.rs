use aws_sdk_dynamodb::types::AttributeValue;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::item::{decode, with_key};
use super::key::Key;
use super::{Fault, Ledger};
use domain::{AccountId, Entry, EntryId, Receipt, Switch};

/// How many changes of plan a history tells.
const HISTORY_MAX: i32 = 100;

/// A change of plan, as the history has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanSwitch {
    /// The entry that made it.
    pub id: EntryId,
    /// From which plan to which.
    pub switch: Switch,
    /// When.
    pub at: DateTime<Utc>,
}

#[derive(Serialize, Deserialize)]
struct SwitchItem {
    id: EntryId,
    #[serde(flatten)]
    switch: Switch,
    #[serde(with = "chrono::serde::ts_seconds")]
    at: DateTime<Utc>,
}

impl Ledger {
    /// Adds an entry that changed the plan to the history. It is written before the entry's row, so that
    /// whoever finds the row finds the history whole.
    pub(super) async fn remember_plan(&self, account: AccountId, receipt: &Receipt) -> Result<(), Fault> {
        let switch = receipt.entry.switch.clone().filter(|switch| switch.from != switch.to);
        let Some(switch) = switch else { return Ok(()) };
        let Entry { id, at, .. } = &receipt.entry;
        let item = SwitchItem { id: *id, switch, at: *at };
        let item = with_key(&Key::Switch(account, receipt.sequence), &item)?;
        self.put_new(item, "remember a change of plan").await.map(|_| ())
    }

    /// The changes of an account's plan, the latest first; at most a hundred.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn plan_history(&self, account: AccountId) -> Result<Vec<PlanSwitch>, Fault> {
        let query = self.client.query().table_name(&self.table).consistent_read(true);
        let answer = query
            .key_condition_expression("pk = :pk")
            .expression_attribute_values(":pk", AttributeValue::S(format!("PLANS#{account}")))
            .scan_index_forward(false)
            .limit(HISTORY_MAX)
            .send()
            .await
            .map_err(|error| Fault::unavailable("read changes of plan")(error.into()))?;
        let items = answer.items.unwrap_or_default().into_iter();
        items
            .map(|item| {
                let SwitchItem { id, switch, at } = decode("a change of plan", item)?;
                Ok(PlanSwitch { id, switch, at })
            })
            .collect()
    }
}
