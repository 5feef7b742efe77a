//! What is watched of an account: its alerts and its auto-recharge, by one read.

use crate::table::attribute::sort_key;
use crate::table::error::Fault;
use crate::table::item::decode;
use crate::table::key::watch_partition;
use crate::table::ledger::Ledger;
use crate::table::query::ItemQuery;
use domain::{AccountId, AlertSettings, AlertState, AutoRecharge};

/// The alert settings, the alert state and the auto-recharge of an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The alert settings.
    pub alerts: AlertSettings,
    /// The alert state.
    pub state: AlertState,
    /// Auto-recharge; `None` where the owner never set it.
    pub recharge: Option<AutoRecharge>,
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
                Some("S") => watch.state = decode("an alert state", item)?,
                Some(_) | None => watch.alerts = decode("alerts", item)?,
            }
        }
        Ok(watch)
    }
}
