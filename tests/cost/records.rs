//! The exact cost of reading pages of credit records.

use domain::RecordFilter;
use serde_json::json;
use tests::{TestLedger, World, project_all, record_page_cost, records_without_index};

/// A page costs the watermark, the account, one read of purchases that are not in the ledger, and then: a search of the index,
/// the spans of its records and one read of their rows. It costs the same at any depth.
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
    assert_eq!(costs, []);
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
    assert_eq!(answer["routes"]["GET /v2/credits"], json!({}));
}
