//! Auto-recharge: buys credits when the balance falls below the threshold.

use std::error::Error;

use chrono::{DateTime, Utc};

use super::checkout::RechargeOutcome;
use super::{Checkout, DisputeId};
use domain::{
    AccountId, Amount, AutoRecharge, AutoRechargeAction, AutoRechargeState, BadAutoRecharge, Currency,
    EntryId, Money, Notification, Offer, OrgId, PauseReason, Purchase, PurchaseCause, PurchaseId,
    PurchaseStatus, Refusal,
};
use store::{ChangeRequest, ClaimsOf, Fault, Job, Moment, Unsettled, random};

/// The maximum number of steps in one call: a charge, its result, and the next decision.
const STEPS_MAX: u32 = 8;

/// The route by which the owner changes the settings: the scope of its change claims.
const SETTINGS: &str = "/api/v3/credits/auto-recharge";

/// How often a change of the settings is retried when another process changes their row.
const ATTEMPTS_MAX: u32 = 64;

/// Whether another step follows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum NextStep {
    /// Nothing more can be done now.
    Done,
    /// The settings have changed: decide again.
    DecideAgain,
}

/// A charge in progress.
struct PendingCharge {
    transaction: EntryId,
    credits: Amount,
    price: Option<Money>,
    at: DateTime<Utc>,
}

/// What the next charge is made with; or the state to enter in place of a charge.
enum NextCharge<T> {
    With(T),
    Not(AutoRechargeState),
}

impl<T> NextCharge<T> {
    /// The state that follows a refusal.
    fn refused(unsettled: Unsettled, moment: Moment) -> Result<Self, Unsettled> {
        match unsettled {
            Unsettled::Refused(refusal) => Ok(Self::Not(state_after(&refusal, moment.now))),
            other @ (Unsettled::KeyReused
            | Unsettled::NoAccount
            | Unsettled::InProgress
            | Unsettled::HoldsEnded
            | Unsettled::Failed(_)) => Err(other),
        }
    }
}

impl Checkout<'_> {
    /// Runs auto-recharge of an account: charges when the balance is below the threshold, continues a charge in progress,
    /// and retries a failed one (contract, rule 6). Any number of processes may call it at any time: a charge is claimed by
    /// a conditional write, and by nothing else.
    ///
    /// # Errors
    /// When the table is unavailable, or the deadline has passed; the call should then be retried.
    pub async fn run_auto_recharge(&self, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
        self.deadline.close(Box::pin(self.recharge_steps(account, moment))).await?
    }

    async fn recharge_steps(&self, account: AccountId, moment: Moment) -> Result<(), Unsettled> {
        for _ in 0..STEPS_MAX {
            let Some(recharge) = self.ledger.recharge(account).await? else { return Ok(()) };
            let next = match recharge.state {
                AutoRechargeState::Charging { transaction, credits, price, at } => {
                    let charge = PendingCharge { transaction, credits, price, at };
                    Box::pin(self.continue_charge(&recharge, account, charge, moment)).await?
                }
                AutoRechargeState::Ready
                | AutoRechargeState::Paused { .. }
                | AutoRechargeState::Stopped { .. } => {
                    Box::pin(self.decide(&recharge, account, moment)).await?
                }
            };
            if next == NextStep::Done {
                return Ok(());
            }
        }
        Err(Fault::Busy.into())
    }

    /// Decides from the balance whether to charge.
    async fn decide(
        &self,
        recharge: &AutoRecharge,
        account: AccountId,
        moment: Moment,
    ) -> Result<NextStep, Unsettled> {
        let known = self.ledger.catch_up(account, moment).await?;
        let next = match recharge.action(&known, moment.now) {
            AutoRechargeAction::Rest => return Ok(NextStep::Done),
            AutoRechargeAction::Charge(credits) => {
                match self.quote_within_limits(recharge, account, credits, moment).await? {
                    NextCharge::With(price) => {
                        let transaction = EntryId::new(moment.now, random());
                        recharge.charging(transaction, credits, price, moment.now)
                    }
                    NextCharge::Not(state) => AutoRecharge { state, ..recharge.clone() },
                }
            }
            AutoRechargeAction::Turn(state) => AutoRecharge { state, ..recharge.clone() },
        };
        self.save_settings(account, recharge, next, moment).await?;
        Ok(NextStep::DecideAgain)
    }

    /// The price of a number of credits, if it is within the limits of the owner and of the operator; otherwise the state to
    /// enter.
    async fn quote_within_limits(
        &self,
        recharge: &AutoRecharge,
        account: AccountId,
        credits: Amount,
        moment: Moment,
    ) -> Result<NextCharge<Money>, Unsettled> {
        let currency = self.currency(account.org, moment).await?;
        let offer = match self.quote(currency, credits, moment).await {
            Ok(offer) => offer,
            Err(unsettled) => return NextCharge::refused(unsettled, moment),
        };
        if let Err(state) = recharge.may_spend(offer.price, currency, moment.now) {
            return Ok(NextCharge::Not(state));
        }
        match self.fits_today(account, offer.price, moment).await {
            Ok(()) => Ok(NextCharge::With(offer.price)),
            Err(unsettled) => NextCharge::refused(unsettled, moment),
        }
    }

    /// Stores new settings, after the job that continues after a crash. A pause is emitted first, so that a stored pause is
    /// known to have been emitted. Nothing is stored when another process has changed the settings.
    async fn save_settings(
        &self,
        account: AccountId,
        known: &AutoRecharge,
        next: AutoRecharge,
        moment: Moment,
    ) -> Result<(), Unsettled> {
        let (before, after) = (known.state.pause(), next.state.pause());
        if let Some((why, until)) = after
            && why != PauseReason::PaymentFailed
            && before.is_none_or(|(before, _)| before != why)
        {
            let notification = Notification::RechargePaused { why, until, revision: known.revision };
            self.ledger.emit(account, &notification, moment).await?;
        }
        if let Some(due) = next.check_at(moment.now) {
            self.ledger.schedule(Job::Recharge(account), due).await?;
        }
        if next.edition != known.edition {
            self.supersede_change(account, moment).await?;
        }
        self.ledger.save_recharge(account, &next).await?;
        Ok(())
    }

    /// Prevents an interrupted earlier change by the owner from being resumed and undoing the change that follows.
    async fn supersede_change(&self, account: AccountId, moment: Moment) -> Result<(), Fault> {
        self.ledger
            .save_change_time(ClaimsOf::Account(account), &ChangeRequest::digest(SETTINGS), moment.wall)
            .await
    }

    /// Continues the charge in progress.
    async fn continue_charge(
        &self,
        recharge: &AutoRecharge,
        account: AccountId,
        charge: PendingCharge,
        moment: Moment,
    ) -> Result<NextStep, Unsettled> {
        let id = PurchaseId { account, transaction: charge.transaction };
        let purchase = match self.ledger.purchase(id).await? {
            Some(purchase) => Box::pin(self.resume(purchase, moment)).await,
            None => match Box::pin(self.purchase_for(recharge, id, &charge, moment)).await? {
                NextCharge::With(purchase) => Box::pin(self.start(*purchase, moment)).await,
                NextCharge::Not(state) => {
                    self.save_settings(account, recharge, recharge.abandoned(state), moment).await?;
                    return Ok(NextStep::DecideAgain);
                }
            },
        };
        let purchase = match purchase {
            Ok(purchase) => purchase,
            // The process that holds the lease sends a recharge request when it finishes.
            Err(Unsettled::InProgress) => return Ok(NextStep::Done),
            // The purchase was never started, so no payment has failed.
            Err(Unsettled::Refused(refusal)) => {
                let state = state_after(&refusal, moment.now);
                self.save_settings(account, recharge, recharge.abandoned(state), moment).await?;
                return Ok(NextStep::DecideAgain);
            }
            Err(unsettled) => return Err(unsettled),
        };
        // The event is emitted before the result is stored, so it is never lost; emitted twice, it is one event.
        let next = match &purchase.status {
            PurchaseStatus::Pending(_) => return Ok(NextStep::Done),
            PurchaseStatus::Approved(_) => {
                self.ledger.emit(account, &Notification::Recharged(purchase.into()), moment).await?;
                recharge.paid()
            }
            PurchaseStatus::Failed(decline) => {
                let next = recharge.refused(decline, moment.now);
                self.emit_recharge_failed(
                    id,
                    RechargeOutcome { before: recharge, after: &next },
                    charge.credits,
                    moment,
                )
                .await?;
                next
            }
        };
        self.save_settings(account, recharge, next, moment).await?;
        Ok(NextStep::DecideAgain)
    }

    /// The purchase of a charge; or the state to enter when auto-recharge has stopped, or the price has risen above the one
    /// that was counted.
    async fn purchase_for(
        &self,
        recharge: &AutoRecharge,
        id: PurchaseId,
        charge: &PendingCharge,
        moment: Moment,
    ) -> Result<NextCharge<Box<Purchase>>, Unsettled> {
        let is_frozen = self.ledger.account(id.account).await?.is_some_and(|account| account.frozen);
        if recharge.reversed().is_some() || !recharge.enabled || is_frozen {
            // The provider was not called yet, so the charge can still be stopped.
            return Ok(NextCharge::Not(AutoRechargeState::Ready));
        }
        let currency = self.currency(id.account.org, moment).await?;
        let offer = match self.quote(currency, charge.credits, moment).await {
            Ok(offer) => offer,
            Err(unsettled) => return NextCharge::refused(unsettled, moment),
        };
        if charge.price.is_some_and(|counted| counted.amount() < offer.price.amount()) {
            return Ok(NextCharge::Not(AutoRechargeState::Ready));
        }
        let rate = self.rate(id.account.org, offer.price, moment).await?;
        let purchase = Purchase::begun(id, offer, recharge.payment_method.clone(), charge.at);
        let purchase = Purchase { rate, cause: PurchaseCause::AutoRecharge, ..purchase };
        Ok(NextCharge::With(Box::new(purchase)))
    }

    /// The price of a number of credits in a currency now. Refused when they are not on sale.
    async fn quote(&self, currency: Currency, credits: Amount, moment: Moment) -> Result<Offer, Unsettled> {
        let catalogue = self.settings.catalogue(moment.wall).await?;
        Ok(catalogue.packages.amount(credits, currency, moment.now)?)
    }

    /// The billing currency of an organisation as it is now, for a request that changes settings.
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn current_currency(&self, org: OrgId) -> Result<Currency, Fault> {
        let organisation = self.settings.current_organisation(org).await?;
        let organisation =
            organisation.ok_or_else(|| Fault::corrupt("an account", "its organisation is gone"))?;
        Ok(organisation.currency)
    }

    /// Why one payment cannot satisfy the settings at current prices, if it cannot; see [`AutoRecharge::satisfiable`].
    ///
    /// # Errors
    /// When the table is unavailable.
    pub async fn unsatisfiable(
        &self,
        recharge: &AutoRecharge,
        currency: Currency,
        moment: Moment,
    ) -> Result<Option<BadAutoRecharge>, Fault> {
        let catalogue = self.settings.current_catalogue(moment.wall).await?;
        let sizes: Vec<_> = catalogue
            .packages
            .plain_on_sale_in(currency, moment.now)
            .iter()
            .map(|package| package.credits)
            .collect();
        let price =
            |credits| catalogue.packages.amount(credits, currency, moment.now).map(|offer| offer.price);
        Ok(recharge.satisfiable(currency, &sizes, price).err())
    }

    /// Pauses auto-recharge after a dispute, until the owner sets it again. A repeated call for the same dispute changes
    /// nothing. Callers call it before the dispute lowers the balance, which would make auto-recharge charge the same card.
    ///
    /// # Errors
    /// When the table is unavailable; the call should then be retried.
    pub async fn pause_recharge_for_dispute(
        &self,
        account: AccountId,
        dispute: &DisputeId,
        moment: Moment,
    ) -> Result<(), Fault> {
        let notification = Notification::RechargeDisputed { dispute: dispute.0.clone() };
        self.pause_until_set(account, &notification, AutoRecharge::with_dispute, moment).await
    }

    /// Pauses auto-recharge before a refund takes credits back, until the owner sets it again, as for a dispute.
    ///
    /// # Errors
    /// When the table is unavailable; the call should then be retried.
    pub(super) async fn pause_recharge_for_refund(
        &self,
        purchase: PurchaseId,
        step: u32,
        moment: Moment,
    ) -> Result<(), Fault> {
        let notification = Notification::RechargeRefunded { purchase: purchase.transaction, step };
        self.pause_until_set(purchase.account, &notification, AutoRecharge::with_refund, moment).await
    }

    async fn pause_until_set(
        &self,
        account: AccountId,
        notification: &Notification,
        paused: fn(&AutoRecharge) -> AutoRecharge,
        moment: Moment,
    ) -> Result<(), Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let Some(known) = self.ledger.recharge(account).await? else { return Ok(()) };
            if !known.enabled || self.ledger.was_emitted(account, notification).await? {
                return Ok(());
            }
            let next = paused(&known);
            let is_paused = (known.disputed, known.refunded) == (next.disputed, next.refunded);
            self.supersede_change(account, moment).await?;
            if is_paused || self.ledger.save_recharge(account, &next).await?.is_some() {
                return self.ledger.emit(account, notification, moment).await;
            }
        }
        Err(Fault::Busy)
    }

    /// Resets the failure count of auto-recharge after a paid purchase by a caller.
    pub(super) async fn reset_failures_after_top_up(&self, purchase: &Purchase) {
        if purchase.cause == PurchaseCause::Caller
            && let PurchaseStatus::Approved(_) = purchase.status
            && let Err(fault) = self.reset_failures(purchase.id.account).await
        {
            let account = purchase.id.account;
            tracing::warn!(%account, fault = &fault as &dyn Error, "the failure count of auto-recharge was not reset after a top-up");
        }
    }

    async fn reset_failures(&self, account: AccountId) -> Result<(), Fault> {
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

/// The state to enter after a refusal, when no charge can be ordered.
fn state_after(refusal: &Refusal, now: DateTime<Utc>) -> AutoRechargeState {
    tracing::warn!(cause = refusal as &dyn Error, "auto-recharge cannot buy");
    if let Refusal::SpendingLimit { .. } = refusal {
        return AutoRechargeState::for_this_day(PauseReason::DailySpendLimit, now);
    }
    let is_missing = matches!(refusal, Refusal::NothingOnSale | Refusal::UnknownPackage(_));
    AutoRechargeState::for_an_hour(
        if is_missing { PauseReason::NotOnSale } else { PauseReason::PaymentLimit },
        now,
    )
}
