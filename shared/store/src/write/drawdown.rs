//! Drawdowns: a part is taken from a transaction's remainder first, then its credits are posted to the account.

use std::error::Error;
use std::time::Duration;

use chrono::TimeDelta;

use crate::schedule::jobs::{Job, RemainderId, ScheduledJob};
use crate::table::backoff::backoff;
use crate::table::error::{Fault, Unsettled};
use crate::table::key::ClaimsOf;
use crate::table::ledger::Ledger;
use crate::write::claim::Claim;
use crate::write::drawdown_request::{DrawdownRequest, in_full, part};
use crate::write::remainders::RemainderSave;
use crate::write::settle::Settled;
use domain::{
    Account, AccountId, Attempt, ClaimKey, DrawdownReason, DrawdownShares, EntryId, LateDrawdown,
    PendingDrawdown, Period, Posting, Receipt, Refusal, Remainder, Restore, capture, restore,
};
use ports::Moment;

/// How often one request may lose the race for a remainder before its caller has to retry.
const ATTEMPTS_MAX: u32 = 40;

/// How often, and how long, a request waits for another one that posts the same part at the same time.
const WAITS: u32 = 8;
const WAIT: Duration = Duration::from_millis(20);

/// The delay of the job that posts a part if the request that took it crashes.
const JOB_DELAY: TimeDelta = TimeDelta::seconds(60);

/// The result of a drawdown.
#[derive(Clone, Debug)]
pub struct DrawdownResult {
    /// The transaction that it made.
    pub settled: Settled,
    /// The remainder right after it, without later drawdowns.
    pub remainder: Remainder,
}

/// A transaction that is drawn from.
#[derive(Clone, Copy)]
pub(crate) struct DrawdownSource<'a> {
    pub(crate) ledger: &'a Ledger,
    pub(crate) account: AccountId,
    pub(crate) from: &'a Receipt,
    pub(crate) moment: Moment,
}

impl Ledger {
    /// Draws from a transaction: a refund from a debit, a capture or a release from a hold. First the part is taken
    /// from the remainder by one conditional write, so that all parts together never exceed it; then its credits are
    /// posted to the account under the caller's own key. If the process crashes in between, the next retry or the
    /// scheduled job posts them.
    ///
    /// # Errors
    /// See [`Unsettled`]. [`Unsettled::InProgress`] once the part is taken and not posted.
    pub async fn draw_down(
        &self,
        account: AccountId,
        from: &Receipt,
        request: DrawdownRequest<'_>,
        decide: impl Fn(&Remainder) -> Result<DrawdownShares, Refusal> + Send + Sync,
    ) -> Result<DrawdownResult, Unsettled> {
        let remainder = self.remainder_of(account, from).await?;
        let source = DrawdownSource { ledger: self, account, from, moment: request.moment };
        source.draw_down(remainder, request, decide).await
    }

    /// The transaction of a finished part of `remainder` that was taken under the claim's key; `None` when there is
    /// none. Keys are valid as long as claims are.
    pub(crate) async fn made_under(
        &self,
        account: AccountId,
        remainder: &Remainder,
        claim: Claim<'_>,
        moment: Moment,
    ) -> Result<Option<EntryId>, Unsettled> {
        let of = ClaimsOf::Account(account);
        let made = self.made_before(of, claim.key, claim.fingerprint, moment).await?;
        Ok(made.map(|made| made.id).filter(|id| remainder.has_made(*id)))
    }

    /// Removes a closed hold from the open holds, once all of its parts are posted.
    pub(crate) async fn close(&self, account: AccountId, remainder: &Remainder) -> Result<(), Fault> {
        match remainder.ends {
            Some(ends) if remainder.closed && remainder.open.is_none() => {
                self.forget_hold(account, remainder.of, ends).await
            }
            Some(_) | None => Ok(()),
        }
    }
}

impl DrawdownSource<'_> {
    /// The remainder of the transaction as it is stored.
    async fn remainder(&self) -> Result<Remainder, Fault> {
        self.ledger.remainder_of(self.account, self.from).await
    }

    /// Draws, beginning with a remainder that was just read.
    pub(crate) async fn draw_down(
        &self,
        remainder: Remainder,
        request: DrawdownRequest<'_>,
        decide: impl Fn(&Remainder) -> Result<DrawdownShares, Refusal> + Send + Sync,
    ) -> Result<DrawdownResult, Unsettled> {
        let mut job = None;
        let result = self.take_and_post(remainder, request, decide, &mut job).await;
        if let Some(job) = job
            && is_settled(&result)
            && let Err(fault) = self.ledger.remove_job(&job).await
        {
            tracing::warn!(
                fault = &fault as &dyn Error,
                "a job that has nothing left to do runs in a minute"
            );
        }
        result
    }

    /// Takes a part and posts it. `job` is the job that was scheduled for it, if one was.
    async fn take_and_post(
        &self,
        remainder: Remainder,
        request: DrawdownRequest<'_>,
        decide: impl Fn(&Remainder) -> Result<DrawdownShares, Refusal> + Send + Sync,
        job: &mut Option<ScheduledJob>,
    ) -> Result<DrawdownResult, Unsettled> {
        let DrawdownRequest { claim, moment, .. } = request;
        let mut read = Some(remainder);
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            let remainder = match read.take() {
                Some(remainder) => remainder,
                None => self.remainder().await?,
            };
            if let Some(open) = remainder.open_under(claim.key) {
                if open.asked != *claim.fingerprint {
                    return Err(Unsettled::KeyReused);
                }
                let result = self.post(remainder, claim.key).await.map_err(as_in_progress)?;
                return Ok(DrawdownResult {
                    settled: Settled { replayed: true, ..result.settled },
                    ..result
                });
            }
            // A key that is used for two requests at the same time is found when the part is posted.
            let made = match request.why {
                // An expiry closes the hold, so a second one is refused.
                DrawdownReason::Expiry => None,
                DrawdownReason::Refund { .. } | DrawdownReason::Capture | DrawdownReason::Release => {
                    self.ledger.made_under(self.account, &remainder, claim, moment).await?
                }
            };
            if let Some(made) = made {
                return self.replay(remainder, made).await;
            }
            if let Some(open) = remainder.open.as_ref().map(|open| open.key.clone()) {
                // The earlier part comes first: it may have to be put back, and more is left then.
                match self.post(remainder, &open).await {
                    Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => continue,
                    Err(unsettled) => return Err(unsettled),
                }
            }
            let remainder = remainder.clone().with(part(self.from, &request, decide(&remainder)?))?;
            if job.is_none() && needs_job(request.why) {
                let due = moment.now.checked_add_signed(JOB_DELAY).unwrap_or(moment.now);
                let id = RemainderId { account: self.account, of: self.from.entry.id };
                *job = Some(self.ledger.schedule_for_request(Job::Remainder(id), due).await?);
            }
            // If the answer is lost, the part may have been taken.
            let saved = self.ledger.save_remainder(self.account, remainder, RemainderSave::PartTaken).await;
            let Some(remainder) = saved.map_err(|fault| as_in_progress(fault.into()))? else { continue };
            return self.post(remainder, claim.key).await.map_err(as_in_progress);
        }
        Err(Fault::Busy.into())
    }

    /// The result of a request whose part is posted already.
    async fn replay(&self, remainder: Remainder, made: EntryId) -> Result<DrawdownResult, Unsettled> {
        self.ledger.close(self.account, &remainder).await?;
        let receipt = self.ledger.transaction(self.account, made).await?.ok_or(Unsettled::InProgress)?;
        let settled = Settled { receipt, more: vec![], replayed: true };
        Ok(DrawdownResult { settled, remainder: remainder.as_of(made) })
    }

    /// Posts the part that was taken under `key`. Parts before it were posted before it was taken. If another process
    /// is posting it, waits briefly for that process.
    pub(crate) async fn post(
        &self,
        mut remainder: Remainder,
        key: &ClaimKey,
    ) -> Result<DrawdownResult, Unsettled> {
        for _ in 0..WAITS {
            match self.post_now(remainder, key).await {
                Err(Unsettled::InProgress) => tokio::time::sleep(WAIT).await,
                result => return result,
            }
            remainder = self.remainder().await?;
        }
        self.post_now(remainder, key).await
    }

    async fn post_now(&self, remainder: Remainder, key: &ClaimKey) -> Result<DrawdownResult, Unsettled> {
        let Some(part) = remainder.open_under(key).cloned() else {
            // Another process has posted it or put it back.
            let claim = self.ledger.claim_of(ClaimsOf::Account(self.account), key).await?;
            let made = claim.map(|claim| claim.id).filter(|id| remainder.has_made(*id));
            return self.replay(remainder, made.ok_or(Unsettled::InProgress)?).await;
        };
        match self.settle(&part).await {
            Ok(settled) => {
                let made = settled.receipt.entry.id;
                let remainder = self.finish(remainder, &part, made).await?;
                self.ledger.close(self.account, &remainder).await?;
                Ok(DrawdownResult { settled, remainder: remainder.as_of(made) })
            }
            Err(error @ (Unsettled::Refused(_) | Unsettled::KeyReused)) => {
                // It can never be posted.
                self.put_back(remainder, key).await?;
                Err(error)
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Posts the credits of one part to the account.
    async fn settle(&self, part: &PendingDrawdown) -> Result<Settled, Unsettled> {
        let no_cause = || Fault::corrupt("a remainder", "a part has no cause");
        let drawn = part.details.drawn.clone().ok_or_else(no_cause)?;
        let gives_back = drawn.why != DrawdownReason::Capture;
        let request = gives_back.then(|| Restore {
            shares: drawn.shares.clone(),
            why: drawn.why.clone(),
            month: Period::of(self.from.entry.at),
        });
        let decide = |account: &Account, attempt: &Attempt| -> Result<Posting, Refusal> {
            match &request {
                Some(request) => restore(account, request, attempt),
                None => capture(account, &drawn.shares, attempt),
            }
        };
        let details = in_full(self.from, &part.details);
        let claim = Claim::new(&part.key, &part.asked, &details);
        self.ledger.settle(self.account, claim, self.moment, decide).await
    }

    /// Saves which transaction posted a part. The first process saves it; the others find it saved.
    ///
    /// A part that another process put back meanwhile, although it was posted, is saved as well, and logged as an
    /// error, because other parts may have been taken from its credits since.
    async fn finish(
        &self,
        mut remainder: Remainder,
        part: &PendingDrawdown,
        made: EntryId,
    ) -> Result<Remainder, Unsettled> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            if remainder.has_made(made) {
                return Ok(remainder);
            }
            let mut landed = None;
            let next = if remainder.open_under(&part.key).is_some() {
                remainder.posted(made)?
            } else {
                let LateDrawdown { remainder, overdrawn } = remainder.landed(part, made)?;
                landed = Some(overdrawn.get());
                remainder
            };
            let saved = self.ledger.save_remainder(self.account, next, RemainderSave::PartSettled).await?;
            if let Some(saved) = saved {
                if let Some(overdrawn) = landed {
                    tracing::error!(
                        account = %self.account, of = %saved.of, %made, overdrawn,
                        "a cancelled part was posted nevertheless"
                    );
                }
                return Ok(saved);
            }
            remainder = self.remainder().await?;
        }
        Err(Unsettled::InProgress)
    }

    /// Puts back a part that can never be posted.
    async fn put_back(&self, mut remainder: Remainder, key: &ClaimKey) -> Result<(), Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            backoff(attempt).await;
            if remainder.open_under(key).is_none() {
                return Ok(());
            }
            let without = remainder.without_open()?;
            let saved = self.ledger.save_remainder(self.account, without, RemainderSave::PartSettled).await?;
            if saved.is_some() {
                return Ok(());
            }
            remainder = self.remainder().await?;
        }
        Err(Fault::Busy)
    }
}

/// Once a part is taken, a later request posts it, so the answer to a fault must not be that nothing happened.
fn as_in_progress(unsettled: Unsettled) -> Unsettled {
    if let Unsettled::Failed(fault) = unsettled {
        tracing::warn!(fault = &fault as &dyn Error, "a part is left to the next request");
        return Unsettled::InProgress;
    }
    unsettled
}

/// Whether nothing of the request is left to be done: its part is posted, or none is taken.
fn is_settled(result: &Result<DrawdownResult, Unsettled>) -> bool {
    match result {
        Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => true,
        Err(Unsettled::NoAccount | Unsettled::InProgress | Unsettled::HoldsEnded | Unsettled::Failed(_)) => {
            false
        }
    }
}

/// Whether to schedule a job, in case the process crashes before the part is posted. The end of a hold has a job of its
/// own.
fn needs_job(why: &DrawdownReason) -> bool {
    match why {
        DrawdownReason::Refund { .. } | DrawdownReason::Capture | DrawdownReason::Release => true,
        DrawdownReason::Expiry => false,
    }
}
