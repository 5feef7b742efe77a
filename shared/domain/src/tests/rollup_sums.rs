//! Which rollups have the same sums.

use super::*;

/// The cell of an operation.
fn cell(number: usize) -> Cell {
    let operation = Operation::try_from(format!("operation.{number}")).unwrap();
    let line = RollupLine { operation, service: None, key: None, is_drawn: false };
    Cell { slot: u8::try_from(number % 24).unwrap(), line, lot: None, direction: Direction::Debit }
}

/// A rollup to which one call of each of these operations was added, in this order; the first of them used `of_first` credits.
fn rollup(numbers: impl Iterator<Item = usize>, of_first: u64) -> Rollup {
    let mut rollup = Rollup::default();
    for number in numbers {
        let amount = if number == 0 { of_first } else { 1 };
        let sum = CellSum { calls: 1, credits: credits(amount) };
        rollup.join(&Rollup { cells: [(cell(number), sum)].into() });
    }
    rollup
}

/// Of full rollups the operations with a cell of their own depend on the order in which they were added. Their sums do not.
#[test]
fn full_rollups_have_the_same_sums_in_any_order() {
    for count in [10, Rollup::CELLS_MAX + 10] {
        let one = rollup(0..count, 1);
        assert!(one.has_sums_of(&rollup((0..count).rev(), 1)), "{count}");
        for other in [rollup(0..count, 2), rollup((0..count).rev(), 2), rollup(0..count - 1, 1)] {
            assert!(!one.has_sums_of(&other) && !other.has_sums_of(&one), "{count}");
        }
    }
}
