use super::Calendar;
use domain::{AccountId, Details, Fingerprint, Mode, Refusal, Subscribe, SubscribeCause, subscribe};
use store::{Claim, Moment, Unsettled, system_key};

impl Calendar<'_> {
    /// Has everything follow the plan of a live ledger that goes by it: the organisation, for what its
    /// keys may do, and its test ledger. Done twice, or for an old change after a newer one, it changes
    /// nothing.
    ///
    /// # Errors
    /// When a table does not serve; it should then be asked again.
    pub async fn follow_plan(&self, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
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
        let wanted = Subscribe {
            plan: live.plan,
            allowance: live.allowance,
            cause: SubscribeCause::Follows(live.since),
        };
        let followed =
            self.ledger.settle(test, claim, own, |account, head| subscribe(account, &wanted, head)).await;
        match followed {
            // An organisation without a test ledger has none that could follow.
            Ok(_) | Err(Unsettled::Refused(Refusal::SamePlan) | Unsettled::NoAccount) => Ok(()),
            Err(unsettled) => Err(unsettled),
        }
    }
}
