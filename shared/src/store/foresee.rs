use super::{Ledger, Moment, Unsettled};
use crate::domain::{Account, AccountId, DUE_MAX, GiveBack, Head, Period, Portion, Pot, Why, due, give_back};

/// How many holds that have ended are foreseen at most.
const FORESEEN_MAX: i32 = 200;

impl Ledger {
    /// An account as it would be if all that time has done by now were written down: months that turn, lots
    /// that end, holds that give back what they have. Nothing is written.
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn foresee(&self, id: AccountId, moment: Moment) -> Result<Account, Unsettled> {
        let account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        let mut account = with_due(account, moment);
        if account.held.is_zero() {
            return Ok(account);
        }
        for open in self.ended_holds(id, moment.now, FORESEEN_MAX).await? {
            let Some(hold) = self.transaction(id, open.id).await? else { continue };
            let pot = self.pot(id, open.id).await?.unwrap_or_else(|| Pot::of(&hold));
            let Ok(Portion { shares, .. }) = pot.to_release(&Why::Expiry, moment.now) else { continue };
            let month = Period::of(hold.entry.at);
            let back = GiveBack { shares, why: Why::Expiry, month };
            let posting = give_back(&account, &back, &Head::imagined(&account, moment.now));
            if let Some(after) = posting.ok().and_then(|posting| account.clone().apply(&posting)) {
                account = after;
            }
        }
        Ok(account)
    }
}

fn with_due(mut account: Account, moment: Moment) -> Account {
    for _ in 0..DUE_MAX {
        let Some(after) = due(&account, moment.now).and_then(|posting| account.clone().apply(&posting))
        else {
            break;
        };
        account = after;
    }
    account
}
