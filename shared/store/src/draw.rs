//! Drawing from a transaction: a part is taken from its remainder first, then the account follows.

use std::time::Duration;

use chrono::TimeDelta;

use super::pots::Save;
use super::settle::back_off;
use super::{ClaimsOf, Errand, Fault, Ledger, Moment, PotId, Settled, Unsettled};
use domain::{
    Account, AccountId, ClaimKey, Details, Draw, Drawn, EntryId, Fingerprint, GiveBack, Head, Landed, Misfit,
    NotTaken, Period, Portion, Posting, Pot, Receipt, Refusal, Why, capture, give_back,
};

/// How often one request may lose the race for a pot before its caller is told to retry.
const ATTEMPTS_MAX: u32 = 40;

/// How often, and how long, a request waits for another one that carries out the same just now.
const WAITS: u32 = 8;
const WAIT: Duration = Duration::from_millis(20);

/// How long after a part was drawn somebody looks whether the account has followed.
const LOOK: TimeDelta = TimeDelta::seconds(60);

/// A request to draw: whoever sends it again finds what it was answered first.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// The caller's key.
    pub key: &'a ClaimKey,
    /// What is asked under it.
    pub asked: &'a Fingerprint,
    /// What its transaction says beyond what was drawn.
    pub details: &'a Details,
    /// Why.
    pub why: &'a Why,
    /// When.
    pub moment: Moment,
}

/// What came of a request to draw.
#[derive(Clone, Debug)]
pub struct Taken {
    /// The transaction that it made.
    pub settled: Settled,
    /// The pot right after it: what is drawn later is not in it.
    pub pot: Pot,
}

impl Ledger {
    /// Draws from a transaction: from a debit by a refund, from a hold by a capture or its release. First the
    /// part is taken out of the pot, by one conditional write, so that all parts together never exceed it;
    /// then the account follows under the caller's own key. If that breaks off, the next sending, or
    /// whoever looks after the pot, goes on with it.
    ///
    /// # Errors
    /// See [`Unsettled`]. [`Unsettled::InProgress`] once the part is taken and the account has not followed.
    pub async fn draw(
        &self,
        account: AccountId,
        from: &Receipt,
        asking: Asking<'_>,
        decide: impl Fn(&Pot) -> Result<Portion, Refusal> + Send + Sync,
    ) -> Result<Taken, Unsettled> {
        let pot = self.pot_of(account, from).await?;
        self.draw_on(account, (from, pot), asking, decide).await
    }

    /// The same, on a remainder that was just read.
    pub(super) async fn draw_on(
        &self,
        account: AccountId,
        (from, pot): (&Receipt, Pot),
        asking: Asking<'_>,
        decide: impl Fn(&Pot) -> Result<Portion, Refusal> + Send + Sync,
    ) -> Result<Taken, Unsettled> {
        let Asking { key, asked, moment, .. } = asking;
        let mut read = Some(pot);
        for attempt in 0..ATTEMPTS_MAX {
            back_off(attempt).await;
            let pot = match read.take() {
                Some(pot) => pot,
                None => self.pot_of(account, from).await?,
            };
            if let Some(open) = pot.open_under(key) {
                if open.asked != *asked {
                    return Err(Unsettled::KeyReused);
                }
                let taken = self.follow(account, from, (pot, key), moment).await.map_err(begun)?;
                return Ok(Taken { settled: Settled { replayed: true, ..taken.settled }, ..taken });
            }
            // A key that is used for two requests at the same time is found out when the account follows.
            let made = match asking.why {
                // It ends the hold, so another one is refused.
                Why::Expiry => None,
                Why::Refund { .. } | Why::Capture | Why::Release => {
                    self.made_under(account, &pot, (key, asked), moment).await?
                }
            };
            if let Some(made) = made {
                return self.told_again(account, pot, made).await;
            }
            if let Some(open) = pot.open.as_ref().map(|open| open.key.clone()) {
                // What was drawn before comes first: it may have to be put back, and what is left is then more.
                match self.follow(account, from, (pot, &open), moment).await {
                    Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => continue,
                    Err(unsettled) => return Err(unsettled),
                }
            }
            let pot = pot.clone().with(part(from, asking, decide(&pot)?))?;
            if part_is_looked_after(asking.why) {
                let due = moment.now.checked_add_signed(LOOK).unwrap_or(moment.now);
                self.note(Errand::Pot(PotId { account, of: from.entry.id }), due).await?;
            }
            // If the answer is lost, it may have been taken.
            let saved = self.save_pot(account, pot, Save::Taken).await;
            let Some(pot) = saved.map_err(|fault| begun(fault.into()))? else { continue };
            return self.follow(account, from, (pot, key), moment).await.map_err(begun);
        }
        Err(Fault::Busy.into())
    }

    /// The transaction that a part of `pot` was made under `key`, if there is one. Keys are remembered as long as
    /// claims are.
    pub(super) async fn made_under(
        &self,
        account: AccountId,
        pot: &Pot,
        (key, asked): (&ClaimKey, &Fingerprint),
        moment: Moment,
    ) -> Result<Option<EntryId>, Unsettled> {
        let made = self.made_before(ClaimsOf::Account(account), key, asked, moment).await?;
        Ok(made.map(|made| made.id).filter(|id| pot.has_made(*id)))
    }

    /// What is answered again to a request whose part was made before.
    async fn told_again(&self, account: AccountId, pot: Pot, made: EntryId) -> Result<Taken, Unsettled> {
        self.close(account, &pot).await?;
        let receipt = self.transaction(account, made).await?.ok_or(Unsettled::InProgress)?;
        Ok(Taken { settled: Settled { receipt, more: vec![], replayed: true }, pot: pot.as_of(made) })
    }

    /// Has the account follow the part that was taken under `key`, and tells what that came to; those before it
    /// were followed before it was taken. Another process that is at it just now is mostly done in a moment.
    pub(super) async fn follow(
        &self,
        account: AccountId,
        from: &Receipt,
        (mut pot, key): (Pot, &ClaimKey),
        moment: Moment,
    ) -> Result<Taken, Unsettled> {
        for _ in 0..WAITS {
            match self.follow_now(account, from, (pot, key), moment).await {
                Err(Unsettled::InProgress) => tokio::time::sleep(WAIT).await,
                told => return told,
            }
            pot = self.pot_of(account, from).await?;
        }
        self.follow_now(account, from, (pot, key), moment).await
    }

    async fn follow_now(
        &self,
        account: AccountId,
        from: &Receipt,
        (pot, key): (Pot, &ClaimKey),
        moment: Moment,
    ) -> Result<Taken, Unsettled> {
        let Some(draw) = pot.open_under(key).cloned() else {
            // Another process has carried it out, or has put it back.
            let claim = self.claim_of(ClaimsOf::Account(account), key).await?;
            let made = claim.map(|claim| claim.id).filter(|id| pot.has_made(*id));
            return self.told_again(account, pot, made.ok_or(Unsettled::InProgress)?).await;
        };
        match self.carry_out(account, from, &draw, moment).await {
            Ok(settled) => {
                let made = settled.receipt.entry.id;
                let pot = self.mark_made(account, pot, &draw, (from, made)).await?;
                self.close(account, &pot).await?;
                Ok(Taken { settled, pot: pot.as_of(made) })
            }
            Err(error @ (Unsettled::Refused(_) | Unsettled::KeyReused)) => {
                // It will never be carried out.
                self.put_back(account, from, (pot, key)).await?;
                Err(error)
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Forgets a hold that is closed, and whose account has followed.
    pub(super) async fn close(&self, account: AccountId, pot: &Pot) -> Result<(), Fault> {
        match pot.ends {
            Some(ends) if pot.closed && pot.open.is_none() => self.forget_hold(account, pot.of, ends).await,
            Some(_) | None => Ok(()),
        }
    }

    /// The account follows one draw.
    async fn carry_out(
        &self,
        account: AccountId,
        from: &Receipt,
        draw: &Draw,
        moment: Moment,
    ) -> Result<Settled, Unsettled> {
        let drawn = draw.details.drawn.clone().ok_or_else(|| Fault::corrupt("a pot", "a draw of nothing"))?;
        let gives_back = drawn.why != Why::Capture;
        let request = gives_back.then(|| GiveBack {
            shares: drawn.shares.clone(),
            why: drawn.why.clone(),
            month: Period::of(from.entry.at),
        });
        let decide = |account: &Account, head: &Head| -> Result<Posting, Refusal> {
            match &request {
                Some(request) => give_back(account, request, head),
                None => capture(account, &drawn.shares, head),
            }
        };
        let details = in_full(from, &draw.details);
        self.settle(account, (&draw.key, &draw.asked, &details), moment, decide).await
    }

    /// Writes down which transaction a part was made. Whoever is first does; the others find it done.
    ///
    /// A part that another process has put back meanwhile was drawn all the same: it is written down as well, and
    /// raised, for its credits may have been drawn by others since.
    async fn mark_made(
        &self,
        account: AccountId,
        mut pot: Pot,
        draw: &Draw,
        (from, made): (&Receipt, EntryId),
    ) -> Result<Pot, Unsettled> {
        for attempt in 0..ATTEMPTS_MAX {
            back_off(attempt).await;
            if pot.has_made(made) {
                return Ok(pot);
            }
            let mut landed = None;
            let next = if pot.open_under(&draw.key).is_some() {
                pot.followed(made)?
            } else {
                let Landed { pot, overdrawn } = pot.landed(draw, made)?;
                landed = Some(overdrawn.get());
                pot
            };
            if let Some(kept) = self.save_pot(account, next, Save::Followed).await? {
                if let Some(overdrawn) = landed {
                    tracing::error!(
                        %account, of = %kept.of, %made, overdrawn,
                        "a part that was put back was carried out all the same"
                    );
                }
                return Ok(kept);
            }
            pot = self.pot_of(account, from).await?;
        }
        Err(Unsettled::InProgress)
    }

    /// Puts back a part that the account will not follow.
    async fn put_back(
        &self,
        account: AccountId,
        from: &Receipt,
        (mut pot, key): (Pot, &ClaimKey),
    ) -> Result<(), Fault> {
        for attempt in 0..ATTEMPTS_MAX {
            back_off(attempt).await;
            if pot.open_under(key).is_none()
                || self.save_pot(account, pot.without_open()?, Save::Followed).await?.is_some()
            {
                return Ok(());
            }
            pot = self.pot_of(account, from).await?;
        }
        Err(Fault::Busy)
    }
}

impl From<Misfit> for Fault {
    fn from(misfit: Misfit) -> Self {
        Self::corrupt("what is left of a transaction", misfit)
    }
}

impl From<Misfit> for Unsettled {
    fn from(misfit: Misfit) -> Self {
        Fault::from(misfit).into()
    }
}

impl From<NotTaken> for Unsettled {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Refused(refusal) => refusal.into(),
            NotTaken::Misfit(misfit) => misfit.into(),
        }
    }
}

/// The part that a request draws. What its transaction says of the hold is in the hold's row, and is not repeated.
fn part(from: &Receipt, asking: Asking<'_>, portion: Portion) -> Draw {
    let drawn = Drawn { of: from.entry.id, why: asking.why.clone(), shares: portion.shares };
    let mut details = Details { drawn: Some(drawn), ..asking.details.clone() };
    if from.is_hold() {
        let Details {
            quantity, price_version, resource_id, customer_id, member_id, service, purpose, ..
        } = Details::default();
        details = Details {
            quantity,
            price_version,
            resource_id,
            customer_id,
            member_id,
            service,
            purpose,
            ..details
        };
    }
    Draw { key: asking.key.clone(), asked: asking.asked.clone(), details, closes: portion.closes }
}

/// All that the transaction of a part says.
fn in_full(from: &Receipt, details: &Details) -> Details {
    if !from.is_hold() {
        return details.clone();
    }
    with_purpose_of(from, details.clone())
}

/// What is told of a hold wherever credits of it move: whose it was and for what.
#[must_use]
pub fn of_hold(hold: &Receipt) -> Details {
    with_purpose_of(hold, Details::default())
}

/// `details`, with whose a hold was and for what.
fn with_purpose_of(hold: &Receipt, details: Details) -> Details {
    let Details { quantity, price_version, resource_id, customer_id, member_id, service, purpose, .. } =
        hold.details.clone();
    Details { quantity, price_version, resource_id, customer_id, member_id, service, purpose, ..details }
}

/// What was taken from a pot will be carried out by whoever comes next, so nobody is told that nothing happened.
fn begun(unsettled: Unsettled) -> Unsettled {
    if let Unsettled::Failed(fault) = unsettled {
        tracing::warn!(fault = &fault as &dyn std::error::Error, "what was drawn is left to the next look");
        return Unsettled::InProgress;
    }
    unsettled
}

/// Whether somebody has to be told to look, should the account not follow. The end of a hold is looked at anyway.
fn part_is_looked_after(why: &Why) -> bool {
    match why {
        Why::Refund { .. } | Why::Capture | Why::Release => true,
        Why::Expiry => false,
    }
}
