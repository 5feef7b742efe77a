use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};

use crate::ledger::lot::POOL;
use crate::{
    Account, Credits, Disputed, Effect, EntryId, Guard, Head, LOTS_ALIKE_MAX, LOTS_MAX, Lot, LotId, Move,
    Refusal, Source, Terms,
};

/// Up to how many lots the ends of returned credits make places for. The others are kept for what operators grant.
const RETURNED_LOTS_MAX: usize = 12;

/// Credits on their way into an account's lots: where each finds its place, and what changes for it.
///
/// Credits keep their terms. Where an account has no place left, they merge only within a bucket and a service,
/// towards the nearest end; purchased credits without an end never merge with any that end. Plain purchased
/// credits settle what is outstanding before they stand anywhere (decision 10).
pub(crate) struct Arrivals<'a> {
    account: &'a Account,
    head: &'a Head,
    pub(crate) moves: Vec<Move>,
    pub(crate) guards: Vec<Guard>,
    /// What standing lots receive.
    given: BTreeMap<EntryId, Credits>,
    /// Lots that stand again, or are new.
    opened: BTreeMap<EntryId, Lot>,
    /// Lots whose credits have merged into another.
    merged: BTreeMap<EntryId, Credits>,
    repaid: Credits,
    /// Open disputes that credits came back to, as they are then.
    disputes: BTreeMap<EntryId, Disputed>,
    /// How many lots of this posting have an id made from its own.
    new_ids: u64,
}

impl<'a> Arrivals<'a> {
    pub(crate) fn new(account: &'a Account, head: &'a Head) -> Self {
        Self {
            account,
            head,
            moves: vec![],
            guards: vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)],
            given: BTreeMap::new(),
            opened: BTreeMap::new(),
            merged: BTreeMap::new(),
            repaid: Credits::ZERO,
            disputes: BTreeMap::new(),
            new_ids: 0,
        }
    }

    /// An id for a lot that this posting makes.
    pub(crate) fn new_id(&mut self) -> EntryId {
        let id = self.head.id.after(self.new_ids);
        self.new_ids = self.new_ids.saturating_add(1);
        id
    }

    /// What comes back to a lot in dispute joins what the dispute has set aside, up to what it is about; returns
    /// the rest. The disputed credits count as spent last, so they come back first.
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
            self.told(Move::into(LotId::Disputed(*id), Source::Purchased, part));
        }
        rest
    }

    /// Purchased credits that pay for every service and never end: they settle what is outstanding, and what is
    /// left of them goes to the lot `id`.
    ///
    /// # Errors
    /// As [`Arrivals::place`].
    pub(crate) fn plain_purchase(&mut self, id: EntryId, amount: Credits) -> Result<(), Refusal> {
        let rest = self.settle(amount);
        let lot = Lot { source: Source::Purchased, left: rest, service: None, expires_at: None };
        self.place(id, lot)
    }

    /// Lowers what is outstanding, as far as it goes; returns what is left of `amount`.
    pub(crate) fn settle(&mut self, amount: Credits) -> Credits {
        let outstanding = self.account.post_paid.outstanding;
        // All that is owed is lowered before anything stands beside it.
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

    /// Puts credits into the lot `id` where that stands, else into one on the very same terms or a lot of their
    /// own, and where there is no place into one that they may merge with.
    ///
    /// # Errors
    /// [`Refusal::BalanceLimit`].
    pub(crate) fn place(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        if lot.left.is_zero() {
            return Ok(());
        }
        let stands = self.account.lots.contains_key(&id) && !self.merged.contains_key(&id);
        if stands || self.opened.contains_key(&id) {
            return self.join(id, lot.left);
        }
        // A lot that this very posting has merged away goes with what it merged into.
        if self.merged.contains_key(&id) {
            return self.merge(id, lot);
        }
        let alike = self.standing().filter(|(_, other)| other.is_like(&lot)).map(|(id, _)| id);
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

    /// Puts bonus credits that end some time after they came back into a lot that ends on the same day, or into
    /// one of their own, so that however often credits come back, they take few places.
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
        if self.standing().count() < RETURNED_LOTS_MAX || self.has_room() && !has_earlier {
            return self.place(id, lot);
        }
        self.must_all_stand();
        self.merge(id, lot)
    }

    /// What changes, with lots that hold nothing forgotten.
    pub(crate) fn effects(&self) -> Vec<Effect> {
        let touched = |id: &EntryId| {
            self.given.contains_key(id) || self.opened.contains_key(id) || self.merged.contains_key(id)
        };
        let mut effects: Vec<_> =
            self.account.empty_lots().filter(|id| !touched(id)).map(Effect::Drop).collect();
        // One that stands again on its own terms has the same name in the item, and is set there.
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

    /// The lots that stand when this posting lands, as they are without what it gives them.
    fn standing(&self) -> impl Iterator<Item = (EntryId, &Lot)> {
        let stands = |id: &EntryId, lot: &Lot| {
            !self.merged.contains_key(id) && (!lot.left.is_zero() || self.given.contains_key(id))
        };
        let lots = self.account.lots.iter().filter(move |(id, lot)| stands(id, lot));
        lots.chain(&self.opened).map(|(id, lot)| (*id, lot))
    }

    fn has_room(&self) -> bool {
        self.standing().filter(|(id, _)| *id != POOL).count() < LOTS_MAX
    }

    /// These lots take the places: a rival debit that empties one of them has it decided again.
    fn must_stand(&mut self, lots: &[EntryId]) {
        let known = |id: &&EntryId| self.account.lots.get(id).is_some_and(|lot| !lot.left.is_zero());
        let guards = lots.iter().filter(known).map(|id| stands(*id)).collect::<Vec<_>>();
        for guard in guards {
            if !self.guards.contains(&guard) {
                self.guards.push(guard);
            }
        }
    }

    fn must_all_stand(&mut self) {
        let lots: Vec<_> = self.standing().map(|(id, _)| id).collect();
        self.must_stand(&lots);
    }

    /// The lots that credits may merge with.
    fn of_kind(&self, lot: &Lot) -> impl Iterator<Item = (EntryId, &Lot)> {
        let (kind, now) = (Kind::of(lot), self.head.now);
        self.standing().filter(move |(_, other)| Kind::of(other) == kind && other.is_current(now))
    }

    fn join(&mut self, id: EntryId, amount: Credits) -> Result<(), Refusal> {
        if let Some(lot) = self.opened.get_mut(&id) {
            lot.left = lot.left.plus(amount).ok_or(Refusal::BalanceLimit)?;
            let part = Move::into(LotId::Granted(id), lot.source, amount).on(lot.terms());
            self.told(part);
            return Ok(());
        }
        let lot = self.account.lots.get(&id).ok_or(Refusal::BalanceLimit)?;
        let given = self.given.entry(id).or_default();
        *given = given.plus(amount).ok_or(Refusal::BalanceLimit)?;
        self.told(Move::into(LotId::Granted(id), lot.source, amount).on(lot.terms()));
        // A rival debit may have emptied it meanwhile, and had it forgotten.
        let stands = Guard::AtLeast(LotId::Granted(id), Credits::ZERO);
        if !self.guards.contains(&stands) {
            self.guards.push(stands);
        }
        Ok(())
    }

    /// A lot that receives twice is told once.
    fn told(&mut self, part: Move) {
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

    /// There is no place for credits on their own terms: they join the lot of their kind that ends last before
    /// they do. Where all end later, the first of these ends with them.
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

    /// Two lots of another kind merge, so that credits of a kind that has none find a place.
    fn make_room_for(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        let may = |id: &EntryId, lot: &Lot| {
            !lot.left.is_zero()
                && !self.merged.contains_key(id)
                && !lot.is_plain_purchase()
                && lot.is_current(self.head.now)
        };
        let lots = self.account.lots.iter().filter(|(id, lot)| may(id, lot));
        let mut lots: Vec<_> = lots.map(|(id, lot)| (Kind::of(lot), ends(lot), *id)).collect();
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
        // Where neither is found, lots that have ended take the places, and give them up within a minute.
        self.open(id, lot)
    }

    /// All that a standing lot has, with what it was given, leaves it.
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

/// Holds while a lot has credits, and so takes a place.
pub(crate) fn stands(id: EntryId) -> Guard {
    Guard::AtLeast(LotId::Granted(id), Credits::ONE)
}

/// What credits must have in common to merge.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    source: Source,
    terms: Terms,
    ends: bool,
}

impl Kind {
    fn of(lot: &Lot) -> Self {
        Self {
            source: lot.source,
            terms: Terms { service: lot.service, expires_at: None },
            // Bonus credits without an end may have to take one.
            ends: lot.source == Source::Purchased && lot.expires_at.is_some(),
        }
    }
}

fn ends(lot: &Lot) -> DateTime<Utc> {
    lot.expires_at.unwrap_or(DateTime::<Utc>::MAX_UTC)
}
