//! Holds that have ended, and parts that broke off: who carries out what is left of them.

use std::cmp::Reverse;

use super::draw::{Asking, of_hold};
use super::{Fault, Ledger, Moment, Unsettled, system_key};
use domain::{AccountId, EntryId, Fingerprint, Pot, Receipt, Refusal, Why};

/// What came of a look at the holds of an account that have ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Some were closed.
    pub closed: bool,
    /// Some are not closed yet.
    pub left: bool,
}

impl Ledger {
    /// Carries out the part of a transaction that broke off; of a hold that has ended gives back the rest. When
    /// the account has followed all of it, there is nothing to do.
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
        let mut pot = self.pot_of(account, &from).await?;
        if let Some(open) = pot.open.as_ref().map(|open| open.key.clone()) {
            match self.follow(account, &from, (pot, &open), moment).await {
                Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => (),
                Err(unsettled) => return Err(unsettled),
            }
            pot = self.pot_of(account, &from).await?;
        }
        if from.is_hold() { self.expire_on(account, (&from, pot), moment).await } else { Ok(()) }
    }

    /// Gives back what a hold still has, if it has ended.
    ///
    /// # Errors
    /// As [`Ledger::draw`].
    pub async fn expire(&self, account: AccountId, hold: &Receipt, moment: Moment) -> Result<(), Unsettled> {
        let pot = self.pot_of(account, hold).await?;
        self.expire_on(account, (hold, pot), moment).await
    }

    async fn expire_on(
        &self,
        account: AccountId,
        (hold, pot): (&Receipt, Pot),
        moment: Moment,
    ) -> Result<(), Unsettled> {
        if hold.details.expires_at.is_none_or(|ends| moment.now < ends) {
            return Ok(());
        }
        if pot.closed && pot.open.is_none() {
            return Ok(self.close(account, &pot).await?);
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
        match self.draw_on(account, (hold, pot), asking, decide).await {
            Ok(_) => Ok(()),
            // It was closed before, by a part that the account has followed.
            Err(Unsettled::Refused(Refusal::HoldClosed(_))) => {
                Ok(self.close(account, &self.pot_of(account, hold).await?).await?)
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Closes holds of an account that have ended by now, at most so many: of those found by one look, the
    /// largest first.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn expire_ended(
        &self,
        account: AccountId,
        most: usize,
        moment: Moment,
    ) -> Result<Ended, Fault> {
        let mut open = self.ended_holds(account, moment.now).await?;
        open.sort_by_key(|hold| Reverse(hold.amount));
        let mut ended = Ended { closed: false, left: open.len() > most };
        for hold in open.into_iter().take(most) {
            match self.look_after_pot(account, hold.id, moment).await {
                Ok(()) => ended.closed = true,
                Err(Unsettled::Failed(fault)) => return Err(fault),
                Err(_) => ended.left = true,
            }
        }
        Ok(ended)
    }
}
