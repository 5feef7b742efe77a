//! API keys that spend far more than they used to: found in the order of the ledger, announced and paused.

use domain::{
    BurnRates, KeySpending, Notification, OrganisationSwitches, Receipt, RunawayAction, RunawayKey,
    RunawayNotice,
};
use store::Fault;

use super::account::AccountRecords;

/// What transactions have spent of keys, with their numbers.
#[derive(Default)]
pub(super) struct KeySpendings(Vec<(u64, KeySpending)>);

impl KeySpendings {
    pub(super) fn add(&mut self, receipts: &[Receipt]) {
        let spent = |receipt: &Receipt| Some((receipt.sequence, KeySpending::of(receipt)?));
        self.0.extend(receipts.iter().filter_map(spent));
    }

    /// Counts what was spent after the number `through`, and returns the keys that were found in it. Both depend only on the
    /// rates through that number and on the transactions.
    pub(super) fn counted(&self, rates: &BurnRates, through: u64) -> (BurnRates, Vec<RunawayKey>) {
        let mut rates = rates.clone();
        let new = self.0.iter().filter(|(number, _)| through < *number);
        let found = new.filter_map(|(_, spending)| rates.add(spending)).collect();
        (rates, found)
    }
}

impl AccountRecords<'_> {
    /// Pauses keys where their organisation wants that, and announces them. Repeating it changes nothing. Reads the
    /// organisation for each key; without any it costs nothing.
    pub(super) async fn follow_runaways(self, found: &[RunawayKey]) -> Result<(), Fault> {
        let (settings, org, moment) = (self.others.settings, self.id.org, self.others.moment);
        for runaway in found {
            let Some(organisation) = settings.current_organisation(org).await? else { return Ok(()) };
            let OrganisationSwitches { runaway_keys, .. } = organisation.switches();
            let is_paused = match runaway_keys {
                RunawayAction::Off => continue,
                RunawayAction::Announce => false,
                RunawayAction::Pause => settings.pause_key(org, runaway.key, moment.now).await?,
            };
            let key = runaway.key;
            tracing::warn!(account = %self.id, %key, is_paused, "an API key spends far more than it used to");
            let notice = RunawayNotice::Found { runaway: *runaway, is_paused };
            self.ledger.emit(self.id, &Notification::Runaway(notice.into()), moment).await?;
        }
        Ok(())
    }
}
