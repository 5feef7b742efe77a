//! An account, and the model of how postings change it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, Allowance, Bound, BudgetMark, Counter, Credits, DisputedCredits, Effect, Entry, EntryId,
    Extras, Guard, Lot, LotId, PLAN_CAP, Period, PlanId, Posting, RowShards, Service, Source,
    SubscriptionCredits, Terms,
};

/// The credits of an organisation, as last read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its id.
    pub id: AccountId,
    /// The number of entries in its ledger, which is the number of the last entry.
    pub sequence: u64,
    /// Incremented with every change of lots or terms, but not by debits.
    pub revision: u64,
    /// The subscription plan.
    pub plan: PlanId,
    /// The monthly allowance: the plan's, or a negotiated one.
    pub allowance: Allowance,
    /// The revision of the live ledger at which the plan was last changed; 0 for the initial plan. In a test
    /// ledger: the last such revision that was copied from the live ledger.
    pub since: u64,
    /// The month of `subscription` and `used`.
    pub period: Period,
    /// This month's subscription credits.
    pub subscription: SubscriptionCredits,
    /// The credits debited this month, from all sources.
    pub used: Credits,
    /// The credits set aside by holds: no longer in a lot, and not spent.
    pub held: Credits,
    /// Purchased and bonus credits, the oldest lot first.
    pub lots: BTreeMap<EntryId, Lot>,
    /// The post-paid limit and the outstanding credits.
    pub post_paid: PostPaid,
    /// Open disputes, by the transaction that opened them.
    pub disputes: BTreeMap<EntryId, DisputedCredits>,
    /// The number of credits that an unlimited plan may spend in a month; [`PLAN_CAP`] when no operator has set
    /// it.
    pub cap: Option<Credits>,
    /// Whether an operator has frozen the account: it can neither spend nor buy.
    pub frozen: bool,
    /// The fence against late attempts.
    pub fence: Fence,
    /// The mark of its budgets; the default for an account that never had one.
    pub budgets: BudgetMark,
    /// How many shards its rows are spread over.
    pub row_shards: RowShards,
    /// The last entry; `None` for a new account.
    pub last: Option<Entry>,
}

/// A fence: the attempts that can no longer be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Attempts with this id or an older one.
    pub up_to: EntryId,
    /// The number of the fence's entry. Attempts up to `up_to` that were written have a lower number.
    pub sequence: u64,
}

/// Post-paid credits: spent before they are bought (contract, rule 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostPaid {
    /// The limit; 0 for an organisation that can only spend what it has.
    pub limit: Credits,
    /// The outstanding credits. A lost dispute can raise them above the limit.
    pub outstanding: Credits,
}

/// A lot that can pay for a debit, and its credits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payer {
    pub(crate) lot: LotId,
    pub(crate) source: Source,
    pub(crate) left: Credits,
    pub(crate) terms: Terms,
}

impl Account {
    /// A new account: without credits, in the month before `now`'s, so that its first renewal grants the first
    /// allowance.
    #[must_use]
    pub fn open(id: AccountId, plan: PlanId, allowance: Allowance, now: DateTime<Utc>) -> Self {
        Self {
            id,
            sequence: 0,
            revision: 0,
            plan,
            allowance,
            since: 0,
            period: Period::of(now).previous(),
            subscription: SubscriptionCredits::default(),
            used: Credits::ZERO,
            held: Credits::ZERO,
            lots: BTreeMap::new(),
            post_paid: PostPaid::default(),
            disputes: BTreeMap::new(),
            cap: None,
            frozen: false,
            fence: Fence { up_to: EntryId::FIRST, sequence: 0 },
            budgets: BudgetMark::default(),
            row_shards: RowShards::ONE,
            last: None,
        }
    }

    /// The subscription lot of the account's month.
    #[must_use]
    pub fn subscription_lot(&self) -> LotId {
        LotId::Subscription(self.period)
    }

    /// The id of the next attempt must be above this: beyond the fence, and beyond the last entry. Ids rise
    /// with numbers, except for concurrent requests.
    #[must_use]
    pub fn floor(&self) -> EntryId {
        self.last.as_ref().map_or(self.fence.up_to, |last| last.last_id().max(self.fence.up_to))
    }

    /// The id of a new attempt.
    #[must_use]
    pub fn attempt_id(&self, now: DateTime<Utc>, random: u128) -> EntryId {
        EntryId::above(self.floor(), now, random, self.row_shards)
    }

    /// Whether the entry `id` is the account's last one.
    #[must_use]
    pub fn ends_with(&self, id: EntryId) -> bool {
        self.last.as_ref().is_some_and(|last| last.id == id)
    }

    /// The lots that can pay for a debit, in the order of consumption (contract, rule 1): subscription,
    /// purchased, bonus; within a source a lot of the debit's own service first, then the soonest to expire,
    /// then the oldest.
    pub(crate) fn payers(&self, service: Option<Service>, now: DateTime<Utc>) -> Vec<Payer> {
        self.in_order(|lot| lot.pays_for(service, now))
    }

    /// The month's subscription credits and the lots that `may` pay, in the order of consumption.
    pub(crate) fn in_order(&self, may: impl Fn(&Lot) -> bool) -> Vec<Payer> {
        let mut lots: Vec<_> = self.lots.iter().filter(|(_, lot)| may(lot) && !lot.left.is_zero()).collect();
        lots.sort_by_key(|(id, lot)| {
            (lot.source, lot.service.is_none(), lot.expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC), **id)
        });
        let subscription = Payer {
            lot: self.subscription_lot(),
            source: Source::Subscription,
            left: self.subscription.left,
            terms: Terms::default(),
        };
        let lots = lots.into_iter().map(|(id, lot)| Payer {
            lot: LotId::Granted(*id),
            source: lot.source,
            left: lot.left,
            terms: lot.terms(),
        });
        std::iter::once(subscription).filter(|payer| !payer.left.is_zero()).chain(lots).collect()
    }

    /// The credits that a debit for `service` can take from lots at `now`, at most [`Credits::MAX`]. The
    /// post-paid limit does not count, and an unlimited plan takes from no lot.
    #[must_use]
    pub fn spendable(&self, service: Option<Service>, now: DateTime<Utc>) -> Credits {
        let renewed = self.period < Period::of(now);
        let month = if renewed { self.allowance.monthly() } else { self.subscription.left };
        let lots = self.lots.values().filter(|lot| lot.pays_for(service, now));
        lots.fold(month, |sum, lot| sum.plus(lot.left).unwrap_or(Credits::MAX))
    }

    /// The number of credits that an unlimited plan may spend in a month.
    #[must_use]
    pub fn monthly_cap(&self) -> Credits {
        self.cap.unwrap_or_else(|| Credits::try_from(PLAN_CAP).unwrap_or(Credits::MAX))
    }

    /// Lots of purchased credits without a service and without an expiry, the oldest first: those that settle
    /// outstanding credits.
    pub(crate) fn plain_purchases(&self) -> impl Iterator<Item = (EntryId, Credits)> {
        let lots = self.lots.iter().filter(|(_, lot)| lot.is_plain_purchase() && !lot.left.is_zero());
        lots.map(|(id, lot)| (*id, lot.left))
    }

    /// Granted lots that are empty and can be removed.
    pub(crate) fn empty_lots(&self) -> impl Iterator<Item = EntryId> {
        self.lots.iter().filter(|(_, lot)| lot.left.is_zero()).map(|(id, _)| *id)
    }

    /// The account after `posting`, or `None` when a guard fails, a number leaves its range, or the posting is the one
    /// that was written last.
    ///
    /// This is the model of the store's conditional write; tests compare the two.
    #[must_use]
    pub fn apply(mut self, posting: &Posting) -> Option<Self> {
        if self.ends_with(posting.entry.id) {
            return None;
        }
        if !posting.guards.iter().all(|guard| self.holds(*guard)) {
            return None;
        }
        if !posting.effects.iter().flat_map(Effect::bounds).all(|bound| self.has_room(bound)) {
            return None;
        }
        if posting.revises() {
            self.revision = self.revision.checked_add(1)?;
        }
        for effect in &posting.effects {
            self.change(effect)?;
        }
        self.sequence = self.sequence.checked_add(posting.entry.rows())?;
        self.last = Some(posting.entry.clone());
        Some(self)
    }

    fn holds(&self, guard: Guard) -> bool {
        match guard {
            Guard::Revision(seen) => self.revision == seen,
            Guard::Period(period) => self.period == period,
            Guard::AtLeast(lot, amount) => self.left(lot).is_some_and(|left| left >= amount),
            Guard::Exactly(lot, amount) => self.left(lot) == Some(amount),
            Guard::Granted(amount) => self.subscription.granted == amount,
            Guard::GrantedAtMost(most) => self.subscription.granted <= most,
            Guard::OwingAtMost(most) => self.post_paid.outstanding <= most,
            Guard::Owing(amount) => self.post_paid.outstanding == amount,
            Guard::Held(amount) => self.held >= amount,
            Guard::FenceBelow(id) => self.fence.up_to < id,
            Guard::Budgets(mark) => self.budgets == mark,
        }
    }

    fn has_room(&self, bound: Bound) -> bool {
        let counted = match bound.counter {
            Counter::Left(lot) => self.left(lot),
            Counter::Granted => Some(self.subscription.granted),
            Counter::Used => Some(self.used),
            Counter::Held => Some(self.held),
            Counter::Owed => Some(self.post_paid.outstanding),
        };
        counted.is_some_and(|counted| counted <= bound.at_most)
    }

    fn left(&self, lot: LotId) -> Option<Credits> {
        match lot {
            LotId::Subscription(_) => Some(self.subscription.left),
            LotId::Granted(id) => self.lots.get(&id).map(|lot| lot.left),
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => None,
        }
    }

    fn change(&mut self, effect: &Effect) -> Option<()> {
        match effect {
            Effect::Take(lot, amount) => self.take(*lot, *amount)?,
            Effect::Give(lot, amount) => self.give(*lot, *amount)?,
            Effect::Open(id, lot) => {
                self.lots.insert(*id, lot.clone());
            }
            Effect::Drop(id) => {
                self.lots.remove(id);
            }
            Effect::Owe(amount) => {
                self.post_paid.outstanding = self.post_paid.outstanding.plus(*amount)?;
            }
            Effect::Repay(amount) => {
                self.post_paid.outstanding = self.post_paid.outstanding.less(*amount)?;
            }
            Effect::Limit(limit) => self.post_paid.limit = *limit,
            Effect::Freeze(frozen) => self.frozen = *frozen,
            Effect::Withdraw(amount) => {
                self.subscription.left = self.subscription.left.less(*amount)?;
                self.subscription.granted = self.subscription.granted.less(*amount)?;
            }
            Effect::Extras(extras) => self.subscription.extras = *extras,
            Effect::Cap(cap) => self.cap = Some(*cap),
            Effect::Dispute(id, Some(disputed)) => drop(self.disputes.insert(*id, *disputed)),
            Effect::Dispute(id, None) => drop(self.disputes.remove(id)),
            Effect::Spend(amount) => {
                self.subscription.granted = self.subscription.granted.plus(*amount)?;
            }
            Effect::Plan(plan, allowance, since) => {
                (self.plan, self.allowance, self.since) = (plan.clone(), *allowance, *since);
            }
            Effect::Restore(amount) => self.subscription.left = self.subscription.left.plus(*amount)?,
            Effect::Unspend(amount) => {
                self.subscription.granted = self.subscription.granted.less(*amount)?;
            }
            Effect::Hold(amount) => self.held = self.held.plus(*amount)?,
            Effect::Unhold(amount) => self.held = self.held.less(*amount)?,
            Effect::Use(amount) => self.used = self.used.plus(*amount)?,
            Effect::Unuse(amount) => self.used = self.used.less(*amount)?,
            Effect::Renew(period, allowance) => {
                self.period = *period;
                (self.subscription.left, self.subscription.granted) = (*allowance, *allowance);
                self.subscription.extras = Extras::default();
                self.used = Credits::ZERO;
            }
            Effect::Fence(up_to) => {
                self.fence = Fence { up_to: *up_to, sequence: self.sequence.checked_add(1)? }
            }
        }
        Some(())
    }
}

impl Account {
    fn take(&mut self, lot: LotId, amount: Credits) -> Option<()> {
        let left = match lot {
            LotId::Subscription(_) => &mut self.subscription.left,
            LotId::Granted(id) => &mut self.lots.get_mut(&id)?.left,
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => return None,
        };
        *left = left.less(amount)?;
        Some(())
    }

    fn give(&mut self, lot: LotId, amount: Credits) -> Option<()> {
        let left = match lot {
            LotId::Subscription(_) => {
                self.subscription.granted = self.subscription.granted.plus(amount)?;
                &mut self.subscription.left
            }
            LotId::Granted(id) => &mut self.lots.get_mut(&id)?.left,
            LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => return None,
        };
        *left = left.plus(amount)?;
        Some(())
    }
}
