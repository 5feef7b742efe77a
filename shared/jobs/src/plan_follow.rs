//! The job after a plan change: applies the plan of a live ledger to its organisation and test ledger.

use super::Jobs;
use domain::{AccountId, ChangePlan, ChangePlanCause, Details, Fingerprint, Mode, Refusal, change_plan};
use store::{Claim, Moment, Unsettled, system_key};

impl Jobs<'_> {
    /// Applies the plan of a live ledger to the organisation, for its limits, and to the test ledger. A repeated call, or
    /// one for an older change, changes nothing.
    ///
    /// # Errors
    /// When a table is unavailable; the call should then be retried.
    pub async fn apply_plan(&self, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
        let Some(live) = self.ledger.account(account).await? else { return Ok(()) };
        if live.since == 0 || account.mode == Mode::Test {
            return Ok(());
        }
        self.settings.set_plan(account.org, &live.plan, live.allowance, live.since).await?;
        let test = AccountId { mode: Mode::Test, ..account };
        let name = format!("plan/{}", live.since);
        let key = system_key(&name)?;
        let (details, own) = (Details::default(), self.ledger.moment_of(test, moment).await?);
        let claim = Claim { key: &key, fingerprint: &Fingerprint(name), details: &details };
        let wanted = ChangePlan {
            plan: live.plan,
            allowance: live.allowance,
            cause: ChangePlanCause::Follows(live.since),
        };
        let settled = self
            .ledger
            .settle(test, claim, own, |account, attempt| change_plan(account, &wanted, attempt))
            .await;
        match settled {
            Ok(_) | Err(Unsettled::Refused(Refusal::SamePlan) | Unsettled::NoAccount) => Ok(()),
            Err(unsettled) => Err(unsettled),
        }
    }
}
