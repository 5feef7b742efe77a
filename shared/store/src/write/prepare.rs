//! What precedes the debit of an attempt: its claim, and its charges of budgets.

use crate::table::error::Unsettled;
use crate::write::budgeted::{AttemptCharges, Charged};
use crate::write::claim::OwnedClaim;
use crate::write::settle::{KnownAccount, SettleAttempt, Settled};
use domain::{BudgetCharges, EntryId, Posting, Refusal};

/// One turn of an attempt: a posting that was decided and not written yet.
pub(super) struct Turn<'a> {
    pub(super) id: EntryId,
    /// The id that the key was claimed for.
    pub(super) claimed: &'a mut Option<EntryId>,
    pub(super) known: &'a mut KnownAccount,
    pub(super) posting: &'a Posting,
}

/// Whether the posting can be written.
pub(super) enum Prepared {
    /// It is claimed, and all budgets are charged.
    Ready,
    /// It has to be decided again.
    Again,
    /// An earlier attempt of the request has made it.
    MadeBefore(Box<Settled>),
    /// A budget has no room.
    Refused(Refusal),
}

impl SettleAttempt<'_> {
    /// Claims the key, if it is not claimed yet, and charges the budgets that count the posting.
    pub(super) async fn prepare(
        &mut self,
        mut turn: Turn<'_>,
        charges: &mut AttemptCharges,
    ) -> Result<Prepared, Unsettled> {
        let account = &turn.known.account;
        let details = self.claim.details;
        let wanted = self.ledger.budget_charges(account, turn.posting, details).await?;
        if turn.claimed.is_none() {
            if let Some(refusal) = self.charging().refused_before(&wanted, turn.id).await? {
                return self.refused(turn, refusal).await;
            }
            if let Some(replay) = self.take_key(turn.id, &wanted.noted(details)).await? {
                return Ok(Prepared::MadeBefore(replay.into()));
            }
            *turn.claimed = Some(turn.id);
            *charges = AttemptCharges::new(turn.id, wanted);
        } else if !charges.are(turn.id, &wanted) && self.recharge(&mut turn, wanted, charges).await? {
            return Ok(Prepared::Again);
        }
        match self.charging().charge_all(charges).await? {
            Charged::All => Ok(Prepared::Ready),
            Charged::Refused(exceeded) => self.refused(turn, Refusal::BudgetExceeded(exceeded)).await,
            Charged::Fenced(fence) => self.under_another_id(turn, fence, charges).await,
            Charged::Later(start) => {
                self.moment.now = self.moment.now.max(start);
                self.under_another_id(turn, EntryId::FIRST, charges).await
            }
        }
    }

    /// Gives back what was charged for an earlier decision: other budgets count the request now, or the attempt has another
    /// id. Returns whether it needs another decision, under a new id.
    async fn recharge(
        &self,
        turn: &mut Turn<'_>,
        wanted: BudgetCharges,
        charges: &mut AttemptCharges,
    ) -> Result<bool, Unsettled> {
        let was_charged = charges.is_of(turn.id);
        self.charging().conclude(charges).await;
        *charges = AttemptCharges::new(turn.id, wanted.clone());
        if was_charged {
            // What an id has charged and given back, it never charges again: a late copy of either write does nothing.
            let next = self.claim_again(turn.id, &turn.known.account, EntryId::FIRST, charges).await?;
            *turn.claimed = Some(next);
            *charges = AttemptCharges::new(next, wanted);
            return Ok(true);
        }
        let details = charges.noted(self.claim.details);
        let claim = OwnedClaim { details: &details, ..self.claim };
        match self.ledger.take_over(claim, turn.id, turn.id, self.moment).await? {
            true => Ok(false),
            false => Err(Unsettled::InProgress),
        }
    }

    /// A refusal by a budget is final if the account was read for this request, or no budget was changed since it was seen.
    async fn refused(&self, turn: Turn<'_>, refusal: Refusal) -> Result<Prepared, Unsettled> {
        if turn.known.fresh {
            return Ok(Prepared::Refused(refusal));
        }
        let mark = turn.known.account.budgets;
        *turn.known = self.read().await?;
        let is_final = turn.known.account.budgets == mark;
        Ok(if is_final { Prepared::Refused(refusal) } else { Prepared::Again })
    }

    /// Gives back what was charged and goes on under an id above `floor`.
    async fn under_another_id(
        &self,
        turn: Turn<'_>,
        floor: EntryId,
        charges: &mut AttemptCharges,
    ) -> Result<Prepared, Unsettled> {
        // The claim names no budgets until it is known which ones count the next decision.
        self.charging().conclude(charges).await;
        let next = self.claim_again(turn.id, &turn.known.account, floor, charges).await?;
        *turn.claimed = Some(next);
        Ok(Prepared::Again)
    }
}
