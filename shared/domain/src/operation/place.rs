//! Adds credits to the lots of an account: opens, joins and merges lots.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::ledger::lot::POOL;
use crate::{
    Account, Attempt, Credits, DisputedCredits, Effect, EntryId, Guard, LOTS_ALIKE_MAX, LOTS_MAX, Lot, LotId,
    Move, Refusal, Source, Terms,
};

/// The number of lots up to which refunded credits with new expiries open lots. The others are reserved for
/// operators' grants.
const RETURNED_LOTS_MAX: usize = 12;

/// Credits that enter an account's lots in one posting: the lot that receives each amount, and the resulting
/// changes.
///
/// Credits keep their terms. When an account has no lot left, credits merge only within a source and a service,
/// towards the earlier expiry; purchased credits without an expiry never merge with credits that expire. Plain
/// purchased credits settle outstanding credits before they are added to a lot (decision 10).
pub(crate) struct Arrivals<'a> {
    account: &'a Account,
    attempt: &'a Attempt,
    pub(crate) moves: Vec<Move>,
    pub(crate) guards: Vec<Guard>,
    /// The credits that existing lots receive.
    given: BTreeMap<EntryId, Credits>,
    /// Lots that are new, or opened again.
    opened: BTreeMap<EntryId, Lot>,
    /// Lots whose credits were merged into another lot.
    merged: BTreeMap<EntryId, Credits>,
    repaid: Credits,
    /// Open disputes to which credits returned, with these credits.
    disputes: BTreeMap<EntryId, DisputedCredits>,
    /// The number of lots of this posting whose id is derived from the posting's.
    new_ids: u64,
}

impl<'a> Arrivals<'a> {
    pub(crate) fn new(account: &'a Account, attempt: &'a Attempt) -> Self {
        Self {
            account,
            attempt,
            moves: vec![],
            guards: vec![Guard::Revision(account.revision), Guard::FenceBelow(attempt.id)],
            given: BTreeMap::new(),
            opened: BTreeMap::new(),
            merged: BTreeMap::new(),
            repaid: Credits::ZERO,
            disputes: BTreeMap::new(),
            new_ids: 0,
        }
    }

    /// An id for a lot that this posting opens.
    pub(crate) fn new_id(&mut self) -> EntryId {
        let id = self.attempt.id.after(self.new_ids);
        self.new_ids = self.new_ids.saturating_add(1);
        id
    }

    /// Credits that return to a disputed lot are set aside too, up to the disputed number; returns the rest.
    /// Disputed credits count as spent last, so they return first.
    pub(crate) fn disputed(&mut self, lot: EntryId, amount: Credits) -> Credits {
        let mut rest = amount;
        for (id, known) in &self.account.disputes {
            let mut dispute = self.disputes.get(id).copied().unwrap_or(*known);
            let part = dispute.missing().min(rest);
            if !dispute.concerns(lot) || part.is_zero() {
                continue;
            }
            rest = rest.less(part).unwrap_or_default();
            dispute.aside = dispute.aside.plus(part).unwrap_or(Credits::MAX);
            self.disputes.insert(*id, dispute);
            self.push_move(Move::into(LotId::Disputed(*id), Source::Purchased, part));
        }
        rest
    }

    /// Plain purchased credits: they settle outstanding credits, and the rest goes to the lot `id`.
    ///
    /// # Errors
    /// As [`Arrivals::place`].
    pub(crate) fn plain_purchase(&mut self, id: EntryId, amount: Credits) -> Result<(), Refusal> {
        let rest = self.settle(amount);
        let lot = Lot { source: Source::Purchased, left: rest, service: None, expires_at: None };
        self.place(id, lot)
    }

    /// Settles outstanding credits with up to `amount` credits; returns the rest.
    pub(crate) fn settle(&mut self, amount: Credits) -> Credits {
        let outstanding = self.account.post_paid.outstanding;
        // All outstanding credits are settled before any credits are added to a lot.
        if !self.guards.contains(&Guard::Owing(outstanding)) {
            self.guards.push(Guard::Owing(outstanding));
        }
        let owing = outstanding.less(self.repaid).unwrap_or_default();
        let repaid = owing.min(amount);
        if !repaid.is_zero() {
            self.moves.push(Move::into(LotId::PostPaid, Source::PostPaid, repaid));
            self.repaid = self.repaid.plus(repaid).unwrap_or(Credits::MAX);
        }
        amount.less(repaid).unwrap_or_default()
    }

    /// Adds credits to the lot `id` if it exists, else to one with the same terms or a lot of their own, and
    /// when no lot is left to one that they can merge with.
    ///
    /// # Errors
    /// [`Refusal::BalanceLimit`].
    pub(crate) fn place(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        if lot.left.is_zero() {
            return Ok(());
        }
        let exists = self.account.lots.contains_key(&id) && !self.merged.contains_key(&id);
        if exists || self.opened.contains_key(&id) {
            return self.join(id, lot.left);
        }
        if self.merged.contains_key(&id) {
            return self.merge(id, lot);
        }
        let alike = self.status().filter(|(_, other)| other.is_like(&lot)).map(|(id, _)| id);
        let alike: Vec<_> = alike.filter(|id| *id != POOL).collect();
        let enough = alike.len() >= LOTS_ALIKE_MAX;
        if enough {
            self.must_stand(&alike);
        } else if !self.has_room() {
            self.must_all_stand();
        }
        match alike.last() {
            _ if lot.is_plain_purchase() && (enough || !self.has_room()) => self.pool(lot.left),
            Some(youngest) if enough => self.join(*youngest, lot.left),
            _ if self.has_room() => self.open(id, lot),
            Some(youngest) => self.join(*youngest, lot.left),
            None => self.merge(id, lot),
        }
    }

    /// Adds bonus credits that expire some time after their return to a lot that expires on the same day, or to
    /// one of their own, so that repeated returns use few lots.
    ///
    /// # Errors
    /// [`Refusal::BalanceLimit`].
    pub(crate) fn place_returned(&mut self, lot: Lot) -> Result<(), Refusal> {
        let end = ends(&lot);
        let day_before = end.checked_sub_signed(Duration::try_days(1).unwrap_or_default()).unwrap_or(end);
        let same_day = self.of_kind(&lot).filter(|(_, other)| day_before < ends(other) && ends(other) <= end);
        if let Some(id) = same_day.map(|(id, _)| id).last() {
            self.must_stand(&[id]);
            return self.join(id, lot.left);
        }
        let id = self.new_id();
        let has_earlier = self.of_kind(&lot).any(|(_, other)| ends(other) <= end);
        if self.status().count() < RETURNED_LOTS_MAX || self.has_room() && !has_earlier {
            return self.place(id, lot);
        }
        self.must_all_stand();
        self.merge(id, lot)
    }

    /// The effects of this posting; empty lots are removed.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        let touched = |id: &EntryId| {
            self.given.contains_key(id) || self.opened.contains_key(id) || self.merged.contains_key(id)
        };
        let mut effects: Vec<_> =
            self.account.empty_lots().filter(|id| !touched(id)).map(Effect::Drop).collect();
        // A lot that is opened again on its old terms has the same key in the item, and is set there.
        let stands_again = |id: &EntryId| match (self.opened.get(id), self.account.lots.get(id)) {
            (Some(new), Some(old)) => new.is_like(old),
            (Some(_) | None, _) => false,
        };
        let gone = self.merged.keys().filter(|id| !stands_again(id));
        effects.extend(gone.map(|id| Effect::Drop(*id)));
        effects.extend(self.disputes.iter().map(|(id, dispute)| Effect::Dispute(*id, Some(*dispute))));
        effects.extend(self.given.iter().map(|(id, amount)| Effect::Give(LotId::Granted(*id), *amount)));
        effects.extend(self.opened.iter().map(|(id, lot)| Effect::Open(*id, lot.clone())));
        if !self.repaid.is_zero() {
            effects.push(Effect::Repay(self.repaid));
        }
        effects
    }

    /// The lots that exist once this posting is written, without the credits that it adds.
    fn status(&self) -> impl Iterator<Item = (EntryId, &Lot)> {
        let exists = |id: &EntryId, lot: &Lot| {
            !self.merged.contains_key(id) && (!lot.left.is_zero() || self.given.contains_key(id))
        };
        let lots = self.account.lots.iter().filter(move |(id, lot)| exists(id, lot));
        lots.chain(&self.opened).map(|(id, lot)| (*id, lot))
    }

    fn has_room(&self) -> bool {
        self.status().filter(|(id, _)| *id != POOL).count() < LOTS_MAX
    }

    /// Guards that these lots are not empty: a concurrent debit that empties one of them requires a new
    /// decision.
    fn must_stand(&mut self, lots: &[EntryId]) {
        let known = |id: &&EntryId| self.account.lots.get(id).is_some_and(|lot| !lot.left.is_zero());
        let guards = lots.iter().filter(known).map(|id| exists(*id)).collect::<Vec<_>>();
        for guard in guards {
            if !self.guards.contains(&guard) {
                self.guards.push(guard);
            }
        }
    }

    fn must_all_stand(&mut self) {
        let lots: Vec<_> = self.status().map(|(id, _)| id).collect();
        self.must_stand(&lots);
    }

    /// The lots that these credits can merge with.
    fn of_kind(&self, lot: &Lot) -> impl Iterator<Item = (EntryId, &Lot)> {
        let (kind, now) = (MergeKind::of(lot), self.attempt.now);
        self.status().filter(move |(_, other)| MergeKind::of(other) == kind && other.is_current(now))
    }

    fn join(&mut self, id: EntryId, amount: Credits) -> Result<(), Refusal> {
        if let Some(lot) = self.opened.get_mut(&id) {
            lot.left = lot.left.plus(amount).ok_or(Refusal::BalanceLimit)?;
            let part = Move::into(LotId::Granted(id), lot.source, amount).on(lot.terms());
            self.push_move(part);
            return Ok(());
        }
        let lot = self.account.lots.get(&id).ok_or(Refusal::BalanceLimit)?;
        let given = self.given.entry(id).or_default();
        *given = given.plus(amount).ok_or(Refusal::BalanceLimit)?;
        self.push_move(Move::into(LotId::Granted(id), lot.source, amount).on(lot.terms()));
        // A concurrent debit may have emptied and removed it.
        let exists = Guard::AtLeast(LotId::Granted(id), Credits::ZERO);
        if !self.guards.contains(&exists) {
            self.guards.push(exists);
        }
        Ok(())
    }

    /// Adds a move. A lot that receives credits twice has one move.
    fn push_move(&mut self, part: Move) {
        let same = |known: &&mut Move| known.lot == part.lot && known.direction == part.direction;
        match self.moves.iter_mut().find(same) {
            Some(known) => known.amount = known.amount.plus(part.amount).unwrap_or(Credits::MAX),
            None => self.moves.push(part),
        }
    }

    fn open(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        self.moves.push(Move::into(LotId::Granted(id), lot.source, lot.left).on(lot.terms()));
        self.opened.insert(id, lot);
        Ok(())
    }

    fn pool(&mut self, amount: Credits) -> Result<(), Refusal> {
        if self.account.lots.contains_key(&POOL) || self.opened.contains_key(&POOL) {
            return self.join(POOL, amount);
        }
        self.open(POOL, Lot { source: Source::Purchased, left: amount, service: None, expires_at: None })
    }

    /// Merges credits for which no lot is left: they join the lot of their kind with the latest expiry not
    /// after theirs. If all expire later, the first of these takes their expiry.
    fn merge(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        let earlier = self.of_kind(&lot).filter(|(_, other)| ends(other) <= ends(&lot));
        if let Some((into, _)) = earlier.max_by_key(|(id, other)| (ends(other), *id)) {
            return self.join(into, lot.left);
        }
        let later = self.of_kind(&lot).min_by_key(|(id, other)| (ends(other), *id));
        let Some((from, _)) = later else { return self.make_room_for(id, lot) };
        if let Some(opened) = self.opened.get_mut(&from) {
            opened.expires_at = lot.expires_at;
            let now = opened.terms();
            let moved = self.moves.iter_mut().filter(|part| part.lot == LotId::Granted(from));
            moved.for_each(|part| part.terms = now);
            return self.join(from, lot.left);
        }
        let moved = self.take_away(from)?;
        self.open(id, lot)?;
        self.join(id, moved)
    }

    /// Merges two lots of another kind to make room for credits of a kind that has no lot.
    fn make_room_for(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        let may = |id: &EntryId, lot: &Lot| {
            !lot.left.is_zero()
                && !self.merged.contains_key(id)
                && !lot.is_plain_purchase()
                && lot.is_current(self.attempt.now)
        };
        let lots = self.account.lots.iter().filter(|(id, lot)| may(id, lot));
        let mut lots: Vec<_> = lots.map(|(id, lot)| (MergeKind::of(lot), ends(lot), *id)).collect();
        lots.sort();
        let pair = lots.windows(2).find_map(|pair| match pair {
            [one, other] if one.0 == other.0 => Some((one.2, other.2)),
            _ => None,
        });
        let mut plain = self.account.plain_purchases().map(|(id, _)| id);
        let oldest = plain.find(|id| *id != POOL && !self.merged.contains_key(id));
        if let Some((sooner, later)) = pair {
            let moved = self.take_away(later)?;
            self.join(sooner, moved)?;
        } else if let Some(oldest) = oldest {
            let moved = self.take_away(oldest)?;
            self.pool(moved)?;
        }
        // If neither is found, expired lots use up the room, and their expiry is booked within a minute.
        self.open(id, lot)
    }

    /// Takes all credits of an existing lot, including those that this posting added.
    fn take_away(&mut self, id: EntryId) -> Result<Credits, Refusal> {
        let lot = self.account.lots.get(&id).ok_or(Refusal::BalanceLimit)?;
        let from = LotId::Granted(id);
        self.merged.insert(id, lot.left);
        self.guards.retain(|guard| !matches!(guard, Guard::AtLeast(lot, _) if *lot == from));
        self.guards.push(Guard::Exactly(from, lot.left));
        let given = self.given.remove(&id).unwrap_or_default();
        let all = lot.left.plus(given).ok_or(Refusal::BalanceLimit)?;
        self.moves.push(Move::out(from, lot.source, all).on(lot.terms()));
        Ok(all)
    }
}

/// A guard that the lot is not empty.
pub(crate) fn exists(id: EntryId) -> Guard {
    Guard::AtLeast(LotId::Granted(id), Credits::ONE)
}

/// The kind of a lot. Only credits of the same kind merge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct MergeKind {
    source: Source,
    terms: Terms,
    ends: bool,
}

impl MergeKind {
    fn of(lot: &Lot) -> Self {
        Self {
            source: lot.source,
            terms: Terms { service: lot.service, expires_at: None },
            // Bonus credits without an expiry may have to take one.
            ends: lot.source == Source::Purchased && lot.expires_at.is_some(),
        }
    }
}

fn ends(lot: &Lot) -> DateTime<Utc> {
    lot.expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC)
}
