//! Tests of what a month's rollups say of each bucket.

use crate::{
    Cell, CellSum, Credits, Direction, EntryId, FlowCauses, LotId, MonthFlow, Operation, Period, Rollup,
    RollupLine, RollupLot, Source,
};

/// A lot: subscription credits of January, or a granted one.
const MONTH: u8 = 0;

/// One cell: operation, source, lot, direction, credits.
struct Line(&'static str, Source, u8, Direction, u64);

fn lot(source: Source, number: u8) -> LotId {
    let at = "2024-01-15T10:30:00Z".parse().unwrap();
    match (source, number) {
        (Source::PostPaid, _) => LotId::PostPaid,
        (_, MONTH) => LotId::Subscription(Period::of(at)),
        (_, number) => LotId::Granted(EntryId::new(at, number.into())),
    }
}

fn flow(lines: &[Line]) -> MonthFlow {
    let mut rollup = Rollup::default();
    for Line(operation, source, number, direction, credits) in lines {
        let is_drawn = operation.starts_with("captured ");
        let name = operation.trim_start_matches("captured ").to_owned();
        let operation = Operation::try_from(name).unwrap();
        let line = RollupLine { operation, service: None, key: None, is_drawn };
        let lot = Some(RollupLot { lot: lot(*source, *number), source: *source });
        let sum = CellSum { calls: 1, credits: Credits::try_from(*credits).unwrap() };
        rollup.cells.entry(Cell { slot: 1, line, lot, direction: *direction }).or_default().add(sum);
    }
    let mut flow = MonthFlow::default();
    flow.add(&rollup);
    for bucket in [&flow.subscription, &flow.purchased, &flow.bonus] {
        let FlowCauses { added, used, refunded, expired, held, withdrawn } = bucket.causes;
        assert_eq!(bucket.net(), added + refunded - used - expired - held - withdrawn, "{bucket:?}");
    }
    flow
}

/// Lines, and what they are by cause.
type Case = (Vec<Line>, FlowCauses);

const NONE: FlowCauses = FlowCauses { added: 0, used: 0, refunded: 0, expired: 0, held: 0, withdrawn: 0 };

fn holds() -> [Case; 4] {
    use Direction::{Credit, Debit};
    use Source::Bonus;
    [
        // A part of a hold is captured, and the rest released.
        (
            vec![
                Line("credit.hold", Bonus, 1, Debit, 9),
                Line("captured kyt.wallet", Bonus, 1, Debit, 4),
                Line("credit.release", Bonus, 1, Credit, 5),
            ],
            FlowCauses { used: 4, ..NONE },
        ),
        // Held credits of a lot that has ended meanwhile.
        (
            vec![Line("credit.release", Bonus, 1, Credit, 5), Line("credit.expiry", Bonus, 1, Debit, 5)],
            FlowCauses { held: -5, expired: 5, ..NONE },
        ),
        // A release makes two lots merge.
        (
            vec![Line("credit.release", Bonus, 1, Credit, 12), Line("credit.release", Bonus, 2, Debit, 7)],
            FlowCauses { held: -5, ..NONE },
        ),
        // A release returns credits to a lot, and another of the same hour merges this lot into a second one.
        (
            vec![
                Line("credit.release", Bonus, 1, Credit, 5),
                Line("credit.release", Bonus, 1, Debit, 12),
                Line("credit.release", Bonus, 2, Credit, 12),
                Line("credit.release", Bonus, 3, Credit, 3),
            ],
            FlowCauses { held: -8, ..NONE },
        ),
    ]
}

fn others() -> [Case; 9] {
    use Direction::{Credit, Debit};
    use Source::{Bonus, PostPaid, Purchased, Subscription};
    let month = |operation, direction, credits| Line(operation, Subscription, MONTH, direction, credits);
    [
        (vec![Line("aml.pep", Purchased, 1, Debit, 5)], FlowCauses { used: 5, ..NONE }),
        (vec![Line("aml.pep", PostPaid, 1, Debit, 5)], NONE),
        (
            vec![month("credit.renewal", Debit, 3), month("credit.renewal", Credit, 9)],
            FlowCauses { added: 9, expired: 3, ..NONE },
        ),
        // A refund beyond a smaller plan.
        (
            vec![month("credit.refund", Credit, 8), month("credit.expiry", Debit, 3)],
            FlowCauses { refunded: 8, expired: 3, ..NONE },
        ),
        (
            vec![
                Line("credit.dispute", Purchased, 1, Debit, 6),
                Line("credit.dispute_won", Purchased, 1, Credit, 2),
            ],
            FlowCauses { withdrawn: 4, ..NONE },
        ),
        // A dispute that is lost in part, and a refund of money that fails: what returns was withdrawn before.
        (
            vec![
                Line("credit.dispute", Purchased, 1, Debit, 6),
                Line("credit.dispute_lost", Purchased, 1, Credit, 2),
            ],
            FlowCauses { withdrawn: 4, ..NONE },
        ),
        (
            vec![
                Line("credit.payment_refund", Purchased, 1, Debit, 6),
                Line("credit.refund_failed", Purchased, 1, Credit, 5),
            ],
            FlowCauses { withdrawn: 1, ..NONE },
        ),
        (
            vec![
                Line("credit.adjustment", Bonus, 1, Debit, 2),
                Line("credit.adjustment", Bonus, 3, Credit, 1),
            ],
            FlowCauses { added: 1, withdrawn: 2, ..NONE },
        ),
        // A grant makes two lots merge.
        (
            vec![
                Line("credit.grant", Bonus, 1, Credit, 4),
                Line("credit.grant", Bonus, 2, Debit, 3),
                Line("credit.grant", Bonus, 3, Credit, 3),
            ],
            FlowCauses { added: 4, ..NONE },
        ),
    ]
}

#[test]
fn causes_add_up_to_the_change() {
    for (lines, expected) in holds().into_iter().chain(others()) {
        let flow = flow(&lines);
        let Line(operation, source, ..) = lines[0];
        let bucket = match source {
            Source::Subscription => &flow.subscription,
            Source::Purchased => &flow.purchased,
            Source::Bonus | Source::PostPaid => &flow.bonus,
        };
        assert_eq!(bucket.causes, expected, "{operation}");
        assert_eq!(flow.outstanding, if source == Source::PostPaid { 5 } else { 0 });
    }
}

#[test]
fn a_bucket_names_the_largest_operations() {
    let flow = flow(&[
        Line("aml.pep", Source::Bonus, 1, Direction::Debit, 5),
        Line("aml.basic", Source::Bonus, 1, Direction::Debit, 7),
        Line("kyt.wallet", Source::Bonus, 1, Direction::Debit, 2),
        Line("credit.expiry", Source::Bonus, 1, Direction::Debit, 1),
    ]);
    let named = flow.bonus.largest_lost(2);
    let named: Vec<_> = named.iter().map(|(name, amount)| (name.as_str(), *amount)).collect();
    assert_eq!(named, [("aml.basic", 7), ("credit.expiry", 1), ("other", 7)]);
    assert!(flow.bonus.largest_gained(2).is_empty());
}
