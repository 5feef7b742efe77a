//! Settling a request: decide, claim, debit, record.

use std::error::Error;

use crate::table::backoff::backoff;
use crate::table::error::{Fault, Unsettled};
use crate::table::key::ClaimsOf;
use crate::table::ledger::Ledger;
use crate::write::budgeted::{AttemptCharges, Charging};
use crate::write::claim::{Claim, Claimed, HeldClaim, OwnedClaim};
use crate::write::commit::Commit;
use crate::write::prepare::{Prepared, Turn};
use domain::{Account, AccountId, Attempt, DUE_MAX, Details, EntryId, Posting, Receipt, Refusal, due};
use ports::{Moment, random};

/// How often one request may lose the race for an account before its caller has to retry. Each loss is another request's
/// success. With the waits between them, all attempts take some seven seconds.
const ATTEMPTS_MAX: u32 = 40;

/// For how many seconds another holder of the same key counts as running. An attempt takes some twenty milliseconds, and
/// while the table is slow, as long as a call with all of the SDK's attempts: 8 seconds. One that takes longer than this
/// may be fenced off, which is safe and costs its caller a retry.
pub const IN_PROGRESS_SECONDS: i64 = 10;

/// A request that was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The transaction; the first one of a batch.
    pub receipt: Receipt,
    /// The other transactions of a batch, in order.
    pub more: Vec<Receipt>,
    /// Whether an earlier attempt of the same request made it.
    pub replayed: bool,
}

impl Settled {
    /// The result of an attempt that made these lines of the ledger, at least one.
    fn of(lines: Vec<Receipt>, replayed: bool) -> Result<Self, Fault> {
        let mut lines = lines.into_iter();
        let receipt = lines.next().ok_or_else(|| Fault::corrupt("an account", "it has no last entry"))?;
        Ok(Self { receipt, more: lines.collect(), replayed })
    }
}

/// An account as this request knows it.
pub(crate) struct KnownAccount {
    pub(crate) account: Account,
    /// Whether it was read for this request. Otherwise it is a hint from the cache.
    pub(crate) fresh: bool,
}

/// One request on its way to the ledger.
pub(super) struct SettleAttempt<'a> {
    pub(super) ledger: &'a Ledger,
    account: AccountId,
    pub(super) claim: OwnedClaim<'a>,
    pub(super) moment: Moment,
}

impl Ledger {
    /// Settles one request: decide, claim, debit, record. Every operation that moves credits goes through this function
    /// and brings only its `decide`.
    ///
    /// 1. *Decide* on the account as last seen. A request is refused only after a consistent read of the account and
    ///    then of the claim: a retry must not be refused because it succeeded before.
    /// 2. *Claim* the caller's key. An attempt that finds the key taken answers with the row of its holder.
    /// 3. *Debit*: one conditional write of the account, sent once. When a guard fails, decide again on the item that
    ///    DynamoDB returns.
    /// 4. *Record* the row. If that fails, the projector writes it from the table's stream.
    ///
    /// # Errors
    /// See [`Unsettled`].
    pub async fn settle(
        &self,
        account: AccountId,
        claim: Claim<'_>,
        moment: Moment,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let known = self.last_known(account).await?;
        self.settle_on(known, claim, moment, decide).await
    }

    /// As [`Ledger::settle`], beginning with an account that was read before.
    pub(crate) async fn settle_on(
        &self,
        known: KnownAccount,
        claim: Claim<'_>,
        moment: Moment,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let account = known.account.id;
        let claim = claim.of(ClaimsOf::Account(account));
        SettleAttempt { ledger: self, account, claim, moment }.settle(known, decide).await
    }

    /// The account as last seen; read when it is not in the cache.
    pub(crate) async fn last_known(&self, id: AccountId) -> Result<KnownAccount, Unsettled> {
        match self.accounts.get(id) {
            Some(account) => Ok(KnownAccount { account, fresh: false }),
            None => {
                let account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
                Ok(KnownAccount { account, fresh: true })
            }
        }
    }

    /// Posts all due renewals and expiries of an account, and returns the resulting account. Holds that have ended stay
    /// open: see [`Ledger::catch_up`].
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn current(&self, id: AccountId, moment: Moment) -> Result<Account, Unsettled> {
        let account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        Ok(self.up_to_date(KnownAccount { account, fresh: true }, moment).await?.account)
    }

    /// Posts everything that is due, oldest first.
    async fn up_to_date(&self, mut known: KnownAccount, moment: Moment) -> Result<KnownAccount, Unsettled> {
        for attempt in 0..DUE_MAX {
            let Some(posting) = due(&known.account, moment.now) else { return Ok(known) };
            let id = known.account.id;
            let account = match self.commit(&known.account, &posting).await? {
                Commit::Landed(account) => {
                    self.record_or_leave(&account, &account.receipts(Details::default())).await;
                    account
                }
                Commit::Lost(account) => account,
                Commit::Missing => return Err(Unsettled::NoAccount),
                Commit::Throttled(_) => {
                    backoff(attempt).await;
                    known.account
                }
                Commit::Refused(fault) => return Err(fault.into()),
                // It can be sent again: once it has landed, it is not due any more.
                Commit::Doubtful(_) => self.account(id).await?.ok_or(Unsettled::NoAccount)?,
            };
            known = KnownAccount { account, fresh: true };
        }
        Err(Fault::Busy.into())
    }
}

impl SettleAttempt<'_> {
    async fn settle(
        mut self,
        known: KnownAccount,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let mut charges = AttemptCharges::default();
        let settled = self.attempts(known, decide, &mut charges).await;
        self.charging().conclude(&mut charges).await;
        settled
    }

    async fn attempts(
        &mut self,
        mut known: KnownAccount,
        decide: impl Fn(&Account, &Attempt) -> Result<Posting, Refusal> + Send + Sync,
        charges: &mut AttemptCharges,
    ) -> Result<Settled, Unsettled> {
        let mut claimed: Option<EntryId> = None;
        for number in 0..ATTEMPTS_MAX {
            // By the end of the wait, other requests have changed the account again.
            if backoff(number).await {
                known = self.read().await?;
            }
            known = self.ledger.up_to_date(known, self.moment).await?;
            // Keep the id that the key was claimed for: a retry may ask for its result.
            let id = claimed.unwrap_or_else(|| self.mint(&known.account));
            let attempt = Attempt { id, now: self.moment.now, claim: self.claim.key.clone() };
            let posting = match decide(&known.account, &attempt) {
                Ok(posting) => posting.on_budgets(known.account.budgets),
                Err(refusal) if known.fresh => return self.refuse(refusal, claimed).await,
                Err(_) => {
                    known = self.read().await?;
                    continue;
                }
            };
            if let Err(fault) = self.ledger.write_backlog(self.account).await {
                return match self.made_before(claimed).await? {
                    Some(replay) => Ok(replay),
                    None => self.give_up(claimed, fault).await,
                };
            }
            let turn = Turn { id, claimed: &mut claimed, known: &mut known, posting: &posting };
            match self.prepare(turn, charges).await {
                Ok(Prepared::Ready) => (),
                Ok(Prepared::Again) => continue,
                Ok(Prepared::MadeBefore(settled)) => return Ok(*settled),
                Ok(Prepared::Refused(refusal)) => return self.refuse(refusal, claimed).await,
                Err(Unsettled::Failed(fault)) => return self.give_up(claimed, fault).await,
                Err(unsettled) => return Err(unsettled),
            }
            charges.in_doubt = true;
            let commit = self.ledger.commit(&known.account, &posting).await?;
            charges.in_doubt = matches!(commit, Commit::Doubtful(_));
            match commit {
                Commit::Landed(account) => {
                    charges.landed = true;
                    return self.landed(&account, charges).await;
                }
                Commit::Lost(account) => {
                    if account.fence.up_to >= id {
                        claimed = Some(self.claim_again(id, &account, EntryId::FIRST, charges).await?);
                    }
                    known = KnownAccount { account, fresh: true };
                }
                Commit::Missing => return Err(Unsettled::NoAccount),
                Commit::Refused(fault) => {
                    // The state that it was decided on must not be used again.
                    self.ledger.accounts.forget(self.account);
                    self.release(id).await;
                    return Err(fault.into());
                }
                Commit::Throttled(_) => (),
                Commit::Doubtful(fault) => return self.after_lost_answer(id, &fault, charges).await,
            }
        }
        self.give_up(claimed, Fault::Busy).await
    }

    pub(super) fn charging(&self) -> Charging<'_> {
        Charging { ledger: self.ledger, account: self.account, moment: self.moment }
    }

    /// The result of an earlier attempt of the same request, if that has all its rows.
    async fn made_before(&self, claimed: Option<EntryId>) -> Result<Option<Settled>, Unsettled> {
        if claimed.is_some() {
            return Ok(None);
        }
        let claim = self.ledger.claim_of(self.claim.of, self.claim.key).await?.map(HeldClaim::new);
        let held =
            claim.filter(|held| held.is_current(self.moment.wall) && held.is_for(self.claim.fingerprint));
        let Some(held) = held else { return Ok(None) };
        let lines = self.ledger.lines(self.account, held.id()).await.map_err(as_in_progress)?;
        Ok(lines.map(|lines| Settled::of(lines, true)).transpose()?)
    }

    /// Ends without having written the debit.
    async fn give_up(&self, claimed: Option<EntryId>, fault: Fault) -> Result<Settled, Unsettled> {
        if let Some(id) = claimed {
            self.release(id).await;
        }
        Err(fault.into())
    }

    pub(super) async fn read(&self) -> Result<KnownAccount, Unsettled> {
        let account = self.ledger.account(self.account).await?.ok_or(Unsettled::NoAccount)?;
        Ok(KnownAccount { account, fresh: true })
    }

    fn mint(&self, account: &Account) -> EntryId {
        account.attempt_id(self.moment.now, random())
    }

    /// Takes the key for `id`, or returns the result of an earlier attempt of the same request.
    pub(super) async fn take_key(
        &self,
        id: EntryId,
        details: &Details,
    ) -> Result<Option<Settled>, Unsettled> {
        let claim = OwnedClaim { details, ..self.claim };
        match self.ledger.claim(claim, id, self.moment).await? {
            Claimed::Ours => Ok(None),
            Claimed::Theirs(held) => self.after(*held, id, details).await.map_err(as_in_progress),
        }
    }

    /// Resolves a claim that another attempt holds: returns its result; or takes the key for `id` and returns `None`
    /// when it can never have one.
    async fn after(
        &self,
        held: HeldClaim,
        id: EntryId,
        details: &Details,
    ) -> Result<Option<Settled>, Unsettled> {
        let holder = held.id();
        let budgets = held.budgets();
        if held.is_current(self.moment.wall) {
            if !held.is_for(self.claim.fingerprint) {
                return Err(Unsettled::KeyReused);
            }
            if let Some(lines) = self.ledger.lines(self.account, holder).await? {
                return Ok(Some(Settled::of(lines, true)?));
            }
            let (account, moment) = (self.account, self.moment);
            if held.seconds_running(moment.wall) < IN_PROGRESS_SECONDS {
                let lines = self.ledger.lines_if_last(account, holder, held.into_details()).await?;
                return Ok(Some(Settled::of(lines.ok_or(Unsettled::InProgress)?, true)?));
            }
            let kept = held.into_details();
            if let Some(lines) = self.ledger.resolve(account, holder, Some(kept), moment).await? {
                return Ok(Some(Settled::of(lines, true)?));
            }
            self.charging().withdraw_all(&budgets, holder).await?;
        }
        let claim = OwnedClaim { details, ..self.claim };
        if self.ledger.take_over(claim, holder, id, self.moment).await? {
            Ok(None)
        } else {
            Err(Unsettled::InProgress)
        }
    }

    /// Continues under an id above `floor` after a fence has closed the account or a budget to `id`, unless the attempt that
    /// set the fence already has the key.
    pub(super) async fn claim_again(
        &self,
        id: EntryId,
        account: &Account,
        floor: EntryId,
        charges: &AttemptCharges,
    ) -> Result<EntryId, Unsettled> {
        let floor = account.floor().max(floor);
        let next = EntryId::above(floor, self.moment.now, random(), account.row_shards);
        let details = charges.noted(self.claim.details);
        let claim = OwnedClaim { details: &details, ..self.claim };
        if self.ledger.take_over(claim, id, next, self.moment).await? {
            Ok(next)
        } else {
            Err(Unsettled::InProgress)
        }
    }

    async fn landed(&self, account: &Account, charges: &AttemptCharges) -> Result<Settled, Unsettled> {
        let lines = account.receipts(charges.noted(self.claim.details));
        self.ledger.record_or_leave(account, &lines).await;
        Ok(Settled::of(lines, false)?)
    }

    /// Refuses, unless an earlier attempt of this request turns out to have succeeded.
    async fn refuse(&self, refusal: Refusal, claimed: Option<EntryId>) -> Result<Settled, Unsettled> {
        if let Some(id) = claimed {
            self.release(id).await;
            return Err(refusal.into());
        }
        let Some(claim) = self.ledger.claim_of(self.claim.of, self.claim.key).await? else {
            return Err(refusal.into());
        };
        let id = EntryId::new(self.moment.now, random());
        if let Some(replay) =
            self.after(HeldClaim::new(claim), id, self.claim.details).await.map_err(as_in_progress)?
        {
            return Ok(replay);
        }
        self.release(id).await;
        Err(refusal.into())
    }

    /// Releases the key. A claim that stays only delays the next retry.
    async fn release(&self, id: EntryId) {
        if let Err(fault) = self.ledger.release(self.claim.of, self.claim.key, id).await {
            tracing::warn!(account = %self.account, fault = &fault as &dyn Error, "claim left to the next sending");
        }
    }

    /// The answer to a debit was lost. Either it is found to have landed, or it is fenced off and the caller sends the
    /// request again.
    async fn after_lost_answer(
        &self,
        id: EntryId,
        fault: &Fault,
        charges: &mut AttemptCharges,
    ) -> Result<Settled, Unsettled> {
        tracing::warn!(account = %self.account, transaction = %id, cause = fault as &dyn Error, "debit in doubt");
        let details = charges.noted(self.claim.details);
        match self.ledger.resolve(self.account, id, Some(details), self.moment).await {
            Ok(Some(lines)) => {
                charges.landed = true;
                Ok(Settled::of(lines, false)?)
            }
            Ok(None) => {
                charges.in_doubt = false;
                self.release(id).await;
                Err(Fault::Busy.into())
            }
            // Only a repair can find out whether it landed.
            Err(Unsettled::Failed(broken @ Fault::BrokenAccount { .. })) => Err(broken.into()),
            Err(_) => Err(Unsettled::InProgress),
        }
    }
}

/// Once an earlier attempt is known, the answer to a fault must not be that nothing was charged.
pub(crate) fn as_in_progress(unsettled: Unsettled) -> Unsettled {
    match unsettled {
        Unsettled::Failed(broken @ Fault::BrokenAccount { .. }) => broken.into(),
        Unsettled::Failed(fault) => {
            tracing::warn!(fault = &fault as &dyn Error, "an earlier sending stays in doubt");
            Unsettled::InProgress
        }
        Unsettled::KeyReused
        | Unsettled::Refused(_)
        | Unsettled::NoAccount
        | Unsettled::InProgress
        | Unsettled::HoldsEnded => unsettled,
    }
}
