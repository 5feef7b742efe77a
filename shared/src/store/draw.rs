use std::pin::Pin;
use std::time::Duration;

use chrono::TimeDelta;

use super::pots::{ENDED_AT_ONCE, OpenHold};
use super::{ClaimsOf, Errand, Fault, Ledger, Moment, PotId, Settled, Unsettled, system_key};
use crate::domain::{
    Account, AccountId, ClaimKey, Details, Draw, Drawn, EntryId, Fingerprint, GiveBack, Head, Period,
    Portion, Posting, Pot, Receipt, Refusal, Why, capture, give_back,
};

/// How often one request may lose the race for a pot before its caller is told to retry.
const ATTEMPTS_MAX: u32 = 48;

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

/// What came of a look at the holds of an account that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Some were closed.
    pub closed: bool,
    /// Some are left to whoever is at work on them.
    pub left: bool,
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
        let moment = asking.moment;
        for _ in 0..ATTEMPTS_MAX {
            let pot = self.pot(account, from.entry.id).await?.unwrap_or_else(|| Pot::of(from));
            if let Some(known) = pot.draws.iter().find(|draw| draw.key == *asking.key) {
                if known.asked != *asking.asked {
                    return Err(Unsettled::KeyReused);
                }
                let taken = self.follow(account, from, (pot, asking.key), moment).await.map_err(begun)?;
                return Ok(Taken { settled: Settled { replayed: true, ..taken.settled }, ..taken });
            }
            if let Some(unmade) =
                pot.draws.iter().find(|draw| draw.made.is_none()).map(|draw| draw.key.clone())
            {
                // What was drawn before comes first: it may have to be put back, and what is left is then more.
                match self.follow(account, from, (pot, &unmade), moment).await {
                    Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => continue,
                    Err(unsettled) => return Err(unsettled),
                }
            }
            // A key that is used for two requests at the same time is found out when the account follows.
            self.made_before(ClaimsOf::Account(account), asking.key, asking.asked, moment).await?;
            let part = decide(&pot)?;
            let drawn = Drawn { of: from.entry.id, why: asking.why.clone(), shares: part.shares };
            let draw = Draw {
                key: asking.key.clone(),
                asked: asking.asked.clone(),
                details: Details { drawn: Some(drawn), ..asking.details.clone() },
                closes: part.closes,
                made: None,
            };
            if part_is_looked_after(asking.why) {
                let due = moment.now.checked_add_signed(LOOK).unwrap_or(moment.now);
                self.note(Errand::Pot(PotId { account, of: from.entry.id }), due).await?;
            }
            // If the answer is lost, it may have been taken.
            let saved = self.save_pot(account, pot.with(draw)?).await.map_err(|fault| begun(fault.into()))?;
            let Some(pot) = saved else { continue };
            return self.follow(account, from, (pot, asking.key), moment).await.map_err(begun);
        }
        Err(Fault::Busy.into())
    }

    /// Has the account follow the draw of `key`, and tells what that came to; those before it were followed
    /// before it was drawn. Somebody else who is at it just now is mostly done in a moment.
    async fn follow(
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
            let known = self.pot(account, from.entry.id).await?;
            pot = known.ok_or_else(|| Fault::corrupt("a pot", "it is gone"))?;
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
        // One that is gone was put back by somebody else.
        let draw = pot.draws.iter().find(|draw| draw.key == *key).cloned().ok_or(Unsettled::InProgress)?;
        if let Some(made) = draw.made {
            self.close(account, &pot).await?;
            let receipt = self.transaction(account, made).await?.ok_or(Unsettled::InProgress)?;
            let settled = Settled { receipt, more: vec![], replayed: true };
            return Ok(Taken { settled, pot: as_of(pot, key) });
        }
        match self.carry_out(account, from, &draw, moment).await {
            Ok(settled) => {
                let pot = self.mark_made(account, &pot, &draw, settled.receipt.entry.id).await?;
                self.close(account, &pot).await?;
                Ok(Taken { settled, pot: as_of(pot, key) })
            }
            Err(error @ (Unsettled::Refused(_) | Unsettled::KeyReused)) => {
                // It will never be carried out.
                self.withdraw(account, &pot, key).await?;
                Err(error)
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Forgets a hold that is closed, and whose account has followed.
    async fn close(&self, account: AccountId, pot: &Pot) -> Result<(), Fault> {
        match pot.ends {
            Some(ends) if pot.closed_by().is_some() && pot.draws.iter().all(|draw| draw.made.is_some()) => {
                self.forget_hold(account, OpenHold { id: pot.of, ends }).await
            }
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
        self.settle(account, (&draw.key, &draw.asked, &draw.details), moment, decide).await
    }

    /// Writes down which transaction a draw was made. Whoever is first does; the others find it done. One that
    /// somebody has put back meanwhile is drawn all the same: the account has followed.
    async fn mark_made(
        &self,
        account: AccountId,
        pot: &Pot,
        draw: &Draw,
        made: EntryId,
    ) -> Result<Pot, Unsettled> {
        let mut pot = pot.clone();
        for _ in 0..ATTEMPTS_MAX {
            if !pot.has(&draw.key) {
                tracing::error!(%account, of = %pot.of, "a draw that was put back has landed");
                pot = pot.with(draw.clone())?;
            }
            let known = pot.draws.iter_mut().find(|known| known.key == draw.key);
            if known.is_none_or(|known| known.made.replace(made).is_some()) {
                return Ok(pot);
            }
            let of = pot.of;
            if let Some(kept) = self.save_pot(account, pot).await? {
                return Ok(kept);
            }
            pot = self.pot(account, of).await?.ok_or_else(|| Fault::corrupt("a pot", "it is gone"))?;
        }
        Err(Unsettled::InProgress)
    }

    /// Puts back a part that the account will not follow.
    async fn withdraw(&self, account: AccountId, pot: &Pot, key: &ClaimKey) -> Result<(), Fault> {
        let mut pot = pot.clone();
        for _ in 0..ATTEMPTS_MAX {
            let of = pot.of;
            if !pot.has(key) || self.save_pot(account, pot.without(key)).await?.is_some() {
                return Ok(());
            }
            pot = self.pot(account, of).await?.ok_or_else(|| Fault::corrupt("a pot", "it is gone"))?;
        }
        Err(Fault::Busy)
    }

    /// Carries out what was drawn from a transaction and broke off; of a hold that has ended gives back the
    /// rest. When the account has followed all of it, there is nothing to do.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] when it has to be looked at again; when the table does not serve.
    pub async fn look_after_pot(
        &self,
        account: AccountId,
        of: EntryId,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let Some(from) = self.find(account, of).await? else { return Ok(()) };
        if let Some(pot) = self.pot(account, of).await?
            && let Some(last) = pot.draws.last().map(|last| last.key.clone())
        {
            match self.follow(account, &from, (pot, &last), moment).await {
                Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => (),
                Err(unsettled) => return Err(unsettled),
            }
        }
        if from.is_hold() { self.expire(account, &from, moment).await } else { Ok(()) }
    }

    /// Gives back what a hold still has, if it has ended.
    ///
    /// # Errors
    /// As [`Ledger::draw`].
    pub async fn expire(&self, account: AccountId, hold: &Receipt, moment: Moment) -> Result<(), Unsettled> {
        if hold.details.expires_at.is_none_or(|ends| moment.now < ends) {
            return Ok(());
        }
        let name = format!("expiry-of-{}", hold.entry.id);
        let asking = Asking {
            key: &system_key(&name)?,
            asked: &Fingerprint(name),
            details: &of_hold(hold),
            why: &Why::Expiry,
            moment,
        };
        let decide = |pot: &Pot| pot.to_release(&Why::Expiry, moment.now);
        match self.draw(account, hold, asking, decide).await {
            Ok(_) => Ok(()),
            // It was closed before, by what the account has followed: the draw would have seen to that first.
            Err(Unsettled::Refused(Refusal::HoldClosed(_))) => {
                match self.pot(account, hold.entry.id).await? {
                    Some(pot) => Ok(self.close(account, &pot).await?),
                    None => Ok(()),
                }
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Has the holds of an account that have ended by now give back what they have, some tens at once.
    ///
    /// # Errors
    /// When the table does not serve.
    pub fn expire_ended(
        &self,
        account: AccountId,
        moment: Moment,
    ) -> Pin<Box<dyn Future<Output = Result<Ended, Fault>> + Send + '_>> {
        // In a box, for what gives back settles, and whoever settles comes through here.
        Box::pin(async move {
            let mut ended = Ended::default();
            for open in self.ended_holds(account, moment.now, ENDED_AT_ONCE).await? {
                match self.look_after_pot(account, open.id, moment).await {
                    Ok(()) => ended.closed = true,
                    Err(Unsettled::Failed(fault)) => return Err(fault),
                    Err(_) => ended.left = true,
                }
            }
            Ok(ended)
        })
    }
}

/// What is told of a hold wherever credits of it move: whose it was and for what.
#[must_use]
pub fn of_hold(hold: &Receipt) -> Details {
    let Details { quantity, price_version, resource_id, customer_id, member_id, service, purpose, .. } =
        hold.details.clone();
    Details {
        quantity,
        price_version,
        resource_id,
        customer_id,
        member_id,
        service,
        purpose,
        ..Details::default()
    }
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

/// A pot without what was drawn after the draw of `key`.
fn as_of(mut pot: Pot, key: &ClaimKey) -> Pot {
    let through = pot.draws.iter().take_while(|draw| draw.key != *key).count();
    pot.draws.truncate(through.saturating_add(1));
    pot
}
