use std::error::Error;

use chrono::{DateTime, Utc};

use super::{DisputeId, Till};
use domain::{
    AccountId, Amount, BadRecharge, Cause, Currency, EntryId, Money, News, Offer, OrgId, PackageList, Pause,
    Purchase, PurchaseId, Recharge, RechargeState, Refusal, Stage, Wish,
};
use store::{Changes, ClaimsOf, Errand, Fault, Moment, Unsettled, random};

/// How many steps one look at an account takes at most: a charge, what it came to, and the next wish.
const STEPS_MAX: u32 = 8;

/// What the owner's changes set, by the path of its route.
const SETTINGS: &str = "/api/v3/credits/auto-recharge";

/// How often one change of the settings may lose the race for their row.
const ATTEMPTS_MAX: u32 = 64;

/// What one look has come to.
enum Look {
    /// Nothing more can be done now.
    Enough,
    /// It has changed: look again.
    Again,
}

/// A charge that is under way.
struct Charge {
    transaction: EntryId,
    credits: Amount,
    price: Option<Money>,
    at: DateTime<Utc>,
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
            let look = match recharge.state {
                RechargeState::Charging { transaction, credits, price, at } => {
                    let charge = Charge { transaction, credits, price, at };
                    // A purchase is a long way down, so its future is kept off the stack.
                    Box::pin(self.follow(&recharge, account, charge, moment)).await?
                }
                RechargeState::Ready | RechargeState::Paused { .. } | RechargeState::Stopped { .. } => {
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
            Wish::Charge(credits) => match self.affordable(recharge, account, credits, moment).await? {
                Ok(price) => {
                    let transaction = EntryId::new(moment.now, random());
                    recharge.charging(transaction, credits, price, moment.now)
                }
                Err(state) => Recharge { state, ..recharge.clone() },
            },
            Wish::Turn(state) => Recharge { state, ..recharge.clone() },
        };
        self.turn(account, (recharge, next), moment).await?;
        Ok(Look::Again)
    }

    /// What so many credits cost, where that is within the limits of its owner and of the operator; else the state to be in.
    async fn affordable(
        &self,
        recharge: &Recharge,
        account: AccountId,
        credits: Amount,
        moment: Moment,
    ) -> Result<Result<Money, RechargeState>, Fault> {
        let currency = self.billed_in(account.org).await?;
        let offer = match self.quoted(currency, credits, moment).await? {
            Ok(offer) => offer,
            Err(refusal) => return Ok(Err(waits_for(&refusal, moment.now))),
        };
        if let Err(state) = recharge.may_spend(offer.price, currency, moment.now) {
            return Ok(Err(state));
        }
        let fits = self.fits_today(account, offer.price, moment).await?;
        Ok(fits.map(|()| offer.price).map_err(|refusal| waits_for(&refusal, moment.now)))
    }

    /// Writes a new state, and before it the errand that finds it again after a crash. Its owner is told first of a
    /// pause that begins: whoever finds it paused need not ask whether they know. When somebody else was first, nothing
    /// is written.
    async fn turn(
        &self,
        account: AccountId,
        (known, next): (&Recharge, Recharge),
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let (before, after) = (known.state.pause(), next.state.pause());
        if let Some((why, until)) = after
            && why != Pause::PaymentFailed
            && before.is_none_or(|(before, _)| before != why)
        {
            let news = News::RechargePaused { why, until, revision: known.revision };
            self.ledger.tell(account, &news, moment).await?;
        }
        if let Some(due) = next.look_at(moment.now) {
            self.ledger.note(Errand::Recharge(account), due).await?;
        }
        if next.edition != known.edition {
            self.overtake(account, moment).await?;
        }
        self.ledger.save_recharge(account, &next).await?;
        Ok(())
    }

    /// A change of the settings that their owner has sent before, and that broke off, does not undo the one that
    /// follows.
    async fn overtake(&self, account: AccountId, moment: Moment) -> Result<(), Fault> {
        self.ledger.note_change(ClaimsOf::Account(account), &Changes::digest(SETTINGS), moment.wall).await
    }

    /// What has become of the charge under way.
    async fn follow(
        &self,
        recharge: &Recharge,
        account: AccountId,
        charge: Charge,
        moment: Moment,
    ) -> Result<Look, Unsettled> {
        let id = PurchaseId { account, transaction: charge.transaction };
        let driven = match self.ledger.purchase(id).await? {
            Some(purchase) => Box::pin(self.resume(purchase, moment)).await,
            None => match Box::pin(self.wanted(recharge, id, &charge, moment)).await? {
                Ok(purchase) => Box::pin(self.sell(purchase, moment)).await,
                Err(state) => {
                    self.turn(account, (recharge, recharge.abandoned(state)), moment).await?;
                    return Ok(Look::Again);
                }
            },
        };
        let purchase = match driven {
            Ok(purchase) => purchase,
            // Whoever is at work on it wakes us again.
            Err(Unsettled::InProgress) => return Ok(Look::Enough),
            // It was never begun: no payment has failed.
            Err(Unsettled::Refused(refusal)) => {
                let state = waits_for(&refusal, moment.now);
                self.turn(account, (recharge, recharge.abandoned(state)), moment).await?;
                return Ok(Look::Again);
            }
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
                self.tell_failed(id, (recharge, &next), charge.credits, moment).await?;
                next
            }
        };
        self.turn(account, (recharge, next), moment).await?;
        Ok(Look::Again)
    }

    /// The purchase that a charge is; or the state to be in, where there can be none at what was counted for it, or
    /// none any more.
    async fn wanted(
        &self,
        recharge: &Recharge,
        id: PurchaseId,
        charge: &Charge,
        moment: Moment,
    ) -> Result<Result<Purchase, RechargeState>, Unsettled> {
        let is_frozen = self.ledger.account(id.account).await?.is_some_and(|account| account.frozen);
        if recharge.reversed().is_some() || !recharge.enabled || is_frozen {
            // Nobody was asked for it yet, and what has stopped it since stops it here.
            return Ok(Err(RechargeState::Ready));
        }
        let currency = self.billed_in(id.account.org).await?;
        let offer = match self.quoted(currency, charge.credits, moment).await? {
            Ok(offer) => offer,
            Err(refusal) => return Ok(Err(waits_for(&refusal, moment.now))),
        };
        if charge.price.is_some_and(|counted| counted.amount() < offer.price.amount()) {
            // The price has risen since: it is decided anew.
            return Ok(Err(RechargeState::Ready));
        }
        let rate = self.rate(id.account.org, offer.price, moment).await?;
        let purchase = Purchase::begun(id, offer, recharge.payment_method.clone(), charge.at);
        Ok(Ok(Purchase { rate, cause: Cause::AutoRecharge, ..purchase }))
    }

    /// What so many credits cost in that currency now: the one place that asks for the price of a charge.
    async fn quoted(
        &self,
        currency: Currency,
        credits: Amount,
        moment: Moment,
    ) -> Result<Result<Offer, Refusal>, Fault> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        Ok(offered(&catalogue.packages, (credits, currency), moment.now))
    }

    /// The currency that an organisation is billed in.
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn billed_in(&self, org: OrgId) -> Result<Currency, Fault> {
        let organisation = self.settings.organisation(org).await?;
        let organisation =
            organisation.ok_or_else(|| Fault::corrupt("an account", "its organisation is gone"))?;
        Ok(organisation.currency)
    }

    /// Whether one payment can satisfy settings at what credits cost now, see [`Recharge::satisfiable`].
    ///
    /// # Errors
    /// When the table does not serve.
    pub async fn can_satisfy(
        &self,
        recharge: &Recharge,
        currency: Currency,
        moment: Moment,
    ) -> Result<Result<(), BadRecharge>, Fault> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        let sizes: Vec<_> = catalogue
            .packages
            .on_sale_in(currency, moment.now)
            .iter()
            .map(|package| package.credits)
            .collect();
        Ok(recharge.satisfiable(currency, &sizes, |credits| {
            offered(&catalogue.packages, (credits, currency), moment.now).map(|offer| offer.price)
        }))
    }

    /// A payment of an account is disputed: its cards are charged no more until the owner sets auto-recharge anew. Heard
    /// again of one dispute, it pauses nothing again. To be called before the dispute changes the balance, which would
    /// have auto-recharge charge the same card.
    ///
    /// # Errors
    /// When the table does not serve; it should then be called again.
    pub async fn pause_recharge_for_dispute(
        &self,
        account: AccountId,
        dispute: &DisputeId,
        moment: Moment,
    ) -> Result<(), Fault> {
        let news = News::RechargeDisputed { dispute: dispute.0.clone() };
        self.pause_until_set(account, &news, Recharge::with_dispute, moment).await
    }

    /// A step of a purchase's refunds takes credits back: as for a dispute, the card whose money went back is charged no
    /// more until the owner sets auto-recharge anew.
    ///
    /// # Errors
    /// When the table does not serve; it should then be called again.
    pub(super) async fn pause_recharge_for_refund(
        &self,
        purchase: PurchaseId,
        step: u32,
        moment: Moment,
    ) -> Result<(), Fault> {
        let news = News::RechargeRefunded { purchase: purchase.transaction, step };
        self.pause_until_set(purchase.account, &news, Recharge::with_refund, moment).await
    }

    async fn pause_until_set(
        &self,
        account: AccountId,
        news: &News,
        paused: fn(&Recharge) -> Recharge,
        moment: Moment,
    ) -> Result<(), Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(known) = self.ledger.recharge(account).await? else { return Ok(()) };
            if !known.enabled || self.ledger.was_told(account, news).await? {
                return Ok(());
            }
            let next = paused(&known);
            let is_so = (known.disputed, known.refunded) == (next.disputed, next.refunded);
            self.overtake(account, moment).await?;
            if is_so || self.ledger.save_recharge(account, &next).await?.is_some() {
                return self.ledger.tell(account, news, moment).await;
            }
        }
        Err(Fault::Busy)
    }

    /// After a purchase by hand that is paid: what of auto-recharge failed before it does not count any more.
    pub(super) async fn count_top_up(&self, purchase: &Purchase) {
        if purchase.cause == Cause::Caller
            && let Stage::Approved(_) = purchase.stage
            && let Err(fault) = self.forget_failures(purchase.id.account).await
        {
            let account = purchase.id.account;
            tracing::warn!(%account, fault = &fault as &dyn Error, "failed payments still count after a top-up");
        }
    }

    async fn forget_failures(&self, account: AccountId) -> Result<(), Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let known = self.ledger.recharge(account).await?;
            let Some(next) = known.and_then(|known| known.topped_up()) else { return Ok(()) };
            if self.ledger.save_recharge(account, &next).await?.is_some() {
                return Ok(());
            }
        }
        Err(Fault::Busy)
    }
}

/// The offer for so many credits in that currency.
fn offered(
    packages: &PackageList,
    (credits, currency): (Amount, Currency),
    at: DateTime<Utc>,
) -> Result<Offer, Refusal> {
    packages.amount(credits, currency, at)
}

/// What a charge waits for that can't even be asked for.
fn waits_for(refusal: &Refusal, now: DateTime<Utc>) -> RechargeState {
    tracing::warn!(cause = refusal as &dyn Error, "auto-recharge can't buy");
    if let Refusal::SpendingLimit { .. } = refusal {
        return RechargeState::for_this_day(Pause::DailySpendLimit, now);
    }
    let is_missing = matches!(refusal, Refusal::NothingOnSale | Refusal::UnknownPackage(_));
    RechargeState::for_an_hour(if is_missing { Pause::NotOnSale } else { Pause::PaymentLimit }, now)
}
