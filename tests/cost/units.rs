//! What an operation costs in request units: exact, and told by the service itself.

use serde_json::{Value, json};
use tests::World;

/// A warm call of `route`, its average over a few.
async fn cost(world: &World, route: &str) -> Value {
    let told = world.get("/_local/capacity", "").await.data();
    told.pointer("/routes").and_then(|routes| routes.get(route)).cloned().unwrap_or_default()
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
    let told = cost(&world, "POST /api/v3/credits/consume").await;
    assert_eq!(told, json!({ "calls": 20, "requests": 60, "readUnits": 0.0, "writeUnits": 60.0 }));
}

#[tokio::test]
async fn a_balance_costs_one_read() {
    let world = World::demo().await;
    world.balance(world.key()).await;
    world.delete("/_local/capacity", "").await.data();
    for _ in 0..10 {
        world.balance(world.key()).await;
    }
    let told = cost(&world, "GET /api/v3/credits/balance").await;
    assert_eq!(told, json!({ "calls": 10, "requests": 10, "readUnits": 10.0, "writeUnits": 0.0 }));
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
    let told = cost(&world, "POST /api/v3/credits/consume").await;
    assert_eq!(told, json!({ "calls": 10, "requests": 20, "readUnits": 20.0, "writeUnits": 0.0 }));
}

/// An account with as many lots as it may have, and rows with all that a caller may send, still fit
/// their limits.
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
    let told = cost(&world, "POST /api/v3/credits/consume").await;
    // Claim, account and row are each smaller than 1 KB.
    assert_eq!(told["writeUnits"], json!(3.0));
    world.delete("/_local/capacity", "").await.data();
    world.consume(&org.key, &"k".repeat(255), &body).await.created();
    let told = cost(&world, "POST /api/v3/credits/consume").await;
    // Claim 1, account 2 and row 1: the account's item is smaller than 2 KB.
    assert_eq!(told["writeUnits"], json!(4.0));
}

/// What the round of a month costs, with so many organisations: all of it goes on in the background.
async fn month(organisations: usize) -> [f64; 3] {
    let world = World::at("2024-01-15T10:30:00Z").await;
    for _ in 0..organisations {
        world.open(10).await;
    }
    world.settle().await;
    world.delete("/_local/capacity", "").await.data();
    world.post_plain("/_local/clock", &json!({ "now": "2024-02-01T00:00:00Z" })).await.data();
    let told = world.get("/_local/capacity", "").await.data();
    ["writeUnits", "vainWriteUnits", "readUnits"]
        .map(|name| told["routes"]["background"][name].as_f64().unwrap_or_default())
}

/// An organisation more costs a round ten writes for each of its two ledgers: the account, its row, its mark with
/// the chain, and the checkpoint of the day before, which is over with it; and its owner is told, for which three items
/// are written together: the event, how many there are, and how far its owner knows. And the reads of that.
#[tokio::test]
async fn a_renewal_costs_four_writes_and_the_news_of_it_six() {
    let ([few, few_in_vain, few_reads], [many, many_in_vain, many_reads]) = (month(4).await, month(24).await);
    // If the projector runs close behind, it may write a row first, and then the request's own write fails its
    // condition; or the other way round.
    let (writes, reads) = ((many - many_in_vain) - (few - few_in_vain), many_reads - few_reads);
    assert!((20.0 * 19.75..20.0 * 20.5).contains(&writes), "{writes}");
    // Pages of the directory cost whole units, and a watermark that moved meanwhile is read again, in one run or
    // the other.
    assert!((20.0 * 13.5..20.0 * 14.75).contains(&reads), "{reads}");
}

/// What the background does while so many debits are made, each worked off before the next one comes.
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
            let held = world.machine.hold_the_stream().await;
            world.consume(world.key(), &format!("k{n}"), &body).await.created();
            drop(held);
        }
        world.settle().await;
    }
    let told = cost(&world, "background").await;
    ["writeUnits", "readUnits"].map(|name| told[name].as_f64().unwrap())
}

/// A debit costs the background two writes and four reads: the mark with the end of the chain and the day's usage,
/// written and read, the row, alerts, and auto-recharge. One in sixteen fills a part of the chain: one write more. With
/// many debits in a batch all but the rows is shared.
#[tokio::test]
async fn a_debit_costs_two_writes_in_the_background() {
    let ([with, read], [without, waited]) = (background(160).await, background(0).await);
    let (writes, reads) = (with - without, read - waited);
    // On a busy machine, waiting until it is idle takes more reads, and the write of a row may fail its condition.
    assert!((330.0..340.0).contains(&writes), "{writes}");
    assert!((635.0..690.0).contains(&reads), "{reads}");
}

/// A debit explained is its row, what was refunded of it, and a proof: a read where the row is in a full part of
/// the chain, and half a read more where it is not.
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
        let told = world.get(&format!("/api/v3/credits/transactions/{id}"), &org.key).await.data();
        assert!(told["proof"]["hash"].is_string(), "{told}");
        let told = cost(&world, "GET /api/v3/credits/transactions/{id}").await;
        assert_eq!(told["readUnits"], json!(units));
    }
    world.delete("/_local/capacity", "").await.data();
    world.get("/api/v3/credits/audit?limit=50", &org.key).await.data();
    let told = cost(&world, "GET /api/v3/credits/audit").await;
    // The watermark, four segments of the chain, 52 rows of half a kilobyte, no checkpoint.
    assert_eq!(told, json!({ "calls": 1, "requests": 4, "readUnits": 9.0, "writeUnits": 0.0 }));
}
