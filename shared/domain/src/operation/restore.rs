//! The rules by which refunded and released credits return to their lots.

use chrono::{Duration, SubsecRound};

use crate::ledger::lot::POOL;
use crate::operation::consume::NewEntry;
use crate::operation::place::Arrivals;
use crate::{
    Account, Allowance, Attempt, Credits, Direction, DrawdownReason, Effect, EntryId, Extras, Guard, Lot,
    LotId, Move, Operation, Period, Posting, Refusal, Service, Share, Source,
};

/// The number of days in which refunded credits can be spent when their month or lot has expired.
pub const RESTORED_DAYS: i64 = 31;

/// Credits that return to their lots: a refund, or held credits that were not spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The credits, by lot.
    pub shares: Vec<Share>,
    /// A refund, a release or an expiry; never a capture.
    pub why: DrawdownReason,
    /// The month in which a refunded debit counted as usage.
    pub month: Period,
}

/// Decides the return of credits: to the same lots, with the same terms (contract, rule 5).
///
/// - Refunded credits whose month or lot has expired return as bonus credits of the same service that expire
///   after [`RESTORED_DAYS`]; held credits that have expired are lost.
/// - Credits that an unlimited plan paid only reduce usage: they were not taken from a lot.
/// - Credits that return to a disputed purchase are set aside with it.
/// - Post-paid credits reduce the outstanding credits, and so do plain purchased credits that return while
///   credits are outstanding; post-paid credits that a purchase has settled since return as purchased credits.
///
/// # Errors
/// [`Refusal::BalanceLimit`]. [`Refusal::NotEligible`] for a share that no debit can have.
pub fn restore(account: &Account, request: &Restore, attempt: &Attempt) -> Result<Posting, Refusal> {
    let amount = crate::ledger::share::sum(&request.shares);
    let mut back = Back::new(account, request, attempt);
    let is_refund = matches!(request.why, DrawdownReason::Refund { .. });
    if is_refund && !crate::operation::grant::fits(account, back.returning()) {
        return Err(Refusal::BalanceLimit);
    }
    for share in &request.shares {
        back.share(share)?;
    }
    back.unspend()?;
    back.usage(amount)?;
    let Back { arrivals, mut effects, .. } = back;
    effects.extend(arrivals.effects());
    let operation = Operation::own(match request.why {
        DrawdownReason::Refund { .. } => "credit.refund",
        DrawdownReason::Release | DrawdownReason::Expiry | DrawdownReason::Capture => {
            crate::ledger::receipt::RELEASE
        }
    });
    let moves = arrivals.moves;
    let entry = attempt.entry(account, NewEntry { operation, direction: Direction::Credit, amount, moves });
    Ok(Posting { entry, guards: arrivals.guards, effects })
}

struct Back<'a> {
    account: &'a Account,
    request: &'a Restore,
    attempt: &'a Attempt,
    arrivals: Arrivals<'a>,
    effects: Vec<Effect>,
    /// Spent subscription credits that are refunded without becoming available.
    unspent: Credits,
    /// The credits that operators added, including those that return.
    extras: Extras,
}

impl<'a> Back<'a> {
    fn new(account: &'a Account, request: &'a Restore, attempt: &'a Attempt) -> Self {
        Self {
            account,
            request,
            attempt,
            arrivals: Arrivals::new(account, attempt),
            effects: vec![],
            unspent: Credits::ZERO,
            extras: account.extras(),
        }
    }

    /// The credits that can return to lots: those that were taken from one.
    fn returning(&self) -> Credits {
        let taken = self.request.shares.iter().filter(|share| !matches!(share.lot, LotId::Unlimited(_)));
        taken.fold(Credits::ZERO, |sum, share| sum.plus(share.amount).unwrap_or(Credits::MAX))
    }

    fn share(&mut self, share: &Share) -> Result<(), Refusal> {
        let moves = &mut self.arrivals.moves;
        match share.lot {
            LotId::Subscription(month) if month == self.account.period => self.this_month(share),
            LotId::Subscription(_) => self.ended(share, None),
            LotId::Unlimited(month) => {
                moves.push(Move::into(share.lot, share.source, share.amount));
                self.not_spent(self.unlimited(month, share.amount))
            }
            LotId::Granted(id) => self.granted(id, share),
            LotId::PostPaid => {
                // Credits that purchases have settled since belong to no lot of a purchase.
                let bought = self.arrivals.settle(share.amount);
                let rest = self.arrivals.disputed(POOL, bought);
                self.arrivals.plain_purchase(POOL, rest)
            }
            LotId::Disputed(_) => {
                Err(Refusal::NotEligible("credits that a dispute has set aside were not spent by a debit"))
            }
        }
    }

    /// How many credits that an unlimited plan paid count as not spent: on a limited plan, those spent beyond
    /// it. The rest stays spent, or a change of plan would turn it into credits.
    fn unlimited(&self, month: Period, amount: Credits) -> Credits {
        let over = self.account.beyond_plan().less(self.unspent).unwrap_or_default();
        match self.account.allowance {
            _ if month != self.account.period => Credits::ZERO,
            Allowance::Unlimited => amount,
            Allowance::Monthly(_) => amount.min(over),
        }
    }

    /// Subscription credits of the current month. Credits that operators added are spent last, so they return
    /// first; of the rest, credits spent beyond the plan are made up for.
    fn this_month(&mut self, share: &Share) -> Result<(), Refusal> {
        let added = self.extras.spent.min(share.amount);
        self.extras.spent = self.extras.spent.less(added).unwrap_or_default();
        self.extras.left = self.extras.left.plus(added).ok_or(Refusal::BalanceLimit)?;
        let is_unlimited = self.account.allowance == Allowance::Unlimited;
        let over = self.account.beyond_plan().less(self.unspent).unwrap_or_default();
        let of_plan = share.amount.less(added).unwrap_or_default();
        let lost = if is_unlimited { share.amount } else { of_plan.min(over) };
        let back = share.amount.less(lost).unwrap_or_default();
        self.arrivals.moves.push(Move::into(share.lot, share.source, share.amount));
        if !lost.is_zero() {
            self.arrivals.moves.push(Move::out(share.lot, share.source, lost));
        }
        if !back.is_zero() {
            self.account.subscription.left.plus(back).ok_or(Refusal::BalanceLimit)?;
            self.effects.push(Effect::Restore(back));
        }
        self.not_spent(lost)
    }

    fn not_spent(&mut self, amount: Credits) -> Result<(), Refusal> {
        self.unspent = self.unspent.plus(amount).ok_or(Refusal::BalanceLimit)?;
        Ok(())
    }

    /// Reduces the month's spent credits by those that return without becoming available.
    fn unspend(&mut self) -> Result<(), Refusal> {
        if self.extras != self.account.extras() {
            self.effects.push(Effect::Extras(self.extras));
        }
        let moves_subscription = |share: &&Share| matches!(share.lot, LotId::Subscription(month) | LotId::Unlimited(month) if month == self.account.period);
        if self.request.shares.iter().any(|share| moves_subscription(&share)) {
            // The result depends on how much of each part of the month's credits is spent.
            self.arrivals.guards.extend(self.account.extras_stand());
        }
        if !self.unspent.is_zero() {
            self.account.subscription.granted.less(self.unspent).ok_or(Refusal::BalanceLimit)?;
            self.effects.push(Effect::Unspend(self.unspent));
        }
        Ok(())
    }

    fn granted(&mut self, id: EntryId, share: &Share) -> Result<(), Refusal> {
        let terms = self.account.lots.get(&id).map_or(share.terms, Lot::terms);
        let lot = Lot {
            source: share.source,
            left: share.amount,
            service: terms.service,
            expires_at: terms.expires_at,
        };
        if !lot.is_current(self.attempt.now) {
            return self.ended(share, terms.service);
        }
        if lot.source != Source::Purchased {
            return self.arrivals.place(id, lot);
        }
        let rest = self.arrivals.disputed(id, share.amount);
        if lot.is_plain_purchase() {
            return self.arrivals.plain_purchase(id, rest);
        }
        self.arrivals.place(id, Lot { left: rest, ..lot })
    }

    /// Credits whose month or lot has expired.
    fn ended(&mut self, share: &Share, service: Option<Service>) -> Result<(), Refusal> {
        if !matches!(self.request.why, DrawdownReason::Refund { .. }) {
            let (lot, source, amount) = (share.lot, share.source, share.amount);
            self.arrivals.moves.push(Move::into(lot, source, amount).on(share.terms));
            self.arrivals.moves.push(Move::out(lot, source, amount).on(share.terms));
            return Ok(());
        }
        let days = Duration::try_days(RESTORED_DAYS).unwrap_or_default();
        let end = self.attempt.now.checked_add_signed(days).map(|end| end.trunc_subsecs(0));
        let lot = Lot { source: Source::Bonus, left: share.amount, service, expires_at: end };
        self.arrivals.place_returned(lot)
    }

    /// A refund of this month's usage reduces it; returned held credits are no longer held.
    fn usage(&mut self, amount: Credits) -> Result<(), Refusal> {
        match self.request.why {
            _ if amount.is_zero() => (),
            DrawdownReason::Refund { .. } if self.request.month == self.account.period => {
                self.account.used.less(amount).ok_or(Refusal::BalanceLimit)?;
                self.effects.push(Effect::Unuse(amount));
            }
            DrawdownReason::Refund { .. } => (),
            DrawdownReason::Release | DrawdownReason::Expiry | DrawdownReason::Capture => {
                self.account.held.less(amount).ok_or(Refusal::BalanceLimit)?;
                self.arrivals.guards.push(Guard::Held(amount));
                self.effects.push(Effect::Unhold(amount));
            }
        }
        Ok(())
    }
}
