use chrono::{Duration, SubsecRound};

use crate::ledger::lot::POOL;
use crate::operation::consume::NewEntry;
use crate::operation::place::Arrivals;
use crate::{
    Account, Allowance, Credits, Direction, Effect, EntryId, Extras, Guard, Head, Lot, LotId, Move,
    Operation, Period, Posting, Refusal, Service, Share, Source, Why,
};

/// For how many days credits of a month, or of a lot, that has ended can be spent when a refund brings them
/// back.
pub const RETURNED_DAYS: i64 = 31;

/// Credits that go back to where they were taken from: a refund, or what was set aside and not spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveBack {
    /// Which.
    pub shares: Vec<Share>,
    /// A refund, a release or an expiry. A capture gives nothing back.
    pub why: Why,
    /// The month that a refund's debit was counted as usage of.
    pub month: Period,
}

/// Decides where credits go back to: the very lots that they came from, on their very terms (contract, rule 5).
///
/// - A refund of what has ended meanwhile, with its month or by its own date, comes back as bonus credits of the
///   same service that end after [`RETURNED_DAYS`]; what a hold set aside of it is gone.
/// - Of what an unlimited plan paid only the usage comes back: it was taken from no lot.
/// - What returns to a purchase in dispute stays set aside with it.
/// - What was spent on account lowers what is outstanding, and so do purchased credits that come back while
///   something is; what a purchase has settled since comes back as purchased credits.
///
/// # Errors
/// [`Refusal::BalanceLimit`]. [`Refusal::NotEligible`] of a share that no debit takes.
pub fn give_back(account: &Account, request: &GiveBack, head: &Head) -> Result<Posting, Refusal> {
    let amount = crate::ledger::share::sum(&request.shares);
    let mut back = Back::new(account, request, head);
    let is_refund = matches!(request.why, Why::Refund { .. });
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
        Why::Refund { .. } => "credit.refund",
        Why::Release | Why::Expiry | Why::Capture => crate::ledger::receipt::RELEASE,
    });
    let moves = arrivals.moves;
    let entry = head.entry(account, NewEntry { operation, direction: Direction::Credit, amount, moves });
    Ok(Posting { entry, guards: arrivals.guards, effects })
}

struct Back<'a> {
    account: &'a Account,
    request: &'a GiveBack,
    head: &'a Head,
    arrivals: Arrivals<'a>,
    effects: Vec<Effect>,
    /// Usage that nothing is counted up for.
    unspent: Credits,
    /// What operators have added, with what comes back of it.
    extras: Extras,
}

impl<'a> Back<'a> {
    fn new(account: &'a Account, request: &'a GiveBack, head: &'a Head) -> Self {
        Self {
            account,
            request,
            head,
            arrivals: Arrivals::new(account, head),
            effects: vec![],
            unspent: Credits::ZERO,
            extras: account.extras(),
        }
    }

    /// How many credits may be in lots again: those that were taken from one.
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
                // What purchases have settled since belongs to no lot of one of them.
                let bought = self.arrivals.settle(share.amount);
                let rest = self.arrivals.disputed(POOL, bought);
                self.arrivals.plain_purchase(POOL, rest)
            }
            LotId::Disputed(_) => {
                Err(Refusal::NotEligible("what a dispute has set aside was spent by no debit"))
            }
        }
    }

    /// How much of what an unlimited plan paid counts as not spent: on a plan that is counted down, what was spent
    /// beyond it. The rest stays spent, or a change of plan would bring it back as credits.
    fn unlimited(&self, month: Period, amount: Credits) -> Credits {
        let over = self.account.beyond_plan().less(self.unspent).unwrap_or_default();
        match self.account.allowance {
            _ if month != self.account.period => Credits::ZERO,
            Allowance::Unlimited => amount,
            Allowance::Monthly(_) => amount.min(over),
        }
    }

    /// Subscription credits of the month that goes on. What operators had added was spent last, so it comes back
    /// first; of the rest, what was spent beyond the plan is made up for.
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

    /// Lowers what was spent this month by what comes back of it and is nowhere counted up.
    fn unspend(&mut self) -> Result<(), Refusal> {
        if self.extras != self.account.extras() {
            self.effects.push(Effect::Extras(self.extras));
        }
        let moves_subscription = |share: &&Share| matches!(share.lot, LotId::Subscription(month) | LotId::Unlimited(month) if month == self.account.period);
        if self.request.shares.iter().any(|share| moves_subscription(&share)) {
            // How far the parts of the month's credits are spent decides on what comes back.
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
        if !lot.is_current(self.head.now) {
            return self.ended(share, terms.service);
        }
        if !lot.is_plain_purchase() {
            return self.arrivals.place(id, lot);
        }
        let rest = self.arrivals.disputed(id, share.amount);
        self.arrivals.plain_purchase(id, rest)
    }

    /// Credits whose month or own date has come.
    fn ended(&mut self, share: &Share, service: Option<Service>) -> Result<(), Refusal> {
        if !matches!(self.request.why, Why::Refund { .. }) {
            let (lot, source, amount) = (share.lot, share.source, share.amount);
            self.arrivals.moves.push(Move::into(lot, source, amount).on(share.terms));
            self.arrivals.moves.push(Move::out(lot, source, amount).on(share.terms));
            return Ok(());
        }
        let days = Duration::try_days(RETURNED_DAYS).unwrap_or_default();
        let end = self.head.now.checked_add_signed(days).map(|end| end.trunc_subsecs(0));
        let lot = Lot { source: Source::Bonus, left: share.amount, service, expires_at: end };
        self.arrivals.place_returned(lot)
    }

    /// A refund of this month's usage lowers it; what was held is so no longer.
    fn usage(&mut self, amount: Credits) -> Result<(), Refusal> {
        match self.request.why {
            _ if amount.is_zero() => (),
            Why::Refund { .. } if self.request.month == self.account.period => {
                self.account.used.less(amount).ok_or(Refusal::BalanceLimit)?;
                self.effects.push(Effect::Unuse(amount));
            }
            Why::Refund { .. } => (),
            Why::Release | Why::Expiry | Why::Capture => {
                self.account.held.less(amount).ok_or(Refusal::BalanceLimit)?;
                self.arrivals.guards.push(Guard::Held(amount));
                self.effects.push(Effect::Unhold(amount));
            }
        }
        Ok(())
    }
}
