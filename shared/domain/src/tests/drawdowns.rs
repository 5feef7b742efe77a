//! Laws of debits, refunds, holds, captures, releases, renewals and expiries in any order.

use proptest::prelude::*;

use super::*;

/// One step of a history. Indexes wrap around.
#[derive(Clone, Debug)]
enum DrawdownStep {
    Consume { amount: u64, service: Option<Service> },
    Batch { amounts: Vec<u64>, atomic: bool },
    Hold { amount: u64, hours: u32 },
    Capture { which: usize, amount: Option<u64> },
    Release { which: usize },
    Refund { which: usize, amount: Option<u64> },
    Grant { purchased: bool, amount: u64, service: Option<Service>, days: Option<i64> },
    Plan { allowance: u64 },
    Unlimited,
    Limit(u64),
    Pass { hours: i64 },
}

fn steps() -> impl Strategy<Value = Vec<DrawdownStep>> {
    let service = || proptest::option::of(proptest::sample::select(vec![Service::Smartcheck, Service::Api]));
    let amount = || proptest::option::of(1u64..12);
    let step = prop_oneof![
        6 => (0u64..20, service()).prop_map(|(amount, service)| DrawdownStep::Consume { amount, service }),
        2 => (proptest::collection::vec(0u64..9, 1..6), any::<bool>())
            .prop_map(|(amounts, atomic)| DrawdownStep::Batch { amounts, atomic }),
        4 => (0u64..20, 1u32..900).prop_map(|(amount, hours)| DrawdownStep::Hold { amount, hours }),
        4 => (any::<usize>(), amount()).prop_map(|(which, amount)| DrawdownStep::Capture { which, amount }),
        2 => any::<usize>().prop_map(|which| DrawdownStep::Release { which }),
        6 => (any::<usize>(), amount()).prop_map(|(which, amount)| DrawdownStep::Refund { which, amount }),
        4 => (any::<bool>(), 1u64..30, service(), proptest::option::of(1i64..50))
            .prop_map(|(purchased, amount, service, days)| DrawdownStep::Grant { purchased, amount, service, days }),
        1 => (0u64..40).prop_map(|allowance| DrawdownStep::Plan { allowance }),
        1 => Just(DrawdownStep::Unlimited),
        1 => (0u64..30).prop_map(DrawdownStep::Limit),
        3 => (1i64..400).prop_map(|hours| DrawdownStep::Pass { hours }),
    ];
    proptest::collection::vec(step, 1..80)
}

/// A ledger, its remainders, and the expected usage.
struct DrawdownWorld {
    account: Account,
    now: DateTime<Utc>,
    used: u64,
    debits: Vec<(Receipt, Remainder)>,
    holds: Vec<(Receipt, Remainder)>,
    number: u64,
}

type Done = Result<(), TestCaseError>;

impl DrawdownWorld {
    fn attempt(&mut self) -> Attempt {
        self.number += 2;
        Attempt { id: self.account.floor().next().next(), now: self.now, ..attempt(self.number, self.now) }
    }

    /// Applies a posting, and checks that its moves are exactly the changes.
    fn book(&mut self, posting: &Posting) -> Done {
        let counted = |account: &Account| {
            let lots = account.lots.values().map(|lot| lot.left.get()).sum::<u64>();
            i128::from(lots + account.subscription.left.get())
                - i128::from(account.post_paid.outstanding.get())
        };
        let before = counted(&self.account);
        // Moves of an unlimited plan are only informative.
        let moves = posting.entry.moves.iter().filter(|part| !matches!(part.lot, LotId::Unlimited(_)));
        let moved: i128 = moves
            .map(|part| match part.direction {
                Direction::Credit => i128::from(part.amount.get()),
                Direction::Debit => -i128::from(part.amount.get()),
            })
            .sum();
        let sequence = self.account.sequence;
        let after = self.account.clone().apply(posting);
        self.account = after.ok_or_else(|| TestCaseError::fail(format!("does not apply: {posting:?}")))?;
        prop_assert_eq!(counted(&self.account) - before, moved, "{:?}", posting);
        has_minted_nothing(posting)?;
        prop_assert_eq!(self.account.sequence, sequence + posting.entry.rows());
        let mut lots: Vec<_> = posting.effects.iter().filter_map(touched).collect();
        lots.sort();
        lots.dedup();
        prop_assert_eq!(lots.len(), posting.effects.iter().filter_map(touched).count(), "one effect a lot");
        Ok(())
    }

    fn receipts(&self, details: &Details) -> Vec<Receipt> {
        self.account.receipts(details.clone())
    }

    /// Writes what is due: renewals and expiries in order, then holds that have ended.
    fn pass(&mut self) -> Done {
        while let Some(posting) = due(&self.account, self.now) {
            if posting.effects.iter().any(|effect| matches!(effect, Effect::Renew(..))) {
                self.used = 0;
            }
            self.book(&posting)?;
        }
        for place in 0..self.holds.len() {
            let ended = self.holds[place].1.ends.is_some_and(|end| end <= self.now);
            if ended && !self.holds[place].1.closed {
                self.restore(place, DrawdownReason::Expiry)?;
            }
        }
        Ok(())
    }

    fn restore(&mut self, place: usize, why: DrawdownReason) -> Done {
        let (hold, remainder) = self.holds[place].clone();
        let Ok(DrawdownShares { shares, .. }) = remainder.to_release(&why, self.now) else { return Ok(()) };
        let remainder = drawn(remainder, &shares, why.clone(), true)?;
        let month = Period::of(hold.entry.at);
        let request = Restore { shares, why, month };
        let attempt = self.attempt();
        let posting = restore(&self.account, &request, &attempt).unwrap();
        self.book(&posting)?;
        self.holds[place].1 = remainder;
        Ok(())
    }

    fn refund(&mut self, place: usize, amount: Option<u64>) -> Done {
        let (debit, remainder) = self.debits[place].clone();
        let amount = amount.map(|amount| Amount::try_from(amount).unwrap());
        let left = remainder.left();
        let DrawdownShares { shares, closes } = match remainder.to_refund(amount) {
            Ok(part) => part,
            Err(Refusal::AlreadyRefunded) => {
                prop_assert!(left.is_zero());
                return Ok(());
            }
            Err(Refusal::MoreThanDebited { refundable }) => {
                prop_assert!(refundable == left && amount.map(Credits::from) > Some(left));
                return Ok(());
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let why = DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None };
        let remainder = drawn(remainder, &shares, why.clone(), closes)?;
        let month = Period::of(debit.entry.at);
        let sum: u64 = shares.iter().map(|share| share.amount.get()).sum();
        let request = Restore { shares, why, month };
        let attempt = self.attempt();
        let posting = restore(&self.account, &request, &attempt).unwrap();
        prop_assert_eq!(posting.entry.amount.get(), sum);
        self.book(&posting)?;
        if month == self.account.period {
            self.used -= sum;
        }
        let all = remainder.drawn().get();
        prop_assert!(all <= debit.spent().get() && all + remainder.left().get() == debit.spent().get());
        self.debits[place].1 = remainder;
        Ok(())
    }

    fn spend(&mut self, posting: &Posting, details: &Details) -> Done {
        self.book(posting)?;
        for receipt in self.receipts(details) {
            self.used += receipt.spent().get();
            let moved: u64 = receipt.entry.moves.iter().map(|part| part.amount.get()).sum();
            prop_assert!(receipt.entry.amount.get() == moved || receipt.entry.amount.is_zero());
            self.debits.push((receipt.clone(), Remainder::of(&receipt)));
        }
        Ok(())
    }

    fn step(&mut self, step: DrawdownStep) -> Done {
        match step {
            DrawdownStep::Pass { hours } => self.now += chrono::Duration::hours(hours),
            DrawdownStep::Consume { amount, service } => {
                let attempt = self.attempt();
                if let Ok(posting) = consume(&self.account, &debit(amount, service), &attempt) {
                    self.spend(&posting, &Details::default())?;
                }
            }
            DrawdownStep::Batch { amounts, atomic } => self.batch(&amounts, atomic)?,
            DrawdownStep::Hold { amount, hours } => {
                let attempt = self.attempt();
                if let Ok(posting) = hold(&self.account, &debit(amount, None), &attempt) {
                    self.book(&posting)?;
                    let expires_at = Some(hold_ends(self.now, hours * 3_600 / 10));
                    let details = Details { expires_at, ..Details::default() };
                    let receipt = self.receipts(&details).remove(0);
                    self.holds.push((receipt.clone(), Remainder::of(&receipt)));
                }
            }
            DrawdownStep::Capture { which, amount } if !self.holds.is_empty() => {
                let place = which % self.holds.len();
                self.capture(place, amount)?;
            }
            DrawdownStep::Release { which } if !self.holds.is_empty() => {
                let place = which % self.holds.len();
                self.restore(place, DrawdownReason::Release)?;
            }
            DrawdownStep::Refund { which, amount } if !self.debits.is_empty() => {
                let place = which % self.debits.len();
                self.refund(place, amount)?;
            }
            DrawdownStep::Capture { .. } | DrawdownStep::Release { .. } | DrawdownStep::Refund { .. } => (),
            DrawdownStep::Grant { purchased, amount, service, days } => {
                self.grant(purchased, amount, service, days)?
            }
            DrawdownStep::Plan { allowance } => {
                self.plan(Allowance::Monthly(credits(allowance)), allowance)?
            }
            DrawdownStep::Unlimited => self.plan(Allowance::Unlimited, 1_000)?,
            DrawdownStep::Limit(limit) => {
                let attempt = self.attempt();
                self.book(&set_limit(&self.account, credits(limit), &attempt))?;
            }
        }
        Ok(())
    }

    fn batch(&mut self, amounts: &[u64], atomic: bool) -> Done {
        let attempt = self.attempt();
        let items = amounts.iter().map(|amount| Some(debit(*amount, None))).collect();
        let posting = match batch(&self.account, &Batch { items, atomic }, &attempt) {
            Ok(posting) => posting,
            Err(refusal) => {
                prop_assert!(atomic && refusal.wants_credits(), "{refusal}");
                return Ok(());
            }
        };
        let items = amounts.iter().map(|amount| BatchItem {
            operation: Reference::try_from("x".to_owned()).unwrap(),
            amount: Some(credits(*amount)),
            details: Details::default(),
        });
        // The same items, one after the other.
        let mut one_by_one = self.account.clone();
        let mut balances = vec![];
        for amount in amounts {
            let own = Attempt { id: one_by_one.floor().next(), ..attempt.clone() };
            if let Ok(posting) = consume(&one_by_one, &debit(*amount, None), &own) {
                one_by_one = one_by_one.apply(&posting).unwrap();
                balances.push((posting.entry.moves, one_by_one.balance(attempt.now)));
            }
        }
        self.spend(&posting, &Details { items: items.collect(), ..Details::default() })?;
        let lines = self.receipts(&Details::default());
        if !balances.is_empty() {
            let summary: Vec<_> = lines.into_iter().map(|line| (line.entry.moves, line.balance)).collect();
            prop_assert_eq!(summary, balances, "as if they came one after the other");
        }
        Ok(())
    }

    fn capture(&mut self, place: usize, amount: Option<u64>) -> Done {
        let remainder = self.holds[place].1.clone();
        let DrawdownShares { shares, closes } = match remainder.to_capture(amount.map(credits), self.now) {
            Ok(part) => part,
            Err(Refusal::HoldClosed(status)) => {
                prop_assert_eq!(status, remainder.status(self.now));
                return Ok(());
            }
            Err(Refusal::MoreThanHeld { available, .. }) => {
                prop_assert!(available == remainder.left() && amount.map(credits) > Some(available));
                return Ok(());
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
        };
        let remainder = drawn(remainder, &shares, DrawdownReason::Capture, closes)?;
        let attempt = self.attempt();
        let posting = super::super::capture(&self.account, &shares, &attempt).unwrap();
        let drawn = Some(Drawn { of: remainder.of, why: DrawdownReason::Capture, shares });
        self.spend(&posting, &Details { drawn, ..Details::default() })?;
        self.holds[place].1 = remainder;
        Ok(())
    }

    fn grant(&mut self, purchased: bool, amount: u64, service: Option<Service>, days: Option<i64>) -> Done {
        let source = if purchased { Source::Purchased } else { Source::Bonus };
        let expires_at = days.map(|days| self.now + chrono::Duration::days(days));
        let amount = Amount::try_from(amount).unwrap();
        let attempt = self.attempt();
        let request = Grant { source, amount, service, expires_at, origin: GrantOrigin::Operator };
        if let Ok(posting) = grant(&self.account, &request, &attempt) {
            self.book(&posting)?;
        }
        Ok(())
    }

    fn plan(&mut self, allowance: Allowance, number: u64) -> Done {
        let plan = PlanId(format!("plan-{number}"));
        let attempt = self.attempt();
        let request = ChangePlan { plan, allowance, cause: ChangePlanCause::Owner };
        if let Ok(posting) = change_plan(&self.account, &request, &attempt) {
            self.book(&posting)?;
        }
        Ok(())
    }

    fn is_sound(&self) -> Done {
        let open: u64 = self.holds.iter().map(|(_, remainder)| remainder.left().get()).sum();
        prop_assert_eq!(self.account.held.get(), open, "what is held");
        prop_assert_eq!(self.account.used.get(), self.used, "what is used");
        prop_assert!(self.account.subscription.left <= self.account.subscription.granted);
        match self.account.allowance {
            // Rule 4, for any order of plans, debits and refunds.
            Allowance::Monthly(most) => {
                let (left, over) = (self.account.subscription.left, self.account.beyond_plan());
                let spent = self.account.subscription.spent();
                prop_assert_eq!(left, most.less(spent).unwrap_or_default());
                prop_assert_eq!(over, spent.less(most).unwrap_or_default());
            }
            Allowance::Unlimited => prop_assert!(self.account.subscription.left.is_zero()),
        }
        let status = self.account.lots.values().filter(|lot| !lot.left.is_zero()).count();
        prop_assert!(status <= LOTS_MAX + 2, "{status} lots");
        Ok(())
    }
}

/// Credits that no lot gave are not added to one: what an unlimited plan paid is not returned to lots.
fn has_minted_nothing(posting: &Posting) -> Done {
    let moves = &posting.entry.moves;
    for part in moves.iter().filter(|part| matches!(part.lot, LotId::Unlimited(_))) {
        let others = moves.iter().filter(|other| other.direction == part.direction && other.lot != part.lot);
        let summary = others.map(|other| other.amount.get()).sum::<u64>() + part.amount.get();
        prop_assert!(summary <= posting.entry.amount.get() || posting.entry.amount.is_zero());
    }
    Ok(())
}

/// The lot that an effect changes.
fn touched(effect: &Effect) -> Option<LotId> {
    if let Effect::Take(lot, _) | Effect::Give(lot, _) = effect {
        Some(*lot)
    } else if let Effect::Open(id, _) | Effect::Drop(id) = effect {
        Some(LotId::Granted(*id))
    } else {
        None
    }
}

fn debit(amount: u64, service: Option<Service>) -> Consume {
    Consume { operation: Operation::try_from("x".to_owned()).unwrap(), amount: credits(amount), service }
}

fn drawn(
    remainder: Remainder,
    shares: &[Share],
    why: DrawdownReason,
    closes: bool,
) -> Result<Remainder, TestCaseError> {
    let (of, number) = (remainder.of, remainder.parts());
    let details = Details { drawn: Some(Drawn { of, why, shares: shares.to_vec() }), ..Details::default() };
    let key = ClaimKey::Caller(IdempotencyKey::try_from(format!("d{number}")).unwrap());
    let drawdown = PendingDrawdown { key, asked: Fingerprint(String::new()), details, closes };
    let taken = remainder.with(drawdown).map_err(|not_taken| TestCaseError::fail(not_taken.to_string()))?;
    // A drawdown that is cancelled and taken again gives the same remainder.
    let back = taken.clone().without_open().map_err(|misfit| TestCaseError::fail(misfit.to_string()))?;
    prop_assert_eq!(back.with(taken.open.clone().unwrap()), Ok(taken.clone()));
    taken.posted(of).map_err(|misfit| TestCaseError::fail(misfit.to_string()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// No credit is created or lost, none is returned twice, held and used credits are as expected, and the
    /// credits left of a month never exceed the plan.
    #[test]
    fn every_credit_is_accounted_for(steps in steps()) {
        let mut world = DrawdownWorld {
            account: account("sub 10"),
            now: at(NOW),
            used: 0,
            debits: vec![],
            holds: vec![],
            number: 1_000,
        };
        for step in steps {
            world.pass()?;
            world.step(step)?;
            world.pass()?;
            world.is_sound()?;
        }
        // Finally everything is returned.
        for place in 0..world.holds.len() {
            world.restore(place, DrawdownReason::Release)?;
        }
        for place in 0..world.debits.len() {
            world.refund(place, None)?;
        }
        world.is_sound()?;
        prop_assert!(world.account.held.is_zero());
        prop_assert!(world.debits.iter().all(|(_, remainder)| remainder.left().is_zero()));
    }
}
