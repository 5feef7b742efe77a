//! What lots record: how many credits arrived in them, and what these cost.

use std::collections::BTreeMap;

use super::*;

/// An account, and the records of its lots.
struct Books {
    account: Account,
    records: BTreeMap<LotId, LotRecord>,
    /// The shares of the last debit, and its id.
    debit: Option<(EntryId, Vec<Share>)>,
    /// The number of the next transaction.
    number: u64,
}

impl Books {
    fn attempt(&self) -> Attempt {
        attempt(self.number, at(NOW))
    }

    fn book(&mut self, posting: &Posting, details: Details) {
        self.account = self.account.clone().apply(posting).unwrap();
        for change in LotChange::of(&self.account.receipts(details)[0]) {
            let from = change.origin().and_then(|lot| self.records.get(&lot)).cloned();
            let record = self.records.entry(change.lot).or_insert_with(|| LotRecord::begin(&change));
            record.add(&change, from.as_ref());
        }
        self.number += 1;
    }

    /// `10 for 900` or `10 for 900 api`.
    fn buy(&mut self, words: &[&str]) {
        let service = words.get(3).map(|_| Service::Api);
        let wanted = Grant {
            service,
            origin: GrantOrigin::Purchase,
            ..super::grant::request(&format!("purchased {}", words[0]))
        };
        let posting = grant(&self.account, &wanted, &self.attempt()).unwrap();
        let paid = PaymentDetails {
            transaction: id(self.number),
            method: Reference::try_from("card_1".to_owned()).unwrap(),
            price: Money::new(words[2].parse().unwrap(), Currency::GBP).unwrap(),
            rate: None,
            package: None,
            payment: None,
            receipt: None,
        };
        self.book(&posting, Details { paid: Some(paid), ..Details::default() });
    }

    fn spend(&mut self, amount: &str) {
        let request = Consume {
            operation: Operation::try_from("aml.pep".to_owned()).unwrap(),
            amount: credits(amount.parse().unwrap()),
            service: Some(Service::Api),
        };
        let posting = consume(&self.account, &request, &self.attempt()).unwrap();
        self.debit = Some((posting.entry.id, posting.entry.moves.iter().map(Share::from).collect()));
        self.book(&posting, Details::default());
    }

    /// Refunds a part of the last debit, which took its credits from one lot.
    fn refund(&mut self, amount: &str) {
        let (of, shares) = self.debit.take().unwrap();
        let shares = vec![Share { amount: credits(amount.parse().unwrap()), ..shares[0] }];
        let why = super::restore::refund();
        let back = Restore { shares: shares.clone(), why: why.clone(), month: self.account.period };
        let posting = restore(&self.account, &back, &self.attempt()).unwrap();
        self.book(&posting, Details { drawn: Some(Drawn { of, why, shares }), ..Details::default() });
    }
}

/// The records after some steps, as `lot1 10 for 900`: the first step's transaction opens `lot1`.
fn records(line: &str, steps: &str) -> String {
    let mut books = Books { account: account(line), records: BTreeMap::new(), debit: None, number: 101 };
    for step in steps.split(", ") {
        let words: Vec<_> = step.split(' ').collect();
        match words[0] {
            "buy" => books.buy(&words[1..]),
            "spend" => books.spend(words[1]),
            "refund" => books.refund(words[1]),
            "bonus" => {
                let posting =
                    super::grant::give(&books.account, "bonus", words[1].parse().unwrap(), books.number);
                books.book(&posting, Details::default());
            }
            other => panic!("{other}"),
        }
    }
    let text = |record: &LotRecord| {
        let name = match record.lot {
            LotId::Granted(EntryId::FIRST) => "pool".to_owned(),
            LotId::Granted(lot) => format!("lot{}", (1..20).find(|number| id(100 + number) == lot).unwrap()),
            LotId::Subscription(_) | LotId::PostPaid | LotId::Unlimited(_) | LotId::Disputed(_) => {
                record.lot.to_string()
            }
        };
        let cost = record.cost.map_or(String::new(), |cost| format!(" for {}", cost.minor));
        format!("{name} {}{cost}", record.amount.get())
    };
    books.records.values().map(text).collect::<Vec<_>>().join(", ")
}

/// account; what happens => what each lot has had, and its cost
#[test]
fn a_lot_costs_what_was_paid_for_its_credits() {
    let four = "buy 1 for 100, buy 1 for 110, buy 1 for 120, buy 1 for 130";
    let four_of_a_service = "buy 1 for 100 api, buy 1 for 110 api, buy 1 for 120 api, buy 1 for 130 api";
    let four_costs = "lot1 1 for 100, lot2 1 for 110, lot3 1 for 120";
    for (line, steps, expected) in [
        ("", "buy 10 for 900", "lot1 10 for 900".to_owned()),
        ("", "bonus 10", "lot1 10".to_owned()),
        // The fifth purchase on the same terms joins the lot of the fourth.
        ("", &format!("{four}, buy 10 for 900"), format!("{four_costs}, lot4 11 for 1030")),
        // Credits that settle a debt are in no lot: the others cost their part of the price.
        ("owed 4", "buy 10 for 900", "lot1 6 for 540".to_owned()),
        ("owed 10", "buy 10 for 900", String::new()),
        (
            "owed 2",
            &format!("{four}, buy 10 for 900"),
            "lot3 1 for 120, lot4 1 for 130, lot5 10 for 900".to_owned(),
        ),
        // A refund brings credits to another lot, because their own is gone: they cost what they cost before.
        (
            "",
            &format!("buy 10 for 900, spend 10, {}, refund 3", four.replace("buy 1", "buy 2")),
            "pool 3 for 270, lot1 10 for 900, lot3 2 for 100, lot4 2 for 110, lot5 2 for 120, lot6 2 for 130"
                .to_owned(),
        ),
        (
            "",
            &format!("buy 10 for 900 api, spend 10, {four_of_a_service}, refund 3"),
            "lot1 10 for 900, lot3 1 for 100, lot4 1 for 110, lot5 1 for 120, lot6 4 for 400".to_owned(),
        ),
        (
            "",
            "bonus 10, spend 10, bonus 1, bonus 1, bonus 1, bonus 1, refund 3",
            "lot1 10, lot3 1, lot4 1, lot5 1, lot6 4".to_owned(),
        ),
    ] {
        assert_eq!(records(line, steps), expected, "{line}: {steps}");
    }
}

/// What credits came from: of a refund, the lot that they had been taken from.
#[test]
fn a_record_counts_what_left_it() {
    let mut books = Books { account: account(""), records: BTreeMap::new(), debit: None, number: 101 };
    books.buy(&["10", "for", "900", "api"]);
    books.spend("10");
    for price in ["100", "110", "120", "130"] {
        books.buy(&["1", "for", price, "api"]);
    }
    books.refund("3");
    let record = &books.records[&LotId::Granted(id(101))];
    assert_eq!((record.moved, record.taken(Credits::ZERO)), (credits(3), credits(7)));
}
