//! How many histories the crash tests run.

use std::io::Write;

/// The variable that has every history run.
const EVERY_HISTORY: &str = "EVERY_HISTORY";

/// Whether every history runs. Usually each fault runs with some of the ways to go on, in turn.
fn every_history() -> bool {
    std::env::var_os(EVERY_HISTORY).is_some()
}

/// Of the ways to go on after a fault, those that run with the fault of this number, from 0: `each` of them in turn, or all.
/// Over all faults, every way runs about as often as every other.
pub fn ways_in_turn<W: Copy>(ways: &[W], each: usize, number: usize) -> Vec<W> {
    let each = if every_history() { ways.len() } else { each };
    // A fault's number says its kind, too: without the second part, a kind would always have the same way.
    let first = number + number / ways.len().max(1);
    ways.iter().cycle().skip(first % ways.len().max(1)).take(each).copied().collect()
}

/// Whether the fault, or pair of faults, of this number runs, where every second one is enough.
pub fn runs_in_turn(number: usize) -> bool {
    every_history() || number.is_multiple_of(2)
}

/// Prints how many histories ran, on a line that the test harness does not capture.
pub fn count(case: &str) {
    std::io::stderr().write_all(format!("{case}\n").as_bytes()).unwrap();
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_kind_of_fault_gets_every_way() {
        for (ways, each) in [(2, 1), (3, 1), (6, 2)] {
            let all: Vec<usize> = (0..ways).collect();
            for kind in 0..6 {
                let numbers = (0..12).map(|write| write * 6 + kind);
                let found: BTreeSet<_> =
                    numbers.flat_map(|number| ways_in_turn(&all, each, number)).collect();
                assert_eq!(found.len(), ways, "kind {kind}, {ways} ways");
            }
        }
    }
}
