//! Tests of what unused credits are worth, month by month.

use super::*;

/// One cell of a day's rollup: operation, source, lot (0 for the month's), direction, credits. `captured ` marks held
/// credits that a capture spent.
#[derive(Clone)]
struct Line(&'static str, Source, u64, Direction, u64);

/// The number of what a dispute has set aside.
const DISPUTE: u64 = 1_000_000;

/// What a month does, and what it ends with.
struct Month {
    lines: Vec<Line>,
    /// Purchases: the price in pence, credits that settled outstanding ones, and the lot with its credits.
    sales: Vec<[i64; 4]>,
}

pub(super) fn january() -> Period {
    Period::of(at(NOW))
}

fn lot(source: Source, number: u64) -> LotId {
    match (source, number) {
        (Source::PostPaid, _) => LotId::PostPaid,
        (_, 0) => LotId::Subscription(january()),
        (_, DISPUTE) => LotId::Disputed(id(DISPUTE)),
        (_, number) => LotId::Granted(id(number)),
    }
}

fn movements(lines: &[Line]) -> LotMovements {
    let mut day = Rollup::default();
    for Line(operation, source, number, direction, count) in lines {
        let is_drawn = operation.starts_with("captured ");
        let operation = Operation::try_from(operation.trim_start_matches("captured ").to_owned()).unwrap();
        let line = RollupLine { operation, service: None, key: None, is_drawn };
        let lot = Some(RollupLot { lot: lot(*source, *number), source: *source });
        let cell = Cell { slot: 1, line, lot, direction: *direction };
        day.cells.entry(cell).or_default().add(CellSum { calls: 1, credits: credits(*count) });
    }
    let mut movements = LotMovements::default();
    movements.add(at(NOW).date_naive(), &day);
    movements
}

/// A plan of 10 credits for £1.01.
pub(super) fn list_price(_: Period) -> Option<LotPrice> {
    Some(LotPrice { cost: Cost { minor: 101, currency: Currency::GBP }, amount: credits(10) })
}

fn value(before: Option<&MonthValue>, month: &Month) -> Result<MonthValue, LotOverdrawn> {
    let sale = |[price, settled, number, credits]: &[i64; 4]| Sale {
        price: Money::new(u64::try_from(*price).unwrap(), Currency::GBP).unwrap(),
        settled: *settled,
        lots: [(lot(Source::Purchased, u64::try_from(*number).unwrap()), *credits)].into(),
    };
    let sales: Vec<_> = month.sales.iter().map(sale).collect();
    let movements = movements(&month.lines);
    let value = MonthValue::after(
        before,
        MonthEvents {
            month: before.map_or_else(january, |before| before.month.next()),
            movements: &movements,
            sales: &sales,
            list_price: &list_price,
            hash: "",
        },
    )?;
    assert!(value.flows.add_up(), "{value:?}");
    Ok(value)
}

/// Opening, sold, used, expired, refunded, disputed, adjusted, closing.
fn columns(value: &MonthValue, source: Source) -> [i64; 8] {
    let flow = value.flows.of(source, "GBP");
    let ValueFlow { opening, sold, used, expired, refunded, disputed, adjusted, closing } = flow;
    [opening, sold, used, expired, refunded, disputed, adjusted, closing]
}

const NOTHING: Month = Month { lines: vec![], sales: vec![] };

/// A purchase of 7 credits for £1.00.
fn bought() -> Month {
    Month {
        lines: vec![Line("credit.purchase", Source::Purchased, 1, Direction::Credit, 7)],
        sales: vec![[100, 0, 1, 7]],
    }
}

fn of(lines: Vec<Line>) -> Month {
    Month { lines, ..NOTHING }
}

#[test]
fn credits_take_their_part_of_the_price() {
    use Direction::{Credit, Debit};
    use Source::Purchased;
    let move_of = |operation, direction, count| Line(operation, Purchased, 1, direction, count);
    for (month, expected, unpriced) in [
        (of(vec![move_of("aml.pep", Debit, 3)]), [100, 0, 43, 0, 0, 0, 0, 57], 0),
        (of(vec![move_of("aml.pep", Debit, 7)]), [100, 0, 100, 0, 0, 0, 0, 0], 0),
        // A hold changes nothing; a capture uses.
        (of(vec![move_of("credit.hold", Debit, 4)]), [100, 0, 0, 0, 0, 0, 0, 100], 0),
        (
            of(vec![move_of("credit.hold", Debit, 4), move_of("captured kyt.wallet", Debit, 3)]),
            [100, 0, 43, 0, 0, 0, 0, 57],
            0,
        ),
        (
            of(vec![
                move_of("aml.pep", Debit, 2),
                move_of("credit.expiry", Debit, 2),
                move_of("credit.payment_refund", Debit, 1),
                move_of("credit.adjustment", Debit, 1),
            ]),
            [100, 0, 29, 29, 14, 0, -14, 14],
            0,
        ),
        // An operator's credits cost nothing, and share the price of the lot that they join.
        (
            of(vec![move_of("credit.grant", Credit, 7), move_of("aml.pep", Debit, 7)]),
            [100, 0, 50, 0, 0, 0, 0, 50],
            7,
        ),
        // A refund of a debit whose lot never had any.
        (of(vec![move_of("credit.refund", Credit, 1)]), [100, 0, 0, 0, 0, 0, 0, 100], 1),
    ] {
        let first = value(None, &bought()).unwrap();
        assert_eq!(columns(&first, Purchased), [0, 100, 0, 0, 0, 0, 0, 100]);
        let second = value(Some(&first), &month).unwrap();
        assert_eq!(columns(&second, Purchased), expected);
        assert_eq!(second.unpriced, unpriced, "{expected:?}");
    }
}

/// A purchase that was imported has no record of what was paid.
#[test]
fn purchases_without_a_price_are_unpriced() {
    let value = value(None, &Month { sales: vec![], ..bought() }).unwrap();
    assert_eq!((columns(&value, Source::Purchased), value.unpriced), ([0; 8], 7));
}

#[test]
fn the_last_credit_takes_the_last_penny() {
    let mut known = value(None, &bought()).unwrap();
    let mut used = 0;
    for _ in 0..7 {
        let month = of(vec![Line("aml.pep", Source::Purchased, 1, Direction::Debit, 1)]);
        known = value(Some(&known), &month).unwrap();
        used += columns(&known, Source::Purchased)[2];
    }
    assert_eq!((used, columns(&known, Source::Purchased)[7]), (100, 0));
    // A late refund of all: they come back with what they took, in their own month.
    let month = of(vec![Line("credit.refund", Source::Purchased, 1, Direction::Credit, 7)]);
    known = value(Some(&known), &month).unwrap();
    assert_eq!(columns(&known, Source::Purchased), [0, 0, -100, 0, 0, 0, 0, 100]);
}

/// Two purchases at different prices are spent, and their lots are gone when credits come back: to a third lot, with what
/// they were worth where they came from.
#[test]
fn refunded_credits_keep_their_worth_in_another_lot() {
    use Direction::{Credit, Debit};
    use Source::Purchased;
    let spent = || Month {
        lines: vec![
            Line("credit.purchase", Purchased, 1, Credit, 7),
            Line("credit.purchase", Purchased, 2, Credit, 3),
            Line("aml.pep", Purchased, 1, Debit, 7),
            Line("aml.pep", Purchased, 2, Debit, 3),
        ],
        sales: vec![[101, 0, 1, 7], [1_000, 0, 2, 3]],
    };
    let mut at_once = spent();
    at_once.lines.extend([
        Line("captured credit.refund", Purchased, 1, Credit, 7),
        Line("captured credit.refund", Purchased, 2, Credit, 3),
        Line("credit.refund", Purchased, 9, Credit, 10),
    ]);
    let value_at_once = value(None, &at_once).unwrap();
    assert_eq!(columns(&value_at_once, Purchased), [0, 1_101, 0, 0, 0, 0, 0, 1_101]);
    let first = value(None, &spent()).unwrap();
    assert_eq!(columns(&first, Purchased), [0, 1_101, 1_101, 0, 0, 0, 0, 0]);
    for (from, credits, worth) in [(1, 2, 29), (2, 2, 667), (1, 7, 101)] {
        let late = of(vec![
            Line("captured credit.refund", Purchased, from, Credit, credits),
            Line("credit.refund", Purchased, 9, Credit, credits),
        ]);
        let second = value(Some(&first), &late).unwrap();
        assert_eq!(columns(&second, Purchased), [0, 0, -worth, 0, 0, 0, 0, worth], "{credits} of {from}");
        assert_eq!(second.unpriced, 0);
    }
}

/// What a dispute sets aside keeps its worth: a won one brings it back, to whichever lot, and beside what that has; a lost one
/// takes it. Debits of the rest take theirs.
#[test]
fn disputed_credits_keep_their_worth() {
    use Direction::{Credit, Debit};
    use Source::{PostPaid, Purchased};
    let line = |operation, number, direction, count| Line(operation, Purchased, number, direction, count);
    let opened = || vec![line("credit.dispute", 1, Debit, 4), line("credit.dispute", DISPUTE, Credit, 4)];
    let debit = || line("aml.pep", 1, Debit, 3);
    let first = value(None, &bought()).unwrap();
    let aside = value(Some(&first), &of([opened(), vec![debit()]].concat())).unwrap();
    assert_eq!(columns(&aside, Purchased), [100, 0, 43, 0, 0, 57, 0, 0]);
    for (lines, expected) in [
        // Won, and back in the pool, where seven credits have no price.
        (
            vec![
                line("credit.grant", 9, Credit, 7),
                line("credit.dispute_won", DISPUTE, Debit, 4),
                line("credit.dispute_won", 9, Credit, 4),
            ],
            [0, 0, 0, 0, 0, -57, 0, 57],
        ),
        // Won, and two of them settle outstanding credits.
        (
            vec![
                line("credit.dispute_won", DISPUTE, Debit, 4),
                line("credit.dispute_won", 1, Credit, 2),
                Line("credit.dispute_won", PostPaid, 0, Credit, 2),
            ],
            [0, 0, 29, 0, 0, -57, 0, 28],
        ),
        (vec![line("credit.dispute_lost", DISPUTE, Debit, 4)], [0; 8]),
        // A debit of the lot is refunded while the dispute is open, and set aside too.
        (
            vec![line("captured credit.refund", 1, Credit, 3), line("credit.refund", DISPUTE, Credit, 3)],
            [0, 0, -43, 0, 0, 43, 0, 0],
        ),
        // The payment is refunded with credits of the dispute.
        (vec![line("credit.payment_refund", DISPUTE, Debit, 4)], [0, 0, 0, 0, 57, -57, 0, 0]),
    ] {
        let second = value(Some(&aside), &of(lines)).unwrap();
        assert_eq!(columns(&second, Purchased), expected);
    }
    // Opened and won in one month: the debit takes its part of all.
    let won = vec![line("credit.dispute_won", DISPUTE, Debit, 4), line("credit.dispute_won", 1, Credit, 4)];
    let at_once = value(Some(&first), &of([opened(), won, vec![debit()]].concat())).unwrap();
    assert_eq!(columns(&at_once, Purchased), [100, 0, 43, 0, 0, 0, 0, 57]);
}

#[test]
fn plan_credits_have_the_list_price_and_bonus_credits_none() {
    use Direction::{Credit, Debit};
    use Source::{Bonus, Subscription};
    let month = of(vec![
        Line("credit.renewal", Subscription, 0, Credit, 10),
        Line("credit.grant", Bonus, 2, Credit, 50),
        Line("aml.pep", Subscription, 0, Debit, 4),
        Line("aml.pep", Bonus, 2, Debit, 20),
    ]);
    let first = value(None, &month).unwrap();
    assert_eq!(columns(&first, Subscription), [0, 101, 40, 0, 0, 0, 0, 61]);
    assert_eq!(columns(&first, Bonus), [0; 8]);
    assert_eq!(first.booked, 36);
    // The month ends, a held credit is captured later, and a smaller plan took one before.
    let month = of(vec![
        Line("credit.hold", Subscription, 0, Debit, 2),
        Line("credit.plan_change", Subscription, 0, Debit, 1),
        Line("credit.renewal", Subscription, 0, Debit, 3),
    ]);
    let second = value(Some(&first), &month).unwrap();
    assert_eq!(columns(&second, Subscription), [61, 0, 0, 31, 0, 0, -10, 20]);
    let month = of(vec![Line("captured kyt.wallet", Subscription, 0, Debit, 2)]);
    let third = value(Some(&second), &month).unwrap();
    assert_eq!(columns(&third, Subscription), [20, 0, 20, 0, 0, 0, 0, 0]);
}

#[test]
fn what_settles_outstanding_credits_is_used_at_once() {
    use Direction::Credit;
    use Source::{PostPaid, Purchased};
    let month = Month {
        lines: vec![
            Line("credit.purchase", PostPaid, 0, Credit, 3),
            Line("credit.purchase", Purchased, 1, Credit, 4),
        ],
        sales: vec![[100, 3, 1, 4]],
    };
    let first = value(None, &month).unwrap();
    assert_eq!(columns(&first, Purchased), [0, 100, 43, 0, 0, 0, 0, 57]);
    // The debit that was owed is refunded: its credits come back as purchased ones.
    let month = of(vec![Line("credit.refund", Purchased, 1, Credit, 3)]);
    let second = value(Some(&first), &month).unwrap();
    assert_eq!(columns(&second, Purchased), [57, 0, -43, 0, 0, 0, 0, 100]);
}

#[test]
fn merged_lots_keep_their_worth() {
    use Direction::{Credit, Debit};
    use Source::Purchased;
    let first = value(None, &bought()).unwrap();
    // A grant of another kind needs room: the purchase's lot is joined with lot 2.
    let month = of(vec![
        Line("credit.grant", Purchased, 1, Debit, 7),
        Line("credit.grant", Purchased, 2, Credit, 7),
        Line("aml.pep", Purchased, 2, Debit, 7),
    ]);
    let second = value(Some(&first), &month).unwrap();
    assert_eq!(columns(&second, Purchased), [100, 0, 100, 0, 0, 0, 0, 0]);
    // Two lots that received each other's credits.
    let month = of(vec![
        Line("credit.grant", Purchased, 1, Debit, 7),
        Line("credit.grant", Purchased, 2, Credit, 7),
        Line("credit.purchase", Purchased, 2, Debit, 4),
        Line("credit.purchase", Purchased, 1, Credit, 4),
    ]);
    let second = value(Some(&first), &month).unwrap();
    assert_eq!(columns(&second, Purchased)[7], 100);
    assert_eq!(second.unpriced, 0);
}

#[test]
fn more_than_a_lot_has_cannot_leave_it() {
    let first = value(None, &bought()).unwrap();
    let month = of(vec![Line("aml.pep", Source::Purchased, 1, Direction::Debit, 8)]);
    let overdrawn = value(Some(&first), &month).unwrap_err();
    assert_eq!(overdrawn, LotOverdrawn { lot: lot(Source::Purchased, 1), missing: 1 });
}

#[test]
fn parts_add_up_and_the_largest_remainders_are_rounded_up() {
    let worth = Worth::new(100, Currency::GBP);
    for (weights, expected) in [
        (vec![1, 1, 1], vec![34, 33, 33]),
        (vec![0, 7, 0], vec![0, 100, 0]),
        (vec![0, 0], vec![0, 100]),
        (vec![2, 5], vec![29, 71]),
        (vec![1, 2, 4], vec![14, 29, 57]),
    ] {
        let parts = worth.divide(&weights);
        let minor = |part: &Worth| part.amounts().map(|(_, minor)| minor).sum::<i64>();
        assert_eq!(parts.iter().map(minor).collect::<Vec<_>>(), expected, "{weights:?}");
    }
}

/// A record stays within one item of a table, and loses no value.
#[test]
fn a_record_has_a_bounded_number_of_lots() {
    let line = |number, direction| match direction {
        Direction::Credit => Line("credit.purchase", Source::Purchased, number, direction, 3),
        Direction::Debit => Line("aml.pep", Source::Purchased, number, direction, 3),
    };
    let buy = |numbers: std::ops::Range<u64>| Month {
        lines: numbers.clone().map(|number| line(number, Direction::Credit)).collect(),
        sales: numbers.map(|number| [100, 0, i64::try_from(number).unwrap(), 3]).collect(),
    };
    let first = value(None, &buy(1..1_001)).unwrap();
    assert_eq!((first.lots.len(), columns(&first, Source::Purchased)[7]), (800, 100_000));
    let spend = of((202..=1_000).map(|number| line(number, Direction::Debit)).collect());
    let second = value(Some(&first), &spend).unwrap();
    let text = serde_json::to_string(&second).unwrap();
    assert!(
        second.lots.len() <= 402 && text.len() < 200_000,
        "{} lots, {} bytes",
        second.lots.len(),
        text.len()
    );
    assert_eq!(serde_json::from_str::<MonthValue>(&text).unwrap(), second);
    let [opening, _, used, .., closing] = columns(&second, Source::Purchased);
    assert_eq!((opening, used + closing), (100_000, 100_000));
}
