use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{
    Account, Allowance, Credits, Direction, Effect, EntryId, Guard, Head, LOTS_MAX, Lot, LotId, Move,
    Operation, Period, Posting, Refusal, Service, Share, Source, Why,
};

/// On which terms a granted lot's credits are spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    /// Pays only for debits that name this service.
    pub service: Option<Service>,
    /// Not spendable from this instant on.
    pub expires_at: Option<DateTime<Utc>>,
}

/// Credits that go back to where they were taken from: a refund, or what was set aside and not spent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GiveBack {
    /// Which.
    pub shares: Vec<Share>,
    /// A refund, a release or an expiry. A capture gives nothing back.
    pub why: Why,
    /// The month that a refund's debit was counted as usage of.
    pub month: Period,
    /// The terms of the granted lots among the shares, for those that were emptied and forgotten. Without an
    /// entry, plain.
    pub terms: BTreeMap<EntryId, Terms>,
}

/// Decides where credits go back to: the very lots that they came from (contract, rule 5). A refund of what
/// has ended meanwhile, with its month or by its own date, comes back as bonus credits that never expire;
/// what a hold set aside of it is gone. What was spent on account lowers what is outstanding; as far as a
/// purchase has settled it, it comes back as purchased credits.
///
/// # Errors
/// [`Refusal::BalanceLimit`].
pub fn give_back(account: &Account, request: &GiveBack, head: &Head) -> Result<Posting, Refusal> {
    let amount = super::draw::sum(&request.shares);
    let is_refund = matches!(request.why, Why::Refund { .. });
    if is_refund && !super::grant::fits(account, amount) {
        return Err(Refusal::BalanceLimit);
    }
    let mut back = Back::new(account, request, head);
    for share in &request.shares {
        back.share(share)?;
    }
    back.plain()?;
    back.usage(amount)?;
    let Back { moves, guards, mut effects, given, opened, .. } = back;
    let kept = |id: &EntryId| given.contains_key(id);
    effects.extend(account.empty_lots().filter(|id| !kept(id)).map(Effect::Drop));
    effects.extend(given.iter().map(|(id, amount)| Effect::Give(LotId::Granted(*id), *amount)));
    effects.extend(opened.into_iter().map(|(id, lot)| Effect::Open(id, lot)));
    let entry = head.entry(
        account,
        Operation::own(match request.why {
            Why::Refund { .. } => "credit.refund",
            Why::Release | Why::Expiry | Why::Capture => super::hold::RELEASE,
        }),
        (Direction::Credit, amount),
        moves,
    );
    Ok(Posting { entry, guards, effects })
}

struct Back<'a> {
    account: &'a Account,
    request: &'a GiveBack,
    head: &'a Head,
    moves: Vec<Move>,
    guards: Vec<Guard>,
    effects: Vec<Effect>,
    /// What standing lots receive.
    given: BTreeMap<EntryId, Credits>,
    /// Lots that stand again, or are new.
    opened: BTreeMap<EntryId, Lot>,
    /// What comes back on no other terms.
    bonus: Credits,
    purchased: Credits,
}

impl<'a> Back<'a> {
    fn new(account: &'a Account, request: &'a GiveBack, head: &'a Head) -> Self {
        Self {
            account,
            request,
            head,
            moves: vec![],
            guards: vec![Guard::Revision(account.revision), Guard::FenceBelow(head.id)],
            effects: vec![],
            given: BTreeMap::new(),
            opened: BTreeMap::new(),
            bonus: Credits::ZERO,
            purchased: Credits::ZERO,
        }
    }

    fn share(&mut self, share: &Share) -> Result<(), Refusal> {
        match share.lot {
            LotId::Subscription(month) if month == self.account.period => self.this_month(share),
            LotId::Subscription(_) => self.ended(share),
            LotId::Granted(id) => self.granted(id, share),
            LotId::PostPaid => self.on_account(share.amount),
        }
    }

    /// Subscription credits of the month that goes on: what was spent beyond the plan is made up for first.
    fn this_month(&mut self, share: &Share) -> Result<(), Refusal> {
        let over = self.account.subscription.over;
        let lost = match self.account.allowance {
            Allowance::Unlimited => share.amount,
            Allowance::Monthly(_) => share.amount.min(over),
        };
        let back = share.amount.less(lost).unwrap_or_default();
        self.moves.push(Move::into(share.lot, share.source, share.amount));
        if !back.is_zero() {
            self.account.subscription.left.plus(back).ok_or(Refusal::BalanceLimit)?;
            self.effects.push(Effect::Restore(back));
        }
        if !lost.is_zero() {
            self.effects.push(Effect::Unspend(lost));
        }
        if !lost.is_zero() && self.account.allowance != Allowance::Unlimited {
            self.moves.push(Move::out(share.lot, share.source, lost));
            self.effects.push(Effect::Over(over.less(lost).unwrap_or_default()));
        }
        Ok(())
    }

    fn granted(&mut self, id: EntryId, share: &Share) -> Result<(), Refusal> {
        let now = self.head.now;
        let lot = self.account.lots.get(&id).cloned().unwrap_or_else(|| {
            let Terms { service, expires_at } = self.request.terms.get(&id).copied().unwrap_or_default();
            Lot { source: share.source, left: Credits::ZERO, service, expires_at }
        });
        if !lot.is_current(now) {
            return self.ended(share);
        }
        self.place(id, Lot { left: share.amount, ..lot })
    }

    /// Credits that come back on terms of their own: to the lot `id` if it stands or there is room for it,
    /// else to one alike, else as bonus credits on no terms, which always find a place.
    fn place(&mut self, id: EntryId, lot: Lot) -> Result<(), Refusal> {
        let to = LotId::Granted(id);
        let alike = || self.account.lots.iter().rfind(|(_, other)| other.is_like(&lot));
        let standing = self.account.lots.values().filter(|lot| !lot.left.is_zero()).count();
        let room = standing.saturating_add(self.opened.len()) < LOTS_MAX;
        if self.account.lots.contains_key(&id) {
            self.moves.push(Move::into(to, lot.source, lot.left));
            return self.give(id, lot.left);
        }
        if room || is_plain(&lot) && alike().is_none() {
            self.moves.push(Move::into(to, lot.source, lot.left));
            let open = self.opened.entry(id).or_insert(Lot { left: Credits::ZERO, ..lot });
            open.left = open.left.plus(lot.left).ok_or(Refusal::BalanceLimit)?;
            return Ok(());
        }
        if let Some((id, _)) = alike() {
            let id = *id;
            self.moves.push(Move::into(LotId::Granted(id), lot.source, lot.left));
            return self.give(id, lot.left);
        }
        self.bonus = self.bonus.plus(lot.left).ok_or(Refusal::BalanceLimit)?;
        Ok(())
    }

    fn give(&mut self, id: EntryId, amount: Credits) -> Result<(), Refusal> {
        let given = self.given.entry(id).or_default();
        *given = given.plus(amount).ok_or(Refusal::BalanceLimit)?;
        // A rival debit may have emptied it meanwhile, and had it forgotten.
        self.guards.push(Guard::AtLeast(LotId::Granted(id), Credits::ZERO));
        Ok(())
    }

    /// Credits whose month or own date has come: a refund makes bonus credits of them, and a hold has kept
    /// them from nothing.
    fn ended(&mut self, share: &Share) -> Result<(), Refusal> {
        if let Why::Refund { .. } = self.request.why {
            self.bonus = self.bonus.plus(share.amount).ok_or(Refusal::BalanceLimit)?;
        } else {
            self.moves.push(Move::into(share.lot, share.source, share.amount));
            self.moves.push(Move::out(share.lot, share.source, share.amount));
        }
        Ok(())
    }

    fn on_account(&mut self, amount: Credits) -> Result<(), Refusal> {
        let outstanding = self.account.post_paid.outstanding;
        let repaid = outstanding.min(amount);
        if !repaid.is_zero() {
            self.moves.push(Move::into(LotId::PostPaid, Source::PostPaid, repaid));
            self.effects.push(Effect::Repay(repaid));
        }
        // All that is owed is lowered before anything of it is bought.
        self.guards.push(Guard::Owing(outstanding));
        let settled = amount.less(repaid).unwrap_or_default();
        self.purchased = self.purchased.plus(settled).ok_or(Refusal::BalanceLimit)?;
        Ok(())
    }

    /// What comes back on no terms opens a lot of its own, or joins the youngest alike. Purchased credits find a
    /// place before bonus credits do.
    fn plain(&mut self) -> Result<(), Refusal> {
        let id = self.head.id;
        self.place_plain(id.next(), Source::Purchased, self.purchased)?;
        self.place_plain(id, Source::Bonus, self.bonus)
    }

    fn place_plain(&mut self, id: EntryId, source: Source, left: Credits) -> Result<(), Refusal> {
        if left.is_zero() {
            Ok(())
        } else {
            self.place(id, Lot { source, left, service: None, expires_at: None })
        }
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
                self.guards.push(Guard::Held(amount));
                self.effects.push(Effect::Unhold(amount));
            }
        }
        Ok(())
    }
}

/// Whether credits of the lot pay for anything and never expire.
fn is_plain(lot: &Lot) -> bool {
    lot.service.is_none() && lot.expires_at.is_none()
}
