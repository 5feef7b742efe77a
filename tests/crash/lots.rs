//! Lots of transactions that the projector has not counted yet: each is on one page.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use tests::TestProcess;

fn start() -> DateTime<Utc> {
    "2024-01-30T10:30:00Z".parse().unwrap()
}

/// All pages of one lot each, put together, as source and credits.
async fn pages(process: &TestProcess, key: &str) -> Vec<Value> {
    let (mut found, mut cursor) = (vec![], String::new());
    loop {
        let path = format!("/api/v3/credits/lots?limit=1{cursor}");
        let (status, answer) = process.read_as("analytics", &path, key).await;
        assert_eq!(status, 200, "{answer}");
        let lots = answer["data"].as_array().unwrap();
        found.extend(lots.iter().map(|lot| json!([lot["lotId"], lot["amount"], lot["expired"]])));
        match answer["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => return found,
        }
    }
}

/// While the projector is behind: lots that arrived since are on the first page, and what a transaction since changed of
/// an older lot is on the page of that lot.
#[tokio::test]
async fn each_lot_is_on_one_page_while_the_projector_is_behind() {
    let mut process = TestProcess::open(start()).await;
    let (account, key) = process.customer(40).await;
    let body = json!({ "package": "starter", "paymentMethod": "card_1" });
    let buy = async |process: &TestProcess, name: &str| {
        process.pass(60);
        let (status, answer) = process.buy(&key, name, &body).await;
        assert_eq!(status, 201, "{answer}");
    };
    buy(&process, "1").await;
    buy(&process, "2").await;
    process.project().await;
    buy(&process, "3").await;
    buy(&process, "4").await;
    // The renewal ends the oldest lot, and brings a new one.
    process.pass(3 * 86_400);
    process.renew_month(account).await;
    let behind = pages(&process, &key).await;
    process.project().await;
    let counted = pages(&process, &key).await;
    assert_eq!(behind, counted);
    let amounts: Vec<_> = counted.iter().map(|lot| json!([lot[1], lot[2]])).collect();
    assert_eq!(
        amounts,
        [json!([40, 0]), json!([500, 0]), json!([500, 0]), json!([500, 0]), json!([500, 0]), json!([40, 40])]
    );
}
