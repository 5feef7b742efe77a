//! Finishes ended holds, and parts that were taken and not posted.

use std::cmp::Reverse;

use crate::table::error::{Fault, Unsettled};
use crate::table::ledger::Ledger;
use crate::write::claim::{Claim, system_key};
use crate::write::drawdown::DrawdownSource;
use crate::write::drawdown_request::DrawdownRequest;
use crate::write::drawdown_request::hold_details;
use domain::{AccountId, DrawdownReason, EntryId, Fingerprint, Receipt, Refusal, Remainder};
use ports::Moment;

/// What happened to the ended holds of an account.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EndedHolds {
    /// Some were closed.
    pub closed: bool,
    /// Some are still open.
    pub left: bool,
}

impl Ledger {
    /// Posts the part of a transaction that was taken and not posted; closes the transaction if it is a hold that has
    /// ended. Does nothing when all is done.
    ///
    /// # Errors
    /// [`Unsettled::InProgress`] when it has to be repeated; when the table does not answer.
    pub async fn finish_drawdown(
        &self,
        account: AccountId,
        of: EntryId,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let Some(from) = self.find(account, of).await? else { return Ok(()) };
        let mut remainder = self.remainder_of(account, &from).await?;
        if let Some(open) = remainder.open.as_ref().map(|open| open.key.clone()) {
            let source = DrawdownSource { ledger: self, account, from: &from, moment };
            match source.post(remainder, &open).await {
                Ok(_) | Err(Unsettled::Refused(_) | Unsettled::KeyReused) => (),
                Err(unsettled) => return Err(unsettled),
            }
            remainder = self.remainder_of(account, &from).await?;
        }
        if from.is_hold() { self.close_if_ended(account, &from, remainder, moment).await } else { Ok(()) }
    }

    /// Closes a hold and returns its credits, if it has ended.
    ///
    /// # Errors
    /// As [`Ledger::draw_down`].
    pub async fn expire(&self, account: AccountId, hold: &Receipt, moment: Moment) -> Result<(), Unsettled> {
        let remainder = self.remainder_of(account, hold).await?;
        self.close_if_ended(account, hold, remainder, moment).await
    }

    async fn close_if_ended(
        &self,
        account: AccountId,
        hold: &Receipt,
        remainder: Remainder,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        if hold.details.expires_at.is_none_or(|ends| moment.now < ends) {
            return Ok(());
        }
        if remainder.closed && remainder.open.is_none() {
            return Ok(self.close(account, &remainder).await?);
        }
        let name = format!("expiry-of-{}", hold.entry.id);
        let (key, details) = (system_key(&name)?, hold_details(hold));
        let fingerprint = Fingerprint(name);
        let claim = Claim::new(&key, &fingerprint, &details);
        let request = DrawdownRequest { claim, why: &DrawdownReason::Expiry, moment };
        let source = DrawdownSource { ledger: self, account, from: hold, moment };
        let decide = |remainder: &Remainder| remainder.to_release(&DrawdownReason::Expiry, moment.now);
        match source.draw_down(remainder, request, decide).await {
            Ok(_) => Ok(()),
            // An earlier part that is posted has closed it.
            Err(Unsettled::Refused(Refusal::HoldClosed(_))) => {
                Ok(self.close(account, &self.remainder_of(account, hold).await?).await?)
            }
            Err(unsettled) => Err(unsettled),
        }
    }

    /// Closes at most `most` ended holds of an account: of those that one read finds, the largest first.
    ///
    /// # Errors
    /// When the table does not answer.
    pub async fn close_ended_holds(
        &self,
        account: AccountId,
        most: usize,
        moment: Moment,
    ) -> Result<EndedHolds, Fault> {
        let mut open = self.ended_holds(account, moment.now).await?;
        open.sort_by_key(|hold| Reverse(hold.amount));
        let mut ended = EndedHolds { closed: false, left: open.len() > most };
        for hold in open.into_iter().take(most) {
            match self.finish_drawdown(account, hold.id, moment).await {
                Ok(()) => ended.closed = true,
                Err(Unsettled::Failed(fault)) => return Err(fault),
                Err(_) => ended.left = true,
            }
        }
        Ok(ended)
    }
}
