//! Laws of what unused credits are worth, for generated histories of an account.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use proptest::prelude::*;

use super::month_value::{january, list_price};
use super::*;

/// An account with its history: what its rollups and purchases say, month by month.
struct History {
    account: Account,
    now: DateTime<Utc>,
    number: u64,
    days: BTreeMap<NaiveDate, Rollup>,
    sales: Vec<(Period, Sale)>,
    /// Debits and holds with what is left of them.
    debits: Vec<(EntryId, Vec<Share>)>,
    holds: Vec<(EntryId, Vec<Share>)>,
    /// Purchases, with the lot that they were added to.
    bought: Vec<PurchasedCredits>,
    disputes: Vec<(PurchasedCredits, Entry)>,
}

impl History {
    fn new() -> Self {
        let mut account = account("sub 0, limit 30");
        account.period = january().previous();
        let (days, sales, now) = (BTreeMap::new(), vec![], at(NOW));
        let mut new = Self {
            account,
            now,
            number: 1_000,
            days,
            sales,
            debits: vec![],
            holds: vec![],
            bought: vec![],
            disputes: vec![],
        };
        new.pass(0);
        new
    }

    fn attempt(&mut self) -> Attempt {
        self.number += 1;
        let mut attempt = attempt(self.number, self.now);
        attempt.id = EntryId::new(self.now, self.number.into());
        attempt
    }

    fn pass(&mut self, hours: i64) {
        self.now += chrono::Duration::hours(hours);
        while let Some(posting) = due(&self.account, self.now) {
            self.post(&posting, Details::default());
        }
    }

    fn post(&mut self, posting: &Posting, details: Details) -> Receipt {
        self.account = self.account.clone().apply(posting).unwrap();
        let receipt = self.account.receipts(details).remove(0);
        let at = receipt.entry.at;
        let slot = u8::try_from(chrono::Timelike::hour(&at)).unwrap();
        self.days.entry(at.date_naive()).or_default().add(slot, &RollupRecord::of(&receipt));
        self.sales.extend(Sale::of(&receipt).map(|sale| (Period::of(at), sale)));
        receipt
    }

    fn spend(&mut self, amount: u64, is_hold: bool) {
        let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
        let request = Consume { operation, amount: credits(amount), service: None };
        let attempt = self.attempt();
        let decide = if is_hold { hold } else { consume };
        let Ok(posting) = decide(&self.account, &request, &attempt) else { return };
        let receipt = self.post(&posting, Details::default());
        let shares = receipt.entry.moves.iter().map(Share::from).collect();
        let open = if is_hold { &mut self.holds } else { &mut self.debits };
        open.push((receipt.entry.id, shares));
    }

    /// Draws from a debit or a hold: what is refunded, captured or released.
    fn draw(&mut self, amount: u64, why: DrawdownReason) {
        let is_refund = matches!(why, DrawdownReason::Refund { .. });
        let open = if is_refund { &mut self.debits } else { &mut self.holds };
        if open.is_empty() {
            return;
        }
        let place = usize::try_from(amount).unwrap() % open.len();
        let (of, mut shares) = open.remove(place);
        let Some(share) = shares.pop() else { return };
        if !shares.is_empty() {
            open.push((of, shares));
        }
        let attempt = self.attempt();
        let shares = vec![share];
        let drawn = Some(Drawn { of, why: why.clone(), shares: shares.clone() });
        let purpose = Operation::try_from("kyt.wallet".to_owned()).ok();
        let details = Details { drawn, purpose, ..Details::default() };
        let posting = if why == DrawdownReason::Capture {
            capture(&self.account, &shares, &attempt)
        } else {
            restore(&self.account, &Restore { shares, why, month: self.account.period }, &attempt)
        };
        if let Ok(posting) = posting {
            self.post(&posting, details);
        }
    }

    fn buy(&mut self, amount: u64, service: Option<Service>) {
        let (source, origin) = (Source::Purchased, GrantOrigin::Purchase);
        let count = Amount::try_from(amount).unwrap();
        let request = Grant { source, amount: count, service, expires_at: None, origin };
        let attempt = self.attempt();
        let posting = grant(&self.account, &request, &attempt).unwrap();
        let details = Details { paid: Some(paid(amount * 37 % 1_001 + 1, attempt.id)), ..Details::default() };
        let receipt = self.post(&posting, details);
        self.bought.push(PurchasedCredits::by(&receipt.entry));
    }

    fn give(&mut self, source: Source, amount: u64, service: Option<Service>) {
        let amount = Amount::try_from(amount).unwrap();
        let expires_at = (source == Source::Bonus).then(|| self.now + chrono::Duration::days(9));
        let request = Grant { source, amount, service, expires_at, origin: GrantOrigin::Operator };
        let attempt = self.attempt();
        if let Ok(posting) = grant(&self.account, &request, &attempt) {
            self.post(&posting, Details::default());
        }
    }

    fn adjust(&mut self, amount: u64, direction: Direction) {
        let amount = Amount::try_from(amount).unwrap();
        let attempt = self.attempt();
        let request = Adjustment { direction, amount, source: Some(Source::Purchased) };
        if let Ok(posting) = super::super::adjust(&self.account, &request, &attempt) {
            self.post(&posting, Details::default());
        }
    }

    /// Refunds money of a purchase, or opens or closes a dispute.
    fn reverse(&mut self, kind: u64) {
        let attempt = self.attempt();
        if kind == 0
            && let Some(bought) = self.bought.pop()
        {
            let posting = payment_refunded(&self.account, &bought, &attempt).unwrap();
            self.post(&posting, Details::default());
        } else if kind == 1
            && let Some(bought) = self.bought.last().copied()
        {
            let posting = dispute_opened(&self.account, &bought, &attempt).unwrap();
            self.post(&posting, Details::default());
            self.disputes.push((bought, posting.entry));
        } else if let Some((bought, opened)) = self.disputes.pop() {
            let close = if kind == 2 { dispute_won } else { dispute_lost };
            let posting = close(&self.account, &bought, &opened, &attempt).unwrap();
            self.post(&posting, Details::default());
        }
    }

    fn change_plan(&mut self, allowance: u64) {
        let attempt = self.attempt();
        let plan = PlanId(format!("plan-{allowance}"));
        let allowance = Allowance::Monthly(credits(allowance));
        let request = ChangePlan { plan, allowance, cause: ChangePlanCause::Operator };
        if let Ok(posting) = change_plan(&self.account, &request, &attempt) {
            self.post(&posting, Details::default());
        }
    }

    fn step(&mut self, Step { kind, size }: Step) {
        let service = Some(Service::Api).filter(|_| size.is_multiple_of(5));
        match kind {
            0..=5 => self.spend(size, false),
            6 | 7 => self.spend(size, true),
            8 | 9 => self.draw(size, restore::refund()),
            10 => self.draw(size, DrawdownReason::Capture),
            11 => self.draw(size, DrawdownReason::Release),
            12..=14 => self.buy(size, service),
            15 => self.give(Source::Purchased, size, service),
            16 => {
                self.give(Source::Bonus, size, Service::ALL.get(usize::try_from(size % 6).unwrap()).copied())
            }
            17 => self.give(Source::Subscription, size, None),
            18 => self.adjust(size, Direction::Credit),
            19 => self.adjust(size, Direction::Debit),
            20 | 21 => self.reverse(size % 4),
            22 => self.change_plan(size),
            _ => self.pass(i64::try_from(size * 7).unwrap()),
        }
    }

    /// The values of all months up to now.
    fn values(&self) -> Result<Vec<MonthValue>, LotOverdrawn> {
        let (mut values, mut month): (Vec<MonthValue>, _) = (vec![], january());
        while month <= Period::of(self.now) {
            let mut movements = LotMovements::default();
            for (date, day) in &self.days {
                if Period::of(date.and_time(chrono::NaiveTime::MIN).and_utc()) == month {
                    movements.add(*date, day);
                }
            }
            let sales = self.sales.iter().filter(|(of, _)| *of == month).map(|(_, sale)| sale.clone());
            let sales: Vec<_> = sales.collect();
            let events = MonthEvents {
                month,
                movements: &movements,
                sales: &sales,
                list_price: &list_price,
                hash: "",
            };
            values.push(MonthValue::after(values.last(), events)?);
            month = month.next();
        }
        Ok(values)
    }
}

fn paid(pence: u64, transaction: EntryId) -> PaymentDetails {
    PaymentDetails {
        transaction,
        price: Money::new(pence, Currency::GBP).unwrap(),
        method: Reference::try_from("card_1".to_owned()).unwrap(),
        rate: None,
        package: None,
        payment: None,
        receipt: None,
    }
}

/// Something that happens.
#[derive(Clone, Copy, Debug)]
struct Step {
    kind: u8,
    size: u64,
}

fn step() -> impl Strategy<Value = Step> {
    (0_u8..27, 1_u64..60).prop_map(|(kind, size)| Step { kind, size })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// For any history: each month adds up and opens with what the one before closed with, no value is below zero, the sold
    /// value is the money that was paid, each lot and dispute has the credits of the account's, and the account's sum is the report's.
    #[test]
    fn the_value_of_every_history_rolls_forward(steps in proptest::collection::vec(step(), 1..160)) {
        let mut history = History::new();
        for step in steps {
            history.step(step);
        }
        let values = history.values().map_err(|overdrawn| TestCaseError::fail(overdrawn.to_string()))?;
        let mut report = ValueFlows::default();
        for (place, value) in values.iter().enumerate() {
            prop_assert!(value.flows.add_up(), "{:?}", value);
            report.add(&value.flows);
            for source in [Source::Subscription, Source::Purchased] {
                let before = place.checked_sub(1).map_or(0, |before| values[before].flows.of(source, "GBP").closing);
                let ValueFlow { opening, closing, .. } = value.flows.of(source, "GBP");
                prop_assert_eq!(opening, before);
                prop_assert!(closing >= 0);
            }
        }
        let last = values.last().unwrap();
        let flow = report.of(Source::Purchased, "GBP");
        let sold: u64 = history.sales.iter().map(|(_, sale)| sale.price.amount()).sum();
        prop_assert_eq!(flow.sold, i64::try_from(sold).unwrap());
        prop_assert_eq!(flow.closing - flow.opening, last.flows.of(Source::Purchased, "GBP").closing);
        let booked = history.account.balance(history.now).booked().unwrap();
        prop_assert_eq!(last.booked, i64::try_from(booked.get()).unwrap());
        for (lot, value) in &last.lots {
            let left = match lot {
                LotId::Disputed(id) => history.account.disputes.get(id).map_or(Credits::ZERO, |dispute| dispute.aside),
                LotId::Subscription(_) | LotId::Granted(_) | LotId::PostPaid | LotId::Unlimited(_) => {
                    history.account.left_in(*lot)
                }
            };
            let left = i64::try_from(left.get()).unwrap();
            prop_assert_eq!(value.left.credits - value.held, left, "{}", lot);
            prop_assert!(value.held >= 0 && (value.left.credits > 0 || value.left.worth.is_nothing()));
        }
    }
}
