//! Requests that spend: holds that have ended give back what a decision lacks, a bounded number per request.

use super::ended::Ended;
use super::{Ledger, Moment, Settled, Unsettled};
use domain::{Account, AccountId, ClaimKey, Credits, Details, Fingerprint, Head, Posting, Refusal};

/// How many holds that have ended one request closes at most. Each takes some eight requests to the table; the
/// scheduled job of the hold's end closes the others.
const CLOSED_AT_ONCE: usize = 2;

impl Ledger {
    /// Settles a request that spends. Credits of a hold that has ended are available from the moment at which
    /// the hold is closed. Where this request is refused for want of credits while enough of them are held, it
    /// closes at most [`CLOSED_AT_ONCE`] holds that have ended, and decides once more. If that does not do and
    /// more holds have ended, its caller has to send it again.
    ///
    /// # Errors
    /// See [`Unsettled`].
    pub async fn spend(
        &self,
        account: AccountId,
        claim: (&ClaimKey, &Fingerprint, &Details),
        moment: Moment,
        decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let first =
            self.settle(account, claim, moment, |account, head| in_full(&decide, account, head)).await;
        let Err(Unsettled::Refused(refusal)) = &first else { return first };
        let Some(lacking) = refusal.lacking() else { return first };
        let known = match self.hints.get(account) {
            Some(known) => known,
            None => self.account(account).await?.ok_or(Unsettled::NoAccount)?,
        };
        let ended =
            if known.held < lacking { Ended::default() } else { self.close_some(account, moment).await? };
        if ended == Ended::default() {
            // A batch without some of its items is charged all the same.
            let in_part = decide(&known, &Head::imagined(&known, moment.now)).is_ok();
            return if in_part { self.settle(account, claim, moment, decide).await } else { first };
        }
        if !ended.left {
            return self.settle(account, claim, moment, decide).await;
        }
        let again =
            self.settle(account, claim, moment, |account, head| in_full(&decide, account, head)).await;
        match again {
            // What the other ended holds give back may pay for it.
            Err(Unsettled::Refused(refusal)) if refusal.lacking().is_some() => Err(Unsettled::HoldsEnded),
            told => told,
        }
    }

    /// Writes down what time has done to an account, and returns it as it then is: all months that have turned
    /// and lots that have ended, and at most [`CLOSED_AT_ONCE`] holds that have ended.
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn catch_up(&self, id: AccountId, moment: Moment) -> Result<Account, Unsettled> {
        Ok(self.caught_up(id, moment).await?.0)
    }

    /// The same, and whether more holds have ended.
    pub(super) async fn caught_up(
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

    async fn close_some(&self, account: AccountId, moment: Moment) -> Result<Ended, super::Fault> {
        self.expire_ended(account, CLOSED_AT_ONCE, moment).await
    }
}

/// The decision; a batch that leaves out items for want of credits counts as refused while credits are held.
fn in_full(
    decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal>,
    account: &Account,
    head: &Head,
) -> Result<Posting, Refusal> {
    let posting = decide(account, head)?;
    match posting.shortest().filter(|_| account.held > Credits::ZERO) {
        Some(refusal) => Err(refusal),
        None => Ok(posting),
    }
}
