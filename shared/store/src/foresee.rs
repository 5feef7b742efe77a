use futures_util::future::join_all;

use super::{Ledger, Moment, Unsettled};
use domain::{
    Account, AccountId, DUE_MAX, EntryId, GiveBack, Head, Period, Portion, Posting, Pot, Receipt, Refusal,
    Why, due, give_back,
};

/// How many holds that have ended are foreseen at most: the largest of those found by one look.
const FORESEEN_MAX: usize = 25;

impl Ledger {
    /// An account as `decide` would find it now: with the months that have turned and the lots that have ended,
    /// and, where it lacks credits then, with what ended holds will give back. Nothing is written.
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn foresee(
        &self,
        id: AccountId,
        moment: Moment,
        decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal>,
    ) -> Result<Account, Unsettled> {
        let account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        let account = with_due(account, moment);
        let lacks = match decide(&account, &Head::imagined(&account, moment.now)) {
            Ok(posting) => posting.shortest().is_some(),
            Err(refusal) => refusal.lacking().is_some(),
        };
        if lacks && !account.held.is_zero() { self.with_ended(account, moment).await } else { Ok(account) }
    }

    /// The account as [`Ledger::catch_up`] returns it, and the same with what further holds that have ended will
    /// give back: what is available now.
    ///
    /// # Errors
    /// As [`Ledger::catch_up`].
    pub async fn caught_up_and_foreseen(
        &self,
        id: AccountId,
        moment: Moment,
    ) -> Result<(Account, Account), Unsettled> {
        let (account, more_ended) = self.caught_up(id, moment).await?;
        let foreseen = match more_ended {
            true => self.with_ended(account.clone(), moment).await?,
            false => account.clone(),
        };
        Ok((account, foreseen))
    }

    /// The account once holds that have ended have given back what they have, at most [`FORESEEN_MAX`] of them.
    async fn with_ended(&self, mut account: Account, moment: Moment) -> Result<Account, Unsettled> {
        let id = account.id;
        let mut ended = self.ended_holds(id, moment.now).await?;
        ended.sort_by_key(|hold| std::cmp::Reverse(hold.amount));
        ended.truncate(FORESEEN_MAX);
        let found = join_all(ended.iter().map(|open| self.hold_and_pot(id, open.id))).await;
        for found in found {
            let Some((hold, pot)) = found? else { continue };
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

    async fn hold_and_pot(&self, id: AccountId, hold: EntryId) -> Result<Option<(Receipt, Pot)>, Unsettled> {
        let Some(hold) = self.transaction(id, hold).await? else { return Ok(None) };
        let pot = self.pot_of(id, &hold).await?;
        Ok(Some((hold, pot)))
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
