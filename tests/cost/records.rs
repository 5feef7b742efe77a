//! The exact cost of reading pages of credit records.

use domain::RecordFilter;
use serde_json::json;
use tests::{TestLedger, World, project_all, record_page_cost, records_without_index};

/// A page costs the watermark, the account, one read of purchases that are not in the ledger, one or two blocks of the index,
/// two or three spans, and one read of the rows: as much at any depth.
#[tokio::test]
async fn a_page_costs_the_same_at_any_depth() {
    let fixture = TestLedger::new().await;
    let id = records_without_index(&fixture, 4_000, 100).await;
    assert_eq!(project_all(&fixture, id).await, 4_001);
    let mut costs = Vec::new();
    for page in [1, 50, 100, 150, 200, 201] {
        let cost = record_page_cost(&fixture, id, RecordFilter::ALL, page, 20).await;
        assert_eq!((cost.total, cost.records), (4_001, if page == 201 { 1 } else { 20 }));
        costs.push((page, cost.units.requests, cost.units.read));
    }
    let expected = [(1, 7, 6.5), (50, 9, 7.5), (100, 8, 7.0), (150, 8, 7.0), (200, 8, 7.0), (201, 7, 5.5)];
    assert_eq!(costs, expected);
}

/// Each purchase of a page is in a block and a span of its own: a page costs at most three reads for each of its records,
/// besides the search.
#[tokio::test]
async fn a_page_of_rare_records_costs_three_reads_for_each() {
    let fixture = TestLedger::new().await;
    let id = records_without_index(&fixture, 4_000, 100).await;
    project_all(&fixture, id).await;
    let purchases = RecordFilter { usage: false, post_paid: false, ..RecordFilter::ALL };
    for page in 1..=3 {
        let cost = record_page_cost(&fixture, id, purchases, page, 20).await;
        assert_eq!(cost.total, 41);
        assert!(cost.units.requests <= 4 + 12 + 3 * 20, "{cost:?}");
        assert!(cost.units.read <= 48.0, "{cost:?}");
    }
}

#[tokio::test]
async fn the_first_page_of_a_young_account_reads_no_index() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    world.get("/v2/credits", world.key()).await;
    world.delete("/_local/capacity", "").await.data();
    assert_eq!(world.get("/v2/credits", world.key()).await.status, 200);
    let answer = world.get("/_local/capacity", "").await.data();
    // The watermark, the account, purchases that are not in the ledger, a span, the rows, refunds, and three lots.
    let cost = json!({ "calls": 1, "requests": 9, "readUnits": 9.5, "writeUnits": 0.0 });
    assert_eq!(answer["routes"]["GET /v2/credits"], cost);
}
