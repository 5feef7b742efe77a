//! The exact cost of statements of closed months.

use serde_json::json;
use tests::{World, unique};

/// A stored statement is one read of half a unit for each 4 KB. A new one reads the watermark, the latest statement,
/// account, organisation, plans and catalogue, two checkpoints, the month's rollups, the last row with its link, each
/// lot that paid, and each purchase with its row; and writes itself.
#[tokio::test]
async fn statements_cost_what_they_read() {
    const LIST: &str = "/api/v3/credits/statements";
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(1_000).await;
    for quantity in 1..=3 {
        let body = json!({ "operation": "aml.pep", "quantity": quantity });
        world.consume(&org.key, &unique(), &body).await.created();
    }
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    world.post("/api/v3/credits/purchase", &org.key, &unique(), &body).await.created();
    world.pass(20 * 86_400).await;
    world.settle().await;
    world.get(LIST, &org.key).await.data();
    let route = "/api/v3/credits/statements/{month}";
    for (path, route, read, written) in [
        (LIST, LIST, 3.0, 0.0),
        ("/api/v3/credits/statements/2024-01", route, 14.5, 2.0),
        ("/api/v3/credits/statements/2024-01", route, 0.5, 0.0),
        ("/api/v3/credits/statements/2024-01?format=pdf", route, 0.5, 0.0),
    ] {
        world.delete("/_local/capacity", "").await.data();
        let answer = world.request("GET".parse().unwrap(), path, &org.key).send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 200);
        let capacity = world.get("/_local/capacity", "").await.data();
        let units = &capacity["routes"][format!("GET {route}")];
        assert_eq!(
            (&units["readUnits"], &units["writeUnits"]),
            (&json!(read), &json!(written)),
            "{path}: {units}"
        );
    }
}
