//! The exact cost of holds, captures, refunds and batches of a hundred, in request units.

use domain::{
    Amount, Batch, BatchItem, ClaimKey, Consume, Credits, Details, Fingerprint, Grant, GrantOrigin,
    IdempotencyKey, Operation, Reference, Service, Source, batch, grant,
};
use serde_json::{Value, json};
use tests::{TestLedger, World, keyed, moment, settle};

const CREDITS: &str = "/api/v3/credits";

/// The read units, write units and number of the calls of a route.
async fn units(world: &World, route: &str) -> (f64, f64, u64) {
    let answer = world.get("/_local/capacity", "").await.data();
    let answer = &answer["routes"][route];
    let unit = |name: &str| answer[name].as_f64().unwrap();
    (unit("readUnits"), unit("writeUnits"), answer["calls"].as_u64().unwrap())
}

async fn forget(world: &World) {
    world.settle().await;
    world.delete("/_local/capacity", "").await.data();
}

/// The cost of each operation, with warm caches and an idle projector.
#[tokio::test]
async fn drawdowns_cost_what_they_write() {
    let world = World::at("2024-01-15T10:30:00Z").await;
    let key = world.key();
    let post =
        async |path: String, name: &str, body: Value| world.post(&path, key, name, &body).await.created();
    let consume = json!({ "operation": "verification.enhanced", "resourceId": "verif_1" });
    let debit = post(format!("{CREDITS}/consume"), "debit", consume).await;
    let hold = || json!({ "operation": "verification.biometric" });
    forget(&world).await;

    // Claim, account, row, the marker that the hold is open, and the job that ends it.
    let held = post(format!("{CREDITS}/holds"), "hold", hold()).await;
    assert_eq!(units(&world, "POST /api/v3/credits/holds").await, (0.0, 5.0, 1));
    forget(&world).await;

    // Written: the scheduled job, the remainder, claim, account and row of the capture, the remainder again, and the
    // job's removal. Read: the hold's row, its remainder, and the free key.
    let path = format!("{CREDITS}/holds/{}/capture", held["holdId"].as_str().unwrap());
    post(path, "capture", json!({ "amount": 1 })).await;
    assert_eq!(units(&world, "POST /api/v3/credits/holds/{id}/capture").await, (3.0, 7.0, 1));
    forget(&world).await;

    let path = format!("{CREDITS}/holds/{}/release", held["holdId"].as_str().unwrap());
    post(path, "release", json!({})).await;
    assert_eq!(units(&world, "POST /api/v3/credits/holds/{id}/release").await, (3.0, 8.0, 1));
    forget(&world).await;

    let body = json!({ "transactionId": debit["transactionId"], "reason": "technical_failure" });
    post(format!("{CREDITS}/refund"), "refund", body).await;
    assert_eq!(units(&world, "POST /api/v3/credits/refund").await, (4.0, 7.0, 1));
    forget(&world).await;

    // Two claims (of the key and of the deduplicated charge), account, row, and the customer of the charge.
    let once = || json!({ "operation": "aml.pep", "resourceId": "a", "dedupe": { "windowSeconds": 60 } });
    post(format!("{CREDITS}/consume"), "once", once()).await;
    assert_eq!(units(&world, "POST /api/v3/credits/consume").await, (3.0, 5.0, 1));
    forget(&world).await;
    let again = world.post(&format!("{CREDITS}/consume"), key, "twice", &once()).await;
    assert_eq!((again.status, &again.data()["deduplicated"]), (200, &json!(true)));
    assert_eq!(units(&world, "POST /api/v3/credits/consume").await, (4.0, 1.0, 1));
    forget(&world).await;

    let quote = world.post(&format!("{CREDITS}/quote"), key, "", &hold()).await;
    assert_eq!(quote.data()["amount"], json!(3));
    assert_eq!(units(&world, "POST /api/v3/credits/quote").await, (1.0, 0.0, 1));
    forget(&world).await;

    let many = json!({ "operation": "verification.enhanced", "quantity": 1_000 });
    let quote = world.post(&format!("{CREDITS}/quote"), key, "", &many).await;
    assert_eq!(quote.data()["mend"]["action"], json!("purchase"));
    assert_eq!(units(&world, "POST /api/v3/credits/quote").await, (3.0, 0.0, 1));
}

/// A batch of a hundred different amounts from three buckets writes the account once, for at most two units.
#[tokio::test]
async fn a_batch_of_a_hundred_writes_the_account_once() {
    let now = "2024-01-15T10:30:00Z".parse().unwrap();
    let fixture = TestLedger::new().await;
    let id = fixture.open(2_000, now).await;
    for (name, source) in [("p", Source::Purchased), ("b", Source::Bonus)] {
        let gift = Grant {
            source,
            amount: Amount::try_from(2_000).unwrap(),
            service: None,
            expires_at: None,
            origin: GrantOrigin::Operator,
        };
        settle(&fixture.ledger, id, keyed(name, name), moment(now), |account, attempt| {
            grant(account, &gift, attempt)
        })
        .await
        .unwrap();
    }
    assert_eq!(fixture.units_of(id).await, 1.0);
    let operation = |text: &str| Operation::try_from(text.to_owned()).unwrap();
    let amount = |count: u64| Credits::try_from(count).unwrap();
    let wanted = (1..=100)
        .map(|count| Some(Consume { operation: operation("x"), amount: amount(count), service: None }));
    let request = Batch { items: wanted.collect(), atomic: true };
    let item = |count| BatchItem {
        operation: Reference::try_from("verification.standard".to_owned()).unwrap(),
        amount: Some(amount(count)),
        details: Details {
            resource_id: Reference::try_from(format!("verif_{count}")).ok(),
            ..Details::default()
        },
    };
    let details = Details { items: (1..=100).map(item).collect(), ..Details::default() };
    let key = ClaimKey::Caller(IdempotencyKey::try_from("k".repeat(255)).unwrap());
    let claim = store::Claim { key: &key, fingerprint: &Fingerprint("hundred".into()), details: &details };
    let faults = fixture.faults.clone().unwrap();
    faults.arm(usize::MAX, tests::WriteFault::CrashBefore);
    let settled = fixture
        .ledger
        .settle(id, claim, moment(now), |account, attempt| batch(account, &request, attempt))
        .await
        .unwrap();
    assert_eq!(faults.writes(), 102);
    let units = fixture.units_of(id).await;
    assert!(units <= 2.0, "{units}");
    let lines: Vec<_> = std::iter::once(settled.receipt).chain(settled.more).collect();
    let answer: Vec<_> = lines.iter().map(|line| (line.sequence, line.entry.amount.get())).collect();
    assert_eq!(answer, (1..=100).map(|count| (3 + count, count)).collect::<Vec<_>>());
    assert_eq!(lines.last().unwrap().balance.available().unwrap().get(), 6_000 - 5_050);
}

/// A batch whose items alternate between lots of two services still leaves a small account item.
#[tokio::test]
async fn a_batch_that_takes_turns_between_lots_writes_no_more() {
    let now = "2024-01-15T10:30:00Z".parse().unwrap();
    let fixture = TestLedger::new().await;
    let id = fixture.open(0, now).await;
    let services = [Service::Smartcheck, Service::Api];
    for (name, service) in ["one", "two"].into_iter().zip(services) {
        let gift = Grant {
            source: Source::Bonus,
            amount: Amount::try_from(10_000).unwrap(),
            service: Some(service),
            expires_at: None,
            origin: GrantOrigin::Operator,
        };
        settle(&fixture.ledger, id, keyed(name, name), moment(now), |account, attempt| {
            grant(account, &gift, attempt)
        })
        .await
        .unwrap();
    }
    let wanted = (1..=100).map(|count: u64| {
        let operation = Operation::try_from("x".to_owned()).unwrap();
        let service = services.into_iter().nth(usize::from(count.is_multiple_of(2)));
        Some(Consume { operation, amount: Credits::try_from(count).unwrap(), service })
    });
    let request = Batch { items: wanted.collect(), atomic: true };
    let key = "k".repeat(255);
    let decide = |account: &_, attempt: &_| batch(account, &request, attempt);
    let settled = settle(&fixture.ledger, id, keyed(&key, "hundred"), moment(now), decide).await.unwrap();
    assert!(fixture.units_of(id).await <= 2.0, "{}", fixture.units_of(id).await);
    let lots: Vec<_> =
        std::iter::once(&settled.receipt).chain(&settled.more).map(|line| line.entry.moves[0].lot).collect();
    assert!(lots.windows(2).all(|pair| pair[0] != pair[1]));
    let again = settle(&fixture.restarted(), id, keyed(&key, "hundred"), moment(now), decide).await.unwrap();
    assert_eq!((again.replayed, again.receipt, again.more), (true, settled.receipt, settled.more));
}
