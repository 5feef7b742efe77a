//! Tests of the parts that names are split into.

use super::*;
use domain::{CellSum, Credits, Direction, EntryId, Operation, Reference, RollupLine, RollupPart};

fn names() -> impl Iterator<Item = String> {
    (0..500).map(|number| format!("cust_{number}"))
}

/// A debit of one credit for a customer.
fn record(sequence: u64, customer: &str) -> RollupRecord {
    let operation = Operation::try_from("aml.pep".to_owned()).unwrap();
    let line = RollupLine { operation, service: None, key: None, is_drawn: false };
    let sum = CellSum { calls: 1, credits: Credits::try_from(1).unwrap() };
    RollupRecord {
        sequence,
        id: EntryId::new("2024-01-15T10:30:00Z".parse().unwrap(), sequence.into()),
        parts: vec![RollupPart { line, lot: None, direction: Direction::Debit, sum }],
        customer: Reference::try_from(customer.to_owned()).ok(),
        member: None,
    }
}

/// However often each part is split, the parts that follow one another have each name once.
#[test]
fn parts_that_follow_one_another_have_each_name_once() {
    for halvings in [0, 1, 2, 5] {
        let (mut parts, mut next) = (vec![], Some(NamePart::ALL));
        while let Some(part) = next {
            let split = (0..halvings).fold(part, |part, _| part.half());
            parts.push(split);
            next = split.rest();
        }
        assert_eq!(parts.iter().filter(|part| part.is_first()).count(), 1, "{halvings}");
        assert!((halvings == 0) == (parts.len() == 1), "{halvings}");
        for name in names() {
            assert_eq!(parts.iter().filter(|part| part.has(&name)).count(), 1, "{halvings}: {name}");
        }
    }
}

/// Sums that become too many are those of half of the names; the others are summed in a later run.
#[test]
fn too_many_sums_are_split_by_their_names() {
    let mut part = Some(NamePart::ALL);
    let mut counted: Vec<String> = vec![];
    let mut runs = 0;
    while let Some(names_of) = part {
        let mut sums = RowSums::of(names_of);
        for (sequence, name) in (1..).zip(names()) {
            // The first run has no room for the last name.
            if runs == 0 && sequence == 500 {
                assert_eq!(sums.cells, 499);
                sums.cells = CELLS_MAX;
            }
            sums.add(record(sequence, &name), 0);
        }
        assert_eq!(sums.cells, sums.names.len(), "{runs}");
        assert!(sums.names.keys().all(|of| sums.part.has(&of.name)), "{runs}");
        counted.extend(sums.names.keys().map(|of| of.name.clone()));
        part = sums.part.rest();
        runs += 1;
    }
    assert_eq!(runs, 2);
    counted.sort();
    let mut all: Vec<_> = names().collect();
    all.sort();
    assert_eq!(counted, all);
}
