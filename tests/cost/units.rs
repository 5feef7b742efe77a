//! The exact cost of an operation in request units, as the service reports it.

use serde_json::{Value, json};
use tests::World;

/// The average cost of a warm call of `route`.
async fn cost(world: &World, route: &str) -> Value {
    let answer = world.get("/_local/capacity", "").await.data();
    answer.pointer("/routes").and_then(|routes| routes.get(route)).cloned().unwrap_or_default()
}

#[tokio::test]
async fn a_warm_consume_costs_three_writes_and_reads_nothing() {
    let world = World::demo().await;
    let body = json!({ "operation": "verification.standard", "resourceId": "verif_xyz789", "customerId": "cust_42",
        "memberId": "member_7", "metadata": { "case": "A-2231" } });
    world.consume(world.key(), "warm", &body).await.created();
    world.delete("/_local/capacity", "").await.data();
    for n in 0..20 {
        world
            .consume(world.key(), &format!("9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb{n:02}"), &body)
            .await
            .created();
    }
    let answer = cost(&world, "POST /api/v3/credits/consume").await;
    assert_eq!(answer, json!({ "calls": 20, "requests": 60, "readUnits": 0.0, "writeUnits": 60.0 }));
}

#[tokio::test]
async fn a_balance_costs_one_read() {
    let world = World::demo().await;
    world.balance(world.key()).await;
    world.delete("/_local/capacity", "").await.data();
    for _ in 0..10 {
        world.balance(world.key()).await;
    }
    let answer = cost(&world, "GET /api/v3/credits/balance").await;
    assert_eq!(answer, json!({ "calls": 10, "requests": 10, "readUnits": 10.0, "writeUnits": 0.0 }));
}

#[tokio::test]
async fn a_refused_consume_costs_two_reads_and_writes_nothing() {
    let world = World::demo().await;
    let body = json!({ "operation": "verification.standard", "quantity": 500 });
    world.consume(world.key(), "warm", &body).await;
    world.delete("/_local/capacity", "").await.data();
    for n in 0..10 {
        assert_eq!(world.consume(world.key(), &format!("k{n}"), &body).await.status, 402);
    }
    let answer = cost(&world, "POST /api/v3/credits/consume").await;
    assert_eq!(answer, json!({ "calls": 10, "requests": 20, "readUnits": 20.0, "writeUnits": 0.0 }));
}

/// The largest account and the largest rows fit their limits.
#[tokio::test]
async fn the_largest_account_stays_a_small_item() {
    let world = World::demo().await;
    let org = world.open(10).await;
    for n in 0..16 {
        let end = format!("2099-01-{:02}T00:00:00Z", n + 1);
        let service = ["smartcheck", "smartaccess", "smartenroll", "biometric"][n % 4];
        let grant = json!({ "source": "bonus", "amount": 1_000_000, "service": service, "expiresAt": end });
        world.grant(&org.id, &grant).await;
    }
    world.delete("/_local/capacity", "").await.data();
    let body = json!({ "operation": "verification.standard" });
    world.consume(&org.key, "k1", &body).await.created();
    world.delete("/_local/capacity", "").await.data();
    world.consume(&org.key, "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d", &body).await.created();
    let answer = cost(&world, "POST /api/v3/credits/consume").await;
    // Claim, account and row are each smaller than 1 KB.
    assert_eq!(answer["writeUnits"], json!(3.0));
    world.delete("/_local/capacity", "").await.data();
    world.consume(&org.key, &"k".repeat(255), &body).await.created();
    let answer = cost(&world, "POST /api/v3/credits/consume").await;
    // Claim 1, account 2 and row 1: the account's item is smaller than 2 KB.
    assert_eq!(answer["writeUnits"], json!(4.0));
}

/// The background cost of a month's renewal of some organisations.
async fn month(organisations: usize) -> [f64; 3] {
    let world = World::at("2024-01-15T10:30:00Z").await;
    for _ in 0..organisations {
        world.open(10).await;
    }
    world.settle().await;
    world.delete("/_local/capacity", "").await.data();
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:00:00Z" })).await.data();
    let answer = world.get("/_local/capacity", "").await.data();
    ["writeUnits", "vainWriteUnits", "readUnits"]
        .map(|name| answer["routes"]["background"][name].as_f64().unwrap_or_default())
}

/// One more organisation costs a renewal ten writes for each of its two ledgers: the account, its row, its
/// watermark with the chain, the checkpoint and the rollup of the day before, the records of both months' lots, and for its first event three: the alert
/// state with the event, the event, and the alert state without it. A later event also lets the event before it expire.
#[tokio::test]
async fn a_renewal_costs_seven_writes_and_its_event_three() {
    let ([few, few_in_vain, few_reads], [many, many_in_vain, many_reads]) = (month(4).await, month(24).await);
    // If the projector runs close behind, it may write a row first, and then the request's own write fails its
    // condition; or the other way round.
    let (writes, reads) = ((many - many_in_vain) - (few - few_in_vain), many_reads - few_reads);
    assert!((20.0 * 19.75..20.0 * 20.5).contains(&writes), "{writes}");
    // Pages of the directory cost whole units, and a watermark that moved meanwhile is read again, in one run or
    // the other.
    assert!((20.0 * 13.5..20.0 * 15.0).contains(&reads), "{reads}");
}

/// The background cost of some debits, each projected before the next is made.
async fn background(debits: u32) -> [f64; 2] {
    // The clock stands still, so the scheduler does nothing.
    let world = World::at("2024-01-15T10:30:00Z").await;
    world.settle().await;
    world.delete("/_local/capacity", "").await.data();
    let body = json!({ "operation": "verification.standard", "resourceId": "verif_xyz789" });
    // Waiting until the machine is idle reads the scheduled jobs, which no debit pays for: measure it without
    // debits.
    for n in 0..160 {
        if n < debits {
            // The request has written its row before the projector looks for it, so no conditional write
            // fails.
            let held = world.machine.pause_stream().await;
            world.consume(world.key(), &format!("k{n}"), &body).await.created();
            drop(held);
        }
        world.settle().await;
    }
    let answer = cost(&world, "background").await;
    ["writeUnits", "readUnits"].map(|name| answer[name].as_f64().unwrap())
}

/// A debit costs the background one write and one and a half reads: the watermark with the end of the chain and the
/// day's usage is written and read; the row is read, and alerts and auto-recharge together. One debit in sixteen
/// completes a span of the chain, which is one more write. In a batch everything but the rows is shared.
#[tokio::test]
async fn a_debit_costs_one_write_in_the_background() {
    let ([with, read], [without, waited]) = (background(160).await, background(0).await);
    let (writes, reads) = (with - without, read - waited);
    // On a busy machine, waiting until it is idle takes more reads, and the write of a row may fail its condition.
    assert!((170.0..176.0).contains(&writes), "{writes}");
    assert!((235.0..290.0).contains(&reads), "{reads}");
}

/// An explained debit reads its row, its refunds and a proof: one read if the row is in a completed segment of the
/// chain, and half a read more if not.
#[tokio::test]
async fn a_proof_costs_a_read_and_an_audit_those_of_its_rows() {
    let world = World::demo().await;
    let org = world.open(1_000).await;
    let body = json!({ "operation": "verification.standard", "resourceId": "verif_xyz789", "customerId": "cust_42" });
    let mut ids = Vec::new();
    for n in 0..60 {
        let made = world.consume(&org.key, &format!("k{n}"), &body).await.created();
        ids.push(made["transactionId"].as_str().unwrap().to_owned());
    }
    world.settle().await;
    for (id, units) in [(&ids[0], 3.0), (&ids[59], 3.5)] {
        world.delete("/_local/capacity", "").await.data();
        let answer = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert!(answer["proof"]["hash"].is_string(), "{answer}");
        let answer = cost(&world, "GET /api/v3/credits/transactions/{id}").await;
        assert_eq!(answer["readUnits"], json!(units));
    }
    world.delete("/_local/capacity", "").await.data();
    world.get("/api/v3/credits/audit?limit=50", &org.key).await.data();
    let answer = cost(&world, "GET /api/v3/credits/audit").await;
    // The watermark, four segments of the chain, 52 rows of half a kilobyte, no checkpoint.
    assert_eq!(answer, json!({ "calls": 1, "requests": 4, "readUnits": 9.0, "writeUnits": 0.0 }));
}
