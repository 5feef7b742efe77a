//! What recovery of lost stream records costs: `cargo xtask bench recovery [ROWS…]`, for a thousand to a hundred thousand
//! rows unless it is said. A million rows take some ten minutes.
#![expect(
    clippy::float_arithmetic,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a benchmark prints figures"
)]

use std::time::Duration;

use tests::{TestLedger, debits_without_records, recover};

/// How long one call catches up, as a scheduled job does.
const CALL: Duration = Duration::from_secs(20);

#[tokio::main]
async fn main() {
    let mut wanted: Vec<u32> = std::env::args().filter_map(|word| word.parse().ok()).collect();
    if wanted.is_empty() {
        wanted = vec![1_000, 10_000, 100_000];
    }
    for rows in wanted {
        let fixture = TestLedger::new().await;
        let id = debits_without_records(&fixture, rows.into()).await;
        let figures = recover(&fixture, id, CALL).await;
        let report = fixture.ledger.audit(id, "2024-01-15T10:30:00Z".parse().unwrap(), |_| ()).await;
        let sound = report.unwrap().is_some_and(|report| report.added_up && report.findings.is_empty());
        let each = |units: f64| units / f64::from(rows);
        println!(
            "{rows} rows: {} calls, {} requests, {:.0} write units ({:.4} a row), {:.0} read units ({:.4} a row), {}",
            figures.calls,
            figures.units.requests,
            figures.units.written,
            each(figures.units.written),
            figures.units.read,
            each(figures.units.read),
            if sound { "audit sound" } else { "AUDIT NOT SOUND" }
        );
    }
}
