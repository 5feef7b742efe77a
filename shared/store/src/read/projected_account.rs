//! Accounts in the state that a decision would use now, computed without a write.

use std::cmp::Reverse;

use futures_util::future::join_all;

use crate::table::error::Unsettled;
use crate::table::ledger::Ledger;
use domain::{
    Account, AccountId, Attempt, DrawdownReason, DrawdownShares, EntryId, Period, Posting, Receipt, Refusal,
    Remainder, Restore, restore,
};
use ports::Moment;

/// How many ended holds are projected at most: the largest of those that one read finds.
const HOLDS_MAX: usize = 25;

impl Ledger {
    /// An account in the state that `decide` would use now: with due renewals and expiries and, if credits are then
    /// lacking, with the credits that ended holds will return.
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn projected_account(
        &self,
        id: AccountId,
        moment: Moment,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal>,
    ) -> Result<Account, Unsettled> {
        let account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        let account = account.with_due(moment.now);
        let lacks = match decide(&account, &Attempt::imagined(&account, moment.now)) {
            Ok(posting) => posting.shortest().is_some(),
            Err(refusal) => refusal.lacking().is_some(),
        };
        if lacks && !account.held.is_zero() { self.with_ended(account, moment).await } else { Ok(account) }
    }

    /// The account as [`Ledger::catch_up`] returns it; and the same account with the credits that further ended holds
    /// will return: what is available now.
    ///
    /// # Errors
    /// As [`Ledger::catch_up`].
    pub async fn catch_up_and_project(
        &self,
        id: AccountId,
        moment: Moment,
    ) -> Result<(Account, Account), Unsettled> {
        let (account, more_ended) = self.caught_up(id, moment).await?;
        let projected = match more_ended {
            true => self.with_ended(account.clone(), moment).await?,
            false => account.clone(),
        };
        Ok((account, projected))
    }

    /// The account after at most [`HOLDS_MAX`] of its ended holds have returned their credits.
    async fn with_ended(&self, mut account: Account, moment: Moment) -> Result<Account, Unsettled> {
        let id = account.id;
        let mut ended = self.ended_holds(id, moment.now).await?;
        ended.sort_by_key(|hold| Reverse(hold.amount));
        ended.truncate(HOLDS_MAX);
        let found = join_all(ended.iter().map(|open| self.hold_and_remainder(id, open.id))).await;
        for found in found {
            let Some((hold, remainder)) = found? else { continue };
            let Ok(DrawdownShares { shares, .. }) = remainder.to_release(&DrawdownReason::Expiry, moment.now)
            else {
                continue;
            };
            let month = Period::of(hold.entry.at);
            let back = Restore { shares, why: DrawdownReason::Expiry, month };
            let posting = restore(&account, &back, &Attempt::imagined(&account, moment.now));
            if let Some(after) = posting.ok().and_then(|posting| account.clone().apply(&posting)) {
                account = after;
            }
        }
        Ok(account)
    }

    async fn hold_and_remainder(
        &self,
        id: AccountId,
        hold: EntryId,
    ) -> Result<Option<(Receipt, Remainder)>, Unsettled> {
        let Some(hold) = self.transaction(id, hold).await? else { return Ok(None) };
        let remainder = self.remainder_of(id, &hold).await?;
        Ok(Some((hold, remainder)))
    }
}
