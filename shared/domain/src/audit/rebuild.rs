//! The facts that the rows of a ledger contain about their account: enough to rebuild an account whose own item
//! is unreadable.

use std::collections::BTreeMap;

use crate::ledger::receipt::HOLD;
use crate::operation::consume::NewEntry;
use crate::{
    Account, Allowance, Attempt, Credits, Details, Direction, DrawdownReason, Drawn, Entry, EntryId, Fence,
    Finding, Lot, LotId, Period, PlanId, Receipt, Sums, Terms,
};

/// The operation of a renewal.
const RENEWAL: &str = "credit.renewal";

/// The operation of a repair's entry, which moves no credits.
const REPAIR: &str = "account.repair";

/// The operations that open a lot with the terms in their details.
const OPENS: [&str; 3] = ["credit.grant", "credit.purchase", "credit.adjustment"];

/// The facts from an account's rows, added in the order of their numbers.
#[derive(Debug, Default)]
pub struct RowFacts {
    sums: Sums,
    /// Each lot's source and terms, without credits.
    lots: BTreeMap<EntryId, Lot>,
    totals: Totals,
}

/// The totals of an account after some entries, as far as these show them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// The number of entries.
    pub sequence: u64,
    /// The month of the account; `None` before its first renewal.
    pub period: Option<Period>,
    /// The credits left of each lot. Outstanding credits are negative.
    pub lots: BTreeMap<LotId, i128>,
    /// The credits debited in the month.
    pub used: i128,
    /// The credits held.
    pub held: i128,
    /// The month's spent subscription credits.
    pub spent: i128,
    /// The post-paid limit; `None` when an entry has changed it and no row shows the new one.
    pub limit: Option<Credits>,
    /// The plan.
    pub plan: Option<PlanId>,
    /// The allowance.
    pub allowance: Option<Allowance>,
    /// Whether the plan is unlimited: debits only change usage.
    pub unlimited: bool,
    /// Whether it is frozen.
    pub frozen: bool,
}

impl RowFacts {
    /// Adds the next row.
    pub fn add(&mut self, receipt: Receipt) {
        if receipt.entry.switch.is_none() {
            self.totals.unlimited = receipt.balance.unlimited;
        }
        self.totals = self.totals.after(&receipt.entry, &receipt.details);
        let balance = &receipt.balance;
        let totals = &mut self.totals;
        totals.sequence = receipt.sequence;
        totals.limit = Some(balance.post_paid.unwrap_or_default().limit);
        totals.held = balance.held.get().into();
        (totals.plan, totals.unlimited) = (Some(balance.plan.clone()), balance.unlimited);
        if totals.period == Some(balance.period) {
            totals.used = balance.used.get().into();
        }
        for part in &receipt.entry.moves {
            let LotId::Granted(id) = part.lot else { continue };
            let is_opened = receipt.entry.id == id && OPENS.contains(&receipt.entry.operation.as_str());
            let mut terms = part.terms;
            if is_opened && terms.are_plain() {
                terms = Terms { service: receipt.details.service, expires_at: receipt.details.expires_at };
            }
            let Terms { service, expires_at } = terms;
            let lot = Lot { source: part.source, left: Credits::ZERO, service, expires_at };
            // Only credits that arrive can change a lot's terms.
            if part.direction == Direction::Credit || !self.lots.contains_key(&id) {
                self.lots.insert(id, lot);
            }
        }
        self.sums.add(receipt);
        self.totals.allowance = self.sums.allowance();
    }

    /// The totals after the rows.
    #[must_use]
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// A lot's source and terms, without credits.
    #[must_use]
    pub fn lot(&self, id: EntryId) -> Option<Lot> {
        self.lots.get(&id).cloned()
    }

    /// The last row.
    #[must_use]
    pub fn last(&self) -> Option<&Receipt> {
        self.sums.last()
    }

    /// Adds the rows of the repair and compares the repaired account with all rows.
    #[must_use]
    pub fn against(mut self, repaired: &Account, details: Details) -> Vec<Finding> {
        for receipt in repaired.receipts(details) {
            self.add(receipt);
        }
        self.sums.against(repaired)
    }
}

impl Totals {
    /// The totals after one more entry.
    #[must_use]
    pub fn after(&self, entry: &Entry, details: &Details) -> Self {
        let mut next = self.clone();
        let operation = entry.operation.as_str();
        if operation == RENEWAL {
            next.period = Some(Period::of(entry.at));
            (next.used, next.spent) = (0, 0);
        }
        let is_usage = !entry.operation.is_own();
        let subscription = next.period.map(LotId::Subscription);
        let unlimited = next.period.map(LotId::Unlimited);
        for part in &entry.moves {
            let amount = i128::from(part.amount.get());
            let change = match part.direction {
                Direction::Credit => amount,
                Direction::Debit => amount.saturating_neg(),
            };
            if !matches!(part.lot, LotId::Unlimited(_)) {
                let lot = next.lots.entry(part.lot).or_default();
                *lot = lot.saturating_add(change);
            }
            let is_months = Some(part.lot) == subscription || Some(part.lot) == unlimited;
            if is_months && (is_usage || operation == HOLD) {
                next.spent = next.spent.saturating_sub(change);
            }
        }
        let amount = i128::from(entry.amount.get());
        if is_usage && entry.direction == Direction::Debit {
            next.used = next.used.saturating_add(amount);
        }
        if operation == HOLD {
            next.held = next.held.saturating_add(amount);
        }
        if let Some(drawn) = &details.drawn {
            next.draw_down(drawn, [subscription, unlimited]);
        }
        if let Some(switch) = &entry.switch {
            next.plan = Some(switch.to.clone());
            next.allowance = Some(switch.allowance);
            next.unlimited = switch.allowance == Allowance::Unlimited;
        }
        match operation {
            "account.freeze" => next.frozen = true,
            "account.unfreeze" => next.frozen = false,
            "account.post_paid" => next.limit = None,
            _ => (),
        }
        next.sequence = next.sequence.saturating_add(entry.rows());
        next
    }

    /// Applies the changes of a refund, a capture or a release besides the lots.
    fn draw_down(&mut self, drawn: &Drawn, months: [Option<LotId>; 2]) {
        let amount = i128::from(drawn.amount().get());
        match drawn.why {
            DrawdownReason::Refund { .. } if Some(Period::of(drawn.of.time())) == self.period => {
                self.used = self.used.saturating_sub(amount);
            }
            DrawdownReason::Refund { .. } => (),
            DrawdownReason::Capture => {
                self.held = self.held.saturating_sub(amount);
                self.used = self.used.saturating_add(amount);
            }
            DrawdownReason::Release | DrawdownReason::Expiry => self.held = self.held.saturating_sub(amount),
        }
        if drawn.why == DrawdownReason::Capture {
            return;
        }
        let [subscription, unlimited] = months;
        for share in &drawn.shares {
            let amount = i128::from(share.amount.get());
            let back = if Some(share.lot) == subscription || Some(share.lot) == unlimited && self.unlimited {
                amount
            } else if Some(share.lot) == unlimited {
                amount.min(self.over())
            } else {
                0
            };
            self.spent = self.spent.saturating_sub(back).max(0);
        }
    }

    /// The credits spent beyond the allowance.
    fn over(&self) -> i128 {
        let brings = self.allowance.map_or(Credits::ZERO, Allowance::monthly);
        self.spent.saturating_sub(brings.get().into()).max(0)
    }

    /// The month's remaining subscription credits.
    #[must_use]
    pub fn subscription(&self) -> i128 {
        self.period.and_then(|period| self.lots.get(&LotId::Subscription(period)).copied()).unwrap_or(0)
    }

    /// The outstanding credits.
    #[must_use]
    pub fn owed(&self) -> i128 {
        self.lots.get(&LotId::PostPaid).copied().unwrap_or(0).saturating_neg()
    }

    /// Granted lots with credits left.
    pub fn granted(&self) -> impl Iterator<Item = (EntryId, i128)> {
        self.lots.iter().filter_map(|(lot, left)| match lot {
            LotId::Granted(id) if *left != 0 => Some((*id, *left)),
            LotId::Granted(_)
            | LotId::Subscription(_)
            | LotId::PostPaid
            | LotId::Unlimited(_)
            | LotId::Disputed(_) => None,
        })
    }
}

/// A rebuilt account with the entry of its repair. It fences off all earlier attempts: postings decided on the
/// damaged account must not be written.
#[must_use]
pub fn repaired(account: Account, attempt: &Attempt) -> Account {
    let entry = attempt.entry(&account, NewEntry::without_moves(REPAIR, Direction::Credit));
    let sequence = account.sequence.saturating_add(1);
    Account {
        sequence,
        // Above every revision that a process may have read.
        revision: account.revision.max(sequence).saturating_add(1),
        fence: Fence { up_to: attempt.id.before(), sequence },
        last: Some(entry),
        ..account
    }
}
