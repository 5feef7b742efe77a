use std::error::Error;

use chrono::{DateTime, Utc};

use super::Till;
use crate::domain::{
    AccountId, Amount, Cause, Decline, EntryId, News, Purchase, PurchaseId, Recharge, RechargeState, Refusal,
    Stage, Wish,
};
use crate::store::{Errand, Fault, Moment, Unsettled, random};

/// How many steps one look at an account takes at most: a charge, what it came to, and the next wish.
const STEPS_MAX: u32 = 8;

/// What one look has come to.
enum Look {
    /// Nothing more can be done now.
    Enough,
    /// It has changed: look again.
    Again,
}

impl Till<'_> {
    /// Looks after auto-recharge of an account: makes the charge that a crossing wants, goes on with one
    /// that is under way, tries one again that failed (contract, rule 6). It may be asked at any time and
    /// by any number at once: a crossing is claimed by a conditional write, and by nothing else.
    ///
    /// # Errors
    /// When the table does not serve; it should then be asked again.
    pub async fn attend(&self, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
        for _ in 0..STEPS_MAX {
            let Some(recharge) = self.ledger.recharge(account).await? else { return Ok(()) };
            let look = match &recharge.state {
                RechargeState::Charging { transaction, credits, at } => {
                    // A purchase is a long way down, so its future is kept off the stack.
                    Box::pin(self.follow(&recharge, account, (*transaction, *credits, *at), moment)).await?
                }
                RechargeState::Ready | RechargeState::Paused { .. } => {
                    Box::pin(self.begin(&recharge, account, moment)).await?
                }
            };
            if let Look::Enough = look {
                return Ok(());
            }
        }
        Err(Fault::Busy.into())
    }

    /// What the account's balance wants of it.
    async fn begin(
        &self,
        recharge: &Recharge,
        account: AccountId,
        moment: Moment,
    ) -> Result<Look, Unsettled> {
        let known = self.ledger.catch_up(account, moment).await?;
        let next = match recharge.wish(&known, moment.now) {
            Wish::Rest => return Ok(Look::Enough),
            Wish::Charge(credits) => {
                let credits = self.payable(recharge, account, credits, moment).await?;
                recharge.charging(EntryId::new(moment.now, random()), credits, moment.now)
            }
            Wish::Turn(state) => {
                if let RechargeState::Paused { why, until } = &state {
                    // Told first: whoever finds it paused need not ask whether its owner knows.
                    let news = News::RechargePaused { why: *why, until: *until, revision: recharge.revision };
                    self.ledger.tell(account, &news, moment).await?;
                }
                Recharge { state, ..recharge.clone() }
            }
        };
        self.turn(account, next, moment).await?;
        Ok(Look::Again)
    }

    /// As many of the wanted credits as one payment may cost; at least a pack.
    async fn payable(
        &self,
        recharge: &Recharge,
        account: AccountId,
        wanted: Amount,
        moment: Moment,
    ) -> Result<Amount, Fault> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        let currency = self.currency(account.org).await?;
        let mut credits = wanted;
        while let Err(Refusal::PriceLimit) = catalogue.packages.amount(credits, currency, moment.now) {
            match recharge.half(credits) {
                Some(fewer) => credits = fewer,
                None => break,
            }
        }
        Ok(credits)
    }

    /// Writes a new state, and before it the errand that finds it again after a crash. When somebody else
    /// was first, nothing is written.
    async fn turn(&self, account: AccountId, next: Recharge, moment: Moment) -> Result<(), Unsettled> {
        if let Some(due) = next.look_at(moment.now) {
            self.ledger.note(Errand::Recharge(account), due).await?;
        }
        self.ledger.save_recharge(account, &next).await?;
        Ok(())
    }

    /// What has become of the charge under way.
    async fn follow(
        &self,
        recharge: &Recharge,
        account: AccountId,
        charge: (EntryId, Amount, DateTime<Utc>),
        moment: Moment,
    ) -> Result<Look, Unsettled> {
        let id = PurchaseId { account, transaction: charge.0 };
        let driven = match self.ledger.purchase(id).await? {
            Some(purchase) => Box::pin(self.resume(purchase, moment)).await,
            None => match Box::pin(self.wanted(recharge, id, charge, moment)).await? {
                Ok(purchase) => Box::pin(self.sell(purchase, moment)).await,
                Err(refusal) => Err(refusal.into()),
            },
        };
        let purchase = match driven {
            Ok(purchase) => purchase,
            // It can't even be asked for: nothing is on sale, or it costs too much at once or for a day.
            Err(Unsettled::Refused(refusal)) => {
                let next = recharge.refused(&refused(&refusal), moment.now);
                self.tell_failed(id, (recharge, &next), charge.1, moment).await?;
                self.turn(account, next, moment).await?;
                return Ok(Look::Again);
            }
            // Whoever is at work on it wakes us again.
            Err(Unsettled::InProgress) => return Ok(Look::Enough),
            Err(unsettled) => return Err(unsettled),
        };
        // Its owner is told before that is written down: told twice it is one event, and it is never lost.
        let next = match &purchase.stage {
            Stage::Pending(_) => return Ok(Look::Enough),
            Stage::Approved(_) => {
                self.ledger.tell(account, &News::Recharged(purchase.into()), moment).await?;
                recharge.paid()
            }
            Stage::Failed(decline) => {
                let next = recharge.refused(decline, moment.now);
                self.tell_failed(id, (recharge, &next), charge.1, moment).await?;
                next
            }
        };
        self.turn(account, next, moment).await?;
        Ok(Look::Again)
    }

    /// The purchase that a charge is; or why there can be none.
    async fn wanted(
        &self,
        recharge: &Recharge,
        id: PurchaseId,
        (_, credits, at): (EntryId, Amount, DateTime<Utc>),
        moment: Moment,
    ) -> Result<Result<Purchase, Refusal>, Unsettled> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        let currency = self.currency(id.account.org).await?;
        let offer = match catalogue.packages.amount(credits, currency, moment.now) {
            Ok(offer) => offer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let rate = self.rate(id.account.org, offer.price, moment).await?;
        let purchase = Purchase::begun(id, offer, recharge.payment_method.clone(), at);
        Ok(Ok(Purchase { rate, cause: Cause::Recharge, ..purchase }))
    }
}

/// A charge that can't even be asked for.
fn refused(refusal: &Refusal) -> Decline {
    tracing::warn!(cause = refusal as &dyn Error, "auto-recharge can't buy");
    let reason = if *refusal == Refusal::PriceLimit {
        "price_limit"
    } else if matches!(refusal, Refusal::SpendingLimit { .. }) {
        "spending_limit"
    } else {
        "not_on_sale"
    };
    Decline::plain(reason)
}
