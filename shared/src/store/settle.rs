use std::error::Error;
use std::time::Duration;

use super::claim::{Claimed, Held, Wish};
use super::post::Commit;
use super::{ClaimsOf, Fault, Ledger, Moment};
use crate::domain::{
    Account, AccountId, ClaimKey, DUE_MAX, Details, EntryId, Fingerprint, Head, Posting, Receipt, Refusal,
    due,
};

/// How often one request may lose the race for an account before its caller is told to retry. Each
/// loss is another request's success. With the waits between them, that many take some seven seconds.
const ATTEMPTS_MAX: u32 = 40;

/// For how many seconds another holder of the same key counts as still at work. An attempt takes
/// some twenty milliseconds; one that takes longer than this may be fenced off, which is always
/// safe and only unkind.
pub const IN_PROGRESS_SECONDS: i64 = 2;

/// Why a request was not settled.
#[derive(Debug, thiserror::Error)]
pub enum Unsettled {
    /// The key was used before, for another request.
    #[error("the idempotency key was used for a different request")]
    KeyReused,
    /// The rules said no; nothing was moved and the key may be used again.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such account.
    #[error("no such account")]
    NoAccount,
    /// Another attempt under the same key may be at work, or its outcome is not certain yet.
    #[error("another attempt under this key is not settled yet")]
    InProgress,
    /// Credits are lacking that holds which have ended will give back; some of these holds were closed.
    #[error("holds that have ended are being closed")]
    HoldsEnded,
    /// The store could not say. Nothing was moved.
    #[error(transparent)]
    Failed(#[from] Fault),
}

/// A request that was settled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// The transaction; of a batch the first.
    pub receipt: Receipt,
    /// The other lines of a batch, in order.
    pub more: Vec<Receipt>,
    /// Whether it was made by an earlier sending of the same request.
    pub replayed: bool,
}

impl Settled {
    /// What those lines of the ledger say; the first is needed.
    fn told(lines: Vec<Receipt>, replayed: bool) -> Result<Self, Fault> {
        let mut lines = lines.into_iter();
        let receipt = lines.next().ok_or_else(|| Fault::corrupt("an account", "it has no last entry"))?;
        Ok(Self { receipt, more: lines.collect(), replayed })
    }
}

/// An account in hand, and whether it was read for this request.
struct Seen {
    account: Account,
    fresh: bool,
}

struct Attempt<'a> {
    ledger: &'a Ledger,
    account: AccountId,
    wish: Wish<'a>,
    moment: Moment,
}

impl Ledger {
    /// Settles one request: decide, claim, debit, record. Every operation that moves credits comes
    /// through here and brings only its `decide`.
    ///
    /// 1. *Decide* on the account as last seen. A refusal is only given on a consistent read of the
    ///    account and then of the claim: a retry must not be refused for having succeeded.
    /// 2. *Claim* the caller's key. Whoever finds it taken answers what its holder's row says.
    /// 3. *Debit*: one conditional write of the account, sent once. When a guard fails, decide again
    ///    on the item that comes back.
    /// 4. *Record* the row. If that fails, the projector makes it from the table's stream.
    ///
    /// # Errors
    /// See [`Unsettled`].
    pub async fn settle(
        &self,
        account: AccountId,
        (key, asked, details): (&ClaimKey, &Fingerprint, &Details),
        moment: Moment,
        decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let wish = Wish { of: ClaimsOf::Account(account), key, asked, details };
        Attempt { ledger: self, account, wish, moment }.settle(decide).await
    }

    /// Writes down what is due of an account, its months and lots, and returns it as it then is. Its holds are
    /// left as they are: see [`Ledger::catch_up`].
    ///
    /// # Errors
    /// [`Unsettled::NoAccount`], [`Unsettled::Failed`].
    pub async fn current(&self, id: AccountId, moment: Moment) -> Result<Account, Unsettled> {
        let account = self.account(id).await?.ok_or(Unsettled::NoAccount)?;
        Ok(self.up_to_date(Seen { account, fresh: true }, moment).await?.account)
    }

    /// Posts what is due, oldest first, until nothing is (contract, rules 2 and 3).
    async fn up_to_date(&self, mut seen: Seen, moment: Moment) -> Result<Seen, Unsettled> {
        for attempt in 0..DUE_MAX {
            let Some(posting) = due(&seen.account, moment.now) else { return Ok(seen) };
            let id = seen.account.id;
            let account = match self.commit(&seen.account, &posting).await? {
                Commit::Landed(account) => {
                    self.record_or_leave(id, &account.receipts(Details::default())).await;
                    account
                }
                Commit::Lost(account) => account,
                Commit::Missing => return Err(Unsettled::NoAccount),
                Commit::Throttled(_) => {
                    back_off(attempt).await;
                    seen.account
                }
                Commit::Refused(fault) => return Err(fault.into()),
                // It lands once however often it is sent: what it books is gone then.
                Commit::Doubtful(_) => self.account(id).await?.ok_or(Unsettled::NoAccount)?,
            };
            seen = Seen { account, fresh: true };
        }
        Err(Fault::Busy.into())
    }
}

impl Attempt<'_> {
    async fn settle(
        &self,
        decide: impl Fn(&Account, &Head) -> Result<Posting, Refusal> + Send + Sync,
    ) -> Result<Settled, Unsettled> {
        let mut seen = self.first_sight().await?;
        let mut claimed: Option<EntryId> = None;
        for attempt in 0..ATTEMPTS_MAX {
            // By the end of the wait, rivals have moved on from what this one was told.
            if back_off(attempt).await {
                seen = self.look().await?;
            }
            seen = self.ledger.up_to_date(seen, self.moment).await?;
            // An id that the key was claimed for is kept: another sending may ask what became of it.
            let id = claimed.unwrap_or_else(|| self.mint(&seen.account));
            let head = Head { id, now: self.moment.now, claim: self.wish.key.clone() };
            let posting = match decide(&seen.account, &head) {
                Ok(posting) => posting,
                Err(refusal) if seen.fresh => return self.refuse(refusal, claimed).await,
                Err(_) => {
                    seen = self.look().await?;
                    continue;
                }
            };
            if claimed.is_none() {
                if let Some(replay) = self.claim(id).await? {
                    return Ok(replay);
                }
                claimed = Some(id);
            }
            match self.ledger.commit(&seen.account, &posting).await? {
                Commit::Landed(account) => return self.landed(&account).await,
                Commit::Lost(account) => {
                    if account.fence.up_to >= id {
                        claimed = Some(self.claim_again(id, &account).await?);
                    }
                    seen = Seen { account, fresh: true };
                }
                Commit::Missing => return Err(Unsettled::NoAccount),
                Commit::Refused(fault) => {
                    // Whatever it was decided on is not decided on again.
                    self.ledger.hints.forget(self.account);
                    self.let_go(id).await;
                    return Err(fault.into());
                }
                Commit::Throttled(_) => (),
                Commit::Doubtful(fault) => return self.after_doubt(id, &fault).await,
            }
        }
        if let Some(id) = claimed {
            self.let_go(id).await;
        }
        Err(Fault::Busy.into())
    }

    async fn first_sight(&self) -> Result<Seen, Unsettled> {
        match self.ledger.hints.get(self.account) {
            Some(account) => Ok(Seen { account, fresh: false }),
            None => self.look().await,
        }
    }

    async fn look(&self) -> Result<Seen, Unsettled> {
        let account = self.ledger.account(self.account).await?.ok_or(Unsettled::NoAccount)?;
        Ok(Seen { account, fresh: true })
    }

    fn mint(&self, account: &Account) -> EntryId {
        EntryId::above(account.floor(), self.moment.now, random())
    }

    /// Takes the key for `id`; or says what an earlier sending of the same request came to.
    async fn claim(&self, id: EntryId) -> Result<Option<Settled>, Unsettled> {
        match self.ledger.claim(self.wish, id, self.moment).await? {
            Claimed::Ours => Ok(None),
            Claimed::Theirs(held) => self.after(*held, id).await.map_err(in_doubt),
        }
    }

    /// What follows from a claim that somebody holds: their answer, or the key for `id` when they
    /// can never have one.
    async fn after(&self, held: Held, id: EntryId) -> Result<Option<Settled>, Unsettled> {
        let holder = held.id();
        if held.is_current(self.moment.wall) {
            if !held.is_for(self.wish.asked) {
                return Err(Unsettled::KeyReused);
            }
            if let Some(lines) = self.ledger.lines(self.account, holder).await? {
                return Ok(Some(Settled::told(lines, true)?));
            }
            if held.seconds_running(self.moment.wall) < IN_PROGRESS_SECONDS {
                return Err(Unsettled::InProgress);
            }
            if let Some(lines) =
                self.ledger.resolve(self.account, holder, held.into_details(), self.moment).await?
            {
                return Ok(Some(Settled::told(lines, true)?));
            }
        }
        if self.ledger.take_over(self.wish, holder, id, self.moment).await? {
            Ok(None)
        } else {
            Err(Unsettled::InProgress)
        }
    }

    /// A fence has closed the account to `id`, which did not land: goes on under an id above it,
    /// unless whoever set the fence has the key by now.
    async fn claim_again(&self, id: EntryId, account: &Account) -> Result<EntryId, Unsettled> {
        let next = self.mint(account);
        if self.ledger.take_over(self.wish, id, next, self.moment).await? {
            Ok(next)
        } else {
            Err(Unsettled::InProgress)
        }
    }

    async fn landed(&self, account: &Account) -> Result<Settled, Unsettled> {
        let lines = account.receipts(self.wish.details.clone());
        self.ledger.record_or_leave(self.account, &lines).await;
        Ok(Settled::told(lines, false)?)
    }

    /// Refuses, unless an earlier sending of this request turns out to have succeeded.
    async fn refuse(&self, refusal: Refusal, claimed: Option<EntryId>) -> Result<Settled, Unsettled> {
        if let Some(id) = claimed {
            self.let_go(id).await;
            return Err(refusal.into());
        }
        let Some(claim) = self.ledger.claim_of(self.wish.of, self.wish.key).await? else {
            return Err(refusal.into());
        };
        let id = EntryId::new(self.moment.now, random());
        if let Some(replay) = self.after(Held::new(claim), id).await.map_err(in_doubt)? {
            return Ok(replay);
        }
        self.let_go(id).await;
        Err(refusal.into())
    }

    /// A claim that is not let go of only makes the next sending take a little longer.
    async fn let_go(&self, id: EntryId) {
        if let Err(fault) = self.ledger.release(self.wish.of, self.wish.key, id).await {
            tracing::warn!(account = %self.account, fault = &fault as &dyn Error, "claim left to the next sending");
        }
    }

    /// The answer to a debit was lost. Either it is found to have landed, or it is fenced off and
    /// the caller sends again.
    async fn after_doubt(&self, id: EntryId, fault: &Fault) -> Result<Settled, Unsettled> {
        tracing::warn!(account = %self.account, transaction = %id, cause = fault as &dyn Error, "debit in doubt");
        match self.ledger.resolve(self.account, id, self.wish.details.clone(), self.moment).await {
            Ok(Some(lines)) => Ok(Settled::told(lines, false)?),
            Ok(None) => {
                self.let_go(id).await;
                Err(Fault::Busy.into())
            }
            // Only a repair can tell whether it landed.
            Err(Unsettled::Failed(broken @ Fault::BrokenAccount { .. })) => Err(broken.into()),
            Err(_) => Err(Unsettled::InProgress),
        }
    }
}

/// Once an earlier sending is known of, a fault must not be told as "nothing was charged".
fn in_doubt(unsettled: Unsettled) -> Unsettled {
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

/// 128 bits that nobody else draws, for ids.
#[must_use]
pub fn random() -> u128 {
    let mut bytes = [0u8; 16];
    // Without the system's randomness there is nothing sensible to go on with; ids would still be
    // told apart by the claim, which two attempts can't both hold.
    if getrandom::fill(&mut bytes).is_err() {
        tracing::error!("the system gives no random bytes");
    }
    u128::from_be_bytes(bytes)
}

/// Waits before an attempt, for a random time below a limit that doubles with each attempt: of many rivals, few
/// then try at the same moment, however many they are. The first attempts come at once: mostly the account has
/// just moved on, and the next one fits. Whether it has waited.
pub(super) async fn back_off(attempt: u32) -> bool {
    const FREE: u32 = 3;
    const FIRST_MILLIS: u128 = 4;
    const MOST_MILLIS: u128 = 500;
    let Some(waits) = attempt.checked_sub(FREE) else { return false };
    let most = FIRST_MILLIS.checked_shl(waits.min(16)).unwrap_or(MOST_MILLIS).min(MOST_MILLIS);
    let millis = u64::try_from(random().checked_rem(most).unwrap_or(0)).unwrap_or(0);
    tokio::time::sleep(Duration::from_millis(millis)).await;
    true
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// The first attempts come at once; later ones wait, for half a second at most.
    #[tokio::test(start_paused = true)]
    async fn rivals_wait_longer_with_each_attempt() {
        for (attempt, most) in
            [(0, 0), (2, 0), (3, 4), (4, 8), (9, 256), (10, 500), (39, 500), (u32::MAX, 500)]
        {
            let before = Instant::now();
            for _ in 0..50 {
                let start = Instant::now();
                assert_eq!(back_off(attempt).await, most > 0, "{attempt}");
                assert!(start.elapsed().as_millis() <= most, "{attempt}: {:?}", start.elapsed());
            }
            assert_eq!(before.elapsed().is_zero(), most == 0, "{attempt}");
        }
    }
}
