//! What pages of credit records cost at any depth: `cargo xtask bench records [ROWS]`, for a million rows unless it is said,
//! which takes some ten minutes in a build with optimisations. It prints the request units of page 1, of page 10,000 and of
//! the last page, of all records and of purchases alone.
#![expect(clippy::print_stdout, reason = "a benchmark prints figures")]

use domain::RecordFilter;
use tests::{TestLedger, record_page_cost, records_without_index};

/// How many records a page has.
const PER_PAGE: u16 = 20;

/// After how many rows there is a grant.
const GRANT_EVERY: u64 = 1_000;

#[tokio::main]
async fn main() {
    let rows = std::env::args().filter_map(|word| word.parse().ok()).next().unwrap_or(1_000_000_u64);
    let fixture = TestLedger::new().await;
    let id = records_without_index(&fixture, rows, GRANT_EVERY).await;
    println!("{rows} rows are written");
    let indexed = tests::project_all(&fixture, id).await;
    println!("{indexed} rows are chained and indexed");
    let purchases = RecordFilter { usage: false, post_paid: false, ..RecordFilter::ALL };
    for (name, filter) in [("all records", RecordFilter::ALL), ("purchases", purchases)] {
        let total = record_page_cost(&fixture, id, filter, 1, PER_PAGE).await.total;
        let last = total.div_ceil(PER_PAGE.into()).max(1);
        for page in [1, 10_000.min(last), last] {
            let cost = record_page_cost(&fixture, id, filter, page, PER_PAGE).await;
            println!(
                "{name}: page {page} of {last}: {} records, {} requests, {} read units",
                cost.records, cost.units.requests, cost.units.read
            );
        }
    }
}
