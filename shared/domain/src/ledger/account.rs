use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    AccountId, Allowance, Bound, Counter, Credits, Disputed, Effect, Entry, EntryId, Extras, Guard, Lot,
    LotId, PLAN_CAP, Period, PlanId, Posting, Service, Source, Subscription, Terms,
};

/// An organisation's credits, as last seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// Whose they are.
    pub id: AccountId,
    /// How many entries the ledger has of it. The last entry has this number.
    pub sequence: u64,
    /// Grows with every change of lots and terms; debits leave it alone.
    pub revision: u64,
    /// The subscription plan.
    pub plan: PlanId,
    /// Credits that a month brings: the plan's, or a negotiated number.
    pub allowance: Allowance,
    /// The revision of the live ledger since which the plan is what it is; 0 for the one that it began with.
    /// In a test ledger, the last one that it has followed.
    pub since: u64,
    /// The month that `subscription` and `used` belong to.
    pub period: Period,
    /// This month's subscription credits.
    pub subscription: Subscription,
    /// Debits of this month from all sources.
    pub used: Credits,
    /// Set aside by holds: out of all lots, and not spent.
    pub held: Credits,
    /// Purchased and bonus credits, by age.
    pub lots: BTreeMap<EntryId, Lot>,
    /// What may be spent beyond all lots, and what was.
    pub post_paid: PostPaid,
    /// Open disputes, by the transaction that opened each.
    pub disputes: BTreeMap<EntryId, Disputed>,
    /// How many credits an unlimited plan may spend in a month, where an operator has said so; else [`PLAN_CAP`].
    pub cap: Option<Credits>,
    /// An operator has stopped it: nothing is spent and nothing bought.
    pub frozen: bool,
    /// What can no longer land.
    pub fence: Fence,
    /// The entry that made the account what it is; none when it was just opened.
    pub last: Option<Entry>,
}

/// Which attempts can no longer land.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fence {
    /// Those with this id or an older one.
    pub up_to: EntryId,
    /// The number of the entry that says so: whichever of them did land has a lower one.
    pub sequence: u64,
}

/// Credits on account: spent before they are bought (contract, rule 9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PostPaid {
    /// Up to how many; none for an organisation that only spends what it has.
    pub limit: Credits,
    /// How many there are. A dispute that was lost may have brought it past the limit.
    pub outstanding: Credits,
}

/// A lot that may pay, and how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Payer {
    pub(crate) lot: LotId,
    pub(crate) source: Source,
    pub(crate) left: Credits,
    pub(crate) terms: Terms,
}

impl Account {
    /// An account as it is opened: without credits, in the month before `now`'s, so that its first
    /// renewal brings the first allowance.
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
            subscription: Subscription::default(),
            used: Credits::ZERO,
            held: Credits::ZERO,
            lots: BTreeMap::new(),
            post_paid: PostPaid::default(),
            disputes: BTreeMap::new(),
            cap: None,
            frozen: false,
            fence: Fence { up_to: EntryId::FIRST, sequence: 0 },
            last: None,
        }
    }

    /// The subscription lot of the account's month.
    #[must_use]
    pub fn subscription_lot(&self) -> LotId {
        LotId::Subscription(self.period)
    }

    /// Above which the id of the next attempt has to lie: it must not be fenced off, and the ids of an
    /// account rise with its numbers, but for requests that are under way together.
    #[must_use]
    pub fn floor(&self) -> EntryId {
        self.last.as_ref().map_or(self.fence.up_to, |last| last.last_id().max(self.fence.up_to))
    }

    /// The lots that may pay for a debit, in the order of consumption (contract, rule 1):
    /// subscription, purchased, bonus; within a bucket a lot of the debit's own service first, then
    /// the soonest to expire, then the oldest.
    pub(crate) fn payers(&self, service: Option<Service>, now: DateTime<Utc>) -> Vec<Payer> {
        self.in_order(|lot| lot.pays_for(service, now))
    }

    /// The lots that `may` give, and the month's subscription credits, in the order of consumption.
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

    /// How many credits a debit for `service` could take from lots at `now`; [`Credits::MAX`] at most. What may be
    /// spent on account is not counted, and an unlimited plan takes from no lot.
    #[must_use]
    pub fn spendable(&self, service: Option<Service>, now: DateTime<Utc>) -> Credits {
        let renewed = self.period < Period::of(now);
        let month = if renewed { self.allowance.monthly() } else { self.subscription.left };
        let lots = self.lots.values().filter(|lot| lot.pays_for(service, now));
        lots.fold(month, |sum, lot| sum.plus(lot.left).unwrap_or(Credits::MAX))
    }

    /// How many credits an unlimited plan may spend in a month.
    #[must_use]
    pub fn monthly_cap(&self) -> Credits {
        self.cap.unwrap_or_else(|| Credits::try_from(PLAN_CAP).unwrap_or(Credits::MAX))
    }

    /// Lots of purchased credits that pay for every service and never end, the oldest first: those that settle
    /// a debt.
    pub(crate) fn plain_purchases(&self) -> impl Iterator<Item = (EntryId, Credits)> {
        let lots = self.lots.iter().filter(|(_, lot)| lot.is_plain_purchase() && !lot.left.is_zero());
        lots.map(|(id, lot)| (*id, lot.left))
    }

    /// Granted lots that hold nothing and may be forgotten.
    pub(crate) fn empty_lots(&self) -> impl Iterator<Item = EntryId> {
        self.lots.iter().filter(|(_, lot)| lot.left.is_zero()).map(|(id, _)| *id)
    }

    /// The account after `posting`, or `None` when a guard does not hold or a number would leave
    /// its range.
    ///
    /// This is the model that the store must agree with; the tests hold the two together.
    #[must_use]
    pub fn apply(mut self, posting: &Posting) -> Option<Self> {
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
