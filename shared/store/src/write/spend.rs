//! Requests that spend credits: where they lack credits, a bounded number of ended holds is closed first.

use crate::table::error::{Fault, Unsettled};
use crate::table::ledger::Ledger;
use crate::write::claim::Claim;
use crate::write::ended_holds::EndedHolds;
use crate::write::settle::{KnownAccount, Settled};
use domain::{Account, AccountId, Attempt, Credits, Posting, Refusal};
use ports::Moment;

/// How many ended holds one request closes at most. Each takes some eight requests to the table; the scheduled jobs of
/// the other holds close those.
const CLOSED_AT_ONCE: usize = 2;

impl Ledger {
    /// Settles a request that spends credits. The credits of an ended hold are available once the hold is closed. If
    /// the request is refused for lack of credits while enough of them are held, this closes at most [`CLOSED_AT_ONCE`]
    /// ended holds and decides once more. If that is not enough and more holds have ended, the caller has to send the
    /// request again.
    ///
    /// # Errors
    /// See [`Unsettled`].
    pub async fn spend(
        &self,
        account: AccountId,
        claim: Claim<'_>,
        moment: Moment,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let first =
            self.settle(account, claim, moment, |account, attempt| in_full(&decide, account, attempt)).await;
        let Err(Unsettled::Refused(refusal)) = &first else { return first };
        let Some(lacking) = refusal.lacking() else { return first };
        let KnownAccount { account: known, .. } = self.last_known(account).await?;
        let ended = if known.held < lacking {
            EndedHolds::default()
        } else {
            self.close_some(account, moment).await?
        };
        if ended == EndedHolds::default() {
            // A batch is charged without the items for which credits are lacking.
            if decide(&known, &Attempt::imagined(&known, moment.now)).is_err() {
                return first;
            }
            let known = KnownAccount { account: known, fresh: false };
            return self.settle_on(known, claim, moment, decide).await;
        }
        if !ended.left {
            return self.settle(account, claim, moment, decide).await;
        }
        let again =
            self.settle(account, claim, moment, |account, attempt| in_full(&decide, account, attempt)).await;
        match again {
            // The credits of the other ended holds may pay for it.
            Err(Unsettled::Refused(refusal)) if refusal.lacking().is_some() => Err(Unsettled::HoldsEnded),
            result => result,
        }
    }

    /// Posts everything that is due on an account and returns the resulting account: all renewals, all expiries, and
    /// the end of at most [`CLOSED_AT_ONCE`] holds.
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn catch_up(&self, id: AccountId, moment: Moment) -> Result<Account, Unsettled> {
        Ok(self.caught_up(id, moment).await?.0)
    }

    /// The same, and whether more holds have ended.
    pub(crate) async fn caught_up(
        &self,
        id: AccountId,
        moment: Moment,
    ) -> Result<(Account, bool), Unsettled> {
        let account = self.current(id, moment).await?;
        if account.held.is_zero() {
            return Ok((account, false));
        }
        let ended = self.close_some(id, moment).await?;
        match ended.closed {
            true => Ok((self.current(id, moment).await?, ended.left)),
            false => Ok((account, ended.left)),
        }
    }

    async fn close_some(&self, account: AccountId, moment: Moment) -> Result<EndedHolds, Fault> {
        self.close_ended_holds(account, CLOSED_AT_ONCE, moment).await
    }
}

/// The decision on a whole request: a batch that leaves items out for lack of credits counts as refused while credits
/// are held.
fn in_full(
    decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal>,
    account: &Account,
    attempt: &Attempt,
) -> Result<Posting, Refusal> {
    let posting = decide(account, attempt)?;
    match posting.shortest().filter(|_| account.held > Credits::ZERO) {
        Some(refusal) => Err(refusal),
        None => Ok(posting),
    }
}
