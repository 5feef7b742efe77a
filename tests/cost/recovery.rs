//! Recovery of lost stream records costs the same for each row, however many there are.

use std::time::Duration;

use tests::{TestLedger, debits_without_records, recover};

#[tokio::test]
async fn recovery_costs_the_same_for_each_row() {
    let mut costs = Vec::new();
    for rows in [1_000_u32, 3_000] {
        let fixture = TestLedger::new().await;
        let id = debits_without_records(&fixture, rows.into()).await;
        let figures = recover(&fixture, id, Duration::ZERO).await;
        // The first row is the month's allowance.
        assert_eq!(figures.rows, u64::from(rows) + 1);
        // A slice has a thousand rows and does not divide a batch.
        assert_eq!(figures.calls, u64::from(rows) / 1_000 + 1);
        let each = |units: f64| units / f64::from(rows);
        costs.push([each(figures.units.written), each(figures.units.read)]);
    }
    let [few, many] = costs.try_into().unwrap();
    // Each call begins at the last rows that were followed.
    assert!(many[0] <= few[0] * 1.05 && many[1] <= few[1] * 1.15, "{few:?} {many:?}");
    assert!(many[0] < 0.08 && many[1] < 0.08, "{many:?}");
}
