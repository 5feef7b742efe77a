//! Sums of an account's rows, and their comparison with the account.

use std::collections::{BTreeMap, BTreeSet};

use crate::ledger::receipt::{CAPTURE, HOLD, RELEASE};
use crate::{
    Account, Allowance, ClaimKey, Credits, Details, Direction, DrawdownReason, Entry, EntryId, Finding,
    LotId, PendingDrawdown, Problem, Receipt, Remainder,
};

/// The operation of a renewal, which contains the allowance.
const RENEWAL: &str = "credit.renewal";

/// The sums of an account's rows, added in the order of their numbers.
#[derive(Debug, Default)]
pub struct Sums {
    lots: BTreeMap<LotId, i128>,
    /// The sum of all lots, which the next row's balance must have.
    booked: i128,
    /// The held credits, which the next row's balance must have.
    held: i128,
    /// The credits left to draw from each debit and each hold.
    left: BTreeMap<EntryId, Credits>,
    /// The transactions that were drawn from, and the rows of the drawdowns.
    drawn_from: BTreeSet<EntryId>,
    drew: BTreeSet<EntryId>,
    /// The drawdowns by transaction and claim key.
    drew_under: BTreeSet<(EntryId, ClaimKey)>,
    last: Option<Receipt>,
    /// The allowance, as of the last renewal or change of plan.
    allowance: Option<Allowance>,
    findings: Vec<Finding>,
}

impl Sums {
    /// Adds the next row, and compares its balance with the sum.
    pub fn add(&mut self, receipt: Receipt) {
        for part in receipt.entry.moves.iter().filter(|part| is_summed(part.lot)) {
            let amount = i128::from(part.amount.get());
            let amount = match part.direction {
                Direction::Credit => amount,
                Direction::Debit => amount.saturating_neg(),
            };
            let lot = self.lots.entry(part.lot).or_default();
            *lot = lot.saturating_add(amount);
            if part.lot.is_counted() {
                self.booked = self.booked.saturating_add(amount);
            }
        }
        let stated = receipt.balance.booked().unwrap_or(Credits::MAX).get();
        let sum = self.booked.min(i128::from(Credits::MAX.get()));
        if has_minted(&receipt) {
            self.findings.push(Finding::row(receipt.sequence, Some(receipt.entry.id), Problem::Minted));
        }
        if i128::from(stated) != sum {
            let problem = Problem::Balance { stated, sum };
            self.findings.push(Finding::row(receipt.sequence, Some(receipt.entry.id), problem));
            // One wrong row causes one finding.
            self.booked = i128::from(stated);
        }
        self.hold(&receipt);
        self.draw_down(&receipt);
        if let Some(switch) = &receipt.entry.switch {
            self.allowance = Some(switch.allowance);
        } else if receipt.entry.operation.as_str() == RENEWAL && !receipt.balance.unlimited {
            self.allowance = Some(Allowance::Monthly(receipt.entry.amount));
        }
        self.last = Some(receipt);
    }

    /// Reduces the credits left of the transaction that a row draws from.
    fn draw_down(&mut self, receipt: &Receipt) {
        if let Some(drawn) = &receipt.details.drawn {
            self.drawn_from.insert(drawn.of);
            self.drew.insert(receipt.entry.id);
            self.drew_under.extend(receipt.entry.claim.clone().map(|key| (drawn.of, key)));
            let left = self.left.get(&drawn.of).and_then(|left| left.less(drawn.amount()));
            match left {
                Some(left) => drop(self.left.insert(drawn.of, left)),
                None => {
                    let problem = Problem::Overdrawn { of: drawn.of };
                    self.findings.push(Finding::row(receipt.sequence, Some(receipt.entry.id), problem));
                }
            }
        }
        if receipt.is_hold() {
            self.left.insert(receipt.entry.id, receipt.entry.amount);
        } else if receipt.may_be_refunded().is_ok() {
            self.left.insert(receipt.entry.id, receipt.spent());
        }
    }

    /// Adds the credits that a row holds or returns, and compares its balance with the sum.
    fn hold(&mut self, receipt: &Receipt) {
        let stated = receipt.balance.held.get();
        let amount = i128::from(receipt.entry.amount.get());
        let drawn = receipt.details.drawn.as_ref().map(|drawn| i128::from(drawn.amount().get()));
        self.held = match receipt.entry.operation.as_str() {
            HOLD => self.held.saturating_add(amount),
            RELEASE => self.held.saturating_sub(amount),
            // Without its details the captured amount is not known.
            CAPTURE => drawn.map_or(stated.into(), |drawn| self.held.saturating_sub(drawn)),
            _ => self.held,
        };
        if i128::from(stated) != self.held {
            let problem = Problem::Held { stated, sum: self.held };
            self.findings.push(Finding::row(receipt.sequence, Some(receipt.entry.id), problem));
            self.held = stated.into();
        }
    }

    /// Compares the account's remainders with its rows. A drawdown without a row among these is being posted,
    /// or has been posted since. An open drawdown with a row is posted: the process crashed before it completed
    /// the remainder, and a job does so.
    pub fn remainders(&mut self, remainders: &[Remainder]) {
        let mut missing = std::mem::take(&mut self.drawn_from);
        for remainder in remainders {
            missing.remove(&remainder.of);
            let made =
                remainder.made.iter().filter(|made| !self.drew.contains(&made.id)).map(|made| made.amount);
            let is_on_its_way =
                |open: &&PendingDrawdown| !self.drew_under.contains(&(remainder.of, open.key.clone()));
            let open = remainder.open.iter().filter(is_on_its_way).map(PendingDrawdown::amount);
            let left = made.chain(open).try_fold(remainder.left(), Credits::plus);
            if left != self.left.get(&remainder.of).copied() {
                missing.insert(remainder.of);
            }
        }
        let wrong = missing.into_iter();
        let finding = |of| Finding { sequence: None, transaction: Some(of), problem: Problem::Pot };
        self.findings.extend(wrong.map(finding));
    }

    /// The number of the last added row; 0 before the first.
    #[must_use]
    pub fn sequence(&self) -> u64 {
        self.last.as_ref().map_or(0, |last| last.sequence)
    }

    /// The last added row.
    #[must_use]
    pub fn last(&self) -> Option<&Receipt> {
        self.last.as_ref()
    }

    /// The allowance, as of the last renewal or change of plan.
    #[must_use]
    pub fn allowance(&self) -> Option<Allowance> {
        self.allowance
    }

    /// Compares the account with its rows: each lot, the outstanding credits, its last entry, and the balance
    /// of the last row.
    #[must_use]
    pub fn against(mut self, account: &Account) -> Vec<Finding> {
        let signed = |credits: Credits| i128::from(credits.get());
        let lots = account.lots.iter().map(|(id, lot)| (LotId::Granted(*id), signed(lot.left)));
        let subscription = (account.subscription_lot(), signed(account.subscription.left));
        // Outstanding credits left the account without coming from a lot.
        let owed = (LotId::PostPaid, signed(account.post_paid.outstanding).saturating_neg());
        let disputes =
            account.disputes.iter().map(|(id, dispute)| (LotId::Disputed(*id), signed(dispute.aside)));
        let held: BTreeMap<_, _> = lots.chain(disputes).chain([subscription, owed]).collect();
        let names: BTreeSet<_> = held.keys().chain(self.lots.keys()).copied().collect();
        for lot in names {
            let in_hand = |lots: &BTreeMap<LotId, i128>| lots.get(&lot).copied().unwrap_or(0);
            let (held, sum) = (in_hand(&held), in_hand(&self.lots));
            if held != sum {
                self.findings.push(Finding::account(Problem::Lot { lot, held, sum }));
            }
        }
        if !account.post_paid.outstanding.is_zero() && account.plain_purchases().next().is_some() {
            let words = "has outstanding credits beside purchased credits that could settle them";
            self.findings.push(Finding::account(Problem::Account(words)));
        }
        let last = self.last.as_ref();
        if self.allowance.is_some_and(|allowance| allowance != account.allowance) {
            self.findings
                .push(Finding::account(Problem::Account("has an allowance other than its rows show")));
        }
        if account.sequence != last.map_or(0, |last| last.sequence) {
            self.findings
                .push(Finding::account(Problem::Account("has a number of entries other than its rows")));
        } else if last.is_some_and(|last| !is_last(account, last)) {
            self.findings.push(Finding::account(Problem::Account("has a last entry other than its rows")));
        } else if last.is_some_and(|last| account.balance(last.entry.at) != last.balance) {
            let words = "has a balance other than its last row";
            self.findings.push(Finding::account(Problem::Account(words)));
        }
        self.findings
    }
}

/// Whether a row is the last line of the account's last entry. The lines of a batch are derived from the
/// account, except for the operation's name, which is in its claim.
fn is_last(account: &Account, row: &Receipt) -> bool {
    account.receipts(Details::default()).pop().is_some_and(|line| {
        let is_batch = account.last.as_ref().is_some_and(|last| !last.parts.is_empty());
        let operation = if is_batch { row.entry.operation.clone() } else { line.entry.operation.clone() };
        Entry { operation, ..line.entry } == row.entry
    })
}

/// Whether moves of `lot` are summed. Those of an unlimited plan are only informative.
fn is_summed(lot: LotId) -> bool {
    !matches!(lot, LotId::Unlimited(_))
}

/// Whether a row returns more credits than the transaction that it draws from took from lots.
fn has_minted(receipt: &Receipt) -> bool {
    let Some(drawn) = receipt.details.drawn.as_ref().filter(|drawn| drawn.why != DrawdownReason::Capture)
    else {
        return false;
    };
    let taken = drawn.shares.iter().filter(|share| is_summed(share.lot));
    let taken = taken.fold(0i128, |sum, share| sum.saturating_add(share.amount.get().into()));
    let moves = receipt.entry.moves.iter().filter(|part| is_summed(part.lot));
    let returned = moves.fold(0i128, |sum, part| match part.direction {
        Direction::Credit => sum.saturating_add(part.amount.get().into()),
        Direction::Debit => sum.saturating_sub(part.amount.get().into()),
    });
    taken < returned
}
