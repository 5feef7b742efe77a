//! The list of transactions.

use serde_json::{Value, json};
use tests::World;

#[tokio::test]
async fn pages_of_every_size_list_every_row_once() {
    let world = World::at("2024-01-31T23:59:00Z").await;
    let org = world.open(1_000).await;
    for (advance, count) in [(0, 7), (120, 5), (40 * 86_400, 4), (70 * 86_400, 3)] {
        world.post_plain("/_local/clock", &json!({ "advanceSeconds": advance })).await.data();
        for n in 0..count {
            let body = json!({ "operation": "aml.basic", "customerId": format!("cust_{}", n % 2) });
            world.consume(&org.key, &format!("{advance}-{n}"), &body).await.created();
        }
    }
    let all = world.transactions(&org.key, "").await;
    // 19 debits and the renewals of January to May.
    assert_eq!(all.len(), 24);
    assert!(all.iter().rev().zip(1..).all(|(line, number)| line["sequence"] == json!(number)));
    for limit in [1, 2, 3, 5, 23, 24, 25, 100] {
        assert_eq!(world.transactions(&org.key, &format!("limit={limit}")).await, all, "limit {limit}");
    }
    let matching =
        |test: fn(&Value) -> bool| all.iter().filter(|line| test(line)).cloned().collect::<Vec<_>>();
    for limit in [1, 4, 100] {
        let asked = async |query: &str| world.transactions(&org.key, &format!("limit={limit}&{query}")).await;
        assert_eq!(asked("type=DEBIT").await, matching(|line| line["type"] == json!("DEBIT")));
        assert_eq!(asked("category=purchase").await, matching(|line| line["type"] == json!("CREDIT")));
        assert_eq!(asked("operation=credit.renewal").await.len(), 5);
        assert_eq!(asked("customerId=cust_1").await, matching(|line| line["customerId"] == json!("cust_1")));
        assert_eq!(asked("memberId=unknown").await, Vec::<Value>::new());
        assert_eq!(asked("type=DEBIT&category=purchase").await, Vec::<Value>::new());
        let february = matching(|line| line["timestamp"].as_str().unwrap().starts_with("2024-02"));
        assert_eq!(asked("from=2024-02-01T00:00:00Z&to=2024-03-01T00:00:00Z").await, february);
        assert_eq!(asked("to=2024-02-01T00:00:00Z").await.len(), 8);
        assert_eq!(asked("from=2024-03-01T00:00:00Z").await.len(), 10);
        assert_eq!(asked("from=2030-01-01T00:00:00Z").await.len(), 0);
    }
}

/// New rows between two pages neither shift nor hide a row.
#[tokio::test]
async fn turning_pages_while_debits_come_in_shows_each_line_once() {
    let world = World::demo().await;
    let org = world.open(1_000).await;
    let debit = async |name: String| {
        world.consume(&org.key, &name, &json!({ "operation": "aml.basic" })).await.created()
    };
    for n in 0..30 {
        debit(format!("before-{n}")).await;
    }
    let mut seen = Vec::new();
    let mut cursor = String::new();
    for n in 0.. {
        let page = world.get(&format!("/api/v3/credits/transactions?limit=4{cursor}"), &org.key).await;
        seen.extend(page.data().as_array().unwrap().iter().map(|line| line["sequence"].as_u64().unwrap()));
        debit(format!("meanwhile-{n}")).await;
        match page.body["meta"]["pagination"]["nextCursor"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(seen, (1..=31).rev().collect::<Vec<_>>());
}

/// Hundreds of simultaneous requests are committed in another order than they arrived: once the stream is
/// projected, every row is listed.
#[tokio::test(flavor = "multi_thread")]
async fn hundreds_of_requests_that_overtake_each_other_are_all_listed() {
    for now in [None, Some("2024-01-15T10:30:00Z")] {
        let world = match now {
            Some(now) => World::at(now).await,
            None => World::demo().await,
        };
        let world = std::sync::Arc::new(world);
        let org = world.open(1_000).await;
        let clients: Vec<_> = (0..700)
            .map(|n| {
                let (world, org) = (world.clone(), org.clone());
                let body = json!({ "operation": "aml.basic" });
                tokio::spawn(async move { world.consume(&org.key, &format!("c{n}"), &body).await.status })
            })
            .collect();
        for client in clients {
            assert_eq!(client.await.unwrap(), 201);
        }
        world.settle().await;
        for limit in [20, 100] {
            let lines = world.transactions(&org.key, &format!("limit={limit}")).await;
            let answer: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
            assert_eq!(answer, (1..=701).rev().collect::<Vec<_>>(), "limit {limit}, clock at {now:?}");
        }
    }
}

/// Captures are found by what their credits were held for, and as captures.
#[tokio::test]
async fn a_capture_is_found_by_both_of_its_operations() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let org = world.open(10).await;
    let body = json!({ "operation": "aml.basic" });
    let hold = world.post("/api/v3/credits/holds", &org.key, "hold", &body).await.created();
    let capture = format!("/api/v3/credits/holds/{}/capture", hold["holdId"].as_str().unwrap());
    world.post(&capture, &org.key, "capture", &json!({})).await.data();
    for (operation, expected) in [
        ("aml.basic", vec!["credit.capture"]),
        ("credit.capture", vec!["credit.capture"]),
        ("credit.hold", vec!["credit.hold"]),
    ] {
        let lines = world.transactions(&org.key, &format!("operation={operation}")).await;
        let found: Vec<_> = lines.iter().map(|line| line["operation"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{operation}");
    }
}

/// With the clock stopped all requests have the same time; their numbers still give the order.
#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_clock_keeps_the_order() {
    let world = std::sync::Arc::new(World::at("2024-01-15T10:30:00Z").await);
    let org = world.open(1_000).await;
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (world, org) = (world.clone(), org.clone());
            tokio::spawn(async move {
                for n in 0..25 {
                    let body = json!({ "operation": "aml.basic" });
                    world.consume(&org.key, &format!("c{client}-{n}"), &body).await.created();
                }
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    for limit in [1, 7, 100] {
        let lines = world.transactions(&org.key, &format!("limit={limit}")).await;
        let answer: Vec<_> = lines.iter().map(|line| line["sequence"].as_u64().unwrap()).collect();
        assert_eq!(answer, (1..=401).rev().collect::<Vec<_>>(), "limit {limit}");
    }
}
