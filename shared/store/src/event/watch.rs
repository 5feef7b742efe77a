//! What is watched of an account: its alerts and its auto-recharge, by one read.

use serde::{Deserialize, Serialize};

use crate::event::outbox::Outbox;
use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::watch_partition;
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use domain::{AccountId, AlertSettings, AlertState, AutoRecharge};

/// The item of an alert state, and the events that follow from its last change.
#[derive(Serialize, Deserialize)]
pub(crate) struct AlertStateItem {
    #[serde(flatten)]
    pub(crate) state: AlertState,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) out: Option<Outbox>,
}

/// The alert settings, the alert state and the auto-recharge of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The alert settings.
    pub alerts: AlertSettings,
    /// The alert state.
    pub state: AlertState,
    /// Auto-recharge; `None` where the owner never set it.
    pub recharge: Option<AutoRecharge>,
    /// The events of the alert state that are not emitted yet.
    pub(crate) outbox: Option<Outbox>,
}

impl Ledger {
    /// What is watched of an account. An eventually consistent read may return what was stored up to a second or so
    /// before.
    ///
    /// # Errors
    /// When the table does not answer; when an item is unreadable.
    pub async fn watch(&self, account: AccountId, consistent: bool) -> Result<Watch, Fault> {
        let query = ItemQuery::all(watch_partition(account)).consistent(consistent);
        let mut watch = Watch::default();
        for item in self.table.query(query, "read alerts and auto-recharge").await?.items {
            match sort_key(&item) {
                Some("R") => watch.recharge = Some(decode("auto-recharge", item)?),
                Some("S") => {
                    let AlertStateItem { state, out } = decode("an alert state", item)?;
                    (watch.state, watch.outbox) = (state, out);
                }
                Some(_) | None => watch.alerts = decode("alerts", item)?,
            }
        }
        Ok(watch)
    }
}
