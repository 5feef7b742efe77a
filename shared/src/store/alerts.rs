use super::item::{decode, with_key};
use super::key::Key;
use super::{Fault, Ledger};
use crate::domain::{AccountId, Alerts};

impl Ledger {
    /// How an organisation wants to be told of things; as anybody does who has said nothing.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn alerts(&self, account: AccountId) -> Result<Alerts, Fault> {
        let item = self.get(&Key::Alerts(account), true, "read alerts").await?;
        Ok(item.map(|item| decode("alerts", item)).transpose()?.unwrap_or_default())
    }

    /// Writes alerts with a revision one higher, which comes back; `None` when somebody has written them
    /// since they were read. The first have revision 0.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn save_alerts(&self, account: AccountId, alerts: Alerts) -> Result<Option<Alerts>, Fault> {
        let seen = Some(alerts.revision).filter(|revision| *revision > 0);
        let next = Alerts { revision: alerts.revision.saturating_add(1), ..alerts };
        let saved = self.replace(with_key(&Key::Alerts(account), &next)?, seen, "save alerts").await?;
        let saved = saved || self.alerts(account).await? == next;
        Ok(saved.then_some(next))
    }
}
