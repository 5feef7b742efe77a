//! Receipts for tests: each kind of transaction, with texts that files often get wrong.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    Balance, BatchOutcome, Credits, Currency, Details, Direction, DrawdownReason, Drawn, Entry, EntryId,
    KeyId, LotId, Metadata, Money, Move, Operation, PaymentDetails, Period, PlanId, Quantity, Rate, Receipt,
    Reference, RefundReason, Service, Share, Source, Terms,
};

use crate::document::Fact;
use crate::transactions::export::Export;

/// Texts that files often get wrong.
pub(super) const TEXTS: [&str; 24] = [
    "verif_xyz789",
    "=1+1",
    "=HYPERLINK(\"https://example.com\",\"x\")",
    "+44 20 7946 0000",
    "-1",
    "@SUM(A1:A9)",
    "＝1+1",
    "＠x",
    " =1",
    "'quoted",
    "a,b",
    "a;b|c",
    "\"double\"",
    "it's",
    "<b>&amp;</b>",
    "_x0041_",
    "Łódź 王明 \u{1f980}",
    "e\u{301}clair",
    "\u{5d0}\u{5d1}\u{200f}",
    "\u{fffe}\u{feff}x",
    "007",
    "1e5",
    "2024-01-15",
    " leading and trailing ",
];

pub(super) fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

pub(super) fn export() -> Export {
    Export {
        organisation: "=Acme & Sons".to_owned(),
        from: Some(at("2024-01-01T00:00:00Z")),
        until: Some(at("2024-02-01T00:00:00Z")),
        filters: vec![Fact::new("Customer", "+cust_1")],
        made_at: at("2024-02-01T06:00:00Z"),
        byte_order_mark: false,
    }
}

/// Some receipts, numbered from 1.
pub(super) fn receipts(count: u64) -> impl Iterator<Item = Receipt> {
    (1..=count).map(receipt)
}

fn credits(count: u64) -> Credits {
    Credits::try_from(count).unwrap()
}

fn reference(number: u64) -> Reference {
    let place = usize::try_from(number).unwrap() % TEXTS.len();
    Reference::try_from(TEXTS[place].to_owned()).unwrap()
}

fn lot(source: Source, number: u64) -> LotId {
    let time = at("2024-01-01T00:00:00Z");
    match source {
        Source::Subscription => LotId::Subscription(Period::of(time)),
        Source::PostPaid => LotId::PostPaid,
        Source::Purchased | Source::Bonus => LotId::Granted(EntryId::new(time, number.into())),
    }
}

pub(super) fn receipt(number: u64) -> Receipt {
    let time = at("2024-01-01T00:00:00Z") + TimeDelta::seconds(i64::try_from(number).unwrap() * 61);
    let kind = number % 6;
    let (operation, direction, sources) = match kind {
        0 => ("credit.purchase", Direction::Credit, &[Source::Purchased][..]),
        1 => ("verification.standard", Direction::Debit, &[Source::Subscription, Source::Bonus][..]),
        2 => ("credit.refund", Direction::Credit, &[Source::Bonus][..]),
        3 => ("aml.screening", Direction::Debit, &[Source::Purchased, Source::PostPaid][..]),
        4 => ("credit.capture", Direction::Debit, &[][..]),
        _ => ("credit.hold", Direction::Debit, &[Source::Purchased][..]),
    };
    let each = |source: &Source| match direction {
        Direction::Debit => Move::out(lot(*source, number), *source, credits(number)),
        Direction::Credit => Move::into(lot(*source, number), *source, credits(number)),
    };
    let moves: Vec<_> = sources.iter().map(each).collect();
    let count = u64::try_from(moves.len()).unwrap();
    let entry = Entry {
        id: EntryId::new(time, number.into()),
        at: time,
        operation: Operation::try_from(operation.to_owned()).unwrap(),
        direction,
        amount: credits(number * count),
        moves,
        claim: None,
        switch: None,
        parts: Vec::<BatchOutcome>::new(),
    };
    Receipt { entry, sequence: number, details: details(number, kind, time), balance: balance(number) }
}

fn details(number: u64, kind: u64, time: DateTime<Utc>) -> Details {
    let other = EntryId::new(time - TimeDelta::seconds(1), 7);
    let share = Share {
        lot: lot(Source::Bonus, number),
        source: Source::Bonus,
        amount: credits(3),
        terms: Terms::default(),
    };
    let why = match kind {
        2 => Some(DrawdownReason::Refund { reason: RefundReason::TechnicalFailure, note: None, twin: None }),
        4 => Some(DrawdownReason::Capture),
        _ => None,
    };
    let pairs = [("key".to_owned(), TEXTS[3].to_owned()), ("line\"s".to_owned(), "a\nb\tc\u{e9}".to_owned())];
    let metadata = if number.is_multiple_of(2) { BTreeMap::from(pairs) } else { BTreeMap::new() };
    Details {
        quantity: (kind == 1).then_some(Quantity::ONE),
        price_version: (kind == 1).then_some(3),
        resource_id: Some(reference(number)),
        customer_id: (kind < 4).then(|| reference(number + 1)),
        member_id: (kind > 2).then(|| reference(number / 2)),
        service: (kind == 3).then_some(Service::Biometric),
        paid: (kind == 0).then(|| paid(number, other)),
        drawn: why.map(|why| Drawn { of: other, why, shares: vec![share, share] }),
        description: (kind > 1).then(|| reference(number * 5)),
        metadata: Metadata::try_from(metadata).unwrap(),
        key_id: Some(KeyId::new(time, 9)),
        super_admin: (kind == 5).then(|| KeyId::new(time, 10)),
        ..Details::default()
    }
}

fn paid(number: u64, transaction: EntryId) -> PaymentDetails {
    let code = ["GBP", "JPY", "KWD"][usize::try_from(number / 6).unwrap() % 3];
    PaymentDetails {
        transaction,
        method: Reference::try_from("pm_1".to_owned()).unwrap(),
        price: Money::new(number * 10, Currency::try_from(code.to_owned()).unwrap()).unwrap(),
        rate: Some(Rate::try_from("1.0825".parse::<rust_decimal::Decimal>().unwrap()).unwrap()),
        package: None,
        payment: None,
        receipt: None,
    }
}

fn balance(number: u64) -> Balance {
    Balance {
        subscription: credits(number),
        purchased: Credits::MAX.less(credits(1_000_000)).unwrap(),
        bonus: Credits::ZERO,
        used: Credits::ZERO,
        plan: PlanId("basic".into()),
        unlimited: false,
        period: Period::of(at("2024-01-01T00:00:00Z")),
        post_paid: None,
        lapsed: Credits::ZERO,
        held: Credits::ZERO,
        disputed: Credits::ZERO,
        scoped: Credits::ZERO,
        expiring: vec![],
    }
}
